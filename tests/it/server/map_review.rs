//! `/validate-map`: a `ConfigMap` that holds the registry map, before it is stored.

use super::support::MAP;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use pullpass::http::webhook::Webhook;
use pullpass::http::{Handles, Limits};
use pullpass::observe::metrics::{ExpositionFormat, Metrics};
use pullpass::state::map_store::MapStore;
use pullpass_core::map::{self, Options, SourceFile};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use tower::ServiceExt as _;

const BROKEN: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - match: registry.corp.example
    pullSecret: [corp-pull]
  - match: team/app
";

const LABELS: &str = r#"{"pullpass.dev/map": ""}"#;

fn config_map(data: &Value) -> Value {
    let labels: Value = serde_json::from_str(LABELS).unwrap();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pullpass-map", "namespace": "pullpass", "labels": labels},
        "data": data,
    })
}

fn unlabelled(mut object: Value) -> Value {
    object["metadata"]["labels"] = Value::Null;
    object
}

fn review(old: Option<&Value>, new: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "a-uid",
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "pullpass-map",
            "namespace": "pullpass",
            "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": "jane"},
            "object": new,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

/// A server without a map: what is asked here does not need one.
fn webhook() -> (Webhook, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let maps = Arc::new(MapStore::new(Arc::clone(&metrics)));
    (
        Webhook::new(Handles::new(maps, Arc::clone(&metrics)), Limits::default()),
        metrics,
    )
}

async fn ask_with(webhook: &Webhook, body: impl Into<Body>) -> (u16, String) {
    let request = Request::post("/validate-map?timeout=30s")
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    let response = webhook.clone().router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The response to a review that gets one.
async fn ask(review: &Value) -> Value {
    let (webhook, _) = webhook();
    let (status, body) = ask_with(&webhook, review.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response"]["uid"], "a-uid");
    answer["response"].take()
}

async fn ask_new(data: &Value) -> Value {
    ask(&review(None, &config_map(data))).await
}

#[track_caller]
fn is_silent(response: &Value) {
    assert_eq!(*response, json!({"uid": "a-uid", "allowed": true}));
}

#[tokio::test]
async fn a_good_map_is_taken_without_a_word() {
    is_silent(&ask_new(&json!({"map.yaml": MAP})).await);
}

#[tokio::test]
async fn a_broken_map_is_refused_in_the_words_of_config_validate() {
    let response = ask_new(&json!({"map.yaml": BROKEN})).await;
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(status["code"], 422);
    assert_eq!(status["reason"], "Invalid");
    let files = [SourceFile {
        name: "map.yaml".to_owned(),
        text: BROKEN.to_owned(),
    }];
    let errors = map::load(&files, &Options::default()).unwrap_err();
    let rendered = map::render(&errors, &files, false);
    assert!(rendered.contains("map.yaml:5:5") && rendered.contains("2 errors"));
    let message = format!(
        "the registry map in this ConfigMap cannot be used\n{}",
        rendered.trim_end()
    );
    assert_eq!(status["message"], message.as_str());
    let cause = json!({"reason": "FieldValueInvalid", "field": "data", "message": message});
    let details = json!({"kind": "ConfigMap", "name": "pullpass-map", "causes": [cause]});
    assert_eq!(status["details"], details);
}

#[tokio::test]
async fn the_files_are_those_of_the_mounted_directory_in_the_order_of_their_names() {
    let head = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\n";
    // Errors come in the order of the files; what is no file of the map is not read.
    let data = json!({
        "README.md": BROKEN,
        ".hidden.yaml": BROKEN,
        "yaml": BROKEN,
        "20-b.yml": format!("{head}registries: [{{match: team/b}}]\n"),
        "10-a.json": r#"{"apiVersion": "pullpass.dev/v1", "kind": "RegistryMap", "registries": [{"match": "team/a"}]}"#,
    });
    let response = ask_new(&data).await;
    let message = response["status"]["message"].as_str().unwrap();
    let places: Vec<_> = message
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--> "))
        .collect();
    assert_eq!(places.len(), 2, "{message}");
    assert!(places[0].starts_with("10-a.json:1:"), "{message}");
    assert!(places[1].starts_with("20-b.yml:3:"), "{message}");
}

#[test]
fn one_rule_says_which_names_are_files_of_the_map() {
    for name in ["map.yaml", "map.yml", "map.json", "a.b.yaml", "-.yaml"] {
        assert!(map::is_map_file(name), "{name}");
    }
    for name in [
        "",
        ".yaml",
        "..data",
        ".map.yaml",
        "yaml",
        "map.YAML",
        "map.yaml.bak",
        "README.md",
    ] {
        assert!(!map::is_map_file(name), "{name}");
    }
}

#[tokio::test]
async fn warnings_of_the_map_are_warnings_of_the_api_server() {
    let map = format!("{MAP}exemptNamespaces: [\"team-*\"]\n");
    let response = ask_new(&json!({"map.yaml": map})).await;
    assert_eq!(response["allowed"], true);
    let warnings = response["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let warning = warnings[0].as_str().unwrap();
    assert!(warning.starts_with("map.yaml:8:20: warning: "), "{warning}");
}

#[tokio::test]
async fn what_is_no_text_or_no_map_at_all_is_refused() {
    let mut binary = config_map(&Value::Null);
    // What kubectl makes of a file that is not UTF-8.
    binary["binaryData"] = json!({"map.yaml": "/v8=", "picture.png": "/v8="});
    let nothing = config_map(&json!({"README.md": "words"}));
    for (object, words) in [
        (binary, "map.yaml is not UTF-8 text"),
        (nothing, "no key that ends in .yaml, .yml or .json"),
        (config_map(&Value::Null), "no key that ends in"),
    ] {
        let response = ask(&review(None, &object)).await;
        assert_eq!(response["allowed"], false);
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn binary_data_that_is_text_is_a_file_like_others() {
    let mut object = config_map(&Value::Null);
    // `kind: Nothing`
    object["binaryData"] = json!({"map.yaml": "a2luZDogTm90aGluZw=="});
    let response = ask(&review(None, &object)).await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("map.yaml:1:7"), "{message}");
}

#[tokio::test]
async fn what_is_stored_already_stays_changeable_and_is_spoken_of() {
    let old = config_map(&json!({"map.yaml": BROKEN}));
    let mut new = old.clone();
    new["metadata"]["labels"]["helm.sh/chart"] = json!("pullpass-2");
    let response = ask(&review(Some(&old), &new)).await;
    assert_eq!(response["allowed"], true);
    let first = response["warnings"][0].as_str().unwrap();
    assert!(
        first.starts_with("already in the stored map: map.yaml:5:5: error: "),
        "{first}"
    );

    // A change of its words is judged, and so is the label when it is new.
    let mut changed = new.clone();
    changed["data"]["map.yaml"] = json!(format!("{BROKEN}\n"));
    assert_eq!(ask(&review(Some(&old), &changed)).await["allowed"], false);
    let labelled = review(Some(&unlabelled(old.clone())), &old);
    assert_eq!(ask(&labelled).await["allowed"], false);
}

#[tokio::test]
async fn without_the_label_it_is_no_map() {
    let broken = config_map(&json!({"map.yaml": BROKEN}));
    is_silent(&ask(&review(None, &unlabelled(broken.clone()))).await);
    let response = ask(&review(Some(&broken), &unlabelled(broken.clone()))).await;
    assert_eq!(response["allowed"], true);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("label pullpass.dev/map"), "{warning}");
}

#[tokio::test]
async fn what_goes_away_is_let_go() {
    let old = config_map(&json!({"map.yaml": MAP}));
    let mut going = config_map(&json!({"map.yaml": BROKEN}));
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    is_silent(&ask(&review(Some(&old), &going)).await);
    let mut deletion = review(Some(&old), &Value::Null);
    deletion["request"]["operation"] = json!("DELETE");
    is_silent(&ask(&deletion).await);
}

#[tokio::test]
async fn other_resources_are_let_pass_unread() {
    let mut other = review(None, &json!({"data": 7, "metadata": []}));
    for (group, resource, sub) in [
        ("", "pods", ""),
        ("x.example", "configmaps", ""),
        ("", "configmaps", "status"),
    ] {
        other["request"]["resource"] = json!({"group": group, "resource": resource});
        other["request"]["subResource"] = json!(sub);
        is_silent(&ask(&other).await);
    }
}

#[tokio::test]
async fn a_fault_is_never_a_verdict() {
    let good = review(None, &config_map(&json!({"map.yaml": MAP})));
    let without = |field: &str| {
        let mut review = good.clone();
        review["request"].as_object_mut().unwrap().remove(field);
        review.to_string()
    };
    let large = "#".repeat((1 << 20) + 1);
    let mut no_base64 = config_map(&Value::Null);
    no_base64["binaryData"] = json!({"map.yaml": "%"});
    let cases = [
        (String::new(), 400, "the body is empty"),
        ("{}".to_owned(), 400, "AdmissionReview"),
        (without("uid"), 400, "request.uid"),
        (without("resource"), 400, "request.resource"),
        (without("operation"), 400, "request.operation"),
        (without("object"), 400, "request.object"),
        (
            review(None, &config_map(&json!({"map.yaml": 7}))).to_string(),
            400,
            "expected a string",
        ),
        (
            review(None, &config_map(&json!({"map.yaml": large}))).to_string(),
            400,
            "more than 1 MiB",
        ),
        (review(None, &no_base64).to_string(), 400, "base64"),
        (" ".repeat((16 << 20) + 1), 413, "above the limit"),
    ];
    for (body, expected, words) in cases {
        let (webhook, _) = webhook();
        let (status, said) = ask_with(&webhook, body).await;
        assert_eq!(status, expected, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn a_refusal_is_as_long_as_people_read_and_counts_the_rest() {
    // Warnings first, to be left out for want of room.
    let mut map = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\n".to_owned();
    map.push_str("exemptNamespaces: [\"a*\"]\nregistries:\n");
    for number in 0..500 {
        let _ = writeln!(map, "  - match: team/app-{number}");
    }
    let response = ask_new(&json!({"map.yaml": map})).await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.len() < 4500, "{} bytes", message.len());
    assert!(message.ends_with("500 errors"), "{message}");
    assert!(message.contains("\nand 4"), "{message}");
    assert!(!message.contains("warning"), "{message}");
}

#[tokio::test]
async fn it_is_counted_under_a_route_of_its_own() {
    let (webhook, metrics) = webhook();
    for map in [MAP, BROKEN, BROKEN] {
        let review = review(None, &config_map(&json!({"map.yaml": map})));
        assert_eq!(ask_with(&webhook, review.to_string()).await.0, 200);
    }
    assert_eq!(ask_with(&webhook, "rubbish").await.0, 400);
    let counted = metrics.render(ExpositionFormat::Text);
    for line in [
        r#"pullpass_reviews_total{route="validate-map",outcome="denied"} 2"#,
        r#"pullpass_reviews_total{route="validate-map",outcome="untouched"} 1"#,
        r#"pullpass_http_responses_total{route="validate-map",code="4xx"} 1"#,
        r#"pullpass_requests_in_flight{route="validate-map"} 0"#,
    ] {
        assert!(counted.contains(line), "{line}\n{counted}");
    }
}

#[tokio::test]
async fn a_map_that_is_all_errors_takes_no_more_memory_than_others() {
    let map = format!(
        "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries: [{}]\n",
        "0,".repeat(10_100)
    );
    let files = [SourceFile {
        name: "map.yaml".to_owned(),
        text: map.clone(),
    }];
    let errors = map::load(&files, &Options::default()).unwrap_err();
    assert_eq!(errors.len(), 10_001);
    let last = errors.last().unwrap().to_string();
    assert!(last.contains("more than 10000 errors"), "{last}");
    let response = ask_new(&json!({"map.yaml": map})).await;
    assert_eq!(response["allowed"], false);
}
