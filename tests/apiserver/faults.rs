//! When pullpass cannot answer: a fault is never a denial and never an approval.

use crate::objects::{pod_of, secrets};
use crate::pullpass::Scene;

const MAP: &str = r"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
unknownRegistries: deny
publicRegistries: []
";

#[tokio::test]
async fn without_a_map_pods_fail_and_the_reason_is_no_denial() {
    let Some(scene) = Scene::with(None, |_| ()).await else {
        return;
    };
    assert_ne!(scene.pullpass.admin("/readyz").0, 200);
    assert_eq!(scene.pullpass.admin("/livez").0, 200);
    let answer = scene
        .namespace
        .create("pods", &pod_of("web", &["registry.corp.example/web:1"]))
        .await;
    assert_eq!(answer.status, 500, "{}", answer.message());
    let expected = r#"failed calling webhook "mutate.pullpass.dev""#;
    assert!(answer.message().contains(expected), "{}", answer.message());
}

#[tokio::test]
async fn a_map_that_comes_late_is_waited_for() {
    let patient = |hook: &mut crate::registration::Hook<'_>| hook.timeout_seconds = 30;
    let Some(scene) = Scene::with(None, patient).await else {
        return;
    };
    let namespace = scene.namespace.clone();
    let pod = pod_of("web", &["registry.corp.example/web:1"]);
    let creating = tokio::spawn(async move { namespace.create("pods", &pod).await });
    // The API server has asked and was told to come again.
    crate::api::eventually("a review", async || {
        let (_, metrics) = scene.pullpass.admin("/metrics");
        metrics
            .lines()
            .any(|line| line.starts_with(UNANSWERED) && !line.ends_with(" 0"))
            .then_some(())
    })
    .await;
    scene.pullpass.write_map(MAP);
    let pod = creating.await.unwrap().succeeded();
    assert_eq!(secrets(&pod), ["corp-pull"]);
}

#[tokio::test]
async fn a_bad_map_changes_nothing() {
    let Some(scene) = Scene::new(MAP).await else {
        return;
    };
    scene
        .pullpass
        .write_map("apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistrys: []\n");
    crate::api::eventually("the refused map", async || {
        let (_, page) = scene.pullpass.admin("/readyz?verbose");
        page.contains("registrys").then_some(())
    })
    .await;
    assert_eq!(scene.pullpass.admin("/readyz").0, 200);
    let pod = pod_of("web", &["registry.corp.example/web:1"]);
    assert_eq!(
        secrets(&scene.namespace.create("pods", &pod).await.succeeded()),
        ["corp-pull"]
    );
    let answer = scene
        .namespace
        .create("pods", &pod_of("tool", &["registry.unknown.example/x"]))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.message());
}

#[tokio::test]
async fn when_pullpass_is_gone_nothing_gets_past_it() {
    let Some(mut scene) = Scene::new(MAP).await else {
        return;
    };
    scene.pullpass.stop();
    let answer = scene
        .namespace
        .create("pods", &pod_of("web", &["registry.corp.example/web:1"]))
        .await;
    assert_eq!(answer.status, 500, "{}", answer.message());
    assert!(
        answer.message().contains("failed calling webhook"),
        "{}",
        answer.message()
    );
}

/// Counts answers that were no verdict.
const UNANSWERED: &str = "pullpass_http_responses_total";
