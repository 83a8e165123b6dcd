//! A server on free ports, a client that says exactly what it is told to, and reviews.

use jiff::Timestamp;
use pullpass::certs::issuer::{self, DevelopmentCertificates};
use pullpass::certs::pair::PairFiles;
use pullpass::certs::served::ServedCertificate;
use pullpass::http::{self, Addresses, Handles, Limits};
use pullpass::observe::metrics::Metrics;
use pullpass::serve::background_tasks::BackgroundTasks;
use pullpass::serve::{Bound, CertificateSource, Config, StartError};
use pullpass::state::map_store::{MapFile, MapStore};
use pullpass_core::admission::{Endpoint, Mode};
use pullpass_core::map::{Options, SourceFile};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything here takes; only a test that hangs meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const MAP: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - name: corp
    match: [registry.corp.example]
    pullSecrets: [corp-pull]
unknownRegistries: warn
";

/// A review that any map answers with 200: a pod of one public image.
pub(crate) fn review(uid: &str) -> String {
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "team-a",
            "operation": "CREATE",
            "userInfo": {"username": "jane"},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "web", "namespace": "team-a"},
                "spec": {"containers": [{"name": "web", "image": "quay.io/team/web:1"}]},
            },
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
    .to_string()
}

/// A request as it goes over the wire.
pub(crate) fn post(endpoint: Endpoint, body: &str) -> String {
    format!(
        "POST /{}?timeout=10s HTTP/1.1\r\nhost: pullpass\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        endpoint.as_str(),
        body.len()
    )
}

pub(crate) fn make_certificates() -> DevelopmentCertificates {
    issuer::development(&["localhost".to_owned()], SystemTime::now()).unwrap()
}

/// Writes a file as a whole: a server that reads it meanwhile sees the old one or the new one.
pub(crate) fn write_whole(path: &Path, content: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// Writes the pair as `tls.crt` and `tls.key`.
pub(crate) fn write_pair(directory: &Path, made: &DevelopmentCertificates) {
    fs::write(directory.join("tls.crt"), &made.certificate).unwrap();
    fs::write(directory.join("tls.key"), &made.key).unwrap();
}

/// A running server; it is told to end, and its directory goes, when this is dropped.
pub(crate) struct Server {
    pub(crate) webhook: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) authority: String,
    pub(crate) directory: TempDir,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<bool>,
}

impl Server {
    /// Starts a server with [`MAP`] and a fresh certificate, after `change` has had
    /// its way with the configuration.
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::try_start(change).await.unwrap()
    }

    /// The same, where it may not start.
    pub(crate) async fn try_start(change: impl FnOnce(&mut Config)) -> Result<Self, StartError> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("map.yaml"), MAP).unwrap();
        let made = make_certificates();
        write_pair(directory.path(), &made);
        let mut config = Config {
            addresses: free_ports(),
            certificate: CertificateSource::Files(PairFiles {
                certificate: directory.path().join("tls.crt"),
                key: directory.path().join("tls.key"),
            }),
            map: MapFile::new(directory.path().join("map.yaml"), Options::default()),
            map_object: None,
            registration: None,
            mode: Mode::Enforce,
            client_authentication: None,
            decision_log: None,
            events: None,
            limits: limits(),
            poll_interval: Duration::from_millis(20),
        };
        change(&mut config);
        let bound = config.bind().await?;
        Ok(Self::serve(bound, made.authority, directory))
    }

    /// Starts a server with [`MAP`] that shows this certificate and has these background
    /// tasks and no others.
    pub(crate) async fn put_together(
        certificate: Arc<ServedCertificate>,
        tasks: BackgroundTasks,
    ) -> Self {
        let metrics = Arc::new(Metrics::default());
        let maps = Arc::new(MapStore::new(Arc::clone(&metrics)));
        put_map(&maps, MAP);
        let server = http::Server {
            handles: Handles::new(maps, metrics),
            certificate,
            limits: limits(),
        };
        let http = server.bind(free_ports()).await.unwrap();
        let bound = Bound::new(http, tasks, None);
        Self::serve(bound, String::new(), tempfile::tempdir().unwrap())
    }

    fn serve(bound: Bound, authority: String, directory: TempDir) -> Self {
        let (shutdown, told) = oneshot::channel();
        let Addresses { webhook, admin } = bound.addresses().unwrap();
        Self {
            webhook,
            admin,
            authority,
            directory,
            shutdown: Some(shutdown),
            serving: tokio::spawn(bound.serve(async {
                let _ = told.await;
            })),
        }
    }

    pub(crate) async fn connect(&self) -> Client<TlsStream<TcpStream>> {
        let connector = trusting(&[&self.authority]);
        Client::connect(self.webhook, &connector).await.unwrap()
    }

    /// The body of a page of the admin port, and its status.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        let mut client = Client::new(TcpStream::connect(self.admin).await.unwrap());
        client
            .send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .await;
        client.answer().await.unwrap()
    }

    /// The value of a series, written as `/metrics` has it.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").await.body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Waits until `/metrics` has this.
    pub(crate) async fn metric_becomes(&self, series: &str, value: f64) {
        let mut seen = None;
        for _ in 0..PATIENCE.as_millis() / 20 {
            seen = self.metric(series).await;
            if seen.is_some_and(|seen| (seen - value).abs() < f64::EPSILON) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{series} is {seen:?} and never became {value}");
    }

    /// Tells the server to end.
    pub(crate) fn begin_shutdown(&mut self) {
        let _ = self.shutdown.take().map(|shutdown| shutdown.send(()));
    }

    /// Waits for the end; whether every request got its answer.
    pub(crate) async fn ended(self) -> bool {
        in_time(self.serving).await.unwrap()
    }
}

fn free_ports() -> Addresses {
    Addresses {
        webhook: ([127, 0, 0, 1], 0).into(),
        admin: ([127, 0, 0, 1], 0).into(),
    }
}

fn limits() -> Limits {
    Limits {
        shutdown_delay: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// Puts this map in force.
pub(crate) fn put_map(maps: &MapStore, text: &str) {
    let file = MapFile::new(PathBuf::from("map.yaml"), Options::default());
    let source = SourceFile {
        name: "map.yaml".to_owned(),
        text: text.to_owned(),
    };
    maps.replace(file.compile(&[source]), Timestamp::now());
}

/// Fails the test that hangs.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("hangs")
}

/// A client that trusts these authorities and offers what Go offers.
pub(crate) fn trusting(authorities: &[&str]) -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(authorities, &[b"http/1.1"])))
}

pub(crate) fn client_config(authorities: &[&str], protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
            .unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// An answer, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// One connection.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    received: Vec<u8>,
}

impl Client<TlsStream<TcpStream>> {
    pub(crate) async fn connect(
        address: SocketAddr,
        connector: &TlsConnector,
    ) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        Ok(Self::new(connector.connect(name, tcp).await?))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        in_time(self.stream.write_all(text.as_bytes()))
            .await
            .unwrap();
        in_time(self.stream.flush()).await.unwrap();
    }

    /// The next answer; `None` when the server closes instead.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = self.whole_answer() {
                self.received.drain(..length);
                return Some(answer);
            }
            if in_time(self.stream.read_buf(&mut self.received))
                .await
                .unwrap_or(0)
                == 0
            {
                assert!(self.received.is_empty(), "half an answer");
                return None;
            }
        }
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await.expect("no answer")
    }

    /// Waits until the server closes, and asserts that it says nothing before that.
    pub(crate) async fn is_closed_in_silence(&mut self) {
        assert!(self.answer().await.is_none());
    }

    fn whole_answer(&self) -> Option<(Answer, usize)> {
        let end = self
            .received
            .windows(4)
            .position(|four| four == b"\r\n\r\n")?
            + 4;
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .expect("no length")
            .parse::<usize>()
            .unwrap();
        let body = self.received.get(end..end + length)?;
        answer.body = String::from_utf8(body.to_vec()).unwrap();
        Some((answer, end + length))
    }
}
