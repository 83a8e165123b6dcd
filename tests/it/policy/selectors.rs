//! Scopes by label: what they select, what comes first, and what depends on labels that
//! are not known.

use crate::reviews::{context_of, pod, review};
use pullpass_core::admission::{self, Endpoint, ReviewError};
use pullpass_core::policy::{Action, LabelMap, Labels, LabelsUnknown, Namespace, Policy};

use super::{NOW, map};

fn labels(labels: &[(&str, &str)]) -> LabelMap {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

/// The entry that decides, or the action where none does.
fn rule(policy: &Policy, image: &str, namespace: Namespace<'_>) -> Result<String, LabelsUnknown> {
    let judgement = policy
        .context(Some(namespace), NOW.parse().unwrap())
        .judge(image)?;
    let name = judgement.rule.name().map(str::to_owned);
    Ok(name.unwrap_or_else(|| judgement.action.as_str().to_owned()))
}

const MAP: &str = "publicRegistries: [docker.io]
registries:
  - {name: named, match: a.example, namespaces: [shop]}
  - {name: glob, match: a.example, namespaces: [team-*]}
  - {name: payments, match: a.example, namespaceSelector: {matchLabels: {team: payments}}}
  - {name: staging, match: a.example, namespaceSelector: {matchExpressions: [{key: stage, operator: NotIn, values: [production]}, {key: stage, operator: Exists}]}}
  - {name: everywhere, match: a.example}
  - {name: longer, match: a.example/team}
  - {name: ended, match: b.example, until: 2020-01-01, namespaceSelector: {matchLabels: {team: payments}}}
  - {name: by-name, match: c.example, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}
  - {name: without, match: d.example, namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}
unknownRegistries:
  default: deny
  overrides:
    - {namespaces: [shop], action: audit}
    - {namespaceSelector: {matchLabels: {sandbox: ''}}, action: allow}
    - {namespaces: [team-*], action: warn}
";

#[test]
fn a_selector_comes_after_names_and_before_everywhere() {
    let policy = map(MAP);
    let (none, payments) = (labels(&[]), labels(&[("team", "payments")]));
    let both = labels(&[("team", "payments"), ("stage", "test")]);
    let production = labels(&[("stage", "production")]);
    let sandbox = labels(&[("sandbox", "")]);
    for (image, namespace, labels, expected) in [
        ("a.example/x", "shop", &payments, "named"),
        ("a.example/x", "team-a", &payments, "glob"),
        ("a.example/x", "x", &payments, "payments"),
        ("a.example/x", "x", &both, "payments"),
        ("a.example/x", "x", &labels(&[("stage", "test")]), "staging"),
        ("a.example/x", "x", &production, "everywhere"),
        ("a.example/x", "x", &none, "everywhere"),
        ("a.example/team/x", "x", &payments, "longer"),
        ("b.example/x", "x", &payments, "deny"),
        ("c.example/x", "shop", &none, "by-name"),
        ("c.example/x", "x", &none, "deny"),
        ("d.example/x", "x", &none, "without"),
        ("d.example/x", "x", &payments, "deny"),
        ("z.example/x", "x", &sandbox, "allow"),
        ("z.example/x", "shop", &sandbox, "audit"),
        ("z.example/x", "team-a", &sandbox, "allow"),
        ("z.example/x", "team-a", &none, "warn"),
    ] {
        let found = rule(&policy, image, Namespace::labelled(namespace, labels));
        assert_eq!(
            found.as_deref(),
            Ok(expected),
            "{image} {namespace} {labels:?}"
        );
    }
}

#[test]
fn only_what_depends_on_unknown_labels_is_undecided() {
    let policy = map(MAP);
    for (image, namespace, expected) in [
        // Something surer comes first.
        ("a.example/x", "shop", Ok("named")),
        ("a.example/team/x", "x", Ok("longer")),
        ("nginx", "x", Ok("docker.io")),
        ("z.example/x", "shop", Ok("audit")),
        // An entry that has ended, and a label that every namespace has.
        ("b.example/x", "shop", Ok("audit")),
        ("c.example/x", "shop", Ok("by-name")),
        // Whatever the labels are.
        ("z.example/x", "kube-system", Ok("allow")),
        ("a.example/x", "x", Err(LabelsUnknown)),
        ("d.example/x", "x", Err(LabelsUnknown)),
        ("z.example/x", "team-a", Err(LabelsUnknown)),
        ("not valid", "x", Err(LabelsUnknown)),
    ] {
        let unknown = Namespace {
            name: namespace,
            labels: Labels::Unknown,
        };
        let found = rule(&policy, image, unknown);
        let expected = expected.map(str::to_owned);
        assert_eq!(found, expected, "{image} {namespace}");
    }
    // Left out is an answer of its own.
    let found = rule(&policy, "a.example/x", Namespace::named("x"));
    assert_eq!(found.as_deref(), Ok("everywhere"));
    assert_eq!(policy.unknown_action(None), Ok(Action::Deny));
    assert!(policy.uses_selectors() && !map("").uses_selectors());
}

#[test]
fn a_review_that_depends_on_unknown_labels_is_a_fault_and_no_verdict() {
    let policy = map(MAP);
    let context = context_of(&policy, NOW.parse().unwrap());
    let review = |image: &str| {
        review("CREATE", "x", &pod(&[image]))
            .to_string()
            .into_bytes()
    };
    for endpoint in [Endpoint::Mutate, Endpoint::Validate] {
        let undecided = admission::review(&context, endpoint, &review("a.example/x"));
        assert!(
            matches!(undecided, Err(ReviewError::LabelsUnknown(_))),
            "{undecided:?}"
        );
        admission::review(&context, endpoint, &review("a.example/team/x")).unwrap();
    }
}
