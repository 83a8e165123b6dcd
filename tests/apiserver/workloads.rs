//! Workloads through the real API server: said once, to a person, and only about what
//! is new.

use crate::golden;
use crate::objects::{container, workload};
use crate::pullpass::Scene;
use crate::registration::{Hook, Stage, rule};
use serde_json::{Value, json};

const MAP: &str = r##"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
  - {name: old, match: old.corp.example, action: warn, reason: "it is going away"}
unknownRegistries: {default: deny, reason: "ask for an entry"}
publicRegistries: []
contact: "#platform on chat"
"##;

const UNKNOWN: &str = "registry.unknown.example/web:1";
const FINE: &str = "registry.corp.example/web:1";

/// A list of the webhook in a template of the chart, from after this line up to where another
/// template begins.
fn of_the_chart(file: &str, line: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("charts/pullpass/templates/{file}")).unwrap();
    let (_, rest) = text.split_once(&format!("\n{line}\n")).unwrap();
    let indent = rest.len() - rest.trim_start_matches(' ').len();
    let lines = rest
        .lines()
        .take_while(|line| line.len() - line.trim_start().len() >= indent && !line.contains("{{"));
    let list: Vec<_> = lines.collect();
    let list: Vec<Value> = serde_saphyr::from_str(&list.join("\n")).unwrap();
    assert!(!list.is_empty(), "{file}: {line}");
    list
}

/// A scene whose workloads are judged too, with the chart's rules.
async fn scene(severity: &str) -> Option<Scene> {
    let scene = Scene::new(MAP).await?;
    let mut rules = of_the_chart(
        "validatingwebhookconfiguration-workloads.yaml",
        "    rules:",
    );
    let mut conditions = of_the_chart(
        "_registration.tpl",
        r#"{{- define "pullpass.matchConditions.validateWorkloads" -}}"#,
    );
    // Only to learn when the configuration is in force: no pod but a probe's is sent.
    rules.push(rule("", &["pods"], &["CREATE"]));
    let probes =
        r#"request.resource.resource != "pods" || object.metadata.name.startsWith("probe")"#;
    conditions.push(json!({"name": "probes", "expression": probes}));
    let hook = Hook {
        configuration: format!("{}-pullpass-workloads", scene.name),
        name: "workloads.pullpass.dev",
        stage: Stage::Validate,
        url: format!("{}/validate-workloads/{severity}", scene.pullpass.url),
        ca: &scene.pullpass.ca,
        rules: json!(rules),
        match_conditions: json!(conditions),
        timeout_seconds: 3,
    };
    hook.register(&scene.api, &[&scene.namespace]).await;
    Some(scene)
}

fn spec(images: &[&str]) -> Value {
    let containers = images.iter().enumerate();
    let containers: Vec<_> = containers
        .map(|(index, image)| container(&format!("c{index}"), image))
        .collect();
    json!({"containers": containers, "restartPolicy": "Always"})
}

/// All seven, with the resource of each and the way to its pod.
fn every_kind(images: &[&str]) -> [(&'static str, &'static str, Value); 7] {
    let apps = |kind, more: Value| workload(kind, "web", &spec(images), &more);
    let mut controller = apps("ReplicationController", json!({"selector": {"app": "web"}}));
    controller["apiVersion"] = json!("v1");
    let mut pod_spec = spec(images);
    pod_spec["restartPolicy"] = json!("Never");
    let job_spec = json!({"template": {"spec": pod_spec}});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "web"}, "spec": job_spec,
    });
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web"},
        "spec": {"schedule": "0 3 * * *", "suspend": true, "jobTemplate": {"spec": job_spec}},
    });
    let template = "spec.template.spec.";
    [
        (
            "deployments",
            template,
            apps("Deployment", json!({"replicas": 0})),
        ),
        (
            "statefulsets",
            template,
            apps("StatefulSet", json!({"replicas": 0, "serviceName": "web"})),
        ),
        ("daemonsets", template, apps("DaemonSet", json!({}))),
        (
            "replicasets",
            template,
            apps("ReplicaSet", json!({"replicas": 0})),
        ),
        ("replicationcontrollers", template, controller),
        ("jobs", template, job),
        ("cronjobs", "spec.jobTemplate.spec.template.spec.", cron_job),
    ]
}

#[tokio::test]
async fn each_kind_is_warned_about_once_and_admitted() {
    let Some(scene) = scene("warn").await else {
        return;
    };
    for (resource, path, object) in every_kind(&[FINE, UNKNOWN]) {
        let answer = scene.namespace.create(resource, &object).await;
        let [warning] = &answer.warnings[..] else {
            panic!("{resource}: {answer:?}");
        };
        let words =
            format!("its pods will be denied: image \"{UNKNOWN}\" ({path}containers[1].image)");
        assert!(warning.starts_with(&words), "{resource}: {warning}");
        answer.succeeded();
    }
}

#[tokio::test]
async fn each_kind_is_denied_where_that_is_wanted() {
    let Some(scene) = scene("deny").await else {
        return;
    };
    for (resource, path, object) in every_kind(&[UNKNOWN]) {
        for what in [format!("{resource}?dryRun=All"), resource.to_owned()] {
            let answer = scene.namespace.create(&what, &object).await;
            assert_eq!(answer.status, 403, "{what}: {answer:?}");
            let words = format!("image \"{UNKNOWN}\" ({path}containers[0].image) is not allowed");
            assert!(answer.message().contains(&words), "{}", answer.message());
        }
    }
    for (resource, _, object) in every_kind(&[FINE]) {
        let answer = scene.namespace.create(resource, &object).await;
        assert_eq!(answer.warnings, Vec::<String>::new(), "{resource}");
        answer.succeeded();
    }
}

/// How many reviews of workloads pullpass has answered, with which outcomes.
fn reviews(scene: &Scene) -> Vec<String> {
    let (_, metrics) = scene.pullpass.admin("/metrics");
    let lines = metrics.lines().filter(|line| {
        line.starts_with("pullpass_reviews_total") && line.contains("validate-workloads")
    });
    let lines: Vec<_> = lines.map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{metrics}");
    lines
}

#[tokio::test]
async fn what_was_there_is_not_said_again() {
    let Some(scene) = scene("warn").await else {
        return;
    };
    let namespace = &scene.namespace;
    let object = workload(
        "Deployment",
        "web",
        &spec(&[UNKNOWN]),
        &json!({"replicas": 0}),
    );
    let answer = namespace.create("deployments", &object).await;
    assert_eq!(answer.warnings.len(), 1);
    answer.succeeded();
    // What its controllers do meanwhile (replica sets, status) has nobody to say it to,
    // and is not even asked about.
    let asked = reviews(&scene);
    for (what, patch) in [
        ("deployments/web/scale", json!({"spec": {"replicas": 2}})),
        ("deployments/web", json!({"spec": {"replicas": 1}})),
        (
            "deployments/web",
            json!({"metadata": {"labels": {"a": "b"}}}),
        ),
        (
            "deployments/web/status",
            json!({"status": {"observedGeneration": 1}}),
        ),
    ] {
        let answer = namespace.patch(what, &patch).await;
        assert_eq!(answer.warnings, Vec::<String>::new(), "{what}");
        answer.succeeded();
    }
    assert_eq!(reviews(&scene), asked);
    let more = spec(&[UNKNOWN, "old.corp.example/side:1"]);
    let patch = json!({"spec": {"template": {"spec": more}}});
    let answer = namespace.patch("deployments/web", &patch).await;
    let [warning] = &answer.warnings[..] else {
        panic!("{answer:?}");
    };
    assert!(
        warning.contains("old.corp.example/side:1") && warning.contains("containers[1]"),
        "{warning}"
    );
    answer.succeeded();
}

#[tokio::test]
async fn a_replica_set_of_a_deployment_is_not_denied_beside_its_pods() {
    let Some(scene) = scene("deny").await else {
        return;
    };
    let replica_set = workload(
        "ReplicaSet",
        "web",
        &spec(&[UNKNOWN]),
        &json!({"replicas": 0}),
    );
    let mut owned = replica_set.clone();
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
        "uid": "3e0f2c8a-0000-4000-8000-000000000000", "controller": true,
    }]);
    assert_eq!(
        scene
            .namespace
            .create("replicasets", &replica_set)
            .await
            .status,
        403
    );
    scene
        .namespace
        .create("replicasets?dryRun=All", &owned)
        .await
        .succeeded();
}

#[tokio::test]
async fn kubectl_shows_it_where_the_author_looks() {
    let Some(scene) = scene("warn").await else {
        return;
    };
    let object = workload(
        "Deployment",
        "web",
        &spec(&[UNKNOWN, "old.corp.example/a:1"]),
        &json!({"replicas": 0}),
    );
    golden::same("workload", &scene.kubectl(&["apply", "-f", "-"], &object));
}
