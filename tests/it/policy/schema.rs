//! The published schema takes what the code takes and refuses what it refuses, as far
//! as a schema can.

use pullpass_core::map::{Options, SCHEMA, SourceFile, load, tests};
use serde_json::{Value, json};

use super::{fixtures, sources};

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

#[test]
fn valid_maps_are_valid_by_the_schema() {
    let validator = validator();
    for path in fixtures("good").into_iter().chain(fixtures("warned")) {
        for file in sources(&path) {
            for document in documents(&file.text) {
                if let Err(error) = validator.validate(&document) {
                    panic!("{}: {error} at {}", file.name, error.instance_path());
                }
            }
        }
    }
}

/// Every map in the value, by its JSON pointer.
fn maps(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(pointer.to_owned());
            for (key, value) in fields {
                maps(value, &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                maps(item, &format!("{pointer}/{at}"), found);
            }
        }
        _ => {}
    }
}

fn is_good(document: &Value) -> bool {
    let files = [SourceFile {
        name: "map.json".to_owned(),
        text: document.to_string(),
    }];
    if document["kind"] == "RegistryMapTest" {
        tests(&files).is_ok()
    } else {
        load(&files, &Options::default()).is_ok()
    }
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    let validator = validator();
    let mut places = 0;
    for path in fixtures("good") {
        for file in sources(&path) {
            for document in documents(&file.text) {
                let mut pointers = Vec::new();
                maps(&document, "", &mut pointers);
                for pointer in pointers {
                    let mut changed = document.clone();
                    changed.pointer_mut(&pointer).unwrap()["zzz"] = json!("x");
                    assert!(!validator.is_valid(&changed), "{}{pointer}", file.name);
                    assert!(!is_good(&changed), "{}{pointer}", file.name);
                    places += 1;
                }
            }
        }
    }
    assert!(places > 20, "{places}");
}

#[test]
fn what_is_wrong_with_one_value_the_schema_sees_too() {
    let validator = validator();
    let map = |key: &str, value: Value| {
        let mut map = json!({"apiVersion": "pullpass.dev/v1", "kind": "RegistryMap"});
        map[key] = value;
        map
    };
    let entry = |entry: Value| map("registries", json!([entry]));
    for bad in [
        map("apiVersion", json!("v1")),
        map("kind", json!("ConfigMap")),
        map("contact", json!("")),
        map("contact", json!(7)),
        map("publicRegistries", json!("docker.io")),
        map("publicRegistries", json!(["team/app"])),
        map("publicRegistries", json!(["https://quay.io"])),
        map("publicRegistries", json!(["quay.io/"])),
        map("publicRegistries", json!(["quay.io/Team"])),
        map("publicRegistries", json!(["quay.io/app:1"])),
        map("publicRegistries", json!(["quay.io/app@sha256:a"])),
        map("publicRegistries", json!(["quay.io/*"])),
        map("unknownRegistries", json!("block")),
        map(
            "unknownRegistries",
            json!({"overrides": [{"action": "warn"}]}),
        ),
        map("exemptNamespaces", json!(["Kube"])),
        entry(json!({})),
        entry(json!({"match": []})),
        entry(json!({"match": "quay.io", "pullSecrets": ["A"]})),
        entry(json!({"match": "quay.io", "pullSecrets": ["a", "a"]})),
        entry(json!({"match": "quay.io", "pullSecrets": [{"name": "a", "copyFrom": {}}]})),
        entry(json!({"match": "quay.io", "namespaces": []})),
        entry(json!({"match": "quay.io", "namespaceSelector": {}})),
        entry(json!({"match": "quay.io", "from": "2027-01-01"})),
        entry(json!({"match": "quay.io", "action": "deny", "until": "2027-01-01"})),
        entry(json!({"match": "quay.io", "until": "soon"})),
    ] {
        assert!(!validator.is_valid(&bad), "{bad}");
        assert!(!is_good(&bad), "{bad}");
    }
}
