//! The forms of what `check` prints: each with the hostile pod, and against what reads
//! it elsewhere.

use super::{DEPLOYMENT, check};
use crate::reviews::context;
use pullpass_core::admission::{self, Endpoint};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// Texts of every kind that an output could trip over: control characters, escapes of terminals, bidi, HTML, XML, CSV, shell,
/// look-ups of loggers, templates, and very long ones.
const HOSTILE: &str = "tests/fixtures/hostile-pod.json";

/// A manifest with one of everything that can come out.
const EVERYTHING: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: all}
spec:
  containers:
  - image: unknown.example/x
  - image: evil/x
  - image: bitnami/redis
  - image: REGISTRY.corp.example/x
  - image: 'not an image'
  - image: nginx
---
kind: Service
apiVersion: v1
metadata: {name: web}
---
apiVersion: v1
kind: Pod
spec: [
";

fn print(form: &str, files: &[&str], input: &str) -> String {
    let files: Vec<_> = files.iter().flat_map(|file| ["-f", file]).collect();
    let output = check(&[&["-o", form], &files[..]].concat(), input.as_bytes());
    assert!(
        output.status.code().is_some_and(|code| code < 3),
        "{output:?}"
    );
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// Compares with a file in `tests/fixtures/check`; long lines are cut, since a golden
/// file is for reading.
#[track_caller]
fn golden(name: &str, text: &str) {
    let mut shown = String::new();
    for line in text.lines() {
        let cut: String = line.chars().take(1_000).collect();
        let more = line.chars().count() - cut.chars().count();
        shown += &cut;
        if more > 0 {
            write!(shown, "… and {more} characters").unwrap();
        }
        shown.push('\n');
    }
    let path = format!("tests/fixtures/check/{name}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &shown).unwrap();
    }
    assert_eq!(
        shown,
        fs::read_to_string(&path).unwrap_or_default(),
        "{path}"
    );
}

/// Nothing that a terminal, a log viewer or an editor acts on.
#[track_caller]
fn plain(text: &str) {
    let acts = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let found: Vec<_> = text.chars().filter(|c| acts(*c)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_hostile_pod_is_plain_to_see_in_every_form() {
    for (form, name) in [
        ("text", "hostile.txt"),
        ("json", "hostile.jsonl"),
        ("sarif", "hostile.sarif"),
        ("junit", "hostile.xml"),
    ] {
        let text = print(form, &[HOSTILE], "");
        plain(&text);
        let longest = text.lines().map(str::len).max().unwrap();
        assert!(
            form == "json" || form == "sarif" || longest < 4_096,
            "{form}: {longest}"
        );
        let text = if form == "sarif" { pretty(&text) } else { text };
        golden(name, &text);
    }
}

#[test]
fn the_hostile_pod_is_plain_to_see_in_a_denial() {
    let object: Value = serde_json::from_str(&fs::read_to_string(HOSTILE).unwrap()).unwrap();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": object["metadata"]["namespace"],
            "operation": "CREATE",
            "object": object,
        }
    });
    let body = review.to_string();
    let answer = admission::review(&context(), Endpoint::Validate, body.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    plain(message);
    plain(&answer["response"]["auditAnnotations"].to_string());
    golden("hostile-refusal.txt", message);
}

fn pretty(json: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// The values of JSON are whole, whatever they hold.
#[test]
fn json_says_the_image_as_it_is() {
    let text = print("json", &[HOSTILE], "");
    let object: Value = serde_json::from_str(&fs::read_to_string(HOSTILE).unwrap()).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["image"], object["spec"]["containers"][0]["image"]);
    assert_eq!(first["name"], object["metadata"]["name"]);
}

/// Against a schema of what we use of the standard, and against the standard's own where
/// `PULLPASS_SARIF_SCHEMA` names its file.
#[test]
fn sarif_is_what_the_standard_says() {
    for (files, input) in [
        (&["-"][..], EVERYTHING),
        (&["-"], ""),
        (&["-", HOSTILE], DEPLOYMENT),
    ] {
        is_sarif(&serde_json::from_str(&print("sarif", files, input)).unwrap());
    }
}

#[track_caller]
pub(super) fn is_sarif(log: &Value) {
    let ours = "tests/fixtures/check/sarif.schema.json".to_owned();
    let theirs = std::env::var("PULLPASS_SARIF_SCHEMA").ok();
    for schema in [Some(ours), theirs].into_iter().flatten() {
        let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
        let schema = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        let errors: Vec<_> = schema
            .iter_errors(log)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn sarif_holds_what_was_found_and_what_was_not_looked_at() {
    let text = print("sarif", &["-"], EVERYTHING);
    golden("everything.sarif", &pretty(&text));
    let log: Value = serde_json::from_str(&text).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            let region = &result["locations"][0]["physicalLocation"]["region"];
            format!(
                "{} {} {}:{}-{}",
                result["ruleId"].as_str().unwrap(),
                result["level"].as_str().unwrap(),
                region["startLine"],
                region["startColumn"],
                region["endColumn"],
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "unknown error 6:12-29",
            "entry error 7:12-18",
            "entry warning 8:12-25",
            "spelling note 9:12-35",
            "invalid error 10:12-26",
        ]
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(
        run["invocations"][0]["toolExecutionNotifications"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    // A finding is the same one when it moves.
    let moved = print("sarif", &["-"], &format!("# a comment\n\n{EVERYTHING}"));
    let moved: Value = serde_json::from_str(&moved).unwrap();
    for (before, after) in results
        .iter()
        .zip(moved["runs"][0]["results"].as_array().unwrap())
    {
        assert_eq!(before["partialFingerprints"], after["partialFingerprints"]);
        assert_ne!(before["locations"], after["locations"]);
    }
    let mut prints: Vec<_> = results
        .iter()
        .map(|r| r["partialFingerprints"].to_string())
        .collect();
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), results.len());
}

#[test]
fn junit_counts_and_is_xml() {
    let text = print("junit", &["-"], EVERYTHING);
    golden("everything.xml", &text);
    assert!(
        text.contains(
            r#"<testsuites name="pullpass check" tests="8" failures="3" errors="1" skipped="1">"#
        ),
        "{text}"
    );
    for (files, input) in [(&["-"][..], EVERYTHING), (&["-"], ""), (&[HOSTILE], "")] {
        let text = print("junit", files, input);
        let Some(said) = read_xml(&text) else {
            println!("SKIP junit: there is no python3 to read XML with");
            return;
        };
        let [tests, failures, errors, skipped]: [usize; 4] = said.try_into().unwrap();
        for (name, count) in [
            ("tests", tests),
            ("failures", failures),
            ("errors", errors),
            ("skipped", skipped),
        ] {
            assert!(
                text.contains(&format!(r#"{name}="{count}""#)),
                "{name} {count}: {text}"
            );
        }
    }
}

/// How many cases, failures, errors and skips another XML parser finds.
fn read_xml(text: &str) -> Option<Vec<usize>> {
    let program = "import sys, xml.etree.ElementTree as t
root = t.fromstring(sys.argv[1].encode())
print(*(len(root.findall('./testsuite/testcase' + x)) for x in ['', '/failure', '/error', '/skipped']))";
    let output = Command::new("python3")
        .args(["-c", program, text])
        .output()
        .ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect(),
    )
}

#[test]
fn thousands_of_documents_keep_their_places() {
    let mut manifest = String::new();
    for i in 0..2_000 {
        writeln!(
            manifest,
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{i}}}\nspec: {{containers: [{{image: evil/x{i}}}]}}\n---"
        )
        .unwrap();
    }
    let output = check(&["-f", "-"], manifest.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2_001);
    let last = text.lines().nth(1_999).unwrap();
    assert!(last.starts_with("-:9999:"), "{last}");
}
