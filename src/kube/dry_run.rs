//! A cluster's API server, as the person at the terminal may use it: reads, and
//! requests as a dry run. Changes nothing: every request that is not a `GET` has
//! `dryRun=All`, written here and nowhere else.
//!
//! Bodies go through as JSON, because a typed client drops the `Warning` headers.
//! Decides nothing.

use crate::kube::cert_store::chain;
use http_body_util::BodyExt as _;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use pullpass_core::probe::ApiResponse;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// For one request. A webhook may take 30 seconds, and two are asked.
const REQUEST_TIME: Duration = Duration::from_secs(65);
/// Objects on one page of a list.
const PAGE: usize = 500;

/// A connection to an API server.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    /// Its address.
    pub url: String,
    /// The kubeconfig's context.
    pub context: Option<String>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiServer").field(&self.url).finish()
    }
}

/// Why the API server could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no usable kubeconfig.
    #[error("cannot tell how to reach the API server: {0}")]
    Config(String),
    /// There was no answer.
    #[error("the API server at {url} does not answer: {error}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What went wrong.
        error: String,
    },
    /// It said no.
    #[error("{what}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The API server's words.
        message: String,
    },
}

impl ApiServer {
    /// Takes the kubeconfig and context that are named, else `$KUBECONFIG`, the usual
    /// file, or a pod's ServiceAccount; does not connect yet.
    pub async fn new(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, ApiError> {
        // The one provider of this program; an error means that it is set already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |error: &(dyn std::error::Error + 'static)| ApiError::Config(chain(error));
        let read = match kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let (config, context) = match read {
            Ok(read) => {
                let context = context.map(str::to_owned).or(read.current_context.clone());
                let options = KubeConfigOptions {
                    context: context.clone(),
                    ..KubeConfigOptions::default()
                };
                let config = kube::Config::from_custom_kubeconfig(read, &options).await;
                (config.map_err(|error| wrong(&error))?, context)
            }
            Err(error) if kubeconfig.is_some() || context.is_some() => return Err(wrong(&error)),
            Err(_) => {
                let config = kube::Config::infer().await;
                (config.map_err(|error| wrong(&error))?, None)
            }
        };
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| wrong(&error))?;
        Ok(Self {
            client,
            url,
            context,
        })
    }

    /// Creates an object as a dry run.
    pub async fn try_to_create(&self, path: &str, object: &Value) -> Result<ApiResponse, ApiError> {
        let path = format!("{path}?dryRun=All");
        self.send(Method::POST, &path, "application/json", object)
            .await
    }

    /// Patches an object by a strategic merge as a dry run.
    pub async fn try_to_patch(&self, path: &str, change: &Value) -> Result<ApiResponse, ApiError> {
        let path = format!("{path}?dryRun=All");
        let media_type = "application/strategic-merge-patch+json";
        self.send(Method::PATCH, &path, media_type, change).await
    }

    /// Reads what is at a path.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        let answer = self
            .send(Method::GET, path, "application/json", &Value::Null)
            .await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let message = answer.body.get("message").and_then(Value::as_str);
        Err(ApiError::Refused {
            what: format!("GET {path}"),
            status: answer.status,
            message: message.unwrap_or("no reason is given").to_owned(),
        })
    }

    /// Reads a list, page by page.
    pub async fn list(&self, path: &str, query: &str) -> Result<Vec<Value>, ApiError> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("{path}?limit={PAGE}{query}{next}");
            let mut page = self.get(&path).await?;
            if let Some(Value::Array(some)) = page.get_mut("items").map(Value::take) {
                items.extend(some);
            }
            // Letters and digits, `-` and `_` (base64url), since Kubernetes 1.8.
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                _ => return Ok(items),
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &'static str,
        body: &Value,
    ) -> Result<ApiResponse, ApiError> {
        let unreachable = |error: String| ApiError::Unreachable {
            url: self.url.clone(),
            error,
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
            .map_err(|error| unreachable(chain(&error)))?;
        let exchange = async {
            let response = self.client.send(request).await;
            let response = response.map_err(|error| unreachable(chain(&error)))?;
            let status = response.status().as_u16();
            let headers = response.headers().get_all("warning").iter();
            let warnings = headers.map(|value| warning(value.as_bytes())).collect();
            let body = response.into_body().collect().await;
            let body = body.map_err(|error| unreachable(chain(&error)))?.to_bytes();
            let body = serde_json::from_slice(&body)
                .unwrap_or_else(|_| json!({"message": String::from_utf8_lossy(&body)}));
            Ok(ApiResponse {
                status,
                body,
                warnings,
            })
        };
        timeout(REQUEST_TIME, exchange)
            .await
            .unwrap_or_else(|_| Err(unreachable(format!("waited {REQUEST_TIME:?}"))))
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
