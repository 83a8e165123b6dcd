//! How pullpass reaches an API server: the connection, one request with its time limit, and
//! the one error of all requests, with its causes in words.
//!
//! This module must not know an object; the modules beside it know what is sent.

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// The time limit of one request. Only an API server in trouble takes so long.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Why the API server gave no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeError {
    /// There is neither a usable kubeconfig nor the ServiceAccount of a pod.
    #[error("cannot tell how to reach the API server: {0}")]
    Config(String),
    /// The object has changed since it was read.
    #[error("{0} has changed since it was read")]
    Conflict(String),
    /// An object of that name exists.
    #[error("{0} exists already")]
    Exists(String),
    /// The object does not exist.
    #[error("there is no {0}")]
    Missing(String),
    /// The API server refuses the request.
    #[error("{what}: {message}")]
    Refused {
        /// The object, or the request.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// No answer came.
    #[error("{what}: the API server does not answer: {error}")]
    Unreachable {
        /// The object, or the address.
        what: String,
        /// What went wrong.
        error: String,
    },
}

impl KubeError {
    /// No answer came, for this reason.
    pub(super) fn unreachable(what: &str, error: impl Into<String>) -> Self {
        Self::Unreachable {
            what: what.to_owned(),
            error: error.into(),
        }
    }

    /// What the client says about a request for `what`.
    fn of_request(what: &str, error: &kube::Error) -> Self {
        let named = what.to_owned();
        match error {
            kube::Error::Api(status) if status.is_already_exists() => Self::Exists(named),
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict(named),
            kube::Error::Api(status) if status.is_not_found() => Self::Missing(named),
            kube::Error::Api(status) => Self::Refused {
                what: named,
                message: status.message.clone(),
            },
            // The client's words may quote what was sent, and that can be a Secret.
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Self::unreachable(what, "what comes back is not such an object")
            }
            error => Self::unreachable(what, with_causes(error)),
        }
    }
}

/// Makes a client from `$KUBECONFIG`, or else from the ServiceAccount of the pod; does not
/// connect yet.
pub async fn connect() -> Result<Client, KubeError> {
    let config = kube::Config::infer().await;
    client(config.map_err(|error| wrong(&error))?)
}

/// Makes a client from the kubeconfig and context that are named, else from `$KUBECONFIG`, the
/// usual file, or a pod's ServiceAccount; returns it with the address of the API server and the
/// context. Does not connect yet.
pub async fn connect_as_user(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<(Client, String, Option<String>), KubeError> {
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
    Ok((client(config)?, url, context))
}

fn client(config: kube::Config) -> Result<Client, KubeError> {
    // The one provider of this program; an error means that it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::try_from(config).map_err(|error| wrong(&error))
}

fn wrong(error: &(dyn Error + 'static)) -> KubeError {
    KubeError::Config(with_causes(error))
}

/// The answer to a request for `what`, within ten seconds.
pub async fn request<T>(
    what: &str,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, KubeError> {
    let answer = async {
        let answer = answer.await;
        answer.map_err(|error| KubeError::of_request(what, &error))
    };
    within(REQUEST_TIME, what, answer).await
}

/// The answer to a request for `what`, within this time.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    answer: impl Future<Output = Result<T, KubeError>>,
) -> Result<T, KubeError> {
    timeout(limit, answer)
        .await
        .unwrap_or_else(|_| Err(KubeError::unreachable(what, format!("waited {limit:?}"))))
}

/// An error and everything that caused it, each said once.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
