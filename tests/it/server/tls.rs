//! TLS as a client meets it.

use super::support::{
    Client, Server, client_config, in_time, make_certificates, post, review, trusting, write_pair,
    write_whole,
};
use base64::Engine as _;
use jiff::Timestamp;
use pullpass::certs::issuer::{self, DevelopmentCertificates};
use pullpass::certs::pair::{Pair, PairError, PairFiles};
use pullpass::certs::served::ServedCertificate;
use pullpass::serve::CertificateSource;
use pullpass::serve::background_tasks::BackgroundTasks;
use pullpass_core::admission::Endpoint;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

async fn negotiated(server: &Server, protocols: &[&[u8]]) -> std::io::Result<Option<Vec<u8>>> {
    let config = client_config(&[&server.authority], protocols);
    let mut client = Client::connect(server.webhook, &TlsConnector::from(Arc::new(config))).await?;
    let answer = client.ask(&post(Endpoint::Mutate, &review("u"))).await;
    assert_eq!(answer.status, 200);
    Ok(client
        .stream
        .get_ref()
        .1
        .alpn_protocol()
        .map(<[u8]>::to_vec))
}

#[tokio::test]
async fn http_1_1_is_the_only_protocol() {
    let server = Server::start(|_| {}).await;
    let http = Some(b"http/1.1".to_vec());
    assert_eq!(
        negotiated(&server, &[b"h2", b"http/1.1"]).await.unwrap(),
        http
    );
    assert_eq!(negotiated(&server, &[]).await.unwrap(), None);
    assert!(negotiated(&server, &[b"h2"]).await.is_err());
    server
        .metric_becomes("pullpass_handshake_failures_total{reason=\"broken\"}", 1.0)
        .await;
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let server = Server::start(|_| {}).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = client_config(&[&server.authority], &[b"http/1.1"]);
        let provider = Arc::clone(config.crypto_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(&server.authority)),
            Arc::clone(&provider),
        );
        config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap())
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let mut client = Client::connect(server.webhook, &connector).await.unwrap();
        assert_eq!(
            client
                .ask(&post(Endpoint::Mutate, &review("u")))
                .await
                .status,
            200
        );
        assert_eq!(
            client.stream.get_ref().1.protocol_version(),
            Some(version.version)
        );
    }
}

fn roots(authority: &str) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    let der = rustls::pki_types::CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
    roots.add(der).unwrap();
    roots
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_is_counted() {
    let server = Server::start(|_| {}).await;
    let stranger = make_certificates();
    let connector = trusting(&[&stranger.authority]);
    assert!(Client::connect(server.webhook, &connector).await.is_err());
    server
        .metric_becomes("pullpass_handshake_failures_total{reason=\"refused\"}", 1.0)
        .await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let server = Server::start(|config| {
        config.limits.handshake_timeout = Duration::from_millis(50);
    })
    .await;
    let mut silent = Client::new(TcpStream::connect(server.webhook).await.unwrap());
    silent.is_closed_in_silence().await;
    assert_eq!(
        server
            .metric("pullpass_handshake_failures_total{reason=\"timeout\"}")
            .await,
        Some(1.0)
    );
}

/// Counts how often something arrives, below TLS.
struct Counting {
    tcp: TcpStream,
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.reads.fetch_add(1, SeqCst);
        }
        result
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_each_answer_is_one_segment() {
    let server = Server::start(|_| {}).await;
    let reads = Arc::new(AtomicUsize::new(0));
    let tcp = Counting {
        tcp: TcpStream::connect(server.webhook).await.unwrap(),
        reads: Arc::clone(&reads),
    };
    let name = "localhost".try_into().unwrap();
    let stream = trusting(&[&server.authority])
        .connect(name, tcp)
        .await
        .unwrap();
    let mut client = Client::new(stream);
    // Answered once so that nothing of the handshake is left to come.
    client.ask(&post(Endpoint::Mutate, &review("0"))).await;
    let before = reads.load(SeqCst);
    for uid in 0..20 {
        let answer = client
            .ask(&post(Endpoint::Validate, &review(&format!("uid-{uid}"))))
            .await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.body.contains(&format!("uid-{uid}\"")),
            "{}",
            answer.body
        );
    }
    assert_eq!(reads.load(SeqCst) - before, 20);
    assert_eq!(
        server
            .metric("pullpass_connections_total{port=\"webhook\"}")
            .await,
        Some(1.0)
    );
}

/// Puts a version in place as the kubelet does: a directory of its own, a link to
/// it that is swapped by a rename, and the files as links through that link.
fn publish(volume: &Path, version: &str, made: &DevelopmentCertificates) {
    let directory = volume.join(format!("..{version}"));
    fs::create_dir(&directory).unwrap();
    write_pair(&directory, made);
    symlink(format!("..{version}"), volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        // There from the second version on.
        let _ = symlink(format!("..data/{file}"), volume.join(file));
    }
}

/// Clients that connect anew for each request, for as long as they are wanted.
struct Crowd {
    connected: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn start(address: SocketAddr, connector: &TlsConnector) -> Self {
        let (connected, enough) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let client = |_| {
            let (connector, connected) = (connector.clone(), Arc::clone(&connected));
            let enough = Arc::clone(&enough);
            tokio::spawn(async move {
                while !enough.load(SeqCst) {
                    let client = Client::connect(address, &connector).await;
                    let request = post(Endpoint::Mutate, &review("u"));
                    assert_eq!(client.expect("handshake").ask(&request).await.status, 200);
                    connected.fetch_add(1, SeqCst);
                }
            })
        };
        let clients = (0..2).map(client).collect();
        Self {
            connected,
            enough,
            clients,
        }
    }

    async fn connects_five_times_more(&self) {
        let enough = self.connected.load(SeqCst) + 5;
        while self.connected.load(SeqCst) < enough {
            tokio::task::yield_now().await;
        }
    }

    /// Fails when one of them failed.
    async fn end(self) {
        self.enough.store(true, SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_the_certificate_changes() {
    let versions: Vec<_> = (0..4).map(|_| make_certificates()).collect();
    let volume = tempfile::tempdir().unwrap();
    publish(volume.path(), "v0", &versions[0]);
    let server = Server::start(|config| {
        config.certificate = CertificateSource::Files(PairFiles {
            certificate: volume.path().join("tls.crt"),
            key: volume.path().join("tls.key"),
        });
    })
    .await;
    let authorities: Vec<_> = versions
        .iter()
        .map(|made| made.authority.as_str())
        .collect();
    let connector = trusting(&authorities);
    let crowd = Crowd::start(server.webhook, &connector);
    // A connection from before goes on as it is.
    let mut old = Client::connect(server.webhook, &connector).await.unwrap();
    for (number, made) in versions.iter().enumerate().skip(1) {
        publish(volume.path(), &format!("v{number}"), made);
        let newest = trusting(&[&made.authority]);
        in_time(async {
            while Client::connect(server.webhook, &newest).await.is_err() {
                tokio::task::yield_now().await;
            }
            crowd.connects_five_times_more().await;
        })
        .await;
    }
    crowd.end().await;
    let answer = old.ask(&post(Endpoint::Mutate, &review("u"))).await;
    assert_eq!(answer.status, 200);
    let loads = |result| format!("pullpass_certificate_loads_total{{result=\"{result}\"}}");
    assert_eq!(server.metric(&loads("ok")).await, Some(4.0));
    assert_eq!(server.metric(&loads("failed")).await, Some(0.0));
}

#[tokio::test]
async fn a_bad_pair_is_refused_and_the_last_good_one_kept() {
    let server = Server::start(|_| {}).await;
    let directory = server.directory.path().to_owned();
    let failed = "pullpass_certificate_loads_total{result=\"failed\"}";
    let other = make_certificates();
    let mut failures = 0.0;
    let own_key = fs::read(directory.join("tls.key")).unwrap();
    let bad: [(&str, &[u8]); 5] = [
        // The certificate of another pair: written one after the other, this is how
        // every change begins.
        ("tls.crt", other.certificate.as_bytes()),
        ("tls.crt", b"rubbish"),
        ("tls.crt", b""),
        (
            "tls.key",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ),
        ("tls.key", &own_key[..40]),
    ];
    for (file, content) in bad {
        write_whole(&directory.join(file), content);
        failures += 1.0;
        server.metric_becomes(failed, failures).await;
        assert_eq!(
            server
                .connect()
                .await
                .ask(&post(Endpoint::Mutate, &review("u")))
                .await
                .status,
            200
        );
        assert_eq!(
            server
                .metric("pullpass_certificate_last_load_successful")
                .await,
            Some(0.0)
        );
    }
    fs::remove_file(directory.join("tls.crt")).unwrap();
    server.metric_becomes(failed, failures + 1.0).await;
    assert_eq!(server.admin("/readyz").await.status, 200);

    fs::write(directory.join("tls.crt"), &other.certificate).unwrap();
    fs::write(directory.join("tls.key"), &other.key).unwrap();
    server
        .metric_becomes("pullpass_certificate_last_load_successful", 1.0)
        .await;
    assert!(
        Client::connect(server.webhook, &trusting(&[&other.authority]))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn rubbish_on_the_tls_port_harms_nobody() {
    let server = Server::start(|_| {}).await;
    let rubbish: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 100],
        &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
    ];
    for bytes in rubbish {
        let mut tcp = TcpStream::connect(server.webhook).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        drop(tcp);
    }
    server
        .metric_becomes("pullpass_handshake_failures_total{reason=\"broken\"}", 3.0)
        .await;
    assert_eq!(
        server
            .connect()
            .await
            .ask(&post(Endpoint::Mutate, &review("u")))
            .await
            .status,
        200
    );
}

fn pair_of(made: &DevelopmentCertificates) -> Result<Pair, PairError> {
    Pair::from_pem(made.certificate.as_bytes(), made.key.as_bytes())
}

fn expired_pair() -> DevelopmentCertificates {
    let two_years_ago = SystemTime::now() - Duration::from_hours(2 * 366 * 24);
    issuer::development(&["localhost".to_owned()], two_years_ago).unwrap()
}

#[tokio::test]
async fn a_pair_that_has_expired_does_not_replace_one_that_has_not() {
    let server = Server::start(|_| {}).await;
    write_pair(server.directory.path(), &expired_pair());
    let failed = "pullpass_certificate_loads_total{result=\"failed\"}";
    in_time(async {
        while server.metric(failed).await < Some(1.0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(server.admin("/readyz").await.status, 200);
    let answer = server
        .connect()
        .await
        .ask(&post(Endpoint::Mutate, &review("u")))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_certificate_that_comes_later_is_waited_for() {
    let made = make_certificates();
    let pair = pair_of(&made).unwrap();
    let (bring, brought) = tokio::sync::oneshot::channel();
    let certificate = Arc::new(ServedCertificate::awaited(Arc::default()));
    let shown = Arc::clone(&certificate);
    let mut tasks = BackgroundTasks::default();
    tasks.start_essential("certificate rotator", async move {
        assert!(shown.renewal().fails("the Secret is far away"));
        brought.await.unwrap();
        assert!(shown.renewal().succeeds());
        shown.replace(Ok(pair), Timestamp::now());
        std::future::pending::<()>().await;
    });
    let server = Server::put_together(certificate, tasks).await;
    let trusting = trusting(&[&made.authority]);
    assert_eq!(server.admin("/livez").await.status, 200);
    let ready = server.admin("/readyz").await;
    assert_eq!(ready.status, 503);
    let words = "[-]certificate failed: none yet; the Secret is far away";
    assert!(ready.body.contains(words), "{}", ready.body);
    assert!(Client::connect(server.webhook, &trusting).await.is_err());

    bring.send(()).unwrap();
    while server.admin("/readyz").await.status != 200 {}
    let mut client = Client::connect(server.webhook, &trusting).await.unwrap();
    let request = post(Endpoint::Validate, &review("u"));
    assert_eq!(client.ask(&request).await.status, 200);
}

#[tokio::test]
async fn without_its_rotator_a_server_ends_in_order() {
    for panics in [false, true] {
        let certificate = Arc::new(ServedCertificate::awaited(Arc::default()));
        let mut tasks = BackgroundTasks::default();
        tasks.start_essential("certificate rotator", async move {
            assert!(!panics, "the test wants this panic");
        });
        let server = Server::put_together(certificate, tasks).await;
        assert!(in_time(server.ended()).await);
    }
}

#[tokio::test]
async fn the_rotator_ends_with_the_signal_and_other_tasks_with_the_last_answer() {
    /// Tells when the task that holds it has ended.
    struct Tells(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.take().map(|ended| ended.send(()));
        }
    }
    let task = || {
        let (ended, end) = tokio::sync::oneshot::channel();
        let tells = Tells(Some(ended));
        let run = async move {
            let _tells = tells;
            std::future::pending::<()>().await;
        };
        (run, end)
    };
    let ((rotator, rotator_ended), (other, mut other_ended)) = (task(), task());
    let mut tasks = BackgroundTasks::default();
    tasks.start_essential("certificate rotator", rotator);
    tasks.start("other", other);
    let pair = pair_of(&make_certificates()).unwrap();
    let certificate = Arc::new(ServedCertificate::new(pair, Arc::default()));
    let mut server = Server::put_together(certificate, tasks).await;
    assert_eq!(server.admin("/readyz").await.status, 200);
    server.begin_shutdown();
    in_time(rotator_ended).await.unwrap();
    // The time after the signal, in which requests are still answered, has only begun.
    assert!(other_ended.try_recv().is_err());
    assert!(in_time(server.ended()).await);
    in_time(other_ended).await.unwrap();
}

#[tokio::test]
async fn a_pair_that_has_expired_at_the_start_is_not_ready_and_can_be_renewed() {
    let server = Server::start(|config| {
        let expired = Box::new(pair_of(&expired_pair()).unwrap());
        config.certificate = CertificateSource::Memory(expired);
    })
    .await;
    let words = server.admin("/readyz").await;
    assert_eq!(words.status, 503);
    assert!(
        words.body.contains("[-]certificate failed: expired "),
        "{}",
        words.body
    );

    let certificate = ServedCertificate::new(pair_of(&expired_pair()).unwrap(), Arc::default());
    certificate.replace(pair_of(&make_certificates()), Timestamp::now());
    assert!(certificate.not_after() > Some(Timestamp::now()));
}

#[test]
fn chains_are_taken_when_they_start_with_the_servers_own_certificate() {
    let mut made = make_certificates();
    let own = made.certificate.clone();
    made.certificate = format!("{own}{}", made.authority);
    assert!(pair_of(&made).is_ok());
    made.certificate = format!("{}{own}", made.authority);
    assert_eq!(pair_of(&made).unwrap_err(), PairError::Mismatch);
}

#[test]
fn keys_are_taken_as_sec1_too() {
    let mut made = make_certificates();
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
    // RFC 5915: SEQUENCE { INTEGER 1, OCTET STRING of 32 bytes, ... }, at the end of
    // PKCS#8 after the algorithm.
    let der = pkcs8.secret_pkcs8_der();
    let version = der
        .windows(5)
        .position(|bytes| bytes == [2, 1, 1, 4, 32])
        .unwrap();
    let sec1 = &der[version - 2..];
    let text = base64::engine::general_purpose::STANDARD.encode(sec1);
    made.key = format!("-----BEGIN EC PRIVATE KEY-----\n{text}\n-----END EC PRIVATE KEY-----\n");
    assert!(pair_of(&made).is_ok());
}

#[test]
fn what_is_wrong_with_a_pair_is_said_and_never_shows_the_key() {
    let good = make_certificates();
    let with = |certificate: &str, key: &str| {
        Pair::from_pem(certificate.as_bytes(), key.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let encrypted = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (words, expected) in [
        (with("", &good.key), "holds no certificate"),
        (with(&good.key, &good.key), "holds no certificate"),
        (with(&good.certificate, ""), "holds no private key"),
        (with(&good.certificate, &encrypted), "not encrypted"),
        (
            with(&good.certificate, &make_certificates().key),
            "does not belong",
        ),
    ] {
        assert!(words.contains(expected), "{words}");
        let secret = good.key.lines().nth(1).unwrap();
        assert!(!words.contains(&secret[..20]), "{words}");
    }
    assert!(!format!("{good:?}").contains("PRIVATE"));
    assert!(!format!("{:?}", pair_of(&good).unwrap()).contains("PRIVATE"));
}
