//! The API server as the only caller: with the client certificate that its
//! `AdmissionConfiguration` names, as docs/api-server-authentication.md says.

use crate::api::{Namespace, eventually};
use crate::certificate::CallerAuthority;
use crate::control_plane::{CALLER, ControlPlane, control_plane};
use crate::objects::secrets;
use crate::pullpass::Scene;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const MAP: &str = "\
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries:
  - name: corp
    match: registry.corp.example
    pullSecrets: [corp-pull]
publicRegistries: [docker.io]
unknownRegistries: deny
";

/// A file with the certificates of these authorities, replaced in one step.
fn write(file: &Path, authorities: &[&CallerAuthority]) {
    let pem: String = authorities
        .iter()
        .map(|authority| authority.pem())
        .collect();
    let new = file.with_extension("new");
    fs::write(&new, pem).unwrap();
    fs::rename(new, file).unwrap();
}

/// The file of this test, with both authorities that the API server's certificate may be of.
fn both(plane: &ControlPlane, test: &str) -> PathBuf {
    let file = plane.folder.join(format!("{test}-ca.crt"));
    write(&file, &[&plane.callers[0], &plane.callers[1]]);
    file
}

async fn scene(file: &Path, name: &str) -> Scene {
    let flags = [
        format!("--client-ca={}", file.display()),
        format!("--client-name={name}"),
    ];
    Scene::with_flags(MAP, None, &flags).await.unwrap()
}

fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-"},
        "spec": {"containers": [{"name": "web", "image": image}]},
    })
}

/// Creates a pod (dry run) that must get its pull secret.
async fn is_patched(namespace: &Namespace) {
    let pod = pod("registry.corp.example/shop/web:1");
    let mut answer = namespace.create("pods?dryRun=All", &pod).await;
    // The API server cuts its own connections, and what is on them, when the file of its
    // certificate changes (client-go `transport/cert_rotation.go`). A controller retries, too.
    while answer
        .message()
        .contains("use of closed network connection")
    {
        answer = namespace.create("pods?dryRun=All", &pod).await;
    }
    assert_eq!(secrets(&answer.succeeded()), ["corp-pull"]);
}

/// Posts a review of a pod with an unknown image, as a stranger would forge it, perhaps with a
/// certificate and its key; an error if the handshake fails.
async fn forge(scene: &Scene, identity: Option<&str>) -> std::io::Result<(u16, String)> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(scene.pullpass.ca.as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity.map(str::as_bytes) {
        None => config.with_no_client_auth(),
        Some(pem) => {
            let chain = vec![CertificateDer::from_pem_slice(pem).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let address = scene.pullpass.url.strip_prefix("https://").unwrap();
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, tcp).await?;
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "forged",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod("registry.corp.example/web"),
        },
    })
    .to_string();
    let request = format!(
        "POST /mutate HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // rustls reports a connection that ends without TLS's farewell after all that came.
    let read = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let Some(status) = answer.split(' ').nth(1) else {
        return Err(read
            .err()
            .unwrap_or_else(|| std::io::Error::other("closed")));
    };
    let status = status.parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    Ok((status, body.to_owned()))
}

#[tokio::test]
async fn the_api_server_is_answered_and_strangers_get_401() {
    let Some(plane) = control_plane() else {
        return;
    };
    let scene = scene(&both(plane, "strangers"), CALLER).await;
    is_patched(&scene.namespace).await;
    let unknown = pod("registry.unknown.example/web");
    let denied = scene.namespace.create("pods?dryRun=All", &unknown).await;
    assert_eq!(denied.status, 403, "{}", denied.message());
    assert!(
        denied.message().contains("is not allowed"),
        "{}",
        denied.message()
    );

    let kubelet = plane.callers[0].issue("system:node:one");
    for identity in [None, Some(kubelet.as_str())] {
        let (status, body) = forge(&scene, identity).await.unwrap();
        assert_eq!(status, 401, "{body}");
        assert!(
            !body.contains("corp"),
            "it names a Secret or an entry: {body}"
        );
    }
    let foreign = CallerAuthority::new().issue(CALLER);
    forge(&scene, Some(&foreign)).await.unwrap_err();
    // The twin of the forged one, with the right certificate.
    let (status, body) = forge(&scene, Some(&plane.callers[0].issue(CALLER)))
        .await
        .unwrap();
    assert_eq!(status, 200, "{body}");

    let (_, metrics) = scene.pullpass.admin("/metrics");
    for line in [
        r#"pullpass_callers_refused_total{reason="no_certificate"} 1"#,
        r#"pullpass_callers_refused_total{reason="other_name"} 1"#,
        r#"pullpass_handshake_failures_total{reason="client_certificate"} 1"#,
        "pullpass_callers_authenticated 1",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
}

#[tokio::test]
async fn an_api_server_of_another_name_is_refused_and_whoever_creates_a_pod_reads_it() {
    let Some(plane) = control_plane() else {
        return;
    };
    let scene = scene(&both(plane, "other-name"), "another-api-server").await;
    let answer = scene
        .namespace
        .create("pods?dryRun=All", &pod("registry.corp.example/web"))
        .await;
    assert_eq!(answer.status, 500, "{}", answer.message());
    let words = answer.message();
    // The API server leaves out the text of a 401; docs/api-server-authentication.md says so.
    assert!(
        words.contains("failed calling webhook")
            && words.contains("the server has asked for the client to provide credentials"),
        "{words}"
    );
    let refused = r#"pullpass_callers_refused_total{reason="other_name"} 1"#;
    assert!(scene.pullpass.admin("/metrics").1.contains(refused));
}

#[tokio::test]
async fn cas_and_certificates_of_the_api_server_change_while_pods_are_created() {
    let Some(plane) = control_plane() else {
        return;
    };
    let [old, new] = &plane.callers;
    let file = plane.folder.join("rotation-ca.crt");
    write(&file, &[old]);
    let scene = scene(&file, CALLER).await;
    let enough = Arc::new(AtomicBool::new(false));
    let pods = tokio::spawn({
        let (enough, namespace) = (Arc::clone(&enough), scene.namespace.clone());
        async move {
            while !enough.load(Relaxed) {
                is_patched(&namespace).await;
            }
        }
    });
    let loaded = async |count: usize| {
        let line = format!(r#"pullpass_client_ca_loads_total{{result="ok"}} {count}"#);
        eventually("the new CAs", async || {
            let (_, metrics) = scene.pullpass.admin("/metrics");
            metrics.contains(&line).then_some(())
        })
        .await;
    };
    // First both are trusted, then the API server changes, then the old one goes.
    write(&file, &[old, new]);
    loaded(2).await;
    plane.call_with(new);
    // It has the new one when a pullpass answers it that trusts no other.
    let witness_file = plane.folder.join("rotation-witness-ca.crt");
    write(&witness_file, &[new]);
    let witness = self::scene(&witness_file, CALLER).await;
    eventually("the API server's new certificate", async || {
        let pod = pod("registry.corp.example/web");
        let answer = witness.namespace.create("pods?dryRun=All", &pod).await;
        (answer.status == 201).then_some(())
    })
    .await;
    write(&file, &[new]);
    loaded(3).await;
    // More at a time than there are connections, so that there are new ones.
    let many: Vec<_> = (0..40)
        .map(|_| {
            let namespace = scene.namespace.clone();
            tokio::spawn(async move { is_patched(&namespace).await })
        })
        .collect();
    for one in many {
        one.await.unwrap();
    }
    enough.store(true, Relaxed);
    pods.await.unwrap();
    // The old certificate is worth nothing any more.
    forge(&scene, Some(&old.issue(CALLER))).await.unwrap_err();
}
