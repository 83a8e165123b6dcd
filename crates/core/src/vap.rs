//! The registry map as admission policies that the API server evaluates itself, for clusters
//! without a webhook.
//!
//! There is a `ValidatingAdmissionPolicy` (GA in Kubernetes 1.30) for each action, because
//! the binding determines what a failed validation does. For Kubernetes 1.36, in which it is
//! GA, there is also a `MutatingAdmissionPolicy` that adds pull secrets. This module must not
//! define the precedence of rules, which comes from [`crate::policy`], or read a clock.

pub mod cel;
mod gaps;
pub mod yaml;

use crate::policy::{Action, Policy, SelectorInMap};
use cel::Variable;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use gaps::gaps;

/// The oldest version of Kubernetes that accepts the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetVersion {
    /// Kubernetes 1.30: the policies give verdicts.
    V1_30,
    /// Kubernetes 1.36: the policies give verdicts and add pull secrets.
    V1_36,
}

/// Why policies cannot express a map.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// An expression is longer than the CEL parser accepts.
    #[error(
        "the registry map needs a CEL expression of {length} characters, but the API server \
         accepts at most {LONGEST_EXPRESSION}; use the webhook, or join entries with `*` in \
         the host"
    )]
    TooLarge {
        /// The length of the expression in characters.
        length: usize,
    },
    /// The scope of an entry or an override depends on labels of namespaces.
    #[error("{0}, which the policies cannot express yet; write `namespaces`, or use the webhook")]
    Selector(#[from] SelectorInMap),
}

/// How many characters the CEL parser accepts (cel-go, `parser`, `expressionSizeCodePointLimit`).
const LONGEST_EXPRESSION: usize = 100_000;

const API: &str = "admissionregistration.k8s.io/v1";

/// The annotation with the time from which on the policies differ from the map.
const VALID_UNTIL: &str = "pullpass.dev/valid-until";

/// The policies and their bindings; their names begin with `prefix`.
///
/// It fails if the map contains a label selector or needs too long an expression.
pub fn objects(
    policy: &Policy,
    now: Timestamp,
    target: TargetVersion,
    prefix: &str,
) -> Result<Vec<Value>, GenerateError> {
    let variables = cel::variables(policy, now)?;
    if let Some(length) = variables
        .iter()
        .map(|(_, expression)| expression.chars().count())
        .find(|length| *length > LONGEST_EXPRESSION)
    {
        return Err(GenerateError::TooLarge { length });
    }
    let annotations = match policy.next_change(now) {
        Some(at) => json!({ VALID_UNTIL: at.to_string() }),
        None => json!({}),
    };
    let metadata = |what: &str| {
        json!({
            "name": format!("{prefix}-{what}"),
            "labels": {"app.kubernetes.io/name": "pullpass", "app.kubernetes.io/component": "in-tree"},
            "annotations": annotations,
        })
    };
    let mut objects = Vec::new();
    if target == TargetVersion::V1_36 {
        let metadata = metadata("secrets");
        objects.push(json!({
            "apiVersion": API, "kind": "MutatingAdmissionPolicy",
            "metadata": metadata, "spec": mutating(policy, &variables),
        }));
        objects.push(json!({
            "apiVersion": API, "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata, "spec": {"policyName": format!("{prefix}-secrets")},
        }));
    }
    for action in [Action::Deny, Action::Warn, Action::Audit] {
        if !occurs(policy, action, now)? {
            continue;
        }
        let metadata = metadata(action.as_str());
        objects.push(json!({
            "apiVersion": API, "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata, "spec": validating(policy, &variables, action),
        }));
        let actions = match action {
            Action::Deny => json!(["Deny", "Audit"]),
            Action::Warn => json!(["Warn", "Audit"]),
            _ => json!(["Audit"]),
        };
        objects.push(json!({
            "apiVersion": API, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {
                "policyName": format!("{prefix}-{}", action.as_str()),
                "validationActions": actions,
            },
        }));
    }
    Ok(objects)
}

/// Whether the map can decide with this action about some image.
fn occurs(policy: &Policy, action: Action, now: Timestamp) -> Result<bool, SelectorInMap> {
    let unknown = policy.unknown_actions()?;
    let overrides = unknown.overrides.iter().map(|(_, action)| *action);
    let ranked = policy.ranked(now)?;
    let rules = ranked.iter().map(|ranked| ranked.action);
    let mut all = rules.chain(overrides).chain([unknown.default]);
    Ok(all.any(|of| of == action))
}

fn named(variables: impl IntoIterator<Item = Variable>) -> Vec<Value> {
    variables
        .into_iter()
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect()
}

fn rule(resources: &[&str], operations: &[&str]) -> Value {
    json!({
        "apiGroups": [""], "apiVersions": ["v1"], "resources": resources,
        "operations": operations, "scope": "Namespaced",
    })
}

fn conditions(policy: &Policy, more: &[(&str, &str)]) -> Vec<Value> {
    let exempt = cel::not_exempt(policy).map(|expression| ("namespace-is-not-exempt", expression));
    let more = more
        .iter()
        .map(|(name, expression)| (*name, (*expression).to_owned()));
    exempt
        .into_iter()
        .chain(more)
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect()
}

fn validating(policy: &Policy, variables: &[Variable], action: Action) -> Value {
    let offenders = format!("variables.found.filter(f, f[4] == \"{}\")", action.as_str());
    let all = variables.iter().cloned().chain([("offenders", offenders)]);
    let judged = match action {
        Action::Deny => " is not allowed",
        _ => "",
    };
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [
            rule(&["pods"], &["CREATE", "UPDATE"]),
            rule(&["pods/ephemeralcontainers"], &["UPDATE"]),
        ]},
        "matchConditions": conditions(policy, &[
            // Anybody can write the annotation, so it counts only if a kubelet sends the
            // request.
            ("is-not-static-pod", "!(\"kubernetes.io/config.mirror\" in object.metadata.?annotations.orValue({}) &&\n\"system:nodes\" in request.userInfo.?groups.orValue([]))"),
            ("is-not-being-deleted", "oldObject == null || !has(oldObject.metadata.deletionTimestamp)"),
        ]),
        "variables": named(all),
        "validations": [{
            "expression": "variables.offenders.size() == 0",
            "messageExpression": cel::message(policy, judged),
            "message": "the registry map denies, warns about or audits an image of this pod",
            "reason": "Forbidden",
        }],
    })
}

fn mutating(policy: &Policy, variables: &[Variable]) -> Value {
    let all = variables.iter().cloned().chain(cel::secrets());
    json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": [rule(&["pods"], &["CREATE"])]},
        "matchConditions": conditions(policy, &[
            // A mirror pod must not name a pull secret: the API server would refuse it.
            ("is-not-mirror-pod", "!(\"kubernetes.io/config.mirror\" in object.metadata.?annotations.orValue({}))"),
        ]),
        "variables": named(all),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": PATCH}}],
    })
}

/// The JSON patch: `add` operations only, and none if nothing is missing. An
/// `ApplyConfiguration` cannot add pull secrets, because an element of
/// `imagePullSecrets` is an atomic struct.
const PATCH: &str = r#"variables.missing.size() == 0 ? [] :
(object.spec.?imagePullSecrets.orValue([]).size() > 0 ? [] :
[JSONPatch{op: "add", path: "/spec/imagePullSecrets", value: []}]) +
variables.missing.map(n, JSONPatch{op: "add", path: "/spec/imagePullSecrets/-",
value: Object.spec.imagePullSecrets{name: n}}) +
(has(object.metadata.annotations) ? [] : [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}]) +
[JSONPatch{op: "add", path: "/metadata/annotations/pullpass.dev~1injected", value: variables.injected}]"#;
