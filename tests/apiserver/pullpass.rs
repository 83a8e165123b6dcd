//! The real program, started as a user starts it, and a scene to see it in.

use crate::api::{Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, Said, control_plane};
use crate::daemon::{Daemon, Output};
use crate::registration::Hook;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Only a fault takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `pullpass serve`; it ends when it is dropped.
pub(crate) struct Pullpass {
    pub(crate) url: String,
    pub(crate) ca: String,
    admin: String,
    folder: PathBuf,
    daemon: Option<Daemon>,
}

/// A namespace with a pullpass registered for it, which goes by one map.
pub(crate) struct Scene {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) api: Api,
    pub(crate) namespace: Namespace,
    pub(crate) pullpass: Pullpass,
    /// Of this test alone; the start of the names of its webhook configurations.
    pub(crate) name: String,
}

impl Pullpass {
    /// Starts one, with the map or with none yet; with further flags, and with a way to
    /// the API server for those that need one.
    pub(crate) fn start(
        plane: &ControlPlane,
        map: Option<&str>,
        kubeconfig: Option<&Path>,
        flags: &[String],
    ) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = plane.folder.join(format!("pullpass-{number}"));
        fs::create_dir(&folder).unwrap();
        let config = folder.join("registry-map.yaml");
        if let Some(map) = map {
            fs::write(&config, map).unwrap();
        }
        let config = config.to_str().unwrap();
        // `env` becomes pullpass.
        let kubeconfig = kubeconfig.unwrap_or(Path::new("/nowhere"));
        let kubeconfig = format!("KUBECONFIG={}", kubeconfig.display());
        let program = env!("CARGO_BIN_EXE_pullpass");
        let arguments = [&kubeconfig, program, "serve", "--config", config];
        let more = [
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--self-signed",
            "--shutdown-delay",
            "0s",
        ];
        let arguments: Vec<String> = arguments
            .iter()
            .chain(&more)
            .map(ToString::to_string)
            .chain(flags.iter().cloned())
            .collect();
        let mut daemon = Daemon::start(
            "pullpass",
            &folder,
            None,
            Path::new("env"),
            &arguments,
            &Output::Pipe,
        );
        let [url, admin, ca] = announced(&mut daemon);
        let ca = fs::read_to_string(ca).unwrap();
        Self {
            url,
            ca,
            admin,
            folder,
            daemon: Some(daemon),
        }
    }

    /// Replaces the map, as the kubelet would: in one step.
    pub(crate) fn write_map(&self, map: &str) {
        let new = self.folder.join(".registry-map.new");
        fs::write(&new, map).unwrap();
        fs::rename(new, self.map_path()).unwrap();
    }

    /// The file of the map.
    pub(crate) fn map_path(&self) -> PathBuf {
        self.folder.join("registry-map.yaml")
    }

    /// A page of the admin port: its status and text.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        let address = self.admin.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, body.to_owned())
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// Ends it now.
    pub(crate) fn stop(&mut self) {
        self.daemon.take();
    }
}

impl Drop for Pullpass {
    fn drop(&mut self) {
        let Some(daemon) = self.daemon.take() else {
            return;
        };
        if std::thread::panicking() {
            #[expect(clippy::print_stdout, reason = "the harness shows it with the failure")]
            {
                println!("{}", daemon.tail());
            }
        } else {
            drop(daemon);
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What it prints when it is ready: `webhook:`, `admin:` and `ca:`.
fn announced(daemon: &mut Daemon) -> [String; 3] {
    let stdout = BufReader::new(daemon.stdout());
    let (sender, lines) = mpsc::channel();
    // Reads on to the end, so that nothing is ever stuck in the pipe.
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    ["webhook", "admin", "ca"].map(|key| {
        let line = lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("pullpass did not start\n{}", daemon.tail()));
        let value = line
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix(": "));
        value
            .unwrap_or_else(|| panic!("expected `{key}: ...`, pullpass printed {line}"))
            .to_owned()
    })
}

impl Scene {
    /// Sets it, with the map in force; `None` where the tests are to be skipped. In the
    /// map `NAMESPACE` stands for the namespace's name.
    pub(crate) async fn new(map: &str) -> Option<Self> {
        Self::with(Some(map), |_| ()).await
    }

    /// The same with the webhooks registered otherwise, or without a map.
    pub(crate) async fn with(map: Option<&str>, change: impl Fn(&mut Hook<'_>)) -> Option<Self> {
        Self::set(map, None, &[], change).await
    }

    /// The same with a pullpass that has further flags and this way to the API server.
    pub(crate) async fn with_flags(
        map: &str,
        kubeconfig: Option<&Path>,
        flags: &[String],
    ) -> Option<Self> {
        Self::set(Some(map), kubeconfig, flags, |_| ()).await
    }

    async fn set(
        map: Option<&str>,
        kubeconfig: Option<&Path>,
        flags: &[String],
        change: impl Fn(&mut Hook<'_>),
    ) -> Option<Self> {
        let plane = control_plane()?;
        let api = Api::new(plane).await;
        let namespace = api.namespace("test").await;
        let name = namespace.name.clone();
        let written = map.map(|map| map.replace("NAMESPACE", &name));
        let pullpass = Pullpass::start(plane, written.as_deref(), kubeconfig, flags);
        if map.is_some() {
            eventually("a ready pullpass", async || {
                (pullpass.admin("/readyz").0 == 200).then_some(())
            })
            .await;
        }
        for mut hook in Hook::pair(&format!("{name}-pullpass"), &pullpass.url, &pullpass.ca) {
            change(&mut hook);
            hook.register(&api, &[&namespace]).await;
        }
        Some(Self {
            plane,
            api,
            namespace,
            pullpass,
            name,
        })
    }

    /// Puts another map in force.
    pub(crate) async fn change_map(&self, map: &str) {
        let generation = || {
            let (_, metrics) = self.pullpass.admin("/metrics");
            let line = metrics
                .lines()
                .find(|line| line.starts_with(RELOADS))
                .map(str::to_owned);
            line.unwrap_or_else(|| panic!("no {RELOADS} in\n{metrics}"))
        };
        let before = generation();
        self.pullpass
            .write_map(&map.replace("NAMESPACE", &self.name));
        eventually("the new map", async || {
            (generation() != before).then_some(())
        })
        .await;
    }

    /// What kubectl says in the namespace, as people see it on a terminal: the command,
    /// its errors and warnings, its output.
    pub(crate) fn kubectl(&self, arguments: &[&str], stdin: &serde_json::Value) -> String {
        let named = [&["--namespace", self.name.as_str()], arguments].concat();
        let Said {
            success,
            stdout,
            stderr,
        } = self.plane.kubectl(&named, &stdin.to_string());
        let code = if success { "" } else { "(failed)\n" };
        let text = format!("$ kubectl {}\n{stderr}{stdout}{code}", arguments.join(" "));
        text.replace(&self.name, "NAMESPACE")
    }
}

/// Counts the maps that were taken.
const RELOADS: &str = r#"pullpass_map_loads_total{result="ok"}"#;
