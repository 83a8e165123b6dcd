//! `--observe`, the decision record and the Events: what an answer, a record and an Event
//! say, from the bytes of a review. That they get where they should is in
//! `tests/apiserver/decisions.rs` and below, in `writing`.

use crate::reviews::{self, POLICY};
use pullpass_core::admission::event::Event;
use pullpass_core::admission::record::Recording;
use pullpass_core::admission::{
    self, Endpoint, Mode, Outcome, ReviewContext, Reviewed, WorkloadMode,
};
use pullpass_core::map::{self, Options, SourceFile};
use serde_json::{Value, json};
use std::fs;
use std::sync::LazyLock;

const SCHEMA: &str = include_str!("../../docs/decision-record.schema.json");

fn context(mode: Mode, recording: Option<Recording>) -> ReviewContext<'static> {
    ReviewContext {
        mode,
        recording,
        ..reviews::context()
    }
}

/// A review of a pod that the controller of a ReplicaSet creates.
fn review(images: &[&str]) -> Value {
    let mut pod = reviews::pod(images);
    pod["metadata"] = json!({
        "generateName": "web-5d4-",
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "0"},
            {
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4",
                "uid": "4b1c", "controller": true, "blockOwnerDeletion": true,
            },
        ],
    });
    let mut review = reviews::review("CREATE", "shop", &pod);
    review["request"]["name"] = json!("");
    review["request"]["userInfo"] = json!({
        "username": "system:serviceaccount:kube-system:replicaset-controller",
        "uid": "of-the-account",
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=secret"]},
    });
    review
}

fn answer(
    context: &ReviewContext<'static>,
    endpoint: Endpoint,
    review: &Value,
) -> Reviewed<'static> {
    admission::review(context, endpoint, review.to_string().as_bytes()).unwrap()
}

fn response(answer: &Reviewed<'_>) -> Value {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["response"].clone()
}

fn record(mode: Mode, endpoint: Endpoint, review: &Value) -> Value {
    let answer = answer(&context(mode, Some(Recording::All)), endpoint, review);
    serde_json::to_value(answer.record.unwrap()).unwrap()
}

/// The schema, with no field allowed that it does not name: readers must not mind new
/// fields, but we must not forget to describe them.
fn strict_schema() -> jsonschema::Validator {
    fn close(schema: &mut Value) {
        if let Some(object) = schema.as_object_mut() {
            if object.contains_key("properties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(close);
        } else if let Some(list) = schema.as_array_mut() {
            list.iter_mut().for_each(close);
        }
    }
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_described(record: &Value) {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(strict_schema);
    let errors: Vec<_> = SCHEMA.iter_errors(record).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{record:#}");
}

mod observe {
    use super::*;

    const DENIED: &str = "evil/x";

    #[test]
    fn a_denial_becomes_a_warning_that_says_that_nothing_was_denied() {
        let review = review(&["registry.corp.example/a", DENIED]);
        let denied = answer(&context(Mode::Enforce, None), Endpoint::Validate, &review);
        let observed = answer(&context(Mode::Observe, None), Endpoint::Validate, &review);
        let (said, warned) = (response(&denied), response(&observed));
        assert_eq!(
            (&said["allowed"], &warned["allowed"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(warned["status"], Value::Null);
        let denial = said["status"]["message"].as_str().unwrap();
        // The same words as the denial has, as far as a warning goes.
        let warnings = warned["warnings"].as_array().unwrap();
        let first = warnings[0].as_str().unwrap();
        let expected: String = format!("would be denied: {denial}")
            .chars()
            .take(255)
            .collect();
        assert!(first.starts_with(&expected), "{first}\n{expected}");
        // What is said of an admitted pod is said too.
        assert!(
            warnings[1].as_str().unwrap().contains("corp-pull"),
            "{warned}"
        );
        // What the map says is recorded as ever, and that it was not done.
        assert_eq!(
            warned["auditAnnotations"]["decision"],
            said["auditAnnotations"]["decision"]
        );
        assert_eq!(
            warned["auditAnnotations"]["images"],
            said["auditAnnotations"]["images"]
        );
        assert_eq!(warned["auditAnnotations"]["mode"], "observe");
        assert_eq!(said["auditAnnotations"]["mode"], Value::Null);
        assert_eq!(observed.report.outcome(), Outcome::WouldDeny);
        let mut counts = [
            observed.report.tallies().to_vec(),
            denied.report.tallies().to_vec(),
        ];
        for tallies in &mut counts {
            tallies.sort_by_key(|tally| tally.action);
        }
        assert_eq!(counts[0], counts[1]);
    }

    #[test]
    fn all_other_answers_are_the_same() {
        for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
            for images in [
                &["registry.corp.example/a"][..],
                &["nginx", "nowhere.example/x"],
                &["frowned.example/x"],
            ] {
                let of = |mode| {
                    let context = context(mode, None);
                    let answer = answer(&context, endpoint, &review(images));
                    (answer.report.outcome() != Outcome::Denied).then_some(answer.body)
                };
                if let Some(enforced) = of(Mode::Enforce) {
                    assert_eq!(of(Mode::Observe).unwrap(), enforced, "{images:?}");
                }
            }
        }
    }

    #[test]
    fn whatever_is_reviewed_nothing_is_denied() {
        let mut observed = 0;
        for (endpoint, name, review) in recorded() {
            let answer = answer(&context(Mode::Observe, None), endpoint, &review);
            assert_eq!(response(&answer)["allowed"], true, "{name}");
            observed += usize::from(answer.report.outcome() == Outcome::WouldDeny);
        }
        assert!(observed > 0);
    }
}

/// What a real API server has sent, and to which endpoint.
fn recorded() -> Vec<(Endpoint, String, Value)> {
    let mut reviews = Vec::new();
    for file in fs::read_dir("tests/fixtures/reviews").unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let endpoint = if name.starts_with("mutate-") {
            Endpoint::Mutate
        } else {
            Endpoint::Validate
        };
        let review = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        reviews.push((endpoint, name, review));
    }
    assert!(reviews.len() > 20);
    reviews
}

mod records {
    use super::*;

    #[test]
    fn a_record_says_who_asked_what_and_what_came_of_it() {
        let review = review(&["registry.corp.example/a", "evil/x", "nginx"]);
        let record = record(Mode::Observe, Endpoint::Validate, &review);
        let messages = record["messages"].clone();
        let expected = json!({
            "apiVersion": "pullpass.dev/v1", "kind": "Decision",
            "time": "2026-11-20T12:00:00.000000Z", "uid": "5a1d6d0c",
            "endpoint": "validate", "operation": "create", "dryRun": false,
            "mode": "observe", "outcome": "would_deny",
            "object": {"kind": "Pod", "namespace": "shop", "generateName": "web-5d4-"},
            "owner": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": "4b1c"},
            "requester": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "groups": ["system:serviceaccounts", "system:authenticated"],
            },
            "images": [
                {"field": "spec.containers[1].image", "image": "evil/x", "rule": "entry",
                 "entry": "evil", "action": "deny", "effect": "would_deny", "pullSecrets": []},
                {"field": "spec.containers[0].image", "image": "registry.corp.example/a", "rule": "entry",
                 "entry": "corp", "action": "allow", "effect": "allowed", "pullSecrets": ["corp-pull"]},
                {"field": "spec.containers[2].image", "image": "nginx", "rule": "public",
                 "entry": "docker.io", "action": "allow", "effect": "allowed", "pullSecrets": []},
            ],
            "pullSecretsAdded": [], "messages": messages,
            "map": {"digest": POLICY.digest()}, "pullpass": {"version": env!("CARGO_PKG_VERSION")},
        });
        assert_eq!(record, expected);
        assert!(
            messages[0]
                .as_str()
                .unwrap()
                .starts_with("would be denied: ")
        );
        // No credential, not even the name of one.
        assert!(!record.to_string().contains("JTI"));
    }

    #[test]
    fn at_mutate_it_names_what_was_added_and_judges_nothing() {
        let record = record(
            Mode::Enforce,
            Endpoint::Mutate,
            &review(&["registry.corp.example/a", "evil/x"]),
        );
        assert_eq!(record["outcome"], "patched");
        assert_eq!(record["pullSecretsAdded"], json!(["corp-pull"]));
        assert_eq!(record["images"][0]["action"], "deny");
        assert_eq!(record["images"][0]["effect"], Value::Null);
        assert_described(&record);
    }

    #[test]
    fn what_a_workloads_author_was_told_is_recorded_too() {
        let path = "tests/fixtures/reviews/validate-deployment.json";
        let mut review: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let pod = &mut review["request"]["object"]["spec"]["template"]["spec"];
        pod["containers"][0]["image"] = json!("evil/x");
        for severity in [WorkloadMode::Warn, WorkloadMode::Deny] {
            let endpoint = Endpoint::Workloads(severity);
            let context = context(Mode::Enforce, Some(Recording::Notable));
            let answer = answer(&context, endpoint, &review);
            let record = serde_json::to_value(answer.record.unwrap()).unwrap();
            assert_described(&record);
            assert_eq!(record["endpoint"], "validate-workloads");
            assert_eq!(record["object"]["kind"], "Deployment");
            let field = "spec.template.spec.containers[0].image";
            assert_eq!(record["images"][0]["field"], field);
        }
    }

    #[test]
    fn whatever_an_api_server_sends_the_record_is_as_described_and_the_same_again() {
        for (endpoint, name, review) in recorded() {
            for mode in [Mode::Enforce, Mode::Observe] {
                let first = record(mode, endpoint, &review);
                assert_described(&first);
                assert_eq!(first, record(mode, endpoint, &review), "{name}");
                assert_eq!(first["uid"], review["request"]["uid"], "{name}");
            }
        }
    }

    #[test]
    fn which_reviews_get_one() {
        let has_one = |recording, endpoint, image| {
            let answer = answer(
                &context(Mode::Enforce, recording),
                endpoint,
                &review(&[image]),
            );
            answer.record.is_some()
        };
        for (endpoint, image, notable) in [
            (Endpoint::Validate, "evil/x", true),
            (Endpoint::Validate, "frowned.example/x", true),
            (Endpoint::Validate, "nginx", false),
            (Endpoint::Mutate, "registry.corp.example/a", false),
            (Endpoint::Mutate, "nginx", false),
        ] {
            assert!(!has_one(None, endpoint, image), "{image}");
            assert_eq!(
                has_one(Some(Recording::Notable), endpoint, image),
                notable,
                "{image}"
            );
            assert!(has_one(Some(Recording::All), endpoint, image), "{image}");
        }
    }

    #[test]
    fn hostile_texts_are_escaped_cut_and_counted() {
        let hostile = format!("x/\u{202e}\n\u{1b}[2J\"{}", "\u{7}".repeat(10_000));
        let mut images = vec!["nginx"; 40];
        images.push(&hostile);
        let mut review = review(&images);
        let request = &mut review["request"];
        let many: Vec<_> = (0..100).map(|n| format!("{hostile}{n}")).collect();
        request["userInfo"] = json!({"username": hostile, "groups": many});
        request["uid"] = json!(hostile);
        request["namespace"] = json!(hostile);
        request["name"] = json!(hostile);
        for field in ["apiVersion", "kind", "name", "uid"] {
            request["object"]["metadata"]["ownerReferences"][1][field] = json!(hostile);
        }
        for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
            let record = record(Mode::Enforce, endpoint, &review);
            assert_described(&record);
            assert_eq!(record["moreImages"], 21);
            assert_eq!(record["requester"]["moreGroups"], 84);
            let line = record.to_string();
            assert!(line.len() < 64 * 1024, "{}", line.len());
            let hidden = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
            assert!(!line.contains(hidden));
            // The worst comes first, so that padding cannot push it out.
            let first = record["images"][0]["image"].as_str().unwrap();
            assert!(first.starts_with("x/\\u{202e}\\n"), "{first}");
        }
    }

    #[test]
    fn the_digest_is_that_of_the_files_one_after_the_other() {
        let file = |name: &str, text: &str| SourceFile {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let head = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\n";
        let load = |files: &[SourceFile]| {
            let loaded = map::load(files, &Options::default()).unwrap();
            loaded.policy.digest().to_owned()
        };
        let one = format!("{head}registries: []\n");
        // printf 'apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries: []\n' | sha256sum
        assert_eq!(
            load(&[file("a.yaml", &one)]),
            "sha256:d5e06e4269f2eead3045accbb8e572ece359ab1b071f73ed11af87958b9ca4bb"
        );
        let two = format!("---\n{head}registries: [{{match: quay.io}}]\n");
        let both = format!("{one}{two}");
        assert_eq!(
            load(&[file("a.yaml", &one), file("b.yaml", &two)]),
            load(&[file("all.yaml", &both)])
        );
        assert_ne!(load(&[file("a.yaml", &one)]), load(&[file("a.yaml", &two)]));
    }
}

mod the_page {
    use super::*;

    fn page() -> String {
        fs::read_to_string("docs/audit.md").unwrap()
    }

    #[test]
    fn its_example_is_as_the_schema_says() {
        let page = page();
        let (_, rest) = page.split_once("```json\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        assert_described(&serde_json::from_str(example).unwrap());
    }

    #[test]
    fn it_names_every_field_and_every_value() {
        fn names(schema: &Value, found: &mut Vec<String>) {
            match schema {
                Value::Object(object) => {
                    if let Some(properties) = object.get("properties") {
                        found.extend(properties.as_object().unwrap().keys().cloned());
                    }
                    if let Some(values) = object.get("enum") {
                        let values = values.as_array().unwrap().iter();
                        found.extend(values.map(|value| value.as_str().unwrap().to_owned()));
                    }
                    object.values().for_each(|below| names(below, found));
                }
                Value::Array(list) => list.iter().for_each(|below| names(below, found)),
                _ => {}
            }
        }
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let mut found = Vec::new();
        names(&schema, &mut found);
        assert!(found.len() > 40, "{found:?}");
        let page = page();
        let (_, table) = page.split_once("| field | |").unwrap();
        let (table, _) = table.split_once("**The promise:**").unwrap();
        for name in found {
            let named = [
                format!("`{name}`"),
                format!(".{name}`"),
                format!("`{name}."),
                format!("`{name}["),
            ];
            let is_there = named.iter().any(|words| table.contains(words.as_str()));
            // The only sub-resource that is reviewed.
            assert!(is_there || name == "ephemeralcontainers", "{name}");
        }
    }
}

mod events {
    use super::*;

    fn event(mode: Mode, endpoint: Endpoint, review: &Value) -> Option<Event> {
        let answer = answer(&context(mode, Some(Recording::All)), endpoint, review);
        Event::of(&answer.record.unwrap())
    }

    #[test]
    fn a_warning_about_a_controllers_pod_is_one_on_the_controllers_object() {
        let review = review(&["frowned.example/x"]);
        let event = event(Mode::Enforce, Endpoint::Validate, &review).unwrap();
        assert_eq!(event.namespace, "shop");
        assert_eq!(event.reason, "PullpassWarning");
        assert_eq!(
            (event.regarding.kind.as_str(), event.regarding.name.as_str()),
            ("ReplicaSet", "web-5d4")
        );
        assert!(event.note.contains("frowned.example/x"), "{}", event.note);
        assert!(event.note.ends_with("more)"), "{}", event.note);
        assert!(event.note.len() <= 1024);
    }

    #[test]
    fn what_would_be_denied_becomes_an_event_and_a_denial_does_not() {
        let review = review(&["evil/x"]);
        assert_eq!(event(Mode::Enforce, Endpoint::Validate, &review), None);
        let event = event(Mode::Observe, Endpoint::Validate, &review).unwrap();
        assert_eq!(event.reason, "PullpassWouldDeny");
        assert!(
            event.note.starts_with("would be denied: "),
            "{}",
            event.note
        );
    }

    #[test]
    fn there_is_none_where_somebody_was_told_or_nothing_came_of_it() {
        type Change = fn(&mut Value);
        let changes: [(&str, Change); 9] = [
            ("a person", |r| r["userInfo"]["username"] = json!("jane")),
            ("nobody", |r| r["userInfo"] = json!(null)),
            ("a dry run", |r| r["dryRun"] = json!(true)),
            ("no owner", |r| {
                r["object"]["metadata"]["ownerReferences"] = json!(null);
            }),
            ("no controlling owner", |r| {
                r["object"]["metadata"]["ownerReferences"][1]["controller"] = json!(false);
            }),
            ("an update", |r| {
                r["operation"] = json!("UPDATE");
                r["oldObject"] = json!({"metadata": {}, "spec": {}});
            }),
            ("no namespace's name", |r| {
                r["namespace"] = json!("../../../../api/v1/namespaces/kube-system");
            }),
            ("a namespace in capitals", |r| {
                r["namespace"] = json!("Shop");
            }),
            ("nothing to say", |r| {
                r["object"]["spec"]["containers"] = json!([{"image": "nginx"}]);
            }),
        ];
        for (name, change) in changes {
            let mut review = review(&["frowned.example/x"]);
            change(&mut review["request"]);
            assert_eq!(
                event(Mode::Enforce, Endpoint::Validate, &review),
                None,
                "{name}"
            );
        }
        let review = review(&["frowned.example/x"]);
        assert_eq!(event(Mode::Enforce, Endpoint::Mutate, &review), None);
    }

    #[test]
    fn the_controllers_under_one_name_are_programs_too() {
        let mut review = review(&["frowned.example/x"]);
        review["request"]["userInfo"]["username"] = json!("system:kube-controller-manager");
        assert!(event(Mode::Enforce, Endpoint::Validate, &review).is_some());
    }
}

mod writing {
    use super::*;
    use pullpass::audit::Origin;
    use pullpass::audit::decision_log::{DecisionLog, Destination};
    use pullpass::audit::events::EventQueue;
    use pullpass::observe::metrics::{ExpositionFormat, Metrics};
    use std::sync::{Arc, Mutex, mpsc};

    fn made() -> Box<admission::record::DecisionRecord> {
        let context = context(Mode::Enforce, Some(Recording::All));
        let answer = answer(&context, Endpoint::Validate, &review(&["evil/x"]));
        answer.record.unwrap()
    }

    fn count(metrics: &Metrics, series: &str) -> u64 {
        let text = metrics.render(ExpositionFormat::OpenMetrics);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}"))
            .parse()
            .unwrap()
    }

    const WRITTEN: &str = r#"pullpass_decision_records_total{result="written"}"#;
    const DROPPED: &str = r#"pullpass_decision_records_total{result="dropped"}"#;
    const FAILED: &str = r#"pullpass_decision_records_total{result="failed"}"#;

    #[test]
    fn a_record_is_one_line() {
        let metrics = Arc::new(Metrics::default());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let log = DecisionLog::with_writer(
            move |line| {
                kept.lock().unwrap().push(line.to_vec());
                Ok(())
            },
            Arc::clone(&metrics),
        );
        for _ in 0..3 {
            log.put(made());
        }
        log.flush();
        for line in lines.lock().unwrap().iter() {
            let line = str::from_utf8(line).unwrap();
            assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
            assert_described(&serde_json::from_str(line).unwrap());
        }
        assert_eq!(count(&metrics, WRITTEN), 3);
    }

    #[test]
    fn a_reader_that_is_stuck_holds_nobody_up_and_what_is_lost_is_counted() {
        let metrics = Arc::new(Metrics::default());
        let (let_go, stuck) = mpsc::channel::<()>();
        let log = DecisionLog::with_writer(
            move |_| {
                let _ = stuck.recv();
                Err(std::io::Error::other("gone"))
            },
            Arc::clone(&metrics),
        );
        let record = made();
        for _ in 0..5000 {
            log.put(record.clone());
        }
        let dropped = count(&metrics, DROPPED);
        // One may be in the writer's hand already.
        assert!((5000 - 1025..=5000 - 1024).contains(&dropped), "{dropped}");
        drop(let_go);
        while count(&metrics, FAILED) + dropped < 5000 {
            log.flush();
        }
        assert_eq!(count(&metrics, WRITTEN), 0);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let destination: Destination = path.to_str().unwrap().parse().unwrap();
        destination.check().unwrap();
        let log = DecisionLog::start(destination, Arc::new(Metrics::default()));
        log.put(made());
        log.flush();
        let moved = folder.path().join("decisions.1");
        fs::rename(&path, &moved).unwrap();
        log.put(made());
        log.put(made());
        log.flush();
        for (path, lines) in [(moved, 1), (path, 2)] {
            assert_eq!(fs::read_to_string(path).unwrap().lines().count(), lines);
        }
    }

    #[test]
    fn events_that_do_not_fit_are_dropped_and_counted() {
        let metrics = Arc::new(Metrics::default());
        let (queue, waiting) = EventQueue::new(Arc::clone(&metrics));
        let context = context(Mode::Observe, Some(Recording::Notable));
        let answer = answer(&context, Endpoint::Validate, &review(&["evil/x"]));
        let event = Event::of(&answer.record.unwrap()).unwrap();
        let origin = Origin {
            peer: [10, 0, 0, 1].into(),
            is_verified: true,
        };
        for _ in 0..300 {
            queue.put(event.clone(), origin);
        }
        assert_eq!(
            count(&metrics, r#"pullpass_events_total{result="dropped"}"#),
            300 - 256
        );
        drop(waiting);
        queue.put(event, origin);
        assert_eq!(
            count(&metrics, r#"pullpass_events_total{result="dropped"}"#),
            300 - 255
        );
    }
}
