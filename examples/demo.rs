//! What `make run` shows: the server on loopback, with the example map and a
//! throw-away certificate, and its answers to two recorded reviews. Then it keeps
//! serving until Ctrl-C. With `--once` it ends after the two, for the tests.
//!
//! It starts the program as a user would and talks to it as the API server does,
//! so nothing here is a short cut past the real thing.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for what it does not have"
)]

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls};

const MAP: &str = "examples/registry-map.yaml";

/// The reviews, what they are, and what the map makes of them.
const REVIEWS: [(&str, &str, &str); 2] = [
    (
        "mutate",
        "tests/fixtures/reviews/mutate-pod-of-deployment.json",
        "a pod of a Deployment, with no pull secret in it",
    ),
    (
        "validate",
        "tests/fixtures/reviews/validate-pod-unknown-registry.json",
        "a pod with an image from a registry that nobody has named",
    ),
];

fn main() -> ExitCode {
    let once = std::env::args().any(|arg| arg == "--once");
    match show(once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn show(once: bool) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("pullpass");
    ensure!(
        program.exists(),
        "{} is not built: use `make run`",
        program.display()
    );
    let server = Server::start(&program)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for (i, (endpoint, file, what)) in REVIEWS.iter().enumerate() {
        let review = std::fs::read(file).with_context(|| format!("reading {file}"))?;
        say(format_args!("\n{}. {what}", i + 1));
        say(format_args!("   POST /{endpoint} {file}"));
        print_request(&serde_json::from_slice(&review)?);
        let answer = runtime.block_on(server.post(endpoint, review))?;
        print_answer(&answer)?;
    }
    say(format_args!(
        "\nTry it yourself:\n  curl --cacert {} -H 'Content-Type: application/json' \\\n    \
         --data @{} '{}/mutate?timeout=3s'\n  curl {}/metrics",
        server.ca.display(),
        REVIEWS[0].1,
        server.webhook,
        server.admin
    ));
    if once {
        return server.stop();
    }
    say("\nServing; Ctrl-C ends it.");
    server.wait()
}

/// The program, running.
struct Server {
    child: Child,
    webhook: String,
    admin: String,
    ca: PathBuf,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let args = [
            "serve",
            "--config",
            MAP,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--self-signed",
            "--shutdown-delay",
            "0s",
        ];
        say(format_args!("$ pullpass {}", args.join(" ")));
        let mut child = Command::new(program)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut next = |name: &str| -> Result<String> {
            let line = lines
                .next()
                .context("the server ended before it was ready")??;
            say(&line);
            let value = line
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "));
            Ok(value
                .with_context(|| format!("expected {name}"))?
                .to_owned())
        };
        Ok(Self {
            webhook: next("webhook")?,
            admin: next("admin")?,
            ca: next("ca")?.into(),
            child,
        })
    }

    async fn post(&self, endpoint: &str, body: Vec<u8>) -> Result<Value> {
        let authority = self.webhook.trim_start_matches("https://");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost")?;
        let socket = TcpStream::connect(authority).await?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(format!("/{endpoint}?timeout=3s"))
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        // Closed in good order, or the server waits for it at its end.
        drop(sender);
        connection.await??;
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }

    fn wait(mut self) -> Result<()> {
        // Ctrl-C reaches the server too; it drains and ends, and so do we.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(tokio::signal::ctrl_c())?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        // Not `kill`, which ends it before it can remove its throw-away certificate.
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

fn print_request(review: &Value) {
    let request = &review["request"];
    let metadata = &request["object"]["metadata"];
    let name = metadata["name"]
        .as_str()
        .or(metadata["generateName"].as_str());
    say(format_args!(
        "   pod {}/{}",
        request["namespace"].as_str().unwrap_or_default(),
        name.unwrap_or_default()
    ));
    let spec = &request["object"]["spec"];
    for container in spec["containers"].as_array().into_iter().flatten() {
        say(format_args!("   image {}", container["image"]));
    }
    say(format_args!(
        "   imagePullSecrets {}",
        spec.get("imagePullSecrets").unwrap_or(&Value::Null)
    ));
}

fn print_answer(answer: &Value) -> Result<()> {
    let response = &answer["response"];
    if response["allowed"] == false {
        say(format_args!(
            "   => denied, {} {}:",
            response["status"]["code"],
            response["status"]["reason"].as_str().unwrap_or_default()
        ));
        for line in response["status"]["message"]
            .as_str()
            .unwrap_or_default()
            .lines()
        {
            say(format_args!("      {line}"));
        }
        return Ok(());
    }
    say("   => allowed");
    if let Some(patch) = response["patch"].as_str() {
        let patch = base64::engine::general_purpose::STANDARD.decode(patch)?;
        let operations: Vec<Value> = serde_json::from_slice(&patch)?;
        say("      with this JSON patch:");
        for operation in operations {
            say(format_args!(
                "      {} {} {}",
                operation["op"].as_str().unwrap_or_default(),
                operation["path"].as_str().unwrap_or_default(),
                operation["value"]
            ));
        }
    }
    for warning in response["warnings"].as_array().into_iter().flatten() {
        say(format_args!(
            "      warning: {}",
            warning.as_str().unwrap_or_default()
        ));
    }
    Ok(())
}

fn say(words: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{words}");
}
