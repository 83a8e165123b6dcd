//! The real program: its flags, its lines, its signals, its exit codes.

use super::support::{Client, MAP, PATIENCE, post, review, trusting};
use pullpass_core::admission::Endpoint;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn pullpass(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullpass"));
    command
        .args(arguments)
        .env_remove("PULLPASS_CONFIG")
        .env_remove("POD_NAMESPACE")
        // No test here may find a cluster.
        .env("KUBECONFIG", "no-kubeconfig")
        .env_remove("KUBERNETES_SERVICE_HOST");
    command
}

pub(super) fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = pullpass(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A running `serve --self-signed`, killed when dropped.
struct Serving {
    child: Child,
    webhook: SocketAddr,
    admin: SocketAddr,
    ca: PathBuf,
    stdout: Lines<BufReader<ChildStdout>>,
    _directory: TempDir,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let map = directory.path().join("map.yaml");
        fs::write(&map, MAP).unwrap();
        let any = "127.0.0.1:0";
        let mut child = pullpass(&[
            "serve",
            "--listen",
            any,
            "--admin-listen",
            any,
            "--self-signed",
        ])
        .arg("--config")
        .arg(&map)
        .args(arguments)
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |prefix: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(prefix)
                .unwrap_or_else(|| panic!("{line}"))
                .to_owned()
        };
        Self {
            webhook: line("webhook: https://").parse().unwrap(),
            admin: line("admin: http://").parse().unwrap(),
            ca: line("ca: ").into(),
            stdout: lines,
            child,
            _directory: directory,
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
    }

    async fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&mut self) -> String {
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        log
    }

    async fn client(&self) -> Client<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let authority = fs::read_to_string(&self.ca).unwrap();
        Client::connect(self.webhook, &trusting(&[&authority]))
            .await
            .unwrap()
    }

    async fn ready(&self) -> u16 {
        let tcp = tokio::net::TcpStream::connect(self.admin).await.unwrap();
        Client::new(tcp)
            .ask("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .status
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn sigterm_first_fails_readiness_then_answers_last_requests_then_exits_0() {
    let mut serving = Serving::start(&["--shutdown-delay", "700ms"]);
    assert_eq!(serving.ready().await, 200);
    let mut client = serving.client().await;
    let request = post(Endpoint::Validate, &review("u"));
    assert_eq!(client.ask(&request).await.header("connection"), None);
    assert_eq!(
        fs::metadata(serving.ca.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );

    serving.signal("TERM");
    super::support::in_time(async { while serving.ready().await == 200 {} }).await;
    let last = client.ask(&request).await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    let newest = serving.client().await.ask(&request).await;
    assert_eq!(
        (newest.status, newest.header("connection")),
        (200, Some("close"))
    );
    assert!(serving.ended().await.success());
    assert!(!serving.ca.exists());
}

/// What a container writes to both streams comes to one place, where it is read as JSON.
#[test]
fn with_json_every_line_of_the_output_is_json() {
    let directory = tempfile::tempdir().unwrap();
    let map = directory.path().join("map.yaml");
    fs::write(&map, MAP).unwrap();
    let any = "127.0.0.1:0";
    let mut child = pullpass(&["serve", "--listen", any, "--admin-listen", any])
        .args(["--self-signed", "--log-format", "json"])
        .args(["--shutdown-delay", "0s", "--config"])
        .arg(&map)
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    let is_listening = |line: &serde_json::Value| line["message"] == "listening";
    let listening = lines.find(is_listening).expect("it listens");
    let text = |key: &str| listening[key].as_str().unwrap();
    assert!(text("webhook").starts_with("https://127.0.0.1:"));
    assert!(text("admin").starts_with("http://127.0.0.1:"));
    assert!(Path::new(text("ca")).exists());

    let kill = format!("kill -TERM {}", child.id());
    let kill = Command::new("sh").args(["-c", &kill]).status();
    assert!(kill.unwrap().success());
    assert!(lines.all(|line| line["level"].is_string()));
    let mut stdout = String::new();
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut serving = Serving::start(&["--shutdown-delay", "10m"]);
    serving.signal("INT");
    super::support::in_time(async { while serving.ready().await == 200 {} }).await;
    serving.signal("INT");
    assert!(serving.ended().await.success());
    assert!(serving.log().contains("second signal"));
}

#[tokio::test]
async fn what_a_request_names_cannot_forge_log_lines() {
    let mut serving = Serving::start(&["--shutdown-delay", "0s", "--log-level", "debug"]);
    let body = review("forged\\n2026-01-01 INFO all is well\\u001b[2J")
        .replace("quay.io/team/web:1", "x\\u001b[31m\\nforged");
    let _ = serving
        .client()
        .await
        .ask(&post(Endpoint::Validate, &body.replace("\\\\", "\\")))
        .await;
    serving.signal("TERM");
    assert!(serving.ended().await.success());
    let log = serving.log();
    assert!(!log.contains('\u{1b}'), "{log:?}");
    assert!(
        !log.lines()
            .any(|line| line.starts_with("forged") || line.starts_with("2026-01-01 INFO")),
        "{log}"
    );
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_stop_reviews() {
    let serving = Serving::start(&["--log-level", "debug"]);
    let mut client = serving.client().await;
    // Each is a line of about 200 bytes; a pipe holds 64 KiB, the queue 4096 lines.
    for _ in 0..6000 {
        let answer = client.ask(&post(Endpoint::Validate, &review("u"))).await;
        assert_eq!(answer.status, 200);
    }
}

fn pair(directory: &Path) -> (String, String) {
    let path = |name| directory.join(name).to_str().unwrap().to_owned();
    (path("tls.crt"), path("tls.key"))
}

#[test]
fn a_way_to_tls_must_be_chosen_and_be_whole() {
    let (code, _, words) = run(&["serve", "--config", "map.yaml"]);
    assert_eq!(code, 2);
    assert!(
        words.contains("--tls-cert") && words.contains("--self-signed"),
        "{words}"
    );
    for arguments in [
        &["--tls-cert", "a"][..],
        &["--tls-key", "a"],
        &["--tls-cert", "a", "--tls-key", "b", "--self-signed"],
        &["--self-signed", "--body-memory", "none"],
        &["--self-signed-secret", "tls", "--self-signed"],
        &["--self-signed-secret", "tls"],
        &["--self-signed", "--map-configmap", "pullpass-map"],
        &[
            "--self-signed",
            "--validating-webhook-configuration",
            "pullpass:mutate",
        ],
        &["--self-signed", "--extra-san", "localhost"],
        &["--self-signed", "--max-connections", "0"],
        &["--self-signed", "--shutdown-delay", "5"],
        &["--self-signed", "--listen", "here"],
        &["--self-signed", "--log-level", "a=b=c"],
    ] {
        let (code, out, words) = run(&[&["serve", "--config", "map.yaml"], arguments].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {words}");
        assert!(words.starts_with("error: "), "{words}");
    }
}

#[test]
fn times_that_do_not_fit_together_are_refused_in_words() {
    let rotated = [
        "--self-signed-secret",
        "tls",
        "--webhook-service",
        "pullpass",
    ];
    let serve = |more: &[&str]| {
        let arguments = [&["serve", "--config", "map.yaml"], &rotated[..], more].concat();
        let (code, out, words) = run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {words}");
        words
    };
    assert!(serve(&[]).contains("--namespace"));
    let namespace = ["--namespace", "pullpass"];
    let long = [&namespace[..], &["--self-signed-lifetime", "4000h"]].concat();
    assert!(serve(&long).contains("a third"));
    let slow = [&namespace[..], &["--self-signed-settle-time", "200h"]].concat();
    assert!(serve(&slow).contains("a sixth"));
    let hasty = [&namespace[..], &["--self-signed-settle-time", "0s"]].concat();
    assert!(serve(&hasty).contains("at least a second"));
}

#[test]
fn a_bad_pair_at_the_start_is_2_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = pair(directory.path());
    let serve = || {
        run(&[
            "serve",
            "--config",
            "map.yaml",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
        ])
    };
    let (code, out, words) = serve();
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(words.contains("tls.crt"), "{words}");

    let made = super::support::make_certificates();
    super::support::write_pair(directory.path(), &made);
    fs::write(&key, super::support::make_certificates().key).unwrap();
    let (code, _, words) = serve();
    assert_eq!(code, 2);
    assert!(words.contains("does not belong"), "{words}");
}

#[test]
fn a_port_that_cannot_be_had_is_3() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, words) = run(&[
        "serve",
        "--config",
        "map.yaml",
        "--self-signed",
        "--listen",
        &address,
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(code, 3);
    assert!(words.contains(&address), "{words}");
}

#[test]
fn development_certificates_are_written_once_and_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("new/certs");
    let inner = inner.to_str().unwrap();
    let (code, words, _) = run(&["certs", "dev", "--dir", inner, "--host", "webhook.example"]);
    assert_eq!(code, 0);
    assert!(words.contains("webhook.example"), "{words}");
    let (certificate, key) = pair(Path::new(inner));
    let files = pullpass::certs::pair::PairFiles {
        certificate: certificate.into(),
        key: (&key).into(),
    };
    let read = files.read().ok().unwrap().parse().unwrap();
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "pullpass.pullpass.svc",
        "webhook.example",
    ] {
        assert!(read.names.iter().any(|own| own == name), "{name}");
    }
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let before = fs::read(&key).unwrap();
    let (code, _, words) = run(&["certs", "dev", "--dir", inner]);
    assert_eq!(code, 2);
    assert!(words.contains("--force"), "{words}");
    assert_eq!(fs::read(&key).unwrap(), before);
    assert_eq!(run(&["certs", "dev", "--dir", inner, "--force"]).0, 0);
    assert_ne!(fs::read(&key).unwrap(), before);
    assert_eq!(fs::read_dir(inner).unwrap().count(), 3);
}

#[tokio::test]
async fn decision_records_follow_on_stdout_and_are_all_written_at_the_end() {
    let records = ["--decision-log", "stdout", "--decision-log-reviews", "all"];
    let mut serving = Serving::start(&[&records[..], &["--shutdown-delay", "0s"]].concat());
    assert_eq!(serving.ready().await, 200);
    let mut client = serving.client().await;
    // As many as a pipe holds that nobody reads yet.
    for number in 0..50 {
        let review = review(&format!("uid-{number}"));
        let answer = client.ask(&post(Endpoint::Validate, &review)).await;
        assert_eq!(answer.status, 200);
    }
    serving.signal("TERM");
    assert_eq!(serving.ended().await.code(), Some(0));
    for number in 0..50 {
        let line = serving.stdout.next().unwrap().unwrap();
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["kind"], "Decision");
        assert_eq!(record["uid"], format!("uid-{number}"));
    }
    assert!(serving.stdout.next().is_none());
}

#[tokio::test]
async fn who_observes_is_told_so_at_the_start() {
    let mut serving = Serving::start(&["--observe", "--shutdown-delay", "0s"]);
    assert_eq!(serving.ready().await, 200);
    serving.signal("TERM");
    assert_eq!(serving.ended().await.code(), Some(0));
    let log = serving.log();
    assert!(log.contains("observing: nothing is denied"), "{log}");
}

#[test]
fn a_decision_log_that_cannot_be_written_is_said_at_the_start() {
    let (code, _, said) = run(&[
        "serve",
        "--config=map.yaml",
        "--self-signed",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--decision-log=/nowhere/decisions",
    ]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("cannot write decision records to /nowhere/decisions: "),
        "{said}"
    );
    let (code, _, said) = run(&["serve", "--self-signed", "--decision-log-reviews=all"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--decision-log <stdout|FILE>"), "{said}");
}
