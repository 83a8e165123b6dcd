//! The registry map as admission policies that the API server evaluates itself, for
//! clusters that want no webhook in the way.
//!
//! A `ValidatingAdmissionPolicy` (GA in Kubernetes 1.30) for each action, because what
//! a failed validation does stands in the binding; and for 1.36, where it is GA, a
//! `MutatingAdmissionPolicy` that adds the secrets. Pure: a map and a time in, objects
//! out. It knows no rule of the map: [`crate::policy`] says what ranks first.

pub mod cel;
mod gaps;
pub mod yaml;

use crate::policy::{Action, Policy, Rule, SelectorInMap};
use cel::Variable;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use gaps::gaps;

/// The oldest Kubernetes the objects are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Verdicts only.
    V1_30,
    /// Verdicts and secrets.
    V1_36,
}

/// A map that the policies cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// An expression is longer than a CEL parser reads.
    #[error(
        "the registry map makes an expression of {length} characters; the API server takes \
         {LONGEST_EXPRESSION}: use the webhook, or join entries with `*` in the host"
    )]
    TooLarge {
        /// Characters of the expression.
        length: usize,
    },
    /// A scope depends on labels of namespaces.
    #[error("{0}, which the policies cannot express yet: write `namespaces`, or use the webhook")]
    Selector(#[from] SelectorInMap),
}

/// What a CEL parser reads (cel-go, `parser`, `expressionSizeCodePointLimit`).
const LONGEST_EXPRESSION: usize = 100_000;

const API: &str = "admissionregistration.k8s.io/v1";

/// The annotation that says when the map next means something else.
const VALID_UNTIL: &str = "pullpass.dev/valid-until";

/// The policies and their bindings, named after `prefix`.
pub fn objects(
    policy: &Policy,
    now: Timestamp,
    target: Target,
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
    if target == Target::V1_36 {
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

/// Whether some image can come to this.
fn occurs(policy: &Policy, action: Action, now: Timestamp) -> Result<bool, SelectorInMap> {
    let unknown = policy.unknown_actions()?;
    let overrides = unknown.overrides.iter().map(|(_, action)| *action);
    let ranked = policy.ranked(now)?;
    let entries = ranked.iter().filter_map(|ranked| match ranked.rule {
        Rule::Entry(entry, _) => Some(entry.action_at(now)),
        _ => None,
    });
    let mut all = entries.chain(overrides).chain([unknown.default]);
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
    let says = match action {
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
            // The annotation alone, which anybody can write, exempts nobody.
            ("is-no-static-pod", "!(\"kubernetes.io/config.mirror\" in object.metadata.?annotations.orValue({}) &&\n\"system:nodes\" in request.userInfo.?groups.orValue([]))"),
            ("is-not-going", "oldObject == null || !has(oldObject.metadata.deletionTimestamp)"),
        ]),
        "variables": named(all),
        "validations": [{
            "expression": "variables.offenders.size() == 0",
            "messageExpression": cel::message(policy, says),
            "message": "an image of this pod is not allowed, or on its way out, by the registry map",
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
            // A static pod may name no secret: with one it would not be shown at all.
            ("is-no-mirror-pod", "!(\"kubernetes.io/config.mirror\" in object.metadata.?annotations.orValue({}))"),
        ]),
        "variables": named(all),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": PATCH}}],
    })
}

/// Only `add`, and nothing at all where nothing is missing. `ApplyConfiguration` cannot
/// do it: an element of `imagePullSecrets` is an atomic struct.
const PATCH: &str = r#"variables.missing.size() == 0 ? [] :
(object.spec.?imagePullSecrets.orValue([]).size() > 0 ? [] :
[JSONPatch{op: "add", path: "/spec/imagePullSecrets", value: []}]) +
variables.missing.map(n, JSONPatch{op: "add", path: "/spec/imagePullSecrets/-",
value: Object.spec.imagePullSecrets{name: n}}) +
(has(object.metadata.annotations) ? [] : [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}]) +
[JSONPatch{op: "add", path: "/metadata/annotations/pullpass.dev~1injected", value: variables.injected}]"#;
