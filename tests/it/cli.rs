//! The commands as programs: streams in, streams out, exit codes.
//!
//! What people read is in the pages that `docs` runs; this is for what a page cannot
//! show: standard input, bytes, readers that go away.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn pullpass(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullpass"));
    command.args(args).env_remove("PULLPASS_CONFIG");
    command
}

fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = pullpass(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // From another thread: the program answers while it reads.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const MAP: [&str; 2] = ["--config", "examples/registry-map.yaml"];

#[test]
fn explain_answers_each_line_with_a_line() {
    let input =
        b"nginx\n\nreg_ex.com/app\nHTTP://x\n \xff\xfe\nregistry.corp.example/a@sha256:short\nlast";
    let output = with_input(&["explain", MAP[0], MAP[1], "-"], input);
    assert!(output.status.success());
    let lines = lines(&output);
    assert_eq!(lines.len(), 7);
    let valid: Vec<_> = lines.iter().map(|line| line["valid"] == true).collect();
    assert_eq!(valid, [true, false, true, false, false, false, true]);
    assert_eq!(lines[2]["registry"], "reg_ex.com");
    assert_eq!(lines[2]["repository"], "app");
    assert!(lines[3]["error"].is_string() && lines[3]["registry"].is_null());
    let keys: Vec<_> = lines[0].as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "image",
        "valid",
        "error",
        "registry",
        "repository",
        "tag",
        "digest",
        "entry",
        "action",
        "pullSecrets",
    ]
    .map(str::to_owned);
    expected.sort();
    assert_eq!(keys, expected);
}

#[test]
fn explain_says_what_an_answer_depends_on_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.yaml");
    std::fs::write(
        &map,
        "apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: all, match: a.example}
  - {name: some, match: a.example/team, namespaces: [team-a]}
  - {name: closer, match: b.example/team/app}
  - {name: labelled, match: b.example/team, action: deny, namespaceSelector: {matchLabels: {team: a}}}
publicRegistries: []
unknownRegistries: {default: warn, overrides: [{namespaceSelector: {matchLabels: {team: a}}, action: deny}]}
",
    )
    .unwrap();
    let input =
        b"a.example/x\na.example/team/x\nb.example/team/x\nb.example/team/app\nc.example/x\nA?\n";
    let depends = |more: &[&str]| -> Vec<String> {
        let args = [&["explain", "--config", map.to_str().unwrap(), "-"], more].concat();
        let output = with_input(&args, input);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let lines = lines(&output);
        lines
            .iter()
            .map(|line| line["dependsOn"].to_string())
            .collect()
    };
    let (none, name, labels) = ("null", "[\"namespace\"]", "[\"namespaceLabels\"]");
    assert_eq!(depends(&[]), [none, name, name, none, name, name]);
    let named = ["--namespace", "team-a"];
    assert_eq!(depends(&named), [none, none, labels, none, labels, labels]);
    let known = [&named[..], &["--namespace-labels", "team=a"]].concat();
    assert_eq!(depends(&known), [none; 6]);
}

#[test]
fn labels_that_are_none_are_refused() {
    for labels in ["=x", "x", "a=b,a=c"] {
        let args = [
            "explain",
            "--namespace",
            "a",
            "--namespace-labels",
            labels,
            "nginx",
        ];
        let output = pullpass(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{labels}");
    }
}

#[test]
fn explain_works_without_a_map_and_says_so() {
    let output = with_input(&["explain", "-"], b"nginx\nnowhere.example/x\n");
    assert!(output.status.success());
    let lines = lines(&output);
    assert_eq!(lines[0]["entry"], "docker.io");
    assert_eq!(lines[1]["action"], "warn");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no registry map is named"));
}

#[test]
fn explain_lists_credentials_in_the_kubelets_order_and_no_password() {
    let secret = "tests/fixtures/cmd/docker-config.json";
    let output = with_input(
        &["explain", "--secret", secret, "-"],
        b"registry.corp.example/team/a\nnginx\nnot valid\n",
    );
    assert!(output.status.success());
    let lines = lines(&output);
    let users: Vec<_> = lines[0]["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tried| tried["username"].as_str().unwrap())
        .collect();
    assert_eq!(users, ["team-robot", "robot", "anybody"]);
    assert_eq!(lines[1]["credentials"], Value::Array(Vec::new()));
    assert_eq!(lines[2]["credentials"], Value::Array(Vec::new()));
    let everything = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&everything).contains("not-a-password"));
}

#[test]
fn explain_says_why_a_secret_from_stdin_does_not_serve_an_image() {
    let secret =
        br#"{"auths": {"Registry.corp.example": {"username": "u", "password": "hunter2"}}}"#;
    let output = with_input(
        &["explain", "--secret", "-", "registry.corp.example/a"],
        secret,
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("credential    none"), "{text}");
    assert!(text.contains("upper and lower case differ"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let twice = with_input(&["explain", "--secret", "-", "-"], secret);
    assert_eq!(twice.status.code(), Some(2), "{twice:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = pullpass(&["explain", MAP[0], MAP[1], "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // The program ends in between, so this may fail.
    let _ = stdin.write_all("nginx\n".repeat(100_000).as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn hostile_images_do_nothing_to_a_terminal() {
    let output = with_input(&["explain", MAP[0], MAP[1], "a\u{1b}[2J\u{202e}b\nc"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r"a\u{1b}[2J\u{202e}b\nc"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn the_schema_the_manual_and_the_completions_are_printed() {
    for (args, words) in [
        (&["config", "schema"][..], "\"$schema\""),
        (&["man"], ".TH pullpass"),
        (&["completion", "bash"], "_pullpass"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        let output = pullpass(args).output().unwrap();
        assert!(output.status.success());
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(words),
            "{args:?}"
        );
    }
}

/// Not a page under `tests/cmd`: those take `\` for `/`, and CEL is full of `\`.
#[test]
fn the_policies_of_a_small_map_are_the_golden_ones() {
    let map = "tests/fixtures/cmd/small-map.yaml";
    let arguments = ["generate", "policy", "--config", map, "--at", "2026-11-20"];
    let output = with_input(&arguments, b"");
    let printed = String::from_utf8(output.stdout).unwrap();
    let file = "tests/fixtures/cmd/small-map.policies.yaml";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, &printed).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(printed, expected, "UPDATE_GOLDEN=1 takes it");
}
