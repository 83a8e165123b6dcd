//! `pullpass doctor` on text: exit codes, its JSON against the schema, the documentation of
//! each cause, and input that wants to do harm.

use pullpass_core::diagnosis::{self, Cause, Finding, ImageFailure, Platform, paste};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

fn doctor(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .arg("doctor")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A command that ends early closes the pipe.
    let _ = writer.join().unwrap();
    output
}

fn report(input: &[u8]) -> Value {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let text = std::fs::read_to_string("docs/doctor.schema.json").unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    });
    let output = doctor(&["-", "-o", "json"], input);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    if let Err(error) = SCHEMA.validate(&report) {
        panic!("{error}: {report}");
    }
    let has_failures = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|finding| finding["recovered"] == false);
    assert_eq!(output.status.code(), Some(i32::from(has_failures)));
    report
}

#[test]
fn the_exit_code_says_whether_an_image_is_missing() {
    assert_eq!(doctor(&["-"], b"").status.code(), Some(0));
    assert_eq!(doctor(&["-"], b"no such host").status.code(), Some(1));
    assert_eq!(doctor(&["-f", "no/such/file"], b"").status.code(), Some(2));
    assert_eq!(doctor(&["-", "web"], b"").status.code(), Some(2));
    assert_eq!(doctor(&["svc/web"], b"").status.code(), Some(2));
    assert_eq!(doctor(&["-A", "web"], b"").status.code(), Some(2));
}

#[test]
fn what_people_paste_becomes_the_documented_json() {
    let describe = std::fs::read("tests/fixtures/cmd/describe.txt").unwrap();
    let report = report(&describe);
    let finding = &report["findings"][0];
    assert_eq!(finding["cause"], "tls-unknown-ca");
    assert_eq!(finding["objects"][0]["namespace"], "shop");
    assert_eq!(finding["host"]["name"], "registry.corp.example:5000");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
}

#[test]
fn an_image_that_came_later_is_no_failure() {
    let text = "Name: web\nNamespace: shop\n\
        1m Warning Failed pod/web Failed to pull image \"a.example/b:1\": dial tcp: lookup a.example: no such host\n\
        1s Normal Pulled pod/web Successfully pulled image \"a.example/b:1\" in 2s\n";
    let report = report(text.as_bytes());
    assert_eq!(report["findings"][0]["recovered"], true);
}

#[test]
fn text_of_another_shell_is_read() {
    let text = "Failed to pull image \"a.example/b:1\": no such host";
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(report(&bytes)["findings"][0]["cause"], "dns");
}

fn anchors(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_cause_has_its_section_and_its_place_in_the_schema() {
    let page = std::fs::read_to_string(diagnosis::PAGE).unwrap();
    let expected: BTreeSet<String> = Cause::ALL
        .iter()
        .map(|cause| cause.as_str().to_owned())
        .collect();
    assert_eq!(expected.len(), Cause::ALL.len());
    assert_eq!(anchors(&page), expected);
    let schema = std::fs::read_to_string("docs/doctor.schema.json").unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let listed: BTreeSet<String> =
        serde_json::from_value(schema["$defs"]["Cause"]["enum"].clone()).unwrap();
    assert_eq!(listed, expected);
}

fn finding(cause: Cause, image: &str) -> Finding {
    let failure = ImageFailure {
        subject: diagnosis::observation::Subject::pod("shop", "web"),
        image: Some(image.to_owned()),
        cause,
        also_possible: Vec::new(),
        evidence: Vec::new(),
        host: None,
        has_recovered: false,
        commands: Vec::new(),
    };
    diagnosis::group(vec![failure]).remove(0)
}

const PLATFORMS: [Platform; 9] = [
    Platform::Containerd,
    Platform::K3s,
    Platform::Rke2,
    Platform::Talos,
    Platform::MicroK8s,
    Platform::OpenShift,
    Platform::Bottlerocket,
    Platform::CriO,
    Platform::Docker,
];

#[test]
fn each_remedy_leads_to_a_section_and_says_something() {
    let page = std::fs::read_to_string(diagnosis::PAGE).unwrap();
    let anchors = anchors(&page);
    for cause in Cause::ALL {
        for platform in PLATFORMS {
            let remedy = diagnosis::remedy(&finding(cause, "reg.example:5000/a:1"), platform);
            let (file, anchor) = remedy.docs.split_once('#').unwrap();
            assert_eq!(file, diagnosis::PAGE);
            assert!(anchors.contains(anchor), "{anchor}");
            assert!(remedy.summary.len() > 20, "{cause:?}");
            assert!(
                !remedy.commands.is_empty() || cause == Cause::ShortName,
                "{cause:?}"
            );
        }
    }
}

#[test]
fn an_image_that_is_none_never_stands_in_a_command() {
    for image in [
        "a'; touch x; '",
        "$(touch x)",
        "`touch x`",
        "--config=x",
        "a\nb",
        "\u{1b}[2J",
    ] {
        for cause in Cause::ALL {
            let remedy = diagnosis::remedy(&finding(cause, image), Platform::Containerd);
            for command in remedy.commands.iter().chain([&remedy.summary]) {
                assert!(!command.contains(image), "{command}");
                assert!(command.chars().all(|c| !c.is_control()), "{command}");
            }
        }
    }
}

#[test]
fn a_hostile_text_prints_no_control_character_and_no_secret() {
    let pod = std::fs::read_to_string("tests/fixtures/hostile-pod.json").unwrap();
    let mut pod: Value = serde_json::from_str(&pod).unwrap();
    let containers = pod["spec"]["containers"].as_array().unwrap().clone();
    let statuses: Vec<Value> = containers
        .iter()
        .map(|container| {
            serde_json::json!({"name": container["name"], "image": "", "state": {"waiting": {
                "reason": "ErrImagePull",
                "message": format!("Failed to pull image \"{}\": Get \"https://u:hunter2@evil.example/\u{1b}[2J\u{202e}?sig=hunter2\": no such host",
                    container["image"].as_str().unwrap_or_default()),
            }}})
        })
        .collect();
    pod["status"]["containerStatuses"] = Value::Array(statuses);
    let input = pod.to_string();
    for args in [&["-"][..], &["-", "-o", "json"]] {
        let output = doctor(args, input.as_bytes());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("hunter2"));
        let hidden: Vec<char> = text
            .chars()
            .filter(|c| pullpass_core::text::is_hidden(*c) && *c != '\n')
            .collect();
        assert!(hidden.is_empty(), "{hidden:?}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// No performance is promised here: only that the time does not run away with the length.
#[test]
fn long_and_odd_texts_come_to_an_end() {
    let line = "Failed to pull image \"a.example/b:1\": rpc error: code = Unknown desc = ";
    let long = line.repeat(60_000);
    let lines = format!("{line}no such host\n").repeat(20_000);
    let brackets = "[".repeat(1 << 20);
    let commas = format!("[{}", ", rpc error: code".repeat(60_000));
    let urls = "https://u:p@".repeat(100_000);
    let json = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let nul = "\0".repeat(1 << 20);
    for text in [long, lines, brackets, commas, urls, json, nul] {
        let start = Instant::now();
        let found = diagnosis::group(diagnosis::failures(&paste::observations(&text)));
        assert!(found.len() < 10);
        assert!(start.elapsed() < Duration::from_mins(1), "{text:.40}");
    }
}
