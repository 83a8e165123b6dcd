//! The instants of the map, at every caller of the decision: a second before, at, and a
//! second after, all say the same.
//!
//! The clock of a running server cannot be turned here. It is read at one place into
//! `admission::ReviewContext::now`, which is what these tests give.

use crate::reviews::{context_of, review_of};
use jiff::{SignedDuration, Timestamp};
use pullpass::observe::metrics::{ExpositionFormat, Metrics};
use pullpass::state::map_store::MapStore;
use pullpass_core::admission::{self, Endpoint, WorkloadMode};
use pullpass_core::map::{self, Options, SourceFile};
use pullpass_core::policy::{Namespace, Policy};
use pullpass_core::probe::{self, Expected, ProbeKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const MAP: &str = r#"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: old, match: old.example, action: deny, from: "2027-01-01T00:00:00Z", replaceWith: new.example}
  - {name: guest, match: guest.example, until: "2027-01-01T00:00:00Z", pullSecrets: [guest-pull]}
publicRegistries: []
unknownRegistries: deny
"#;

/// The denial begins and the exception ends.
const INSTANT: &str = "2027-01-01T00:00:00Z";
/// Before it nothing is denied and the exception's secret is added; from it on all is
/// denied and no secret is added.
const TIMES: [(&str, bool); 3] = [
    ("2026-12-31T23:59:59Z", false),
    (INSTANT, true),
    ("2027-01-01T00:00:01Z", true),
];
const IMAGES: [&str; 2] = ["old.example/x", "guest.example/x"];

/// What a caller says of an image; none where it is not asked that.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    denied: Option<bool>,
    has_secret: Option<bool>,
}

fn policy() -> Policy {
    let file = SourceFile {
        name: "map".to_owned(),
        text: MAP.to_owned(),
    };
    map::load(&[file], &Options::default()).unwrap().policy
}

fn response(endpoint: Endpoint, at: &str, image: &str) -> Value {
    let policy = policy();
    let context = context_of(&policy, at.parse().unwrap());
    let spec = json!({"containers": [{"name": "c", "image": image}]});
    let (group, resource, spec) = match endpoint {
        Endpoint::Workloads(_) => ("apps", "deployments", json!({"template": {"spec": spec}})),
        _ => ("", "pods", spec),
    };
    let object = json!({"metadata": {"name": "web"}, "spec": spec});
    let review = review_of(group, resource, "CREATE", "shop", &object);
    let answer = admission::review(&context, endpoint, review.to_string().as_bytes()).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["response"].clone()
}

fn mutate(at: &str, image: &str) -> Said {
    Said {
        denied: None,
        has_secret: Some(response(Endpoint::Mutate, at, image)["patch"].is_string()),
    }
}

fn denies(endpoint: Endpoint, at: &str, image: &str) -> Said {
    Said {
        denied: Some(response(endpoint, at, image)["allowed"] == false),
        has_secret: None,
    }
}

fn validate(at: &str, image: &str) -> Said {
    denies(Endpoint::Validate, at, image)
}

fn workloads(at: &str, image: &str) -> Said {
    denies(Endpoint::Workloads(WorkloadMode::Deny), at, image)
}

/// A command on the map, with this after it in the same file.
fn run(arguments: &[&str], at: Option<&str>, more: &str) -> (String, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let map = directory.path().join("map.yaml");
    fs::write(&map, format!("{MAP}{more}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullpass"));
    command.args(arguments).arg("--config").arg(&map);
    command.args(at.iter().flat_map(|at| ["--at", at]));
    let output = command.env_remove("PULLPASS_CONFIG").output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

fn said(line: &Value, secrets: &str) -> Said {
    Said {
        denied: Some(line["action"] == "deny"),
        has_secret: Some(!line[secrets].as_array().unwrap().is_empty()),
    }
}

fn explain(at: &str, image: &str) -> Said {
    let (text, _) = run(&["explain", "-o", "json", image], Some(at), "");
    said(&serde_json::from_str(&text).unwrap(), "pullSecrets")
}

fn check(at: &str, image: &str) -> Said {
    let manifest = tempfile::NamedTempFile::new().unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": image}]},
    });
    fs::write(manifest.path(), pod.to_string()).unwrap();
    let path = manifest.path().to_str().unwrap();
    let (text, _) = run(&["check", "-o", "json", "-f", path], Some(at), "");
    let first = text.lines().next().unwrap();
    said(&serde_json::from_str(first).unwrap(), "secrets")
}

/// The cases have dates of their own: the one that passes is what was judged.
fn config_test(at: &str, image: &str) -> Said {
    let passes = |expected: &str| {
        let case = format!(
            "---\napiVersion: pullpass.dev/v1\nkind: RegistryMapTest\ncases:\n- {{image: {image}, namespace: shop, at: \"{at}\", {expected}}}\n"
        );
        let (text, code) = run(&["config", "test"], None, &case);
        assert!(matches!(code, Some(0 | 1)), "{text}");
        code == Some(0)
    };
    Said {
        denied: Some(passes("action: deny")),
        has_secret: Some(passes("secrets: [guest-pull]")),
    }
}

/// Policies have no clock: their text is for a time, and says until when.
fn generate_policy(at: &str, image: &str) -> Said {
    let (text, code) = run(&["generate", "policy"], Some(at), "");
    assert_eq!(code, Some(0));
    let until = format!("pullpass.dev/valid-until: \"{INSTANT}\"");
    let changes = at < INSTANT;
    assert_eq!(text.contains(&until), changes, "{at}");
    assert_eq!(text.contains("valid-until"), changes, "{at}");
    let host = image.split('/').next().unwrap();
    // An ended entry has no row, and what has none is denied here.
    let row = text
        .lines()
        .find(|line| line.contains(&format!("\"{host}:443\": [[")));
    Said {
        denied: Some(row.is_none_or(|row| row.contains("\"deny\""))),
        has_secret: Some(
            row.is_some_and(|row| row.contains("guest-pull") || row.contains("\"guest\"")),
        ),
    }
}

fn probes(at: &str, image: &str) -> Said {
    let policy = policy();
    let now = at.parse().unwrap();
    let images = [image.to_owned()];
    let probes = probe::probes(&policy, Namespace::named("shop"), now, &images).unwrap();
    let asked = probes.iter().rfind(|probe| probe.image == image).unwrap();
    let secret = probes
        .iter()
        .find(|probe| probe.kind == ProbeKind::PullSecret)
        .unwrap();
    Said {
        denied: Some(matches!(asked.expected, Expected::Denied(_))),
        has_secret: image
            .starts_with("guest.")
            .then_some(matches!(secret.expected, Expected::Patched(_))),
    }
}

/// Who asks for a decision, and the file that does.
type Caller = (&'static str, &'static str, fn(&str, &str) -> Said);
const CALLERS: [Caller; 8] = [
    ("/mutate", "core/admission.rs", mutate),
    ("/validate", "core/admission.rs", validate),
    ("/validate-workloads", "core/admission.rs", workloads),
    ("explain", "cli/explain.rs", explain),
    ("check", "cli/check.rs", check),
    ("config test", "cli/config.rs", config_test),
    ("generate policy", "core/vap.rs", generate_policy),
    ("verify", "core/probe/make.rs", probes),
];

#[test]
fn every_caller_says_the_same_a_second_before_and_after() {
    for (name, _, ask) in CALLERS {
        for (at, passed) in TIMES {
            for image in IMAGES {
                let said = ask(at, image);
                let is_guest = image.starts_with("guest.");
                let expected = Said {
                    denied: said.denied.map(|_| passed),
                    has_secret: said.has_secret.map(|_| is_guest && !passed),
                };
                assert_eq!(said, expected, "{name}, {image} at {at}");
            }
        }
    }
}

#[test]
fn the_warning_names_the_date_and_the_other_place_and_the_denial_the_other_place() {
    let before = response(Endpoint::Validate, TIMES[0].0, IMAGES[0]);
    let warning = before["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("denies it from 2027-01-01 on; use new.example"),
        "{warning}"
    );
    let after = response(Endpoint::Validate, INSTANT, IMAGES[0]);
    let denial = after["status"]["message"].as_str().unwrap();
    assert!(denial.contains("denies it; use new.example"), "{denial}");
}

#[test]
fn the_dates_are_series_and_go_with_the_map() {
    let metrics = Arc::new(Metrics::default());
    let store = MapStore::new(Arc::clone(&metrics));
    let now = INSTANT.parse().unwrap();
    let load = |text: &str| {
        let file = SourceFile {
            name: "map".to_owned(),
            text: text.to_owned(),
        };
        store.replace(Ok(map::load(&[file], &Options::default()).unwrap()), now);
        metrics.render(ExpositionFormat::OpenMetrics)
    };
    let text = load(MAP);
    let seconds = 1_798_761_600;
    for line in [
        format!("pullpass_entry_from_timestamp_seconds{{entry=\"old\"}} {seconds}\n"),
        format!("pullpass_entry_until_timestamp_seconds{{entry=\"guest\"}} {seconds}\n"),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    let undated = MAP.replace(&format!(", until: \"{INSTANT}\""), "");
    let text = load(&undated);
    assert!(text.contains("pullpass_entry_from_timestamp"));
    assert!(!text.contains("pullpass_entry_until_timestamp"));
}

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// A new caller must come into the table above before it comes into this list.
#[test]
fn no_caller_of_the_decision_is_left_out() {
    // The decision itself; `missing_for`, which says what is not known for one; the server's
    // own `decide`, which calls `admission::review`; parts of `generate policy`.
    let others = [
        "core/policy/context.rs",
        "core/policy/explain.rs",
        "http/webhook.rs",
        "core/vap/gaps.rs",
        "core/vap/cel.rs",
    ];
    let calls = [".judge(", ".decide(", ".next_change(", ".ranked("];
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    rust_files(Path::new("crates/core/src"), &mut files);
    let calling: BTreeSet<String> = files
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            calls.iter().any(|call| code.contains(call))
        })
        .map(|path| match path.strip_prefix("crates/core/src") {
            Ok(inside) => Path::new("core").join(inside),
            Err(_) => path.strip_prefix("src").unwrap().to_owned(),
        })
        .map(|path| path.display().to_string())
        .collect();
    let known: BTreeSet<String> = CALLERS
        .iter()
        .map(|(_, file, _)| *file)
        .chain(others)
        .map(str::to_owned)
        .collect();
    assert_eq!(calling, known);
}

/// The clock of a running server cannot be turned, so the date is some seconds away.
#[test]
fn a_running_server_logs_the_date_once_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.yaml");
    let end = Timestamp::now() + SignedDuration::from_secs(8);
    let text = format!(
        "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries:\n  - {{name: guest, match: guest.example, until: \"{end:.0}\"}}\n"
    );
    fs::write(&map, text).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["serve", "--self-signed", "--listen", "127.0.0.1:0"])
        .args(["--admin-listen", "127.0.0.1:0", "--config"])
        .arg(&map)
        .env_remove("KUBECONFIG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(server.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut told = Vec::new();
    // Only a fault takes so long.
    while let Ok(line) = lines.recv_timeout(Duration::from_mins(1)) {
        if line.contains("an entry of the registry map") {
            assert!(line.contains(r#"entry="guest""#), "{line}");
            told.push(line);
        }
        if told.last().is_some_and(|line| line.contains("has expired")) {
            break;
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();
    reading.join().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("expires soon"), "{told:?}");
}
