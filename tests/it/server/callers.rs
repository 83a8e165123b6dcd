//! Who is answered: client certificates as a caller meets them, and what a peer without one
//! can cause. The API server's own certificate is in `tests/apiserver/callers.rs`.

use super::support::{Answer, Client, PATIENCE, Server, in_time, make_certificates, post, review};
use pullpass::audit::decision_log::Destination;
use pullpass::certs::client_ca::ClientCaFile;
use pullpass::serve::{ClientAuthentication, Config, StartError};
use pullpass_core::admission::Endpoint;
use pullpass_core::admission::record::Recording;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const REFUSED: &str = "pullpass_callers_refused_total";
const HANDSHAKES: &str = r#"pullpass_handshake_failures_total{reason="client_certificate"}"#;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client certificate and its key.
struct Holder(CertificateDer<'static>, PrivatePkcs8KeyDer<'static>);

impl Holder {
    /// Of this common name, after `change` has had its way.
    fn new(issuer: &Authority, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        Self(certificate.der().clone(), key.serialize_der().into())
    }

    fn named(issuer: &Authority, name: &str) -> Self {
        Self::new(issuer, name, |_| {})
    }

    fn connector(&self, server: &Server) -> TlsConnector {
        self.speaking(server, rustls::ALL_VERSIONS)
    }

    fn speaking(
        &self,
        server: &Server,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(server.authority.as_bytes());
        roots.add(authority.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from(self.1.clone_key());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.0.clone()], key)
            .unwrap();
        TlsConnector::from(Arc::new(config))
    }

    /// What the caller gets for an ordinary review; an error if the handshake fails.
    async fn asks(&self, server: &Server) -> std::io::Result<Answer> {
        let mut client = Client::connect(server.webhook, &self.connector(server)).await?;
        let request = post(Endpoint::Validate, &review("u"));
        client.stream.write_all(request.as_bytes()).await?;
        client.stream.flush().await?;
        // With TLS 1.3 a client learns that its certificate was refused when it reads.
        client
            .answer()
            .await
            .ok_or_else(|| std::io::Error::other("closed"))
    }
}

fn only(config: &mut Config, file: &Path, names: &[&str]) {
    config.client_authentication = Some(ClientAuthentication {
        ca: ClientCaFile(file.to_owned()),
        names: names.iter().map(|&name| name.to_owned()).collect(),
    });
}

/// A folder with `ca.crt`.
fn folder_of(authorities: &[&Authority]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    write(&file, authorities);
    (folder, file)
}

fn write(file: &Path, authorities: &[&Authority]) {
    let pem: String = authorities
        .iter()
        .map(|authority| authority.pem())
        .collect();
    let new = file.with_extension("new");
    fs::write(&new, pem).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn a_caller_with_a_certificate_of_an_allowed_name_is_answered() {
    let ca = authority("cluster");
    let (_folder, file) = folder_of(&[&ca]);
    let names = [
        "apiserver",
        "api.example",
        "spiffe://cluster/api",
        "api@a.example",
    ];
    let server = Server::start(|config| only(config, &file, &names)).await;
    let alternative = |san: fn(rcgen::string::Ia5String) -> SanType, name: &str| {
        let san = san(name.try_into().unwrap());
        Holder::new(&ca, "no name", |params| {
            params.subject_alt_names = vec![san];
        })
    };
    for holder in [
        Holder::named(&ca, names[0]),
        alternative(SanType::DnsName, names[1]),
        alternative(SanType::URI, names[2]),
        alternative(SanType::Rfc822Name, names[3]),
    ] {
        assert_eq!(holder.asks(&server).await.unwrap().status, 200);
    }
    let page = server.admin("/readyz?verbose").await.body;
    let line = page.lines().find(|line| line.contains("callers")).unwrap();
    assert!(line.starts_with("[+]callers ok: authenticated by client certificate (apiserver, "));
    assert!(line.contains("; the last CA expires "), "{line}");
    for (series, value) in [
        ("pullpass_callers_authenticated", 1.0),
        (r#"pullpass_client_ca_loads_total{result="ok"}"#, 1.0),
        (HANDSHAKES, 0.0),
    ] {
        assert_eq!(server.metric(series).await, Some(value), "{series}");
    }
}

/// Sends a request whose body never comes, and whose answer must come all the same.
async fn is_refused_unread(mut client: Client<TlsStream<TcpStream>>, path: &str) -> Answer {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: 1000000\r\n\r\n"
    );
    let answer = client.ask(&request).await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (401, Some("close"))
    );
    assert_eq!(answer.body.lines().count(), 1, "{}", answer.body);
    // Nothing of the map, of its Secrets or of who may call.
    for word in ["corp", "apiserver"] {
        assert!(!answer.body.contains(word), "{}", answer.body);
    }
    answer
}

#[tokio::test]
async fn strangers_get_401_before_their_body_is_read_and_cause_nothing() {
    let ca = authority("cluster");
    let (folder, file) = folder_of(&[&ca]);
    let records = folder.path().join("decisions.jsonl");
    let server = Server::start(|config| {
        only(config, &file, &["apiserver"]);
        config.decision_log = Some((Destination::File(records.clone()), Recording::All));
    })
    .await;
    let other = Holder::named(&ca, "kubelet");
    let close = Holder::new(&ca, "apiserver.example", |params| {
        // An address and the name of the issuer are no names of a caller.
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    });
    for path in ["/mutate", "/validate", "/validate-map", "/elsewhere"] {
        let answer = is_refused_unread(server.connect().await, path).await;
        assert!(
            answer.body.starts_with("no client certificate"),
            "{}",
            answer.body
        );
        for holder in [&other, &close] {
            let connector = holder.connector(&server);
            let client = Client::connect(server.webhook, &connector).await.unwrap();
            let answer = is_refused_unread(client, path).await;
            assert!(
                answer.body.starts_with("the name of the client"),
                "{}",
                answer.body
            );
        }
    }
    assert_eq!(
        server
            .metric(&format!(r#"{REFUSED}{{reason="no_certificate"}}"#))
            .await,
        Some(4.0)
    );
    assert_eq!(
        server
            .metric(&format!(r#"{REFUSED}{{reason="other_name"}}"#))
            .await,
        Some(8.0)
    );
    // A whole review has no effect either.
    let mut stranger = server.connect().await;
    let forged = stranger
        .ask(&post(Endpoint::Validate, &review("forged")))
        .await;
    assert_eq!(forged.status, 401);
    let honest = Holder::named(&ca, "apiserver").asks(&server).await.unwrap();
    assert_eq!(honest.status, 200);
    assert_eq!(lines(&records, 1).await, 1);
    let reviews = r#"pullpass_reviews_total{route="validate",outcome="untouched"}"#;
    assert_eq!(server.metric(reviews).await, Some(1.0));
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_fails_in_the_handshake() {
    let ca = authority("cluster");
    let (_folder, file) = folder_of(&[&ca]);
    let server = Server::start(|config| only(config, &file, &["apiserver"])).await;
    let long_ago = SystemTime::now() - Duration::from_hours(48);
    let cases = [
        // Of a CA that only has the same name.
        Holder::named(&authority("cluster"), "apiserver"),
        Holder::new(&ca, "apiserver", |params| {
            params.not_before = long_ago.into();
            params.not_after = (long_ago + Duration::from_hours(24)).into();
        }),
        Holder::new(&ca, "apiserver", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
    ];
    for (number, holder) in cases.iter().enumerate() {
        assert!(holder.asks(&server).await.is_err(), "{number}");
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        server.metric_becomes(HANDSHAKES, (number + 1) as f64).await;
    }
    let series = format!(r#"{REFUSED}{{reason="other_name"}}"#);
    assert_eq!(server.metric(&series).await, Some(0.0));
}

#[tokio::test]
async fn tls_1_2_is_no_way_around() {
    let ca = authority("cluster");
    let (_folder, file) = folder_of(&[&ca]);
    let server = Server::start(|config| only(config, &file, &["apiserver"])).await;
    let old = [&rustls::version::TLS12];
    let connect = async |holder: Holder| {
        Client::connect(server.webhook, &holder.speaking(&server, &old)).await
    };
    let mut allowed = connect(Holder::named(&ca, "apiserver")).await.unwrap();
    let answer = allowed.ask(&post(Endpoint::Validate, &review("u"))).await;
    assert_eq!(answer.status, 200);
    let other = connect(Holder::named(&ca, "kubelet")).await.unwrap();
    is_refused_unread(other, "/validate").await;
    let foreign = Holder::named(&authority("cluster"), "apiserver");
    assert!(connect(foreign).await.is_err());
}

#[tokio::test]
async fn cas_change_while_serving_and_a_bad_file_never_replaces_good_ones() {
    let (old, new) = (authority("cluster"), authority("cluster"));
    let (_folder, file) = folder_of(&[&old]);
    let server = Server::start(|config| only(config, &file, &["apiserver"])).await;
    let (of_old, of_new) = (
        Holder::named(&old, "apiserver"),
        Holder::named(&new, "apiserver"),
    );
    let status = async |holder: &Holder| holder.asks(&server).await.map(|answer| answer.status);
    assert!(status(&of_new).await.is_err());
    let loads = |result: &str| format!(r#"pullpass_client_ca_loads_total{{result="{result}"}}"#);

    write(&file, &[&old, &new]);
    server.metric_becomes(&loads("ok"), 2.0).await;
    for holder in [&of_old, &of_new] {
        assert_eq!(status(holder).await.unwrap(), 200);
    }

    let leaf = make_certificates().certificate;
    let halved = format!("{}{}", old.pem(), &new.pem()[..200]);
    for (number, bad) in ["", "no PEM", &leaf, &halved].iter().enumerate() {
        fs::write(&file, bad).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        server
            .metric_becomes(&loads("failed"), (number + 1) as f64)
            .await;
        for holder in [&of_old, &of_new] {
            assert_eq!(status(holder).await.unwrap(), 200, "{bad}");
        }
    }
    fs::remove_file(&file).unwrap();
    server.metric_becomes(&loads("failed"), 5.0).await;
    assert_eq!(status(&of_new).await.unwrap(), 200);
    let page = server.admin("/readyz?verbose").await;
    assert!(
        page.status == 200 && page.body.contains("a newer version was refused"),
        "{}",
        page.body
    );
    assert_eq!(
        server
            .metric("pullpass_client_ca_last_load_successful")
            .await,
        Some(0.0)
    );

    write(&file, &[&new]);
    server.metric_becomes(&loads("ok"), 3.0).await;
    assert!(status(&of_old).await.is_err());
    assert_eq!(status(&of_new).await.unwrap(), 200);
}

#[tokio::test]
async fn a_server_does_not_start_without_usable_cas() {
    for (content, words) in [
        (None, "cannot read"),
        (Some(String::new()), "holds no certificate"),
        (Some("-----BEGIN".to_owned()), "holds no certificate"),
        (Some(make_certificates().certificate), "is not of a CA"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let error = Server::try_start(|config| only(config, &file, &["a"])).await;
        let Err(error @ StartError::ClientCa(_)) = error else {
            panic!("{words}: started");
        };
        let said = error.to_string();
        assert!(said.contains(words) && said.contains("ca.crt"), "{said}");
    }
}

/// Waits until the file has so many lines, and returns how many it has then.
async fn lines(file: &Path, least: usize) -> usize {
    let mut count = 0;
    for _ in 0..PATIENCE.as_millis() / 20 {
        count = fs::read_to_string(file).unwrap_or_default().lines().count();
        if count >= least {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    count
}

/// A client on another address of loopback.
async fn connect_from(server: &Server, address: [u8; 4]) -> Client<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let tcp = socket.connect(server.webhook).await.unwrap();
    let connector = super::support::trusting(&[&server.authority]);
    let name = "localhost".try_into().unwrap();
    Client::new(in_time(connector.connect(name, tcp)).await.unwrap())
}

/// A review whose record is as long as those of twenty ordinary ones.
fn large_review() -> String {
    let mut review: serde_json::Value = serde_json::from_str(&review("forged")).unwrap();
    let image = |number| format!("unknown.example/{}/{number}:1", "a".repeat(200));
    review["request"]["object"]["spec"]["containers"] = (0..20)
        .map(|number| serde_json::json!({"name": format!("c{number}"), "image": image(number)}))
        .collect();
    review.to_string()
}

#[tokio::test]
async fn a_peer_that_forges_reviews_is_answered_but_does_not_use_up_the_records_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("decisions.jsonl");
    let server = Server::start(|config| {
        config.decision_log = Some((Destination::File(records.clone()), Recording::All));
    })
    .await;
    let mut forger = connect_from(&server, [127, 0, 0, 2]).await;
    let mut honest = connect_from(&server, [127, 0, 0, 3]).await;
    let limited = r#"pullpass_limited_effects_total{effect="decision_record"}"#;
    let forgery = large_review();
    let mut sent = 0;
    // Until the forger's share of some window is used up.
    while server.metric(limited).await == Some(0.0) {
        for _ in 0..100 {
            let answer = forger.ask(&post(Endpoint::Validate, &forgery)).await;
            assert_eq!(answer.status, 200);
            sent += 1;
        }
        assert!(sent < 20_000, "a record for each of {sent} forged reviews");
    }
    for number in 0..20 {
        let uid = format!("honest-{number}");
        let answer = honest.ask(&post(Endpoint::Validate, &review(&uid))).await;
        assert_eq!(answer.status, 200);
    }
    let text = in_time(async {
        loop {
            let text = fs::read_to_string(&records).unwrap_or_default();
            if text.contains("honest-19") {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(
        text.lines().filter(|line| line.contains("honest-")).count(),
        20
    );
    let lost = server.metric(limited).await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let written = text.lines().count() as f64;
    assert!(
        lost > 0.0 && written + lost >= f64::from(sent),
        "{written} + {lost} of {sent}"
    );
    let page = server.admin("/readyz?verbose").await.body;
    assert!(page.contains("[+]callers ok: not authenticated"), "{page}");
}
