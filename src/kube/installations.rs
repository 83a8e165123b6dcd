//! The other installations of pullpass in a cluster, by their webhook configurations.
//!
//! Two installations that deny each other's pods while they do not answer never start again
//! once both are down. This module must not write, or decide what follows.

use super::client::{KubeError, request};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, Selector, SelectorExt as _};
use kube::{Api, Client, ResourceExt as _};
use pullpass_core::well_known::WEBHOOK_LABEL;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A webhook configuration of another installation without whose answer the pods of a
/// namespace do not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignConfiguration {
    /// Its kind and name.
    pub object: String,
    /// The namespace of its installation, where the API server calls a Service.
    pub namespace: Option<String>,
}

/// What decides whether the API server calls a webhook of either kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    client_config: WebhookClientConfig,
    failure_policy: Option<String>,
    rules: Option<Vec<RuleWithOperations>>,
    namespace_selector: Option<LabelSelector>,
}

/// The configurations with the label of pullpass and the policy `Fail` that the API server
/// calls for pods of this namespace, other than those that reach this Service in it.
pub async fn that_judge(
    client: &Client,
    namespace: &str,
    service: &str,
) -> Result<Vec<ForeignConfiguration>, KubeError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let what = format!("Namespace {namespace}");
    let labels = request(&what, api.get(namespace)).await?;
    let labels = labels.metadata.labels.unwrap_or_default();
    let mut found = Vec::new();
    for resource in [
        ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    ] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let params = ListParams::default().labels(WEBHOOK_LABEL);
        for object in request(&resource.plural, api.list(&params)).await? {
            let webhooks = object.data.get("webhooks").and_then(Value::as_array);
            let mut webhooks = webhooks
                .into_iter()
                .flatten()
                .filter_map(|webhook| Webhook::deserialize(webhook).ok());
            let judge = webhooks
                .find(|webhook| !webhook.calls(namespace, service) && webhook.judges(&labels));
            found.extend(judge.map(|webhook| ForeignConfiguration {
                object: format!("{} {}", resource.kind, object.name_any()),
                namespace: webhook.client_config.service.map(|to| to.namespace),
            }));
        }
    }
    Ok(found)
}

impl Webhook {
    fn calls(&self, namespace: &str, service: &str) -> bool {
        let to = self.client_config.service.as_ref();
        to.is_some_and(|to| to.namespace == namespace && to.name == service)
    }

    /// Whether no pod comes to be in a namespace with these labels while nobody answers.
    fn judges(&self, namespace: &BTreeMap<String, String>) -> bool {
        let fails = self
            .failure_policy
            .as_ref()
            .is_none_or(|policy| policy == "Fail");
        let pods = self.rules.iter().flatten().any(|rule| {
            let mut resources = rule.resources.iter().flatten();
            resources.any(|resource| ["pods", "*", "*/*"].contains(&resource.as_str()))
        });
        let selected = self.namespace_selector.as_ref().is_none_or(|selector| {
            // The API server stores none that cannot be read.
            Selector::try_from(selector.clone()).is_ok_and(|all| all.matches(namespace))
        });
        fails && pods && selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn webhook(change: impl FnOnce(&mut Value)) -> Webhook {
        let mut webhook = json!({
            "name": "mutate.pullpass.dev",
            "clientConfig": {"service": {"namespace": "other", "name": "pullpass", "path": "/mutate"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            "failurePolicy": "Fail",
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "other"]},
            ]},
        });
        change(&mut webhook);
        Webhook::deserialize(&webhook).unwrap()
    }

    fn judges(namespace: &str, change: impl FnOnce(&mut Value)) -> bool {
        let labels = [(
            "kubernetes.io/metadata.name".to_owned(),
            namespace.to_owned(),
        )];
        webhook(change).judges(&labels.into())
    }

    #[test]
    fn a_webhook_judges_the_pods_of_the_namespaces_that_it_selects() {
        assert!(judges("pullpass", |_| {}));
        assert!(!judges("other", |_| {}));
        assert!(judges("other", |hook| hook["namespaceSelector"] = Value::Null));
        assert!(!judges("pullpass", |hook| {
            hook["namespaceSelector"] = json!({"matchLabels": {"tenant": "a"}});
        }));
    }

    #[test]
    fn a_webhook_that_admits_when_nobody_answers_or_judges_no_pods_holds_up_nothing() {
        assert!(!judges("pullpass", |hook| hook["failurePolicy"] = json!("Ignore")));
        assert!(judges("pullpass", |hook| hook["failurePolicy"] = Value::Null));
        assert!(!judges("pullpass", |hook| hook["rules"][0]["resources"] =
            json!(["configmaps"])));
        assert!(judges("pullpass", |hook| hook["rules"][0]["resources"] =
            json!(["*"])));
    }

    #[test]
    fn its_own_webhooks_are_known_by_their_service() {
        assert!(webhook(|_| {}).calls("other", "pullpass"));
        assert!(!webhook(|_| {}).calls("pullpass", "pullpass"));
        let by_url = webhook(|hook| hook["clientConfig"] = json!({"url": "https://a.example/"}));
        assert!(!by_url.calls("other", "pullpass"));
    }
}
