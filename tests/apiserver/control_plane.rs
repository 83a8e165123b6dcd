//! etcd, kube-apiserver and kube-controller-manager on free ports of loopback: one
//! of each for the whole test binary, started by the first test that asks.

use crate::assets::Assets;
use crate::certificate::{self, CallerAuthority};
use crate::daemon::{Daemon, Output};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Who the tests are to the API server.
const ADMIN: &str = "admin@shop.example";
/// No secret: it opens a server that lives for a minute, on loopback.
const TOKEN: &str = "of-this-run-only";
/// The API server's name when it calls webhooks.
pub(crate) const CALLER: &str = "kube-apiserver-webhooks";
/// A start takes three seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pods and what they are made of; every other request is left out.
const AUDIT: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
"rules": [{"level": "Metadata", "verbs": ["create", "update", "patch"],
"resources": [{"group": "", "resources": ["pods", "pods/ephemeralcontainers"]}]}, {"level": "None"}]}"#;

/// Those whose work makes pods, those that new namespaces and deletions need, and the
/// type check of admission policies.
const CONTROLLERS: &str = "serviceaccount-controller,namespace-controller,\
    garbage-collector-controller,deployment-controller,replicaset-controller,\
    replicationcontroller-controller,daemonset-controller,statefulset-controller,\
    job-controller,cronjob-controller,validatingadmissionpolicy-status-controller";

/// The running control plane.
pub(crate) struct ControlPlane {
    /// Where things are kept: logs for good, all else until this process ends.
    pub(crate) folder: PathBuf,
    /// Opens the API server as an administrator.
    pub(crate) kubeconfig: PathBuf,
    /// One JSON event a line.
    pub(crate) audit_log: PathBuf,
    /// Those that may issue the certificate with which the API server calls webhooks; at first
    /// it is of the first one.
    pub(crate) callers: [CallerAuthority; 2],
    kubectl: PathBuf,
    /// Held, so that they run.
    daemons: Vec<Daemon>,
}

/// What a run of kubectl came to.
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The control plane of this test binary; `None` where the tests are to be skipped.
pub(crate) fn control_plane() -> Option<&'static ControlPlane> {
    static SHARED: LazyLock<Result<Option<ControlPlane>, String>> = LazyLock::new(start);
    match &*SHARED {
        Ok(plane) => plane.as_ref(),
        Err(error) => panic!("no API server to test against: {error}"),
    }
}

/// Says what is left out, in the words that `tests/run` looks for.
pub(crate) fn skip(what: &str, why: &str) {
    // Not `eprintln!`: the test harness swallows what a passing test prints.
    let line = format!("SKIP {what}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

fn start() -> Result<Option<ControlPlane>, String> {
    if std::env::var_os("PULLPASS_SKIP_APISERVER").is_some_and(|value| value == "1") {
        skip("apiserver", "PULLPASS_SKIP_APISERVER=1 is set");
        return Ok(None);
    }
    let assets = Assets::find()?;
    let folder = run_folder();
    let mut failure = String::new();
    // A port that was free a moment ago may be taken by whoever runs beside us.
    for attempt in 1..=3 {
        let attempt_folder = folder.join(format!("attempt-{attempt}"));
        fs::create_dir(&attempt_folder).unwrap();
        match ControlPlane::start(&assets, attempt_folder) {
            Ok(plane) => return Ok(Some(plane)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// A new folder in cargo's, for this process; those of yesterday are removed.
fn run_folder() -> PathBuf {
    let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let parent = if parent.is_dir() {
        parent
    } else {
        std::env::temp_dir()
    };
    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    for entry in fs::read_dir(&parent).unwrap().flatten() {
        let ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with("apiserver-");
        let changed = entry.metadata().and_then(|metadata| metadata.modified());
        if ours && changed.is_ok_and(|at| at < hour_ago) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new()
        .prefix("apiserver-")
        .tempdir_in(parent)
        .unwrap()
        .keep()
}

impl ControlPlane {
    fn start(assets: &Assets, folder: PathBuf) -> Result<Self, String> {
        let [etcd_port, peer_port, port] = free_ports();
        let etcd = start_etcd(assets, &folder, etcd_port, peer_port);
        let callers = [CallerAuthority::new(), CallerAuthority::new()];
        write_caller(&folder, &callers[0]);
        let apiserver = start_apiserver(assets, &folder, etcd_port, port);
        let mut plane = Self {
            kubeconfig: folder.join("kubeconfig"),
            audit_log: folder.join("audit.log"),
            kubectl: assets.kubectl.clone(),
            callers,
            daemons: Vec::new(),
            folder,
        };
        let mut daemons = vec![etcd, apiserver];
        plane.wait(&mut daemons, &["get", "--raw", "/readyz"])?;
        daemons.push(start_controller_manager(assets, &plane));
        // The first sign that the controllers work.
        plane.wait(
            &mut daemons,
            &["get", "serviceaccount", "default", "--namespace", "default"],
        )?;
        plane.daemons = daemons;
        Ok(plane)
    }

    /// From now on the API server calls webhooks with a new certificate of this authority, on
    /// new connections.
    pub(crate) fn call_with(&self, authority: &CallerAuthority) {
        write_caller(&self.folder, authority);
    }

    /// Runs kubectl as the administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str], stdin: &str) -> Said {
        self.kubectl_with_editor("false", arguments, stdin)
    }

    /// The same, and where it opens an editor it is this command.
    pub(crate) fn kubectl_with_editor(
        &self,
        editor: &str,
        arguments: &[&str],
        stdin: &str,
    ) -> Said {
        let mut child = Command::new(&self.kubectl)
            // Nobody's own settings (kuberc) or caches.
            .env_clear()
            .env("HOME", &self.folder)
            .env("KUBE_EDITOR", editor)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // An early error of kubectl's closes the pipe; what it says is looked at below.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Said {
            success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What the API server calls itself, such as `v1.37.1`.
    pub(crate) fn version(&self) -> String {
        let said = self.kubectl(&["get", "--raw", "/version"], "");
        let version: Value = serde_json::from_str(&said.stdout).unwrap();
        version["gitVersion"].as_str().unwrap().to_owned()
    }

    fn wait(&self, daemons: &mut [Daemon], question: &[&str]) -> Result<(), String> {
        let since = Instant::now();
        while !self.kubectl(question, "").success {
            let ended = daemons.iter_mut().any(|daemon| daemon.ended().is_some());
            if ended || since.elapsed() > PATIENCE {
                let logs: String = daemons.iter().map(Daemon::tail).collect();
                let what = if ended {
                    "a program ended"
                } else {
                    "it took too long"
                };
                return Err(format!(
                    "{what} before `kubectl {}` worked\n{logs}",
                    question.join(" ")
                ));
            }
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are known, so that none comes twice.
    let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn start_etcd(assets: &Assets, folder: &Path, port: u16, peer_port: u16) -> Daemon {
    let data = folder.join("etcd");
    let (client, peer) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    let arguments = [
        format!("--data-dir={}", data.display()),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ];
    Daemon::start(
        "etcd",
        folder,
        Some(&data),
        &assets.etcd,
        &arguments,
        &Output::Log,
    )
}

/// Certificate and key in one file, so that they change in one step.
fn write_caller(folder: &Path, authority: &CallerAuthority) {
    let (file, new) = (folder.join("caller.pem"), folder.join("caller.new"));
    fs::write(&new, authority.issue(CALLER)).unwrap();
    fs::rename(new, file).unwrap();
}

/// Writes the two files of docs/api-server-authentication.md, for webhooks at any address and
/// with the certificate of [`write_caller`]. A webhook that asks for no certificate gets none.
fn write_admission_configuration(folder: &Path) {
    let page = include_str!("../../docs/api-server-authentication.md");
    let caller = folder.join("caller.pem");
    for name in ["configuration.yaml", "webhooks.kubeconfig"] {
        let (_, block) = page.split_once(&format!("```yaml\n# {name}\n")).unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let mut text = block.replace("/etc/kubernetes/admission", folder.to_str().unwrap());
        text = text.replace("name: pullpass.pullpass.svc", "name: '*'");
        for ending in ["crt", "key"] {
            let named = format!("/etc/kubernetes/pki/front-proxy-client.{ending}");
            text = text.replace(&named, caller.to_str().unwrap());
        }
        fs::write(folder.join(name), text).unwrap();
    }
}

fn start_apiserver(assets: &Assets, folder: &Path, etcd_port: u16, port: u16) -> Daemon {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let tls = certificate::loopback();
    write("tls.crt", &tls.certificate);
    write("tls.key", &tls.key);
    let key = rcgen::KeyPair::generate().unwrap();
    write("service-account.key", &key.serialize_pem());
    write("service-account.pub", &key.public_key_pem());
    write("tokens.csv", &format!("{TOKEN},{ADMIN},1,system:masters\n"));
    write("audit-policy.json", AUDIT);
    write("kubeconfig", &kubeconfig(port, &tls.ca));
    write_admission_configuration(folder);

    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    let arguments = [
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        // It would refuse to publish a loopback address.
        "--endpoint-reconciler-type=none".to_owned(),
        file("tls-cert-file", "tls.crt"),
        file("tls-private-key-file", "tls.key"),
        file("token-auth-file", "tokens.csv"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        file("service-account-key-file", "service-account.pub"),
        file("service-account-signing-key-file", "service-account.key"),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        file("admission-control-config-file", "configuration.yaml"),
        file("audit-policy-file", "audit-policy.json"),
        file("audit-log-path", "audit.log"),
        // The event is in the file before the answer is with the client.
        "--audit-log-mode=blocking".to_owned(),
    ];
    Daemon::start(
        "kube-apiserver",
        folder,
        None,
        &assets.apiserver,
        &arguments,
        &Output::Log,
    )
}

fn start_controller_manager(assets: &Assets, plane: &ControlPlane) -> Daemon {
    let arguments = [
        format!("--kubeconfig={}", plane.kubeconfig.display()),
        "--secure-port=0".to_owned(),
        "--leader-elect=false".to_owned(),
        // As installers do it: reviews name the controller, not one mighty user.
        "--use-service-account-credentials".to_owned(),
        format!("--controllers={CONTROLLERS}"),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ];
    let program = &assets.controller_manager;
    Daemon::start(
        "kube-controller-manager",
        &plane.folder,
        None,
        program,
        &arguments,
        &Output::Log,
    )
}

/// JSON, which is YAML too.
fn kubeconfig(port: u16, ca: &str) -> String {
    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let server = format!("https://127.0.0.1:{port}");
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    })
    .to_string()
}
