//! Pods that nobody would write by mistake: huge ones, and images that are none. The
//! API server sends us all of them before it looks at them itself.

use crate::api::Answer;
use crate::objects::{container, pod, pod_of, secrets};
use crate::pullpass::Scene;
use serde_json::json;

const DENY: &str = r"
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - {name: corp, match: registry.corp.example, pullSecrets: [corp-pull]}
unknownRegistries: deny
publicRegistries: []
";

/// Images that are none, and whether the API server itself refuses them.
fn garbage() -> Vec<(String, bool)> {
    let own_refusal = ["", " ", " nginx", "nginx\n", "\u{3000}nginx"];
    let ours = [
        "HTTP://x",
        "https://registry.corp.example/x",
        "registry.corp.example/with space",
        "registry.corp.example/Upper",
        "registry.corp.example//x",
        "registry.corp.example/x:",
        "registry.corp.example/x@sha256:0",
        "user:password@registry.corp.example/x",
        "registry.corp.example:99999/x",
        "reg\u{0}istry.corp.example/x",
        "registry.corp.example/\u{1b}[31mred\u{7}",
        "registry.corp.example/\u{202e}elpmaxe\u{2066}",
        "registry.corp.example/a\u{2028}b\u{85}c\u{feff}",
        "registry.corp.exämple/x",
        "{{ .Values.image }}",
        "$(IMAGE)",
        "'; DROP TABLE pods; --",
        "<script>alert(1)</script>",
        "\u{10ffff}\u{e000}",
        "%s%n%00",
    ];
    let own_refusal = own_refusal
        .into_iter()
        .map(|image| (image.to_owned(), true));
    let ours = ours.into_iter().map(|image| (image.to_owned(), false));
    let long = ["a", "é", "\u{202e}", "\u{1}", "/", ":", "["];
    let long = long
        .into_iter()
        .map(|text| (text.repeat(100 * 1024 / text.len()), false));
    own_refusal.chain(ours).chain(long).collect()
}

/// Nothing that a terminal would act upon, but for the line breaks of a message.
fn readable(text: &str) -> bool {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !text
        .chars()
        .any(|c| (c.is_control() && c != '\n') || hidden(c))
}

#[tokio::test]
async fn an_image_that_is_none_is_rejected_by_the_api_server_or_denied_and_never_a_fault() {
    let Some(scene) = Scene::new(DENY).await else {
        return;
    };
    for (image, own_refusal) in garbage() {
        let answer = scene
            .namespace
            .create("pods", &pod_of("odd", &[&image]))
            .await;
        let shown: String = image.escape_debug().take(60).collect();
        let message = answer.message();
        if own_refusal {
            assert_eq!(answer.status, 422, "{shown}: {message}");
        } else {
            assert_eq!(answer.status, 403, "{shown}: {message}");
            assert!(
                message.contains("spec.containers[0].image"),
                "{shown}: {message}"
            );
            assert!(readable(message), "{shown}: {message:?}");
            assert!(message.len() < 2048, "{shown}: {} bytes", message.len());
        }
    }
}

#[tokio::test]
async fn an_image_that_is_none_is_warned_about_where_the_unknown_is() {
    let Some(scene) = Scene::new(&DENY.replace("deny", "warn")).await else {
        return;
    };
    for (number, (image, own_refusal)) in garbage().into_iter().enumerate() {
        let answer = scene
            .namespace
            .create("pods", &pod_of(&format!("odd-{number}"), &[&image]))
            .await;
        let shown: String = image.escape_debug().take(60).collect();
        if own_refusal {
            assert_eq!(answer.status, 422, "{shown}: {}", answer.message());
            continue;
        }
        assert_eq!(answer.status, 201, "{shown}: {}", answer.message());
        // With a control character in it the API server would drop it without a word.
        let ours = answer
            .warnings
            .iter()
            .find(|line| line.contains("spec.containers[0].image"));
        let Some(ours) = ours else {
            panic!("{shown}: {:?}", answer.warnings)
        };
        assert!(
            readable(ours) && ours.chars().count() <= 256,
            "{shown}: {ours:?}"
        );
    }
}

/// A pod as large as the API server takes, of this character in the largest field.
async fn large(scene: &Scene, filling: &str) -> Answer {
    let mut app = container("app", "registry.corp.example/app:1");
    app["env"] = json!([{"name": "FILLING", "value": filling.repeat(2_900 * 1024)}]);
    let pod = pod("large", &json!({"containers": [app]}));
    // Storing it is another matter: etcd takes 1.5 MiB.
    scene.namespace.create("pods?dryRun=All", &pod).await
}

#[tokio::test]
async fn the_largest_pod_gets_its_secret() {
    let Some(scene) = Scene::new(DENY).await else {
        return;
    };
    assert_eq!(
        secrets(&large(&scene, "x").await.succeeded()),
        ["corp-pull"]
    );
}

#[tokio::test]
async fn the_largest_pod_gets_its_secret_when_json_makes_it_six_times_as_large() {
    // `<` becomes `\u003c` in a review.
    let Some(scene) = Scene::new(DENY).await else {
        return;
    };
    assert_eq!(
        secrets(&large(&scene, "<").await.succeeded()),
        ["corp-pull"]
    );
}

#[tokio::test]
async fn a_large_stored_pod_can_be_changed() {
    let Some(scene) = Scene::new(DENY).await else {
        return;
    };
    let mut app = container("app", "registry.corp.example/app:1");
    app["env"] = json!([{"name": "FILLING", "value": "<".repeat(1200 * 1024)}]);
    scene
        .namespace
        .create("pods", &pod("large", &json!({"containers": [app]})))
        .await
        .succeeded();
    // Twice in the review: the object and the old object.
    let label = json!({"metadata": {"labels": {"tier": "front"}}});
    scene
        .namespace
        .patch("pods/large", &label)
        .await
        .succeeded();
}

#[tokio::test]
async fn a_pod_of_very_many_containers_is_answered_in_few_words() {
    let Some(scene) = Scene::new(DENY).await else {
        return;
    };
    let images: Vec<String> = (0..5_000)
        .map(|number| format!("registry.unknown.example/x:{number}"))
        .collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let answer = scene
        .namespace
        .create("pods?dryRun=All", &pod_of("many", &images))
        .await;
    assert_eq!(answer.status, 403, "{}", answer.message());
    assert!(
        answer.message().len() < 4096,
        "{} bytes",
        answer.message().len()
    );
}
