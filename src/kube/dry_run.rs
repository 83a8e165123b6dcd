//! The API server for a person at a terminal: reads, and dry runs of writes.
//!
//! It changes nothing: every request that is not a `GET` has `dryRun=All`, and no other
//! module sets it. Bodies are plain JSON, because a typed client drops the `Warning`
//! headers. It must not decide anything.

use super::client::{self, KubeError, with_causes};
use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use kube::Client;
use kube::client::Body;
use pullpass_core::probe::ApiResponse;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// The time limit of one request. A webhook may take 30 seconds, and the API server calls two.
const REQUEST_TIME: Duration = Duration::from_secs(65);
/// Objects on one page of a list.
const PAGE: usize = 500;

/// Sends requests that change nothing.
#[derive(Clone)]
pub struct DryRunClient {
    client: Client,
    /// The address of the API server.
    pub url: String,
    /// The kubeconfig's context.
    pub context: Option<String>,
}

impl fmt::Debug for DryRunClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DryRunClient").field(&self.url).finish()
    }
}

impl DryRunClient {
    /// Takes the kubeconfig and context that are named, else `$KUBECONFIG`, the usual
    /// file, or a pod's ServiceAccount; does not connect yet.
    pub async fn new(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, KubeError> {
        let (client, url, context) = client::connect_as_user(kubeconfig, context).await?;
        Ok(Self {
            client,
            url,
            context,
        })
    }

    /// Creates an object as a dry run.
    pub async fn create(&self, path: &str, object: &Value) -> Result<ApiResponse, KubeError> {
        let path = format!("{path}?dryRun=All");
        self.send(Method::POST, &path, "application/json", object)
            .await
    }

    /// Patches an object by a strategic merge as a dry run.
    pub async fn patch(&self, path: &str, change: &Value) -> Result<ApiResponse, KubeError> {
        let path = format!("{path}?dryRun=All");
        let media_type = "application/strategic-merge-patch+json";
        self.send(Method::PATCH, &path, media_type, change).await
    }

    /// The namespace of the kubeconfig's context, or of the pod.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Reads what is at a path, whatever the API server answers.
    pub async fn read(&self, path: &str) -> Result<ApiResponse, KubeError> {
        self.send(Method::GET, path, "application/json", &Value::Null)
            .await
    }

    /// Reads what is at a path.
    pub async fn get(&self, path: &str) -> Result<Value, KubeError> {
        let response = self.read(path).await?;
        if (200..300).contains(&response.status) {
            return Ok(response.body);
        }
        let message = response.body.get("message").and_then(Value::as_str);
        Err(KubeError::Refused {
            what: format!("GET {path}"),
            message: message.unwrap_or("no reason is given").to_owned(),
        })
    }

    /// Reads the text at a path, of a pod to which the API server forwards the request.
    pub async fn get_text(&self, path: &str) -> Result<String, KubeError> {
        // What is no JSON comes as the message.
        let body = self.get(path).await?;
        let text = body.get("message").and_then(Value::as_str);
        Ok(text.unwrap_or_default().to_owned())
    }

    /// Reads a list, page by page.
    pub async fn list(&self, path: &str, query: &str) -> Result<Vec<Value>, KubeError> {
        let mut items = Vec::new();
        self.each_page(path, query, |page| items.extend(page))
            .await?;
        Ok(items)
    }

    /// Reads a list and hands over one page after the other, so that a long list needs no
    /// more memory than a page.
    pub async fn each_page(
        &self,
        path: &str,
        query: &str,
        mut take: impl FnMut(Vec<Value>),
    ) -> Result<(), KubeError> {
        let mut next = String::new();
        loop {
            let path = format!("{path}?limit={PAGE}{query}{next}");
            let mut page = self.get(&path).await?;
            if let Some(Value::Array(some)) = page.get_mut("items").map(Value::take) {
                take(some);
            }
            // Letters and digits, `-` and `_` (base64url), since Kubernetes 1.8.
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                _ => return Ok(()),
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &'static str,
        body: &Value,
    ) -> Result<ApiResponse, KubeError> {
        let url = self.url.as_str();
        let unreachable = |error: &(dyn std::error::Error + 'static)| {
            KubeError::unreachable(url, with_causes(error))
        };
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, HeaderValue::from_static(media_type))
            .body(Body::from(body))
            .map_err(|error| unreachable(&error))?;
        let exchange = async {
            let response = self.client.send(request).await;
            let response = response.map_err(|error| unreachable(&error))?;
            let status = response.status().as_u16();
            let headers = response.headers().get_all("warning").iter();
            let warnings = headers.map(|value| warning(value.as_bytes())).collect();
            let body = response.into_body().collect().await;
            let body = body.map_err(|error| unreachable(&error))?.to_bytes();
            let body = serde_json::from_slice(&body)
                .unwrap_or_else(|_| json!({"message": String::from_utf8_lossy(&body)}));
            Ok(ApiResponse {
                status,
                body,
                warnings,
            })
        };
        client::within(REQUEST_TIME, url, exchange).await
    }
}

/// The text of `299 - "text"` (RFC 9111, 5.5), in which `\` stands before `"` and `\`.
fn warning(header: &[u8]) -> String {
    let header = String::from_utf8_lossy(header);
    let quoted = header.split_once('"').map_or("", |(_, rest)| rest);
    let quoted = quoted.strip_suffix('"').unwrap_or(quoted);
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}
