//! `namespaceSelector`, read and checked as the API server checks a label selector
//! (`k8s.io/apimachinery`, `pkg/apis/meta/v1/validation`, `ValidateLabelSelector`).

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Severity};
use super::reader::{Diagnostics, MapField, MapFields};
use super::{keys, values};
use crate::policy::namespace::{Operator, Requirement};
use crate::policy::pattern::shown;
use crate::policy::{LabelMap, NamespaceSelector, Scope};

/// Names of labels and values have at most so many characters.
const LONGEST: usize = 63;

/// Reads the scope of an entry or an override: `namespaces`, `namespaceSelector`, or
/// neither of them, which is `None`. Both are an error.
///
/// A scope that is wrong has been complained of, and holds no namespace.
pub(super) fn scope(
    fields: &mut MapFields<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Scope> {
    let selector = fields.take("namespaceSelector");
    let namespaces = fields.take("namespaces");
    if let Some(field) = &selector
        && namespaces.is_some()
    {
        let message = "`namespaces` and `namespaceSelector` stand in one place";
        diagnostics.add(
            Diagnostic::new(Severity::Error, &field.place, message)
                .help("leave one of them out, or write one place for each"),
        );
    }
    let selected = selector.as_ref().map(|field| read(field, diagnostics));
    let named = namespaces
        .as_ref()
        .map(|field| values::some(field, diagnostics, values::namespace));
    match (named, selected) {
        (Some(names), _) => Some(Scope::Namespaces(names.unwrap_or_default())),
        (None, Some(Some(selector))) => Some(Scope::Selector(selector)),
        (None, Some(None)) => Some(Scope::Namespaces(Vec::new())),
        (None, None) => None,
    }
}

fn read(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<NamespaceSelector> {
    let mut fields = field.map(keys::SELECTOR, diagnostics)?;
    let (labels, expressions) = (fields.take("matchLabels"), fields.take("matchExpressions"));
    // What was not understood has been complained of; it must not be called empty, too.
    let mut understood = true;
    let mut requirements = BTreeSet::new();
    if let Some(field) = labels {
        let labels = self::labels(&field, diagnostics);
        understood &= labels.is_some();
        let labels = labels.into_iter().flatten();
        requirements.extend(labels.map(|(key, value)| Requirement {
            key,
            operator: Operator::In(BTreeSet::from([value])),
        }));
    }
    if let Some(field) = expressions {
        for item in field.list(diagnostics).unwrap_or_default() {
            let requirement = expression(&item, diagnostics);
            understood &= requirement.is_some();
            requirements.extend(requirement);
        }
    }
    let selector = NamespaceSelector::new(requirements);
    if selector.is_none() && understood && !fields.has_unknown() {
        let message = "an empty `namespaceSelector` selects every namespace";
        diagnostics.add(
            Diagnostic::new(Severity::Error, &field.place, message).help(
                "write what is selected, like `matchLabels: {team: payments}`, or leave it out",
            ),
        );
    }
    selector
}

/// Labels with their values; `None` if any is wrong.
pub(super) fn labels(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<LabelMap> {
    let pairs = field.pairs(diagnostics)?;
    let written = pairs.len();
    let mut labels = LabelMap::new();
    for (key, value) in pairs {
        let pair = (
            label_key(&key, diagnostics),
            label_value(&value, diagnostics),
        );
        if let (Some(key), Some(value)) = pair {
            labels.insert(key, value);
        }
    }
    (labels.len() == written).then_some(labels)
}

fn expression(item: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Requirement> {
    let mut fields = item.map(keys::EXPRESSION, diagnostics)?;
    let values = fields.take("values");
    let Some(key) = fields.take("key") else {
        fields.missing(
            diagnostics,
            "an expression needs `key`: the name of a label",
        );
        return None;
    };
    let Some(operator) = fields.take("operator") else {
        fields.missing(
            diagnostics,
            "an expression needs `operator`: In, NotIn, Exists or DoesNotExist",
        );
        return None;
    };
    let key = label_key(&key, diagnostics);
    let operator = self::operator(&operator, values.as_ref(), diagnostics);
    Some(Requirement {
        key: key?,
        operator: operator?,
    })
}

fn operator(
    field: &MapField<'_, '_>,
    values: Option<&MapField<'_, '_>>,
    diagnostics: &mut Diagnostics,
) -> Option<Operator> {
    let word = field.text(diagnostics)?;
    match word {
        "In" => Some(Operator::In(some_values(field, values, diagnostics)?)),
        "NotIn" => Some(Operator::NotIn(some_values(field, values, diagnostics)?)),
        "Exists" | "DoesNotExist" => {
            let given = values.and_then(|field| field.list(diagnostics));
            if let (Some(field), false) = (values, given.unwrap_or_default().is_empty()) {
                let message = format!("`{word}` has no values: leave `values` out");
                diagnostics.error(&field.place, message);
                return None;
            }
            Some(match word {
                "Exists" => Operator::Exists,
                _ => Operator::DoesNotExist,
            })
        }
        _ => {
            let message = format!("`operator` is one of {}", keys::OPERATORS.join(", "));
            let diagnostic = Diagnostic::new(Severity::Error, &field.place, message);
            diagnostics.add(match keys::did_you_mean(word, keys::OPERATORS) {
                Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                None => diagnostic,
            });
            None
        }
    }
}

fn some_values(
    operator: &MapField<'_, '_>,
    values: Option<&MapField<'_, '_>>,
    diagnostics: &mut Diagnostics,
) -> Option<BTreeSet<String>> {
    let Some(field) = values else {
        diagnostics.error(
            &operator.place,
            "`In` and `NotIn` need `values`: what the label may or may not hold",
        );
        return None;
    };
    let found = values::some(field, diagnostics, label_value)?;
    (!found.is_empty()).then(|| found.into_iter().collect())
}

/// `[prefix/]name` (`k8s.io/apimachinery/pkg/util/validation`, `IsQualifiedName`).
fn label_key(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let key = field.text(diagnostics)?;
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let valid = prefix.is_none_or(values::is_dns_subdomain) && is_label_text(name);
    if !valid {
        diagnostics.error(
            &field.place,
            format!(
                "`{}` is no label: write its name, like team or example.com/team",
                shown(key)
            ),
        );
    }
    valid.then(|| key.to_owned())
}

/// `IsValidLabelValue`; it may be empty.
fn label_value(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let value = field.any_text(diagnostics)?;
    let valid = value.is_empty() || is_label_text(value);
    if !valid {
        diagnostics.error(
            &field.place,
            format!(
                "`{}` is no value of a label: write letters, digits, `-`, `_` and `.`, begin and \
                 end with a letter or digit, and no more than 63 characters",
                shown(value)
            ),
        );
    }
    valid.then(|| value.to_owned())
}

fn is_label_text(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
