//! The registry map in CEL: tables of constants, and expressions that search them.
//!
//! [`crate::policy`] says which rule precedes another and which action a rule has at a time;
//! this module must not decide that. The expressions use only functions of Kubernetes 1.29
//! (`k8s.io/apiserver/pkg/cel/environment`), because in new objects an API server accepts only
//! what its previous version can read; `secrets` may use newer ones. Texts of the map must
//! pass through [`quoted`] or `glob`.

use crate::policy::message;
use crate::policy::{
    Action, DOCKER_HUB_ALIASES, Pattern, Policy, Ranked, RankedScope, Rule, SelectorInMap,
    UnknownActions,
};
use crate::text::{cut, visible};
use image_reference::DOCKER_HUB;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most characters of an image that the expressions parse. For longer images the regular
/// expression alone can exceed the cost that the API server allows.
pub(super) const LONGEST_IMAGE: usize = 1024;

/// The name and the expression of an item of `spec.variables`.
pub(super) type Variable = (&'static str, String);

/// How many characters of a text of the map a message shows; a message has at most 5 KiB.
const SHOWN: usize = 400;

/// A regular expression for valid references, by the grammar of [`image_reference`]. A first
/// part in brackets is a registry only if it contains a `:` or a capital letter, as for every
/// first part.
const REFERENCE: &str = concat!(
    r"^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]+)?",
    r"|\[[a-f0-9]*[A-F:][a-fA-F0-9:]*\](?::[0-9]+)?|\[[a-f0-9]+\]:[0-9]+)/)?",
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*",
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?",
    r"(?:@(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}))?$",
);

/// A text as a string literal of CEL. No text can end its literal.
///
/// Other characters than printable ASCII are written as numeric escapes (CEL specification,
/// "String and Bytes Values"), so that no editor, terminal or YAML parser interprets them.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for letter in text.chars() {
        match letter {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            ' '..='~' => literal.push(letter),
            other => {
                let _ = write!(literal, "\\U{:08x}", u32::from(other));
            }
        }
    }
    literal.push('"');
    literal
}

/// A regular expression (RE2) that matches what one of the globs covers; `*` matches any
/// sequence of `letters`.
fn globs(texts: &[&str], letters: &str) -> String {
    let each: Vec<String> = texts.iter().map(|text| glob(text, letters)).collect();
    format!("^(?:{})$", each.join("|"))
}

fn glob(text: &str, letters: &str) -> String {
    let mut regex = String::new();
    for letter in text.chars() {
        match letter {
            '*' => {
                let _ = write!(regex, "{letters}*");
            }
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => regex.push(letter),
            other => {
                let _ = write!(regex, "\\x{{{:x}}}", u32::from(other));
            }
        }
    }
    regex
}

/// `host:port` for a literal host with one port, and a regular expression for a host with `*`
/// or for every port. In a host with `*`, the expression does not match addresses in brackets,
/// because no label contains a `[`.
fn host(pattern: &Pattern) -> String {
    let host = pattern.host();
    let port = match pattern.port() {
        Some(port) if !pattern.is_glob() => return format!("{host}:{port}"),
        Some(port) => port.to_string(),
        None => "[0-9]+".to_owned(),
    };
    let deep = if pattern.is_deep() {
        r"(?:[a-z0-9_-]+\x{2e})+"
    } else {
        ""
    };
    format!("^{deep}{}:{port}$", glob(host, "[a-z0-9_-]"))
}

fn scope(scope: &RankedScope<'_>) -> String {
    match scope {
        RankedScope::Everywhere => String::new(),
        RankedScope::Globs(texts) | RankedScope::Names(texts) => globs(texts, "[a-z0-9-]"),
    }
}

fn action(rule: &Rule<'_>, now: Timestamp) -> Action {
    match rule {
        Rule::Entry(entry, _) => entry.action_at(now),
        _ => Action::Allow,
    }
}

/// A rule as a row of a table: `[host, path, scope, action, secrets, words]`.
fn row(ranked: &Ranked<'_>, now: Timestamp) -> String {
    let action = action(&ranked.rule, now);
    let (secrets, words) = match ranked.rule {
        Rule::Entry(entry, _) => {
            let secrets = match action {
                Action::Deny => String::new(),
                _ => entry.pull_secrets.join(" "),
            };
            let mut words = format!("entry '{}' says {}", entry.name, action.as_str());
            if let Some(instead) = &entry.replace_with {
                let _ = write!(words, "; use {instead}");
            }
            if let Some(reason) = &entry.reason {
                let _ = write!(words, "; {reason}");
            }
            (secrets, shown(&words))
        }
        _ => (String::new(), String::new()),
    };
    let columns = [
        host(ranked.pattern),
        ranked.pattern.path().to_owned(),
        scope(&ranked.scope),
        action.as_str().to_owned(),
        secrets,
        // No message uses the words of an allow.
        if action == Action::Allow {
            String::new()
        } else {
            words
        },
    ];
    let columns = columns.map(|column| quoted(&column));
    format!("[{}]", columns.join(", "))
}

fn shown(text: &str) -> String {
    cut(visible(text), SHOWN)
}

/// The two tables: rules with literal hosts and one port, by `host:port`, and all others. Of
/// the rules for one host, those in the first table precede.
fn tables(policy: &Policy, now: Timestamp) -> Result<[Variable; 2], SelectorInMap> {
    let mut literal: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut with_globs = Vec::new();
    for ranked in policy.ranked(now)? {
        let row = row(&ranked, now);
        if ranked.pattern.is_glob() || ranked.pattern.port().is_none() {
            with_globs.push(row);
        } else {
            literal.entry(host(ranked.pattern)).or_default().push(row);
        }
    }
    let hosts: Vec<String> = literal
        .iter()
        .map(|(host, rows)| format!("{}: [{}]", quoted(host), rows.join(", ")))
        .collect();
    Ok([
        ("hosts", format!("{{\n{}\n}}", hosts.join(",\n"))),
        ("globs", format!("[\n{}\n]", with_globs.join(",\n"))),
    ])
}

fn images_of(object: &str) -> String {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let lists = lists.map(|list| {
        format!("{object}.spec.?{list}.orValue([]).map(c, string(c.?image.orValue(\"\"))) +\n")
    });
    format!(
        "{}{object}.spec.?volumes.orValue([]).map(v, string(v.?image.?reference.orValue(\"\")))",
        lists.concat()
    )
}

/// The row for images that no rule covers, with the action in the request's namespace.
fn unknown(policy: &Policy) -> Result<String, SelectorInMap> {
    let UnknownActions { overrides, default } = policy.unknown_actions()?;
    let mut words = message::NO_ENTRY.to_owned();
    if let Some(reason) = policy.unknown_reason() {
        let _ = write!(words, "; {reason}");
    }
    let mut action = String::new();
    for (namespaces, override_action) in overrides {
        let _ = write!(
            action,
            "request.namespace.matches({}) ? {} : ",
            quoted(&globs(&namespaces, "[a-z0-9-]")),
            quoted(override_action.as_str())
        );
    }
    let default = quoted(default.as_str());
    Ok(format!(
        "[\"\", \"\", \"\", {action}{default}, \"\", {}]",
        quoted(&shown(&words))
    ))
}

/// The variables from the request to `found`, which is a list of
/// `[image, host, path, scope, action, secrets, words]` of every image to judge.
pub(super) fn variables(policy: &Policy, now: Timestamp) -> Result<Vec<Variable>, SelectorInMap> {
    let aliases: Vec<String> = DOCKER_HUB_ALIASES.iter().map(|a| quoted(a)).collect();
    let (hub, aliases) = (quoted(DOCKER_HUB), aliases.join(", "));
    let reference = quoted(REFERENCE);
    let [hosts, globs] = tables(policy, now)?;
    Ok(vec![
        hosts,
        globs,
        ("unknown", unknown(policy)?),
        (
            "before",
            format!("oldObject == null ? [] : (\n{})", images_of("oldObject")),
        ),
        (
            "images",
            format!(
                "({}).filter(i, i != \"\" && !(i in variables.before))",
                images_of("object")
            ),
        ),
        // [image, name without the digest; empty if it is not a valid reference]
        (
            "names",
            format!(
                "variables.images.map(i, [i, i.size() <= {LONGEST_IMAGE} && i.matches({reference}) &&\n\
                 !i.matches(\"^[a-f0-9]{{64}}$\") ? i.split(\"@\")[0] : \"\"])"
            ),
        ),
        // [image, name without the digest, registry as written; empty if there is none]
        (
            "registries",
            "variables.names.map(n, [n[0], n[1], n[1].contains(\"/\") &&\n\
             n[1].split(\"/\")[0].matches(\"^localhost$|[.:A-Z]\") ? n[1].split(\"/\")[0] : \"\"])"
                .to_owned(),
        ),
        // [image, registry as written, host, port, path]; the port `0443` is 443
        (
            "parts",
            format!(
                "variables.registries.filter(r, r[1] != \"\").map(r, [r[0], r[2],\n\
                 r[2] == \"\" ? {hub} : r[2].lowerAscii().find(\"^(?:\\\\[[^\\\\]]*\\\\]|[^:]*)\"),\n\
                 r[2].matches(\":[0-9]+$\") ? r[2].find(\":[0-9]+$\").find(\"[1-9][0-9]*$\") : \"443\",\n\
                 (r[2] == \"\" ? r[1] : r[1].substring(r[2].size() + 1)).split(\":\")[0]])\n\
                 + variables.registries.filter(r, r[1] == \"\").map(r, [r[0], \"\", \"\", \"\", \"\"])"
            ),
        ),
        // [image, host:port, path]; Docker Hub has one name, and a path has at most 255
        // characters with what is implied
        (
            "places",
            format!(
                "variables.parts.map(p, (p[4].size() + (p[1].contains(\"_\") ? p[1].size() + 1 : 0) +\n\
                 (p[1] in [\"\", {hub}, \"index.docker.io\"] && !p[4].contains(\"/\") ? 8 : 0)) > 255 ? [p[0], \"\", \"\"] :\n\
                 [p[0], (p[2] in [{aliases}] ? {hub} : p[2]) + \":\" + p[3],\n\
                 (p[2] in [{hub}, {aliases}] && p[3] == \"443\" && !p[4].contains(\"/\") ? \"library/\" : \"\") + p[4]])"
            ),
        ),
        (
            "found",
            "variables.places.map(p, [p[0]] + (\n\
             (variables.hosts[?p[1]].orValue([]) + variables.globs.filter(g, p[1].matches(g[0])))\n\
             .filter(r, (r[1] == \"\" || p[2] == r[1] || p[2].startsWith(r[1] + \"/\")) &&\n\
             (r[2] == \"\" || request.namespace.matches(r[2])))[?0].orValue(variables.unknown)))"
                .to_owned(),
        ),
    ])
}

/// The condition that the request's namespace is not exempt; `None` if no namespace is.
pub(super) fn not_exempt(policy: &Policy) -> Option<String> {
    let exempt = policy.exempt_namespaces();
    (!exempt.is_empty()).then(|| {
        format!(
            "!request.namespace.matches({})",
            quoted(&globs(&exempt, "[a-z0-9-]"))
        )
    })
}

/// An expression for the message, on one line: about the first image with the action of the
/// policy, with `judged` before the colon.
pub(super) fn message(policy: &Policy, judged: &str) -> String {
    let contact = policy
        .contact()
        .map(|contact| shown(&format!("; contact: {contact}")))
        .unwrap_or_default();
    format!(
        "\"image \" + (variables.offenders[0][0].matches(\"^[!-~]{{1,300}}$\") ? variables.offenders[0][0] : \
         \"(too long or not printable)\") + {} + variables.offenders[0][6] + {} +\n\
         (variables.offenders.size() > 1 ? \" (and \" + string(variables.offenders.size() - 1) + \" more images)\" : \"\")",
        quoted(&format!("{judged}: ")),
        quoted(&contact)
    )
}

/// The variables with the pull secrets that the pod has and those that it lacks, in the order
/// in which its images first need them.
pub(super) fn secrets() -> Vec<Variable> {
    vec![
        (
            "have",
            "object.spec.?imagePullSecrets.orValue([]).map(s, string(s.?name.orValue(\"\")))".to_owned(),
        ),
        (
            "missing",
            "variables.found.map(f, f[5]).join(\" \").split(\" \").distinct()\n\
             .filter(n, n != \"\" && !(n in variables.have))"
                .to_owned(),
        ),
        // If the API server calls the policy again, the pod has the pull secrets of the first
        // call.
        (
            "injected",
            "(string(object.metadata.?annotations[?\"pullpass.dev/injected\"].orValue(\"\")).split(\",\")\n\
             .filter(n, n != \"\" && n in variables.have) + variables.missing).join(\",\")"
                .to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a literal by the grammar of CEL, up to its closing quote.
    fn read(literal: &str) -> Option<(String, &str)> {
        let mut rest = literal.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let letter = rest.chars().next()?;
            rest = &rest[letter.len_utf8()..];
            match letter {
                '"' => return Some((text, rest)),
                '\n' | '\r' => return None,
                '\\' => {
                    let kind = rest.chars().next()?;
                    rest = &rest[kind.len_utf8()..];
                    match kind {
                        '"' | '\\' => text.push(kind),
                        'U' => {
                            let (digits, after) = rest.split_at_checked(8)?;
                            text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                            rest = after;
                        }
                        _ => return None,
                    }
                }
                other => text.push(other),
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_literal(text in ".*|[\"\\\\\n\r\t' +()U0]{0,40}") {
            let literal = quoted(&text);
            prop_assert_eq!(read(&literal), Some((text.clone(), "")));
        }

        #[test]
        fn no_text_breaks_out_of_its_regular_expression(text in "\\PC{0,20}") {
            let regex = glob(&text, "[a-z]");
            let strange = regex.replace("[a-z]*", "");
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_\\{}".contains(letter);
            prop_assert!(strange.chars().all(plain), "{}", regex);
        }
    }
}
