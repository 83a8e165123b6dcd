//! Reads `namespaceSelector`, and checks it as the API server checks a label selector
//! (`ValidateLabelSelector` in `k8s.io/apimachinery/pkg/apis/meta/v1/validation`). This module
//! must not decide which namespaces a selector selects.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::reader::{MapField, MapFields};
use super::{keys, values};
use crate::policy::namespace::{Operator, Requirement};
use crate::policy::pattern::shown;
use crate::policy::{LabelMap, NamespaceSelector, Scope};

/// The length of the longest label value, and of the longest label name without its prefix
/// (`LabelValueMaxLength` in `k8s.io/apimachinery/pkg/util/validation`).
const LONGEST_LABEL: usize = 63;

/// Reads the scope of an entry or an override: `namespaces`, `namespaceSelector`, or `None`
/// where the map has neither. Both together are an error.
///
/// A scope that is not valid is reported, and has no namespace.
pub(super) fn scope(
    fields: &mut MapFields<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Scope> {
    let selector = fields.take("namespaceSelector");
    let namespaces = fields.take("namespaces");
    if let Some(field) = &selector
        && namespaces.is_some()
    {
        let message = "`namespaces` and `namespaceSelector` are written together";
        diagnostics.add(
            Diagnostic::new(Severity::Error, &field.place, message)
                .help("leave one of them out, or write an entry or override for each"),
        );
    }
    let selector = selector.as_ref().map(|field| read(field, diagnostics));
    let names = namespaces
        .as_ref()
        .map(|field| values::some(field, diagnostics, values::namespace));
    match (names, selector) {
        (Some(names), _) => Some(Scope::Namespaces(names.unwrap_or_default())),
        (None, Some(Some(selector))) => Some(Scope::Selector(selector)),
        (None, Some(None)) => Some(Scope::Namespaces(Vec::new())),
        (None, None) => None,
    }
}

fn read(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<NamespaceSelector> {
    let mut fields = field.map(keys::SELECTOR, diagnostics)?;
    let (labels, expressions) = (fields.take("matchLabels"), fields.take("matchExpressions"));
    // A selector whose parts are not valid is already reported, and must not be reported as
    // empty, too.
    let mut valid = true;
    let mut requirements = BTreeSet::new();
    if let Some(field) = labels {
        let labels = self::labels(&field, diagnostics);
        valid &= labels.is_some();
        let labels = labels.into_iter().flatten();
        requirements.extend(labels.map(|(key, value)| Requirement {
            key,
            operator: Operator::In(BTreeSet::from([value])),
        }));
    }
    if let Some(field) = expressions {
        for item in field.list(diagnostics).unwrap_or_default() {
            let requirement = expression(&item, diagnostics);
            valid &= requirement.is_some();
            requirements.extend(requirement);
        }
    }
    let selector = NamespaceSelector::new(requirements);
    if selector.is_none() && valid && !fields.has_unknown() {
        let message = "an empty `namespaceSelector` selects every namespace";
        diagnostics.add(
            Diagnostic::new(Severity::Error, &field.place, message).help(
                "write the labels to select, like `matchLabels: {team: payments}`, or leave \
                 `namespaceSelector` out",
            ),
        );
    }
    selector
}

/// Reads labels with their values; `None` where any of them is not valid.
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
            "an expression needs `key`; write the name of a label",
        );
        return None;
    };
    let Some(operator) = fields.take("operator") else {
        fields.missing(
            diagnostics,
            "an expression needs `operator`; write In, NotIn, Exists or DoesNotExist",
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
                let message = format!("`{word}` takes no values; leave `values` out");
                diagnostics.error(&field.place, message);
                return None;
            }
            Some(match word {
                "Exists" => Operator::Exists,
                _ => Operator::DoesNotExist,
            })
        }
        _ => {
            let message = format!("`operator` must be one of {}", keys::OPERATORS.join(", "));
            let suggestion = keys::suggestion(word, keys::OPERATORS);
            diagnostics
                .add(Diagnostic::new(Severity::Error, &field.place, message).suggest(suggestion));
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
            "`In` and `NotIn` need `values`; write the values to compare the label with",
        );
        return None;
    };
    let found = values::some(field, diagnostics, label_value)?;
    (!found.is_empty()).then(|| found.into_iter().collect())
}

/// Reads `[prefix/]name` (`IsQualifiedName` in `k8s.io/apimachinery/pkg/util/validation`).
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
                "`{}` is not the name of a label; write one like team or example.com/team",
                shown(key)
            ),
        );
    }
    valid.then(|| key.to_owned())
}

/// Reads the value of a label, which may be empty (`IsValidLabelValue` in the same package).
fn label_value(field: &MapField<'_, '_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let value = field.any_text(diagnostics)?;
    let valid = value.is_empty() || is_label_text(value);
    if !valid {
        diagnostics.error(
            &field.place,
            format!(
                "`{}` is not the value of a label; use letters, digits, `-`, `_` and `.`, begin and \
                 end with a letter or digit, and write at most 63 characters",
                shown(value)
            ),
        );
    }
    valid.then(|| value.to_owned())
}

fn is_label_text(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LONGEST_LABEL
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
