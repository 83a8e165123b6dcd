//! `serve --check` as a process: what it finds, in which words, and its exit codes. What it asks
//! an API server is tested in `tests/apiserver/check.rs`.

use super::process::run;
use super::support::{MAP, Server, make_certificates, write_pair};
use pullpass::certs::issuer;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const ANY: &str = "127.0.0.1:0";

/// A folder `map` with a good map, and `tls` with a pair of the given certificates.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["map", "tls"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("map/map.yaml"), MAP).unwrap();
        write_pair(&folder.path().join("tls"), &make_certificates());
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Exit code and stdout.
    fn check(&self, more: &[&str]) -> (i32, String) {
        let map = format!("--config={}", self.path("map"));
        let certificate = format!("--tls-cert={}", self.path("tls/tls.crt"));
        let key = format!("--tls-key={}", self.path("tls/tls.key"));
        let mut arguments = vec!["serve", "--check", &map, &certificate, &key];
        if !more.iter().any(|flag| flag.starts_with("--listen")) {
            arguments.extend(["--listen", ANY]);
        }
        if !more.iter().any(|flag| flag.starts_with("--admin-listen")) {
            arguments.extend(["--admin-listen", ANY]);
        }
        let (code, out, words) = run(&[&arguments, more].concat());
        assert_eq!(words, "");
        (code, out)
    }

    /// What is printed about the one problem that there is.
    fn problem(&self, more: &[&str]) -> String {
        let (code, out) = self.check(more);
        assert_eq!(code, 1, "{out}");
        assert!(out.ends_with("this cannot serve: 1 error\n"), "{out}");
        out
    }
}

#[test]
fn what_can_serve_is_0() {
    assert_eq!(
        Files::new().check(&[]),
        (0, "ok: this can serve\n".to_owned())
    );
}

#[test]
fn a_broken_map_is_1_with_the_place_and_what_stands_behind_the_path() {
    let files = Files::new();
    let twice = MAP.replace(
        "unknownRegistries",
        "  - match: registry.corp.example\nunknownRegistries",
    );
    fs::write(files.path("map/map.yaml"), twice).unwrap();
    let name = format!("--check-name={}=the value map", files.path("map"));
    let out = files.problem(&[&name]);
    assert!(out.contains("is the value map)"), "{out}");
    assert!(out.contains("map.yaml:7:"), "{out}");
}

#[test]
fn a_map_that_is_not_there_is_1_and_named() {
    let files = Files::new();
    fs::remove_file(files.path("map/map.yaml")).unwrap();
    fs::write(files.path("map/README"), "no map").unwrap();
    let name = format!("--check-name={}=the ConfigMap house", files.path("map"));
    let out = files.problem(&[&name]);
    assert!(out.contains("is the ConfigMap house)"), "{out}");
    assert!(out.contains("does not exist, or has no key"), "{out}");
    fs::remove_dir_all(files.path("map")).unwrap();
    assert!(files.problem(&[&name]).contains("cannot read"));
}

#[test]
fn a_certificate_that_the_api_server_would_not_accept_is_1() {
    let files = Files::new();
    let made = issuer::development(&["pullpass.house.svc".to_owned()], SystemTime::now()).unwrap();
    write_pair(&files.folder.path().join("tls"), &made);
    let service = "--check-service=pullpass.house";
    let authority = format!("--check-ca={}", made.authority);
    let (code, out) = files.check(&[service, &authority]);
    assert_eq!(code, 0, "{out}");
    // Nothing else needs the API server in this mode.
    assert!(
        out.contains("note: the API server cannot be asked"),
        "{out}"
    );
    let other = format!("--check-ca={}", make_certificates().authority);
    let out = files.problem(&[service, &other]);
    assert!(out.contains("issued by another CA"), "{out}");
    let out = files.problem(&["--check-service=pullpass.garden", &authority]);
    assert!(out.contains("it is for pullpass.house.svc"), "{out}");
    let long_ago = SystemTime::now() - Duration::from_hours(400 * 24);
    let old = issuer::development(&["pullpass.house.svc".to_owned()], long_ago).unwrap();
    write_pair(&files.folder.path().join("tls"), &old);
    assert!(files.problem(&[]).contains("it expired on"));

    fs::remove_file(files.path("tls/tls.key")).unwrap();
    let name = format!("--check-name={}=the Secret ours", files.path("tls"));
    let out = files.problem(&[&name]);
    assert!(
        out.contains("the Secret ours") && out.contains("tls.key"),
        "{out}"
    );
    // Half of a pair is not awaited.
    let awaits = format!("--check-awaits={}", files.path("tls"));
    assert!(files.problem(&[&awaits]).contains("tls.key"));
    fs::remove_file(files.path("tls/tls.crt")).unwrap();
    let (code, out) = files.check(&[&awaits, &name]);
    assert_eq!(code, 0);
    assert!(out.contains("note: there is no certificate yet"), "{out}");
}

#[tokio::test]
async fn a_port_in_use_is_1_unless_a_replica_has_it() {
    let files = Files::new();
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let listen = format!("--listen={address}");
    let out = files.problem(&[&listen]);
    assert!(out.contains(&address.to_string()), "{out}");

    let server = Server::start(|_| {}).await;
    let ports = [
        format!("--listen={}", server.webhook),
        format!("--admin-listen={}", server.admin),
    ];
    let checked = tokio::task::spawn_blocking(move || {
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        files.check(&ports)
    });
    let (code, out) = checked.await.unwrap();
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.matches("by a replica of pullpass").count(), 2, "{out}");
    drop(server);
}

#[test]
fn all_problems_are_reported_at_once() {
    let files = Files::new();
    fs::write(files.path("map/map.yaml"), "no map").unwrap();
    fs::write(files.path("tls/tls.crt"), "no certificate").unwrap();
    let log = format!("--decision-log={}", files.path("nowhere/log"));
    let taken = TcpListener::bind(ANY).unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let (code, out) = files.check(&[&log, &listen]);
    assert_eq!(code, 1);
    assert!(out.ends_with("this cannot serve: 4 errors\n"), "{out}");
    for words in [
        "cannot listen on",
        "certificate file",
        "decision records",
        "map.yaml",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(!Path::new(&files.path("nowhere")).exists());
}

#[test]
fn what_the_server_would_not_take_is_no_different_for_the_check() {
    for (arguments, code, words) in [
        (&["--nonsense"][..], 2, "'--nonsense'"),
        (
            &["--self-signed", "--log-level=info,pullpass=lots"],
            2,
            "log-level",
        ),
        (
            &["--self-signed", "--log-level=info", "--log-level=debug"],
            2,
            "log-level",
        ),
        (&["--self-signed", "--check-service=pullpass"], 2, "a dot"),
        (&["--self-signed", "--check-name=/etc"], 2, "an equals sign"),
        (
            &[
                "--self-signed-secret=a",
                "--webhook-service=b",
                "--namespace=c",
            ],
            3,
            "how to reach the API server",
        ),
    ] {
        let fixed = ["serve", "--check", "--config=map.yaml"];
        let (was, out, said) = run(&[&fixed[..], arguments].concat());
        assert_eq!((was, out.as_str()), (code, ""), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let (code, _, said) = run(&[
        "serve",
        "--config=map.yaml",
        "--self-signed",
        "--check-ca=x",
    ]);
    assert_eq!(code, 2);
    assert!(said.contains("--check"), "{said}");
}
