//! The chart's values: their schema is that of the registry map, and their README says what
//! they say. What Helm and an API server say to the chart is in `tests/chart`.

mod readme;

use pullpass_core::map::SCHEMA;
use serde_json::Value;

const VALUES_SCHEMA: &str = include_str!("../../charts/pullpass/values.schema.json");

/// Definitions that the chart has no use for: tests of a map are no part of it.
const NOT_IN_THE_CHART: [&str; 2] = ["RegistryMapTest", "Case"];

/// The map's definitions as the chart has to have them: at draft 7's place, because
/// older Helm 3 knows no later draft.
fn expected() -> Vec<(String, Value)> {
    let moved = SCHEMA.replace("#/$defs/", "#/definitions/");
    let schema: Value = serde_json::from_str(&moved).unwrap();
    let mut definitions = schema["$defs"].as_object().unwrap().clone();
    definitions.retain(|name, _| !NOT_IN_THE_CHART.contains(&name.as_str()));
    // The template writes apiVersion and kind where the values do not.
    let mut map = definitions.remove("RegistryMap").unwrap();
    map.as_object_mut().unwrap().remove("required");
    definitions.insert("Map".to_owned(), map);
    definitions.into_iter().collect()
}

#[test]
fn the_value_map_has_the_schema_of_the_registry_map() {
    let chart: Value = serde_json::from_str(VALUES_SCHEMA).unwrap();
    for (name, definition) in expected() {
        assert_eq!(
            chart["definitions"][&name], definition,
            "definitions.{name} of values.schema.json is not that of crates/core/src/map/schema.json",
        );
    }
    assert_eq!(chart["properties"]["map"]["$ref"], "#/definitions/Map");
}

/// A key that is not listed is refused, at every level that has keys of ours.
#[test]
fn every_object_of_the_values_names_its_keys() {
    fn look(path: &str, schema: &Value) {
        if let Some(properties) = schema["properties"].as_object() {
            // A parent chart puts what it likes into `global`.
            if path != ".global" {
                let closed = &schema["additionalProperties"];
                assert_eq!(*closed, Value::Bool(false), "{path} takes any key");
            }
            for (key, below) in properties {
                look(&format!("{path}.{key}"), below);
            }
        }
    }
    let chart: Value = serde_json::from_str(VALUES_SCHEMA).unwrap();
    look("", &chart);
    for (name, definition) in chart["definitions"].as_object().unwrap() {
        look(name, definition);
    }
}

#[test]
fn the_chart_installs_this_version() {
    let chart = include_str!("../../charts/pullpass/Chart.yaml");
    let version = format!("\nappVersion: {}\n", env!("CARGO_PKG_VERSION"));
    assert!(chart.contains(&version), "Chart.yaml wants{version}");
}
