//! Talking to the API server: JSON in, and out the status, the object and the
//! warnings, which a typed client would drop.

use crate::control_plane::ControlPlane;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the tests wait for what happens by itself; only a fault takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of the API server's.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
}

/// The API server's answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The texts of its `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

impl Api {
    /// The administrator's.
    pub(crate) async fn new(plane: &ControlPlane) -> Self {
        Self::with(plane, |_| ()).await
    }

    /// The same server, as somebody else.
    pub(crate) async fn impersonating(plane: &ControlPlane, user: &str, groups: &[&str]) -> Self {
        Self::with(plane, |kubeconfig| {
            let auth = kubeconfig.auth_infos[0].auth_info.as_mut().unwrap();
            auth.impersonate = Some(user.to_owned());
            auth.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
        })
        .await
    }

    async fn with(plane: &ControlPlane, change: impl FnOnce(&mut Kubeconfig)) -> Self {
        let mut kubeconfig = Kubeconfig::read_from(&plane.kubeconfig).unwrap();
        change(&mut kubeconfig);
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        // What the API server answers is what the tests are about.
        config.default_retry = false;
        Self {
            client: Client::try_from(config).unwrap(),
        }
    }

    /// Sends a request; the path is below the server's root.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let media_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        self.send_as(media_type, method, path, body).await
    }

    /// Server-side apply; field manager and force stand in the path.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Answer {
        let media_type = "application/apply-patch+yaml";
        self.send_as(media_type, Method::PATCH, path, Some(object))
            .await
    }

    async fn send_as(
        &self,
        media_type: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body
            .map(|body| serde_json::to_vec(body).unwrap())
            .unwrap_or_default();
        self.send_bytes(media_type, method, path, body).await
    }

    /// Sends a body as it is.
    pub(crate) async fn send_bytes(
        &self,
        media_type: &str,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("content-type", media_type)
            .body(Body::from(body))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings
            .map(|value| warning_text(value.as_bytes()))
            .collect();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body =
            serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        Answer {
            status,
            body,
            warnings,
        }
    }

    /// Creates an object that is in no namespace.
    pub(crate) async fn post(&self, path: &str, object: &Value) -> Answer {
        self.send(Method::POST, path, Some(object)).await
    }

    /// A new namespace in which pods can be created.
    pub(crate) async fn namespace(&self, prefix: &str) -> Namespace {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.namespace_named(&name).await
    }

    /// The same with a name that no other test uses.
    pub(crate) async fn namespace_named(&self, name: &str) -> Namespace {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.send(Method::POST, "/api/v1/namespaces", Some(&object))
            .await
            .succeeded();
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        eventually("the ServiceAccount `default`", async || {
            (self.send(Method::GET, &account, None).await.status == 200).then_some(())
        })
        .await;
        Namespace {
            api: self.clone(),
            name: name.to_owned(),
        }
    }
}

impl Answer {
    /// The object of a request that went well.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.message()
        );
        self.body
    }

    /// The API server's message where it refused.
    pub(crate) fn message(&self) -> &str {
        self.body["message"]
            .as_str()
            .or(self.body.as_str())
            .unwrap_or_default()
    }
}

/// A namespace of one test's.
#[derive(Clone)]
pub(crate) struct Namespace {
    pub(crate) api: Api,
    pub(crate) name: String,
}

impl Namespace {
    /// The same namespace with another client's rights.
    pub(crate) fn through(&self, api: &Api) -> Self {
        Self {
            api: api.clone(),
            name: self.name.clone(),
        }
    }

    /// The path of what is in it, such as `pods` or `deployments/web`.
    pub(crate) fn path(&self, what: &str) -> String {
        let group = match what.split(['/', '?']).next().unwrap() {
            "deployments" | "replicasets" | "statefulsets" | "daemonsets" => "apis/apps/v1",
            "jobs" | "cronjobs" => "apis/batch/v1",
            "events" => "apis/events.k8s.io/v1",
            _ => "api/v1",
        };
        format!("/{group}/namespaces/{}/{what}", self.name)
    }

    pub(crate) async fn create(&self, what: &str, object: &Value) -> Answer {
        self.api
            .send(Method::POST, &self.path(what), Some(object))
            .await
    }

    pub(crate) async fn get(&self, what: &str) -> Answer {
        self.api.send(Method::GET, &self.path(what), None).await
    }

    /// A merge patch.
    pub(crate) async fn patch(&self, what: &str, patch: &Value) -> Answer {
        self.api
            .send(Method::PATCH, &self.path(what), Some(patch))
            .await
    }

    pub(crate) async fn replace(&self, what: &str, object: &Value) -> Answer {
        self.api
            .send(Method::PUT, &self.path(what), Some(object))
            .await
    }

    pub(crate) async fn delete(&self, what: &str) -> Answer {
        self.api.send(Method::DELETE, &self.path(what), None).await
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `299 - "text"`, with `\"` and `\\` inside.
fn warning_text(header: &[u8]) -> String {
    let header = String::from_utf8_lossy(header);
    let quoted = header.split_once('"').map_or("", |(_, rest)| rest);
    let quoted = quoted.strip_suffix('"').unwrap_or(quoted);
    quoted.replace("\\\"", "\"").replace("\\\\", "\\")
}
