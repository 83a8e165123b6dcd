//! `generate policy` against the webhook: the same pods, the same API server, the
//! same namespaces, and the same secrets and verdicts.
//!
//! Each pod is created twice as a dry run. With the label [`PROBE`] it is passed over
//! by the webhooks and judged by the policies, without it the other way round; nothing
//! else differs, and neither side reads the label. What an answer does not show of
//! a verdict is taken from the audit log. The generator leaves out what the printed list
//! names as not expressed: nothing but IPv6 in other spellings and very long images.

use crate::api::{Api, Namespace, eventually};
use crate::control_plane::{ControlPlane, control_plane};
use crate::objects::{container, pod, secrets};
use crate::pullpass::Pullpass;
use crate::registration::Hook;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::Command;

/// The label that `registration` keeps pullpass away by.
const PROBE: &str = "tests.pullpass.dev/probe";
const PODS: usize = 120;

/// Every map has a sign of each kind, by which it is seen to be in force.
const SIGNS: &str = r"
  - {name: sign-deny, match: deny.sign.example, action: deny}
  - {name: sign-warn, match: warn.sign.example, action: warn}
  - {name: sign-audit, match: audit.sign.example, action: audit, pullSecrets: [sign]}
";

const MAPS: [&str; 3] = [
    r#"
  - {name: corp, match: [registry.corp.example, "*.corp.example:5000"], pullSecrets: [corp-pull]}
  - {name: shop, match: registry.corp.example/shop, pullSecrets: [shop-pull, corp-pull], namespaces: [NAMESPACE-a]}
  - {name: teams, match: registry.corp.example/shop, pullSecrets: [team-pull], namespaces: ["NAMESPACE-*"]}
  - {name: evil, match: docker.io/evil, action: deny, reason: "say \"no\" to it"}
  - {name: under, match: reg_ex.com, action: audit}
publicRegistries: [docker.io, quay.io]
unknownRegistries: {default: deny, overrides: [{namespaces: ["NAMESPACE-b"], action: warn}]}
"#,
    r#"
  - {name: deep, match: "**.example", action: warn}
  - {name: corp, match: "*.corp.example", pullSecrets: [glob-pull]}
  - {name: reg, match: "reg*.corp.example/shop", pullSecrets: [reg-pull]}
  - {name: literal, match: registry.corp.example/shop/web, pullSecrets: [web-pull], namespaces: ["*-a"]}
  - {name: hub, match: docker.io/library, pullSecrets: [hub-pull]}
  - {name: quay, match: quay.io/core, action: deny, from: 2999-01-01, pullSecrets: [quay-pull]}
  - {name: over, match: localhost, until: 2001-01-01}
exemptNamespaces: [NAMESPACE-b]
publicRegistries: [quay.io]
unknownRegistries: audit
"#,
    r#"
  - {name: five, match: registry.corp.example:5000, pullSecrets: [five-pull]}
  - {name: local, match: localhost, pullSecrets: [local-pull]}
  - {name: library, match: docker.io/library/nginx, action: deny}
  - {name: six, match: "[::1]:5000", pullSecrets: [six-pull]}
publicRegistries: []
unknownRegistries: {default: allow, overrides: [{namespaces: ["*-a"], action: deny}, {namespaces: ["*"], action: warn}]}
"#,
];

/// No images, or none that looks like what it is.
const ODD: [&str; 13] = [
    "https://registry.corp.example/x",
    "registry.corp.example//x",
    "UPPER",
    "a..b",
    "reg_ex.com:5000/app",
    "[abc]/app",
    "nginx@sha256:abc",
    "registry.corp.example:/x",
    "host:5000",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "bad image",
    "ex\u{e4}mple.com/app",
    "-bad.example/app",
];

/// A linear congruential generator: the same seed, the same pods.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    fn image(&mut self) -> String {
        if self.below(8) == 0 {
            return self.of(&ODD).to_owned();
        }
        let host = self.of(&[
            "",
            "",
            "docker.io",
            "DOCKER.IO",
            "index.docker.io",
            "registry-1.docker.io",
            "quay.io",
            "registry.corp.example",
            "Registry.Corp.Example",
            "reg7.corp.example",
            "a.b.corp.example",
            "corp.example",
            "reg_ex.com",
            "localhost",
            "LOCALHOST",
            "[::1]",
            "elsewhere.test",
            "warn.sign.example",
            "xregistry.corp.example",
            "deny.sign.example",
            "myhost",
        ]);
        let port = match host {
            "" | "myhost" => "",
            _ => self.of(&[
                "", "", "", ":443", ":0443", ":5000", ":05000", ":99999", ":0",
            ]),
        };
        let path = self.of(&[
            "nginx",
            "library/nginx",
            "evil",
            "evil/miner",
            "evilish/x",
            "shop",
            "shop/web",
            "shopper/x",
            "shop/web/a",
            "shop/webber",
            "core/etcd",
            "coreos/etcd",
            "a/b/c",
            "a_b/c__d/e--f",
            "nginx/nginx",
        ]);
        let tag = self.of(&["", ":1", ":v1.2_3", ":-bad"]);
        let digest = match self.below(6) {
            0 => format!("@sha256:{}", "0123456789abcdef".repeat(4)),
            _ => String::new(),
        };
        let slash = if host.is_empty() { "" } else { "/" };
        format!("{host}{port}{slash}{path}{tag}{digest}")
    }

    fn spec(&mut self) -> Value {
        let mut list = |least: usize, word: &str| -> Vec<Value> {
            let count = least + self.below(3);
            (0..count)
                .map(|at| container(&format!("{word}{at}"), &self.image()))
                .collect()
        };
        let mut spec = json!({"containers": list(1, "c"), "initContainers": list(0, "i")});
        if self.below(3) == 0 {
            spec["volumes"] = json!([
                {"name": "v", "image": {"reference": self.image()}}, {"name": "e", "emptyDir": {}},
            ]);
        }
        if self.below(3) == 0 {
            let own = self.of(&["own", "corp-pull", "hub-pull"]);
            spec["imagePullSecrets"] = json!([{"name": own}]);
        }
        spec
    }
}

/// What `pullpass generate policy` prints for a map, for 1.36 or 1.30.
fn generated(map: &str, name: &str, target: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("map.yaml");
    std::fs::write(&file, map).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
        .args(["generate", "policy", "-o", "json", "--for", target])
        .args(["--name", name, "--config"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One side's answer: the secrets, and the verdict as far as the answer has it.
type Outcome = (Vec<String>, Option<&'static str>);

async fn create(namespace: &Namespace, name: &str, spec: &Value, probe: bool) -> Outcome {
    let mut object = pod(name, spec);
    if probe {
        object["metadata"]["labels"][PROBE] = json!("in-tree");
    }
    let answer = namespace.create("pods?dryRun=All", &object).await;
    // A fault of the expressions is a denial too, but no verdict.
    let is_denied = answer.message().contains("not allowed");
    assert!(
        answer.status < 300 || is_denied,
        "{name}: {} {}",
        answer.status,
        answer.message()
    );
    let secrets = secrets(&answer.body)
        .into_iter()
        .map(str::to_owned)
        .collect();
    // pullpass warns of more than the verdict; the policies of nothing else.
    let verdict = match is_denied {
        true => Some("deny"),
        false if probe && !answer.warnings.is_empty() => Some("warn"),
        false => None,
    };
    (secrets, verdict)
}

/// The strictest action that each side has in the audit log, by namespace and pod.
fn verdicts(plane: &ControlPlane) -> HashMap<(String, String), String> {
    let log = std::fs::read_to_string(&plane.audit_log).unwrap();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let pairs = events.map(|event| {
        let object = |field: &str| {
            event["objectRef"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        (
            (object("namespace"), object("name")),
            verdict(&event["annotations"]),
        )
    });
    pairs.collect()
}

fn verdict(annotations: &Value) -> String {
    if let Some(decision) = annotations["validate.pullpass.dev/decision"].as_str() {
        return decision.to_owned();
    }
    let failures = annotations["validation.policy.admission.k8s.io/validation_failure"]
        .as_str()
        .unwrap_or_default();
    let found = ["deny", "warn", "audit"]
        .into_iter()
        .find(|action| failures.contains(&format!("-{action}\"")));
    found.unwrap_or("allow").to_owned()
}

/// Puts the policies in force for pods with the label in these namespaces.
async fn install(api: &Api, objects: &Value, namespaces: &[Namespace; 2]) {
    for object in objects["items"].as_array().unwrap() {
        let mut object = object.clone();
        let kind = object["kind"].as_str().unwrap().to_lowercase();
        if kind.ends_with("binding") {
            object["spec"]["matchResources"] = json!({
                "objectSelector": {"matchLabels": {PROBE: "in-tree"}},
                "namespaceSelector": {"matchExpressions": [{
                    "key": "kubernetes.io/metadata.name", "operator": "In",
                    "values": namespaces.each_ref().map(|namespace| &namespace.name),
                }]},
            });
        }
        let plural = kind.replace("policy", "policies");
        let plural = plural.replace("policiesbinding", "policybindings");
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
        let made = api.post(&path, &object).await.succeeded();
        if kind == "validatingadmissionpolicy" {
            let path = format!("{path}/{}", made["metadata"]["name"].as_str().unwrap());
            let checked = eventually("the type check", async || {
                let policy = api.send(axum::http::Method::GET, &path, None).await.body;
                policy["status"]["observedGeneration"]
                    .is_number()
                    .then_some(policy)
            })
            .await;
            assert_eq!(checked["status"]["typeChecking"], json!({}), "{path}");
        }
    }
}

async fn same(number: usize, seed: u64) {
    let Some(plane) = control_plane() else { return };
    let api = Api::new(plane).await;
    let name = format!("intree{number}");
    let namespaces = [
        api.namespace_named(&format!("{name}-a")).await,
        api.namespace_named(&format!("{name}-b")).await,
    ];
    let map = format!(
        "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nregistries:{SIGNS}{}",
        MAPS[number].trim_start_matches('\n')
    )
    .replace("NAMESPACE", &name);
    let pullpass = Pullpass::start(plane, Some(&map), None, &[]);
    eventually("a ready pullpass", async || {
        (pullpass.admin("/readyz").0 == 200).then_some(())
    })
    .await;
    for hook in Hook::pair(&format!("{name}-pullpass"), &pullpass.url, &pullpass.ca) {
        hook.register(&api, &[&namespaces[0], &namespaces[1]]).await;
    }
    install(&api, &generated(&map, &name, "1.36"), &namespaces).await;
    in_force(plane, &namespaces[0]).await;

    let mut chance = Chance(seed);
    let mut asked: Vec<(String, String, Value, [Outcome; 2])> = Vec::new();
    for at in 0..PODS {
        let spec = chance.spec();
        let namespace = &namespaces[at % 2];
        let webhook = create(namespace, &format!("w-{at}"), &spec, false).await;
        let policies = create(namespace, &format!("p-{at}"), &spec, true).await;
        asked.push((
            namespace.name.clone(),
            at.to_string(),
            spec,
            [webhook, policies],
        ));
    }
    let verdicts = verdicts(plane);
    let mut verdicts_seen: HashMap<&str, usize> = HashMap::new();
    for (namespace, at, spec, [webhook, policies]) in asked {
        let whole = |(secrets, answered): Outcome, side: &str| {
            let logged = &verdicts[&(namespace.clone(), format!("{side}-{at}"))];
            (secrets, answered.unwrap_or(logged).to_owned())
        };
        let (webhook, policies) = (whole(webhook, "w"), whole(policies, "p"));
        assert_eq!(
            webhook, policies,
            "seed {seed}, map {number}, {namespace}, pod {at}: {spec:#}"
        );
        *verdicts_seen
            .entry(["allow", "deny"][usize::from(webhook.1 == "deny")])
            .or_default() += 1;
    }
    assert!(verdicts_seen.len() == 2, "all the same: {verdicts_seen:?}");
}

/// Waits until the signs say that all policies are known to the API server.
async fn in_force(plane: &ControlPlane, namespace: &Namespace) {
    eventually("the policies", async || {
        let mut sign = pod(
            "sign",
            &json!({"containers": [container("w", "warn.sign.example/x"), container("a", "audit.sign.example/x")]}),
        );
        sign["metadata"]["labels"][PROBE] = json!("in-tree");
        let answer = namespace.create("pods?dryRun=All", &sign).await;
        let injected = secrets(&answer.body).contains(&"sign") && !answer.warnings.is_empty();
        sign["spec"]["containers"][0]["image"] = json!("deny.sign.example/x");
        let denied = namespace.create("pods?dryRun=All", &sign).await.status;
        // What is only recorded shows in the log alone.
        let watched = json!({"containers": [container("a", "audit.sign.example/x")]});
        create(namespace, "sign-audit", &watched, true).await;
        let key = (namespace.name.clone(), "sign-audit".to_owned());
        let recorded = verdicts(plane)[&key] == "audit";
        (injected && recorded && (400..500).contains(&denied)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_map_with_scopes_comes_to_the_same_in_the_tree() {
    same(0, 20_261_121).await;
}

#[tokio::test]
async fn a_map_with_globs_and_an_exempt_namespace_comes_to_the_same_in_the_tree() {
    same(1, 7).await;
}

#[tokio::test]
async fn a_map_of_ports_and_addresses_comes_to_the_same_in_the_tree() {
    same(2, 42).await;
}

#[tokio::test]
async fn the_api_server_takes_what_is_printed_for_both_targets() {
    let Some(plane) = control_plane() else { return };
    // The form for 1.30 is asked of a newer server, for want of one that old.
    for target in ["1.36", "1.30"] {
        let output = Command::new(env!("CARGO_BIN_EXE_pullpass"))
            .args([
                "generate",
                "policy",
                "--config",
                "examples/registry-map.yaml",
            ])
            .args(["--at", "2026-11-20", "--for", target])
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let said = plane.kubectl(&["apply", "--dry-run=server", "-f", "-"], &printed);
        assert!(
            said.success && said.stderr.is_empty(),
            "{target}: {}",
            said.stderr
        );
        let mutates = said.stdout.contains("mutatingadmissionpolicy.");
        assert_eq!(mutates, target == "1.36", "{}", said.stdout);
    }
}
