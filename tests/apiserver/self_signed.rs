//! Replicas that rotate their own certificate: with the rights that the chart gives them and
//! no others, under the chart's policy for their own account, against the real API server,
//! which calls both.

use crate::api::{Answer, Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, control_plane};
use crate::daemon::{Daemon, Output};
use crate::registration::objects_of_chart;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
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

const SECRET: &str = "pullpass-tls";
const KINDS: [&str; 2] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
];

/// The chart's webhook configurations: kind, path, and what follows in the name.
const CONFIGURATIONS: [(usize, &str, &str); 3] = [
    (0, "mutate", ""),
    (1, "validate", ""),
    (1, "validate-map", "-map"),
];

/// Two replicas, one Secret, and three webhooks: each replica is called through one, and
/// nobody through the third, which is about the map.
pub(crate) struct Scene {
    pub(crate) api: Api,
    /// Pullpass's own, which it never touches.
    pub(crate) namespace: Namespace,
    /// Where pods are made.
    shop: Namespace,
    replicas: Vec<Replica>,
}

struct Replica {
    webhook: SocketAddr,
    admin: SocketAddr,
    daemon: Daemon,
}

impl Scene {
    /// The account with its rights, and its kubeconfig.
    pub(crate) async fn without_replicas(prefix: &str) -> Option<(Self, PathBuf)> {
        let plane = control_plane()?;
        let api = Api::new(plane).await;
        let namespace = api.namespace(prefix).await;
        let shop = api.namespace(&format!("{prefix}-shop")).await;
        let scene = Self {
            api,
            namespace,
            shop,
            replicas: Vec::new(),
        };
        scene.grant().await;
        scene.limit().await;
        let kubeconfig = scene.kubeconfig(plane).await;
        Some((scene, kubeconfig))
    }

    /// Everything but the webhooks, which Helm makes last, too.
    async fn new(prefix: &str, flags: &[&str]) -> Option<Self> {
        let plane = control_plane()?;
        let (mut scene, kubeconfig) = Self::without_replicas(prefix).await?;
        scene.make_secret().await;
        for number in 1..=2 {
            let replica = scene.start(plane, number, &kubeconfig, flags);
            scene.replicas.push(replica);
        }
        Some(scene)
    }

    /// The chart's Role and `ClusterRole`: by name, and nothing else.
    async fn grant(&self) {
        let name = self.name();
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "pullpass"}});
        self.namespace
            .create("serviceaccounts", &account)
            .await
            .succeeded();
        let rbac = "rbac.authorization.k8s.io";
        let verbs = json!(["get", "list", "watch", "patch"]);
        let subject = json!([{"kind": "ServiceAccount", "name": "pullpass", "namespace": self.namespace.name}]);
        let secret = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": verbs}]);
        let hooks = json!([{
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": KINDS,
            "resourceNames": [name, format!("{name}-map")],
            "verbs": verbs,
        }]);
        let inside = format!("namespaces/{}/", self.namespace.name);
        for (at, kind, rules) in [
            (inside.as_str(), "Role", secret),
            ("", "ClusterRole", hooks),
        ] {
            let path =
                |suffix: &str| format!("/apis/{rbac}/v1/{at}{}{suffix}s", kind.to_lowercase());
            let version = format!("{rbac}/v1");
            let role = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "rules": rules});
            let binding = json!({
                "apiVersion": version,
                "kind": format!("{kind}Binding"),
                "metadata": {"name": name},
                "roleRef": {"apiGroup": rbac, "kind": kind, "name": name},
                "subjects": subject,
            });
            for (path, object) in [(path(""), role), (path("binding"), binding)] {
                self.api
                    .send(Method::POST, &path, Some(&object))
                    .await
                    .succeeded();
            }
        }
    }

    /// The chart's policy for pullpass's own account, in force for this account.
    async fn limit(&self) {
        let mut policy = objects_of_chart("kind: ValidatingAdmissionPolicy\n").remove(0);
        let mut binding = objects_of_chart("kind: ValidatingAdmissionPolicyBinding\n").remove(0);
        let name = self.name();
        policy["metadata"] = json!({"name": name});
        let account = policy["spec"]["matchConditions"][0]["expression"].as_str();
        let account = account
            .unwrap()
            .replace(":pullpass:", &format!(":{}:", self.namespace.name));
        policy["spec"]["matchConditions"][0]["expression"] = json!(account);
        binding["metadata"] = json!({"name": name});
        binding["spec"]["policyName"] = json!(name);
        for (kind, object) in [("policies", policy), ("policybindings", binding)] {
            let path = format!("/apis/admissionregistration.k8s.io/v1/validatingadmission{kind}");
            self.api.post(&path, &object).await.succeeded();
        }
    }

    async fn make_secret(&self) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque"});
        self.namespace.create("secrets", &secret).await.succeeded();
    }

    async fn kubeconfig(&self, plane: &ControlPlane) -> PathBuf {
        let ask =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self
            .namespace
            .create("serviceaccounts/pullpass/token", &ask)
            .await
            .succeeded();
        let text = fs::read(&plane.kubeconfig).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config["users"][0]["user"] = json!({"token": answer["status"]["token"]});
        let path = plane.folder.join(format!("kubeconfig-{}", self.name()));
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    fn start(
        &self,
        plane: &ControlPlane,
        number: usize,
        kubeconfig: &std::path::Path,
        flags: &[&str],
    ) -> Replica {
        let folder = plane.folder.join(format!("{}-{number}", self.name()));
        let _ = fs::create_dir(&folder);
        let map = folder.join("registry-map.yaml");
        fs::write(&map, MAP).unwrap();
        let name = self.name();
        let mut arguments = vec![
            format!("KUBECONFIG={}", kubeconfig.display()),
            env!("CARGO_BIN_EXE_pullpass").to_owned(),
            "serve".to_owned(),
            format!("--config={}", map.display()),
            "--listen=127.0.0.1:0".to_owned(),
            "--admin-listen=127.0.0.1:0".to_owned(),
            "--shutdown-delay=0s".to_owned(),
            format!("--namespace={}", self.namespace.name),
            format!("--self-signed-secret={SECRET}"),
            "--webhook-service=pullpass".to_owned(),
            // The API server calls by URL here.
            "--extra-san=127.0.0.1".to_owned(),
            format!("--mutating-webhook-configuration={name}"),
            format!("--validating-webhook-configuration={name}"),
            format!("--validating-webhook-configuration={name}-map"),
        ];
        arguments.extend(flags.iter().map(ToString::to_string));
        // `env` becomes pullpass.
        let program = std::path::Path::new("env");
        let mut daemon = Daemon::start(
            "pullpass",
            &folder,
            None,
            program,
            &arguments,
            &Output::Pipe,
        );
        let mut lines = BufReader::new(daemon.stdout()).lines();
        let mut line = |prefix: &str| {
            let Some(line) = lines.next() else {
                panic!("pullpass did not start\n{}", daemon.tail());
            };
            let line = line.unwrap();
            line.strip_prefix(prefix).unwrap().parse().unwrap()
        };
        Replica {
            webhook: line("webhook: https://"),
            admin: line("admin: http://"),
            daemon,
        }
    }

    /// The name of its Roles and its webhook configurations.
    pub(crate) fn name(&self) -> String {
        format!("pullpass-{}", self.namespace.name)
    }

    /// The webhook configuration as the chart has it, without a `caBundle`.
    fn manifest(&self, at: usize) -> Value {
        let (kind, word, suffix) = CONFIGURATIONS[at];
        let replica = &self.replicas[at % 2];
        let resource = ["pods", "configmaps"][at / 2];
        let kind = ["Mutating", "Validating"][kind];
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{kind}WebhookConfiguration"),
            "metadata": {"name": format!("{}{suffix}", self.name())},
            "webhooks": [{
                "name": format!("{word}.pullpass.dev"),
                "clientConfig": {"url": format!("https://{}/{word}", replica.webhook)},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": [resource], "operations": ["CREATE"], "scope": "Namespaced"}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.shop.name}},
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
                "sideEffects": "NoneOnDryRun",
                "admissionReviewVersions": ["v1"],
            }],
        })
    }

    fn path(&self, at: usize) -> String {
        let (kind, _, suffix) = CONFIGURATIONS[at];
        format!(
            "/apis/admissionregistration.k8s.io/v1/{}/{}{suffix}",
            KINDS[kind],
            self.name()
        )
    }

    /// As Helm 4 does it: server-side apply, by its own field manager.
    async fn helm(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        for at in 0..CONFIGURATIONS.len() {
            let path = format!("{}?fieldManager=helm&force=true", self.path(at));
            let answer = self.api.apply(&path, &self.manifest(at)).await;
            objects.push(answer.succeeded());
        }
        objects
    }

    /// The `caBundle` of all, where all have the same.
    async fn bundle(&self) -> Option<String> {
        let mut bundles = Vec::new();
        for at in 0..CONFIGURATIONS.len() {
            let object = self.api.send(Method::GET, &self.path(at), None).await;
            bundles.push(bundle_of(&object.succeeded())?);
        }
        bundles.dedup();
        (bundles.len() == 1).then(|| bundles.remove(0))
    }

    async fn secret(&self, key: &str) -> String {
        let secret = self.namespace.get(&format!("secrets/{SECRET}")).await;
        let value = secret.succeeded()["data"][key].clone();
        let value = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
        String::from_utf8(value).unwrap()
    }

    /// Waits until the webhooks hold what the Secret says, and that is something.
    async fn agreed(&self) -> String {
        eventually("the same CA everywhere", async || {
            let published = self.bundle().await?;
            let trusted = self.secret("ca.crt").await;
            (!trusted.is_empty() && published == trusted).then_some(published)
        })
        .await
    }

    async fn ready(&self) {
        for replica in &self.replicas {
            eventually("readiness", async || {
                (replica.get("/readyz").await.0 == 200).then_some(())
            })
            .await;
        }
    }

    /// A pod that needs the secret, through both webhooks.
    async fn create_pod(&self) -> Answer {
        let pod = pod("registry.corp.example/shop/web:1");
        self.shop.create("pods?dryRun=All", &pod).await
    }

    async fn pods_are_admitted(&self) {
        eventually("a pod that is admitted", async || {
            let answer = self.create_pod().await;
            // Until the API server knows the webhooks nobody injects.
            let secrets = &answer.body["spec"]["imagePullSecrets"];
            (answer.status == 201 && *secrets == json!([{"name": "corp-pull"}])).then_some(())
        })
        .await;
    }

    /// Each replica is connected to by a client that trusts what is published now, in
    /// either configuration: for a moment they may differ, and both must do.
    async fn handshakes(&self) {
        for at in 0..CONFIGURATIONS.len() {
            let object = self.api.send(Method::GET, &self.path(at), None).await;
            let bundle = bundle_of(&object.succeeded()).expect("a caBundle");
            for replica in &self.replicas {
                if let Err(error) = replica.handshake(&bundle).await {
                    panic!("{error}\n{}", replica.daemon.tail());
                }
            }
        }
    }
}

impl Replica {
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }

    async fn handshake(&self, bundle: &str) -> std::io::Result<()> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(self.webhook).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        connector.connect(name, stream).await.map(drop)
    }
}

fn bundle_of(configuration: &Value) -> Option<String> {
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str()?;
    String::from_utf8(STANDARD.decode(bundle).unwrap()).ok()
}

fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-"},
        "spec": {"containers": [{"name": "web", "image": image}]},
    })
}

#[tokio::test]
async fn replicas_agree_on_one_ca_and_put_it_back_when_it_is_taken_away() {
    let Some(scene) = Scene::new("self-signed", &["--self-signed-settle-time=2s"]).await else {
        return;
    };
    // Ready before there are webhooks: Helm makes them last, and may wait for pods first.
    scene.ready().await;
    scene.helm().await;
    let bundle = scene.agreed().await;
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1);
    scene.pods_are_admitted().await;
    let unknown = pod("registry.unknown.example/web");
    let refused = scene.shop.create("pods?dryRun=All", &unknown).await;
    assert_eq!(refused.status, 403, "{}", refused.message());
    scene.handshakes().await;

    // An upgrade keeps the field that it does not name, and owns everything else.
    for object in scene.helm().await {
        assert_eq!(bundle_of(&object).as_deref(), Some(bundle.as_str()));
        let managers = object["metadata"]["managedFields"].as_array().unwrap();
        let ours = managers
            .iter()
            .find(|manager| manager["manager"] == "pullpass-ca-bundle")
            .unwrap();
        let hook = format!(
            r#"k:{{"name":"{}"}}"#,
            object["webhooks"][0]["name"].as_str().unwrap()
        );
        assert_eq!(
            ours["fieldsV1"],
            json!({"f:webhooks": {hook: {".": {}, "f:name": {}, "f:clientConfig": {"f:caBundle": {}}}}})
        );
    }

    // A trap for chart writers, in docs/certificates.md: the entry stays because we own a
    // field of its, and without the chart's fields it is no webhook.
    let mut renamed = scene.manifest(0);
    renamed["webhooks"][0]["name"] = json!("renamed.pullpass.dev");
    let upgrade = format!("{}?fieldManager=helm&force=true", scene.path(0));
    let refused = scene.api.apply(&upgrade, &renamed).await;
    assert_eq!(refused.status, 422, "{}", refused.message());

    // Edits by hand, by a manager who now owns the field.
    for value in [json!(null), json!(STANDARD.encode("no PEM"))] {
        for at in 0..CONFIGURATIONS.len() {
            let mut object = scene.manifest(at);
            object["webhooks"][0]["clientConfig"]["caBundle"] = value.clone();
            let body = json!({"webhooks": object["webhooks"]});
            let at = scene.path(at);
            let answer = scene.api.send(Method::PATCH, &at, Some(&body)).await;
            assert_ne!(
                bundle_of(&answer.succeeded()).as_deref(),
                Some(bundle.as_str())
            );
        }
        assert_eq!(scene.agreed().await, bundle);
        scene.pods_are_admitted().await;
    }
}

#[tokio::test]
async fn the_account_of_the_replicas_can_change_nothing_of_a_webhook_but_its_bundle() {
    let Some(scene) = Scene::new("own-account", &["--self-signed-settle-time=2s"]).await else {
        return;
    };
    scene.helm().await;
    let account = format!("system:serviceaccount:{}:pullpass", scene.namespace.name);
    let groups = ["system:serviceaccounts", "system:authenticated"];
    let itself = Api::impersonating(control_plane().unwrap(), &account, &groups).await;
    let stolen = async |at: usize, change: &dyn Fn(&mut Value)| {
        let mut hooks = scene.manifest(at)["webhooks"].clone();
        change(&mut hooks[0]);
        let body = json!({"webhooks": hooks});
        let path = format!("{}?dryRun=All", scene.path(at));
        itself.send(Method::PATCH, &path, Some(&body)).await
    };
    let redirect = |hook: &mut Value| hook["clientConfig"]["url"] = json!("https://evil.example");
    eventually("the policy", async || {
        (stolen(0, &redirect).await.status == 422).then_some(())
    })
    .await;
    for at in 0..CONFIGURATIONS.len() {
        let changes: [&dyn Fn(&mut Value); 3] = [
            &redirect,
            &|hook| hook["rules"][0]["resources"] = json!(["secrets"]),
            &|hook| hook["namespaceSelector"] = json!({}),
        ];
        for change in changes {
            let answer = stolen(at, change).await;
            assert_eq!(answer.status, 422, "{}", answer.message());
            let words = "pullpass may change nothing of a webhook but caBundle";
            assert!(answer.message().contains(words), "{}", answer.message());
        }
        // The same request with nothing but another caBundle.
        let bundle = |hook: &mut Value| {
            hook["clientConfig"]["caBundle"] = json!(STANDARD.encode("other"));
        };
        stolen(at, &bundle).await.succeeded();
    }
    // The expressions fit the types of both kinds.
    let path = format!(
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{}",
        scene.name()
    );
    let checked = eventually("the type check of the policy", async || {
        let policy = scene.api.send(Method::GET, &path, None).await.succeeded();
        let status = policy["status"].clone();
        status["typeChecking"].is_object().then_some(status)
    })
    .await;
    assert_eq!(checked["typeChecking"]["expressionWarnings"], Value::Null);
    // And the replicas go on with their work under it.
    scene.agreed().await;
    scene.pods_are_admitted().await;
}

#[tokio::test]
async fn a_bundle_that_is_said_to_be_of_others_is_left_alone() {
    let Some(scene) = Scene::new("others", &["--self-signed-settle-time=2s"]).await else {
        return;
    };
    scene.ready().await;
    scene.helm().await;
    let bundle = scene.agreed().await;

    // What an upgrade to the mode `provided` writes, while replicas of before still run.
    let theirs = STANDARD.encode("the CA of others\n");
    let mut map = scene.manifest(2);
    map["metadata"]["annotations"] = json!({"pullpass.dev/ca-bundle": "provided"});
    map["webhooks"][0]["clientConfig"]["caBundle"] = json!(theirs);
    let path = format!("{}?fieldManager=helm&force=true", scene.path(2));
    scene.api.apply(&path, &map).await.succeeded();
    let bundle_at = async |at: usize| {
        let object = scene.api.send(Method::GET, &scene.path(at), None).await;
        bundle_of(&object.succeeded())
    };
    // Each time that the others are mended it was looked at as well.
    for _ in 0..2 {
        let mut hook = scene.manifest(0)["webhooks"].clone();
        hook[0]["clientConfig"]["caBundle"] = json!(theirs);
        let body = json!({"webhooks": hook});
        let answer = scene
            .api
            .send(Method::PATCH, &scene.path(0), Some(&body))
            .await;
        answer.succeeded();
        eventually("the caBundle is put back", async || {
            (bundle_at(0).await.as_deref() == Some(bundle.as_str())).then_some(())
        })
        .await;
        assert_eq!(bundle_at(2).await.as_deref(), Some("the CA of others\n"));
    }

    // Back to self-signed: ours again.
    scene.helm().await;
    assert_eq!(scene.agreed().await, bundle);
}

#[tokio::test]
async fn a_secret_that_is_emptied_or_deleted_is_made_anew_while_pods_are_created() {
    let Some(scene) = Scene::new("secret-lost", &["--self-signed-settle-time=2s"]).await else {
        return;
    };
    scene.helm().await;
    scene.ready().await;
    let before = scene.agreed().await;
    scene.pods_are_admitted().await;
    let issuer = scene.secret("issuer.crt").await;

    let empty = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque"});
    let path = format!("secrets/{SECRET}");
    scene.namespace.replace(&path, &empty).await.succeeded();
    let began = Instant::now();
    let after = loop {
        scene.handshakes().await;
        scene.create_pod().await.succeeded();
        let now = scene.secret("issuer.crt").await;
        if !now.is_empty() && !scene.secret("tls.crt").await.is_empty() {
            break now;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "never made anew");
    };
    assert_ne!(after, issuer);
    let bundle = scene.agreed().await;
    // The old one stays as long as a leaf of its may be served.
    assert!(bundle.contains(&before) && bundle.contains(&after));

    // Without the Secret they go on as they are; it is never made by us.
    scene.namespace.delete(&path).await.succeeded();
    eventually("a word about it", async || {
        let (status, words) = scene.replicas[0].get("/readyz?verbose").await;
        (status == 200 && words.contains("there is no Secret")).then_some(())
    })
    .await;
    scene.create_pod().await.succeeded();
    assert_eq!(scene.namespace.get(&path).await.status, 404);
    scene.make_secret().await;
    eventually("a third CA", async || {
        let now = scene.secret("issuer.crt").await;
        scene.handshakes().await;
        scene.create_pod().await.succeeded();
        (!now.is_empty() && now != after).then_some(())
    })
    .await;
    scene.agreed().await;
    scene.ready().await;
}

#[tokio::test]
async fn what_others_write_into_the_secret_is_reported_and_replaced() {
    let Some(scene) = Scene::new("secret-foreign", &["--self-signed-settle-time=2s"]).await else {
        return;
    };
    scene.helm().await;
    scene.ready().await;
    let bundle = scene.agreed().await;
    let path = format!("secrets/{SECRET}");
    let made = crate::certificate::loopback();
    let foreign =
        json!({"tls.crt": STANDARD.encode(made.certificate), "tls.key": STANDARD.encode(made.key)});
    for (number, (data, words)) in [
        (
            json!({"tls.crt": STANDARD.encode("garbage")}),
            "tls.crt and tls.key are not a serving certificate and its key",
        ),
        (
            json!({"issuer.key": STANDARD.encode("garbage")}),
            "issuer.crt and issuer.key are not a CA and its key",
        ),
        (
            foreign,
            "tls.crt was issued by a CA that the Secret does not contain",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        scene
            .namespace
            .patch(&path, &json!({"data": data}))
            .await
            .succeeded();
        // Either replica may be the faster one, and the other then sees what is whole again.
        eventually("a warning", async || {
            for replica in &scene.replicas {
                let (_, page) = replica.get("/readyz?verbose").await;
                let (_, metrics) = replica.get("/metrics").await;
                let log = replica.daemon.log();
                if page.contains("somebody else wrote the Secret")
                    && page.contains(words)
                    && log.contains("somebody else has written the Secret of the certificates")
                    && !metrics.contains("pullpass_certificate_secret_problems_total 0\n")
                {
                    return Some(());
                }
            }
            None
        })
        .await;
        eventually("a Secret that is whole again", async || {
            let now = scene.secret("tls.crt").await;
            (now.starts_with("-----BEGIN") && scene.bundle().await.is_some()).then_some(())
        })
        .await;
        scene.handshakes().await;
        assert!(
            number > 0 || scene.agreed().await == bundle,
            "the CA is the same"
        );
    }
}

#[tokio::test]
async fn ca_and_leaf_rotate_by_themselves_while_pods_are_created() {
    let flags = [
        "--self-signed-ca-lifetime=45s",
        "--self-signed-lifetime=15s",
        "--self-signed-settle-time=2s",
    ];
    let Some(mut scene) = Scene::new("rotation", &flags).await else {
        return;
    };
    scene.helm().await;
    scene.ready().await;
    let first = scene.agreed().await;
    scene.pods_are_admitted().await;
    let (mut leaves, mut pods) = (vec![scene.secret("tls.crt").await], 0);
    let began = Instant::now();
    // Until the first CA is gone and another one has issued leaves.
    loop {
        scene.handshakes().await;
        scene.create_pod().await.succeeded();
        pods += 1;
        let leaf = scene.secret("tls.crt").await;
        if leaves.last() != Some(&leaf) {
            leaves.push(leaf);
        }
        let bundle = scene.bundle().await.unwrap_or_default();
        if !bundle.is_empty() && !bundle.contains(&first) {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(2), "never rotated");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(leaves.len() >= 4, "{} leaves", leaves.len());
    assert!(pods > 10, "{pods} pods");

    // One that begins now takes what is there.
    let plane = control_plane().unwrap();
    let kubeconfig = plane.folder.join(format!("kubeconfig-{}", scene.name()));
    let replica = scene.start(plane, 3, &kubeconfig, &flags);
    scene.replicas.push(replica);
    scene.ready().await;
    scene.handshakes().await;
    for replica in &scene.replicas {
        let (_, metrics) = replica.get("/metrics").await;
        let failed = metrics
            .lines()
            .filter(|line| line.contains(r#"result="failed""#) && line.contains("rotator"));
        for line in failed {
            assert!(line.ends_with(" 0"), "{line}");
        }
        assert!(metrics.contains("pullpass_certificate_rotator_working 1"));
    }
}

#[tokio::test]
async fn it_says_which_right_is_missing() {
    let Some(scene) = Scene::new("no-right", &[]).await else {
        return;
    };
    scene.ready().await;
    let path = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings/{}",
        scene.namespace.name,
        scene.name()
    );
    scene
        .api
        .send(Method::DELETE, &path, None)
        .await
        .succeeded();
    // An event, so that it looks.
    scene.helm().await;
    let words = eventually("a word about the missing right", async || {
        let (status, said) = scene.replicas[0].get("/readyz?verbose").await;
        assert_eq!(status, 200, "what it has it serves");
        said.contains("forbidden").then_some(said)
    })
    .await;
    assert!(
        words.contains("cannot get resource \"secrets\"") && words.contains(SECRET),
        "{words}"
    );
}
