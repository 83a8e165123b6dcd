//! Webhook configurations, as the chart registers pullpass, but by URL and for the
//! namespaces of one test.

use crate::api::{Api, Namespace, eventually};
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A label on pods that only ask whether the API server knows a configuration yet.
const PROBE: &str = "tests.pullpass.dev/probe";
/// Nothing listens there.
const NOWHERE: &str = "https://127.0.0.1:1/";

/// One webhook of one configuration object.
pub(crate) struct Hook<'a> {
    /// The configuration object's name: mutating ones are called in its order.
    pub(crate) configuration: String,
    /// `mutate.pullpass.dev`, say.
    pub(crate) name: &'a str,
    pub(crate) stage: Stage,
    pub(crate) url: String,
    /// PEM.
    pub(crate) ca: &'a str,
    pub(crate) rules: Value,
    /// CEL expressions that must hold before it is asked; none here, so that it is
    /// asked about everything.
    pub(crate) match_conditions: Value,
    pub(crate) timeout_seconds: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Mutate,
    Validate,
}

impl Stage {
    fn kind(self) -> &'static str {
        match self {
            Self::Mutate => "MutatingWebhookConfiguration",
            Self::Validate => "ValidatingWebhookConfiguration",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

impl Hook<'_> {
    /// Registers it for these namespaces and waits until the API server acts on it,
    /// which it does some moments later.
    pub(crate) async fn register(&self, api: &Api, namespaces: &[&Namespace]) {
        let kind = self.stage.kind();
        let path = format!(
            "/apis/admissionregistration.k8s.io/v1/{}s",
            kind.to_lowercase()
        );
        let names: Vec<&str> = namespaces
            .iter()
            .map(|namespace| namespace.name.as_str())
            .collect();
        let mut hook = self.hook(&names);
        let mut probe = hook.clone();
        // No pod of a test's has the label, so that pullpass never sees a probe; and
        // the API server learns of both hooks in the same moment.
        hook["objectSelector"] =
            json!({"matchExpressions": [{"key": PROBE, "operator": "DoesNotExist"}]});
        probe["name"] = json!("probe.tests.pullpass.dev");
        probe["objectSelector"] = json!({"matchLabels": {PROBE: self.configuration}});
        probe["clientConfig"] = json!({"url": NOWHERE});
        let metadata = json!({"name": self.configuration});
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": metadata,
            "webhooks": [hook, probe],
        });
        api.send(Method::POST, &path, Some(&object))
            .await
            .succeeded();
        for namespace in namespaces {
            self.wait(&namespace.through(api)).await;
        }
    }

    async fn wait(&self, namespace: &Namespace) {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "labels": {PROBE: self.configuration}},
            "spec": {"containers": [{"name": "probe", "image": "probe"}]},
        });
        eventually("the webhook configuration", async || {
            let answer = namespace.create("pods?dryRun=All", &pod).await;
            answer
                .message()
                .contains("probe.tests.pullpass.dev")
                .then_some(())
        })
        .await;
    }

    fn hook(&self, namespaces: &[&str]) -> Value {
        let mut hook = json!({
            "name": self.name,
            "clientConfig": {"url": self.url, "caBundle": STANDARD.encode(self.ca)},
            "rules": self.rules,
            "matchConditions": self.match_conditions,
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces},
            ]},
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "sideEffects": "NoneOnDryRun",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": self.timeout_seconds,
        });
        if self.stage == Stage::Mutate {
            hook["reinvocationPolicy"] = json!("IfNeeded");
        }
        hook
    }

    /// Both of pullpass's hooks for a server at `url`, with the chart's rules.
    pub(crate) fn pair<'a>(configuration: &str, url: &str, ca: &'a str) -> [Hook<'a>; 2] {
        let hook = |stage: Stage, name, rules, timeout_seconds| Hook {
            configuration: configuration.to_owned(),
            name,
            stage,
            url: format!("{url}/{}", stage.word()),
            ca,
            rules,
            match_conditions: json!([]),
            timeout_seconds,
        };
        let core = |resources: &[&str], operations: &[&str]| rule("", resources, operations);
        [
            hook(
                Stage::Mutate,
                "mutate.pullpass.dev",
                json!([core(&["pods"], &["CREATE"])]),
                3,
            ),
            hook(
                Stage::Validate,
                "validate.pullpass.dev",
                json!([
                    core(&["pods"], &["CREATE", "UPDATE"]),
                    core(&["pods/ephemeralcontainers"], &["UPDATE"]),
                ]),
                5,
            ),
        ]
    }
}

/// The objects of the chart that contain this text, as Helm renders them.
pub(crate) fn objects_of_chart(text: &str) -> Vec<Value> {
    let rendered = include_str!("../chart/golden.yaml");
    let documents = rendered.split("\n---\n");
    let chosen = documents.filter(|document| document.contains(text));
    chosen
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

/// The conditions under which the chart has a webhook asked.
pub(crate) fn conditions_of_chart(stage: Stage) -> Value {
    // Of one kind there are several objects, each with a webhook of its own.
    let objects = objects_of_chart(&format!("- name: {}.pullpass.dev\n", stage.word()));
    let conditions = objects[0]["webhooks"][0]["matchConditions"].clone();
    assert!(conditions.is_array(), "{objects:?}");
    conditions
}

/// A rule of a webhook's.
pub(crate) fn rule(group: &str, resources: &[&str], operations: &[&str]) -> Value {
    json!({
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "resources": resources,
        "operations": operations,
        "scope": "Namespaced",
    })
}
