//! Decisions that depend on labels of namespaces: late labels put them off, wrong ones are
//! never guessed.
//!
//! The watch is delayed by a proxy between pullpass and the API server, since a real one
//! on this machine is late by milliseconds only. Everything else is real.

use crate::api::{Answer, Api, eventually};
use crate::control_plane::{ControlPlane, control_plane};
use crate::objects::{pod_of, secrets};
use crate::pullpass::Scene;
use axum::http::Method;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const MAP: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - match: registry.corp.example
    pullSecrets: [corp-pull]
    namespaceSelector: {matchLabels: {team: a}}
  - match: public.corp.example
unknownRegistries:
  default: deny
  overrides: [{namespaceSelector: {matchLabels: {team: free}}, action: allow}]
publicRegistries: []
";

/// How late each piece is that the API server sends.
const LATE: Duration = Duration::from_millis(400);
const NAMESPACES: usize = 200;
const AT_ONCE: usize = 16;

/// A kubeconfig by which pullpass finds the API server; `change` sees it as JSON.
fn kubeconfig(plane: &ControlPlane, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let text = fs::read_to_string(&plane.kubeconfig).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    let path = plane.folder.join(format!("kubeconfig-{name}"));
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// A way to the API server on which all that comes back is late.
async fn delayed(plane: &ControlPlane) -> PathBuf {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = format!("https://{}", listener.local_addr().unwrap());
    let mut theirs = String::new();
    let path = kubeconfig(plane, "delayed", |config| {
        let server = &mut config["clusters"][0]["cluster"]["server"];
        theirs = server.as_str().unwrap().replace("https://", "");
        *server = json!(ours);
    });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(&theirs).await else {
                continue;
            };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut piece = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = from_server.read(&mut piece).await {
                    sleep(LATE).await;
                    if to_client.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    path
}

/// Lets the scene's webhooks be asked about every namespace with the label `scene`.
async fn by_label(scene: &Scene) {
    let hooks = [
        ("mutatingwebhookconfigurations", "mutate"),
        ("validatingwebhookconfigurations", "validate"),
    ];
    for (kind, word) in hooks {
        let list = format!("/apis/admissionregistration.k8s.io/v1/{kind}");
        let all = scene.api.send(Method::GET, &list, None).await.succeeded();
        let ours = all["items"].as_array().unwrap().iter().find(|object| {
            let name = object["metadata"]["name"].as_str().unwrap();
            name.starts_with(&format!("{}-pullpass", scene.name))
        });
        let ours = ours.unwrap();
        let mut webhooks = ours["webhooks"].clone();
        for webhook in webhooks.as_array_mut().unwrap() {
            webhook["namespaceSelector"] = json!({"matchLabels": {"scene": scene.name}});
        }
        assert!(webhooks[0]["name"].as_str().unwrap().starts_with(word));
        let name = ours["metadata"]["name"].as_str().unwrap();
        let body = json!({"webhooks": webhooks});
        let path = format!("{list}/{name}");
        scene
            .api
            .send(Method::PATCH, &path, Some(&body))
            .await
            .succeeded();
    }
    let seen = Place::new(scene, "seen", "b").await;
    eventually("the webhooks by label", async || {
        let answer = seen.create("registry.unknown.example/x").await;
        answer.message().contains("is not allowed").then_some(())
    })
    .await;
    // The other webhook's configuration is on its way too.
    let patched = Place::new(scene, "patched", "a").await;
    eventually("the mutating webhook by label", async || {
        let answer = patched
            .send("registry.corp.example/x", "pods?dryRun=All")
            .await;
        (answer.status == 201 && secrets(&answer.body) == ["corp-pull"]).then_some(())
    })
    .await;
}

/// A namespace of a scene.
struct Place<'s> {
    api: &'s Api,
    name: String,
}

impl<'s> Place<'s> {
    /// Made this moment, with the account that a pod needs.
    async fn new(scene: &'s Scene, suffix: &str, team: &str) -> Self {
        let name = format!("{}-{suffix}", scene.name);
        let labels = json!({"scene": scene.name, "team": team});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        scene
            .api
            .post("/api/v1/namespaces", &object)
            .await
            .succeeded();
        let api = &scene.api;
        let place = Self { api, name };
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", place.name);
        let made = api.post(&path, &account).await.status;
        assert!([201, 409].contains(&made), "{made}");
        place
    }

    async fn create(&self, image: &str) -> Answer {
        self.send(image, "pods").await
    }

    async fn send(&self, image: &str, pods: &str) -> Answer {
        let path = format!("/api/v1/namespaces/{}/{pods}", self.name);
        loop {
            let answer = self.api.post(&path, &pod_of("web", &[image])).await;
            // The API server itself does not know the account yet.
            if !answer
                .message()
                .contains("error looking up service account")
            {
                return answer;
            }
        }
    }
}

/// How many reviews were put off.
fn put_off(scene: &Scene) -> f64 {
    let (_, metrics) = scene.pullpass.admin("/metrics");
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("pullpass_http_responses_total{") && line.contains("5xx"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test]
async fn a_pod_that_comes_with_its_namespace_gets_the_verdict_of_its_labels() {
    let Some(plane) = control_plane() else { return };
    let way = delayed(plane).await;
    let Some(scene) = Scene::with_flags(MAP, Some(&way), &[]).await else {
        return;
    };
    by_label(&scene).await;
    let one = async |number: usize| {
        let team = ["a", "b", "free"][number % 3];
        let image = ["registry.corp.example/x", "registry.unknown.example/x"][number % 2];
        let made = Place::new(&scene, &format!("n{number}"), team).await;
        let mut faults = 0;
        let answer = loop {
            let answer = made.create(image).await;
            // A fault is no verdict: whoever sends it sends it again.
            if answer.message().contains("failed calling webhook") {
                faults += 1;
                assert!(faults < 20, "{}", answer.message());
                continue;
            }
            break answer;
        };
        let said = format!("{image} of team {team}: {}", answer.message());
        match (team, image.starts_with("registry.corp")) {
            ("a", true) => assert_eq!(secrets(&answer.succeeded()), ["corp-pull"], "{said}"),
            ("free", _) => assert_eq!(secrets(&answer.succeeded()), [""; 0], "{said}"),
            _ => {
                assert_eq!(answer.status, 403, "{said}");
                assert!(said.contains("is not allowed"), "{said}");
            }
        }
    };
    stream::iter(0..NAMESPACES)
        .for_each_concurrent(AT_ONCE, one)
        .await;
    assert!(put_off(&scene) > 0.0, "the watch was never late");
}

#[tokio::test]
async fn the_decision_follows_the_labels_and_a_map_may_begin_to_ask_for_them() {
    let Some(plane) = control_plane() else { return };
    let before = MAP
        .replace("    namespaceSelector: {matchLabels: {team: a}}\n", "")
        .replace(
            "{namespaceSelector: {matchLabels: {team: free}}",
            "{namespaces: [nowhere]",
        );
    let Some(scene) = Scene::with_flags(&before, Some(&plane.kubeconfig), &[]).await else {
        return;
    };
    assert!(
        !scene
            .pullpass
            .admin("/readyz?verbose")
            .1
            .contains("namespaces")
    );
    scene.change_map(MAP).await;
    eventually("the labels", async || {
        let (status, page) = scene.pullpass.admin("/readyz?verbose");
        assert_eq!(status, 200);
        page.contains("[+]namespaces ok: the labels of ")
            .then_some(())
    })
    .await;

    let image = &["registry.unknown.example/x"];
    let answer = scene.namespace.create("pods", &pod_of("one", image)).await;
    assert_eq!(answer.status, 403, "{}", answer.message());
    let path = format!("/api/v1/namespaces/{}", scene.name);
    let free = json!({"metadata": {"labels": {"team": "free"}}});
    scene
        .api
        .send(Method::PATCH, &path, Some(&free))
        .await
        .succeeded();
    eventually("the new label", async || {
        let answer = scene.namespace.create("pods", &pod_of("two", image)).await;
        (answer.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_the_right_to_watch_only_what_depends_on_labels_waits() {
    let Some(plane) = control_plane() else { return };
    let nobody = kubeconfig(plane, "nobody", |config| {
        config["users"][0]["user"]["as"] = json!("somebody-without-rights");
    });
    let Some(scene) = Scene::with_flags(MAP, Some(&nobody), &[]).await else {
        return;
    };
    eventually("the trouble", async || {
        let (status, page) = scene.pullpass.admin("/readyz?verbose");
        assert_eq!(status, 200, "{page}");
        (page.contains("labels are not known yet") && page.contains("forbidden")).then_some(())
    })
    .await;
    let create = async |image| {
        scene
            .namespace
            .create("pods", &pod_of("web", &[image]))
            .await
    };
    let waits = create("registry.unknown.example/x").await;
    assert_eq!(waits.status, 500, "{}", waits.message());
    assert!(waits.message().contains("failed calling webhook"));
    create("public.corp.example/x").await.succeeded();
}
