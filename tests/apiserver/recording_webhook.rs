//! A webhook of the tests' own: it keeps every review as it came and answers as it
//! is told. It stands in for pullpass when reviews are recorded, and for the other
//! webhooks of a cluster, such as one that adds a side-car.

use crate::certificate;
use axum::http::{Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Makes the `response` of a review, without the uid, from its `request`.
type Answerer = dyn Fn(&Value) -> Value + Send + Sync;

/// A running webhook; it ends when it is dropped.
pub(crate) struct RecordingWebhook {
    pub(crate) url: String,
    pub(crate) ca: String,
    seen: Arc<Mutex<Vec<Recorded>>>,
    runtime: Option<Runtime>,
}

/// A review as the API server sent it.
#[derive(Clone)]
pub(crate) struct Recorded {
    /// Path and query.
    pub(crate) target: String,
    pub(crate) body: Bytes,
}

impl Recorded {
    /// The `request` of the review.
    pub(crate) fn request(&self) -> Value {
        serde_json::from_slice::<Value>(&self.body).unwrap()["request"].take()
    }
}

impl RecordingWebhook {
    /// Starts one that answers with `answer`.
    pub(crate) fn start(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        let tls = certificate::loopback();
        let seen = Arc::new(Mutex::new(Vec::new()));
        // A runtime of its own: the tests' wait in kubectl without yielding.
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let acceptor = acceptor(&tls.certificate, &tls.key);
        runtime.spawn(serve(
            listener,
            acceptor,
            Arc::clone(&seen),
            Arc::new(answer),
        ));
        Self {
            url,
            ca: tls.ca,
            seen,
            runtime: Some(runtime),
        }
    }

    /// Starts one that allows everything.
    pub(crate) fn allowing() -> Self {
        Self::start(|_| json!({"allowed": true}))
    }

    /// Every review so far.
    pub(crate) fn seen(&self) -> Vec<Recorded> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets the reviews so far.
    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

impl Drop for RecordingWebhook {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The response that allows with a JSON patch.
pub(crate) fn patched_by(patch: &Value) -> Value {
    let patch = STANDARD.encode(serde_json::to_vec(patch).unwrap());
    json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Vec<Recorded>>>,
    answer: Arc<Answerer>,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen, answer) = (acceptor.clone(), Arc::clone(&seen), Arc::clone(&answer));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service =
                service_fn(move |request| review(request, Arc::clone(&seen), Arc::clone(&answer)));
            let server = hyper::server::conn::http1::Builder::new();
            // The API server closes when it likes.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn review(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Recorded>>>,
    answer: Arc<Answerer>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.uri().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let recorded = Recorded { target, body };
    let request = recorded.request();
    let mut response = answer(&request);
    response["uid"] = request["uid"].clone();
    seen.lock().unwrap().push(recorded);
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    let body = Full::new(Bytes::from(review.to_string()));
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(body)
        .unwrap())
}
