//! Whether the API server calls pullpass as it should: what is wrong with a webhook
//! configuration, what happens meanwhile, and what to do.
//!
//! [`judge`] compares one object, as it was observed, with what this replica expects of it.
//! Texts of the object are untrusted and pass through [`crate::text`]. This module must not
//! read objects or verify certificates: its caller does both.

use crate::text::{cut, visible};
use crate::well_known::{CA_BUNDLE_ANNOTATION, EXPECTED_ANNOTATION};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;

mod webhook;

use webhook::Call;
pub use webhook::RegisteredWebhook;

/// The number of webhooks of one object that are judged.
const MOST_WEBHOOKS: usize = 8;
/// How many characters of an object's text a finding contains.
const SHOWN: usize = 120;

/// A webhook configuration that exists.
#[derive(Debug, Clone, Copy)]
pub struct ObservedConfiguration<'a> {
    /// Its annotations.
    pub annotations: Option<&'a BTreeMap<String, String>>,
    /// The list of its webhooks.
    pub webhooks: Option<&'a Value>,
}

impl<'a> ObservedConfiguration<'a> {
    fn annotation(&self, key: &str) -> Option<&'a str> {
        Some(self.annotations?.get(key)?.as_str())
    }

    fn webhooks(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let list = self.webhooks.and_then(Value::as_array);
        list.into_iter().flatten().take(MOST_WEBHOOKS)
    }
}

/// What this replica expects of its webhook configurations.
pub struct Expectation<'a> {
    /// Namespace and name of the Service through which the API server calls, if known.
    pub service: Option<(&'a str, &'a str)>,
    /// The names in the certificate that this replica serves; a URL may name any of them.
    pub server_names: &'a [String],
    /// Why a client that trusts this `caBundle` and connects to this name refuses the
    /// certificate that this replica serves; `None` when it does not. While no certificate is
    /// served there is nothing to refuse.
    pub refusal: &'a dyn Fn(&[u8], &str) -> Option<String>,
}

/// What is wrong with a webhook configuration; every text is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationFinding {
    /// What is wrong.
    pub problem: String,
    /// What happens meanwhile.
    pub meanwhile: String,
    /// What to do.
    pub remedy: &'static str,
    /// Whether calls that pullpass must get do not reach it.
    pub stops_calls: bool,
}

const MISSING: &str = "restore it as docs/break-glass.md says (helm upgrade with the same values)";
const CHANGED: &str = "helm upgrade with the same values restores it";
const AUTHORITY: &str = "pullpass itself writes it again if its certificate is self-signed; \
     otherwise publish the CA of the certificate in it (docs/certificates.md)";

impl RegistrationFinding {
    fn changed(problem: String, meanwhile: impl Into<String>) -> Self {
        Self {
            problem,
            meanwhile: meanwhile.into(),
            remedy: CHANGED,
            stops_calls: true,
        }
    }
}

/// Compares a webhook configuration with what is expected of it; `None` where it does not
/// exist. No finding means that it is well.
#[must_use]
pub fn judge(
    webhook: RegisteredWebhook,
    configuration: Option<&ObservedConfiguration<'_>>,
    expected: &Expectation<'_>,
) -> Vec<RegistrationFinding> {
    let Some(configuration) = configuration else {
        return vec![RegistrationFinding {
            problem: "it does not exist".to_owned(),
            meanwhile: webhook.without().to_owned(),
            remedy: MISSING,
            stops_calls: true,
        }];
    };
    let mut findings = Vec::new();
    for hook in configuration.webhooks() {
        let judged = JudgedHook {
            webhook,
            hook,
            client: ClientConfig::of(hook),
        };
        match judged.destination(expected) {
            Err(elsewhere) => findings.push(elsewhere),
            Ok(server_name) => {
                findings.extend(judged.authority(configuration, expected, &server_name));
            }
        }
        findings.extend(judged.rules());
        findings.extend(judged.intention(configuration));
    }
    if configuration.webhooks().next().is_none() {
        findings.push(RegistrationFinding::changed(
            "it contains no webhook".to_owned(),
            webhook.without(),
        ));
    }
    findings
}

/// Where a webhook is called.
struct ClientConfig<'a> {
    service: Option<(&'a str, &'a str)>,
    url: Option<&'a str>,
    path: &'a str,
    bundle: &'a str,
}

impl<'a> ClientConfig<'a> {
    fn of(hook: &'a Value) -> Self {
        let text = |pointer: &str| hook.pointer(pointer).and_then(Value::as_str);
        let url = text("/clientConfig/url");
        let path = match url {
            Some(url) => authority_and_path(url).1,
            None => text("/clientConfig/service/path").unwrap_or("/"),
        };
        Self {
            service: text("/clientConfig/service/namespace")
                .zip(text("/clientConfig/service/name")),
            url,
            path,
            bundle: text("/clientConfig/caBundle").unwrap_or_default(),
        }
    }
}

/// Of `https://host:port/path`; the API server admits no query and no user in it.
fn authority_and_path(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let at = rest.find('/').unwrap_or(rest.len());
    rest.split_at(at)
}

/// The host of `host:port` or `[host]:port`.
fn host(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

/// One webhook of a configuration.
struct JudgedHook<'a> {
    webhook: RegisteredWebhook,
    hook: &'a Value,
    client: ClientConfig<'a>,
}

impl JudgedHook<'_> {
    /// The server's name that the API server verifies, where it calls pullpass.
    fn destination(&self, expected: &Expectation<'_>) -> Result<String, RegistrationFinding> {
        let elsewhere = |problem| {
            RegistrationFinding::changed(
                problem,
                format!("pullpass is not called: {}", self.webhook.without()),
            )
        };
        let name = match (self.client.url, self.client.service) {
            (Some(url), _) => {
                let host = host(authority_and_path(url).0);
                let is_ours = expected.server_names.is_empty()
                    || expected
                        .server_names
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(host));
                if !is_ours {
                    return Err(elsewhere(format!(
                        "it calls {}, which is no name of the certificate that pullpass serves",
                        shown(url)
                    )));
                }
                host.to_owned()
            }
            (None, Some((namespace, name))) => {
                if expected
                    .service
                    .is_some_and(|ours| ours != (namespace, name))
                {
                    return Err(elsewhere(format!(
                        "it calls the Service {}/{}",
                        shown(namespace),
                        shown(name)
                    )));
                }
                format!("{name}.{namespace}.svc")
            }
            (None, None) => return Err(elsewhere("it calls nothing".to_owned())),
        };
        if self.webhook.has_path(self.client.path) {
            return Ok(name);
        }
        Err(elsewhere(format!(
            "it calls the path {}",
            shown(self.client.path)
        )))
    }

    /// Whether the API server trusts the certificate.
    fn authority(
        &self,
        configuration: &ObservedConfiguration<'_>,
        expected: &Expectation<'_>,
        server_name: &str,
    ) -> Option<RegistrationFinding> {
        let bundle = STANDARD.decode(self.client.bundle).unwrap_or_default();
        let problem = if bundle.is_empty() {
            // The API server then goes by its system roots, which nobody but its owner knows.
            if configuration.annotation(CA_BUNDLE_ANNOTATION) == Some("provided") {
                return None;
            }
            // While no certificate is served, the first caBundle is still to come.
            (expected.refusal)(&bundle, server_name)?;
            "its caBundle is empty".to_owned()
        } else {
            let refusal = (expected.refusal)(&bundle, server_name)?;
            format!("its caBundle does not fit the certificate that pullpass serves: {refusal}")
        };
        let meanwhile = if self.fails_closed() {
            self.webhook.denied()
        } else {
            self.webhook.without()
        };
        Some(RegistrationFinding {
            problem,
            meanwhile: format!("no call reaches pullpass: {meanwhile}"),
            remedy: AUTHORITY,
            stops_calls: true,
        })
    }

    fn rules(&self) -> Option<RegistrationFinding> {
        let rules = self.hook.get("rules").and_then(Value::as_array);
        let rules: Vec<&Value> = rules.into_iter().flatten().collect();
        let left_out: Vec<String> = self
            .webhook
            .calls()
            .iter()
            .filter(|call| !rules.iter().any(|rule| covers(rule, call)))
            .map(|(_, resource, operation)| format!("{operation} {resource}"))
            .collect();
        (!left_out.is_empty()).then(|| {
            RegistrationFinding::changed(
                format!("its rules leave out {}", left_out.join(", ")),
                format!(
                    "pullpass is not asked about these: {}",
                    self.webhook.without()
                ),
            )
        })
    }

    /// What the chart has written down of its intention, compared with the fields themselves.
    fn intention(&self, configuration: &ObservedConfiguration<'_>) -> Vec<RegistrationFinding> {
        let expected = configuration.annotation(EXPECTED_ANNOTATION);
        let expected = expected.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(Value::Object(expected)) = expected else {
            return Vec::new();
        };
        let differs = |key: &str| {
            let wanted = expected.get(key)?;
            let found = self.hook.get(key).unwrap_or(&Value::Null);
            (!is_same(wanted, found)).then_some((wanted, found))
        };
        let mut findings = Vec::new();
        if let Some((wanted, found)) = differs("failurePolicy") {
            let then = if self.fails_closed() {
                self.webhook.denied()
            } else {
                self.webhook.without()
            };
            findings.push(RegistrationFinding {
                stops_calls: false,
                ..RegistrationFinding::changed(
                    format!(
                        "its failurePolicy is {} instead of {}",
                        shown(found.as_str().unwrap_or("missing")),
                        shown(wanted.as_str().unwrap_or("missing"))
                    ),
                    format!("whenever pullpass does not answer, {then}"),
                )
            });
        }
        for key in ["namespaceSelector", "objectSelector", "matchConditions"] {
            if differs(key).is_some() {
                findings.push(RegistrationFinding::changed(
                    format!("somebody changed its {key}"),
                    format!(
                        "pullpass may not be asked about what it leaves out: {}",
                        self.webhook.without()
                    ),
                ));
            }
        }
        findings
    }

    fn fails_closed(&self) -> bool {
        // The API server's default is Fail.
        self.hook.get("failurePolicy").and_then(Value::as_str) != Some("Ignore")
    }
}

/// Whether a rule covers a call, as `plugin/webhook/predicates/rules` of the API server has it.
fn covers(rule: &Value, (group, resource, operation): &Call) -> bool {
    let holds = |key: &str, matches: &dyn Fn(&str) -> bool| {
        let list = rule.get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(matches)
    };
    let is = |wanted: &'static str| move |found: &str| found == "*" || found == wanted;
    let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let names_resource = |found: &str| {
        let (found_name, found_subresource) = found.split_once('/').unwrap_or((found, ""));
        // `*` alone is every resource without its subresources.
        let is_subresource = found_subresource == subresource || found_subresource == "*";
        (found_name == name || found_name == "*") && is_subresource
    };
    holds("apiGroups", &is(group))
        && holds("apiVersions", &is("v1"))
        && holds("operations", &is(operation))
        && holds("resources", &names_resource)
        && rule.get("scope").and_then(Value::as_str) != Some("Cluster")
}

/// Whether two fields mean the same: what is left out is empty.
fn is_same(wanted: &Value, found: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    wanted == found || (is_empty(wanted) && is_empty(found))
}

fn shown(text: &str) -> String {
    cut(visible(text), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVICE: (&str, &str) = ("pullpass", "pullpass");

    fn validating() -> Value {
        json!([{
            "name": "validate.pullpass.dev",
            "clientConfig": {
                "service": {"namespace": "pullpass", "name": "pullpass", "path": "/validate", "port": 443},
                "caBundle": "Q0E=",
            },
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE", "UPDATE"], "scope": "Namespaced"},
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/ephemeralcontainers"], "operations": ["UPDATE"]},
            ],
            "namespaceSelector": {"matchLabels": {"a": "b"}},
            "objectSelector": {},
            "matchConditions": [{"name": "one", "expression": "true"}],
            "failurePolicy": "Fail",
        }])
    }

    fn annotations(extra: &[(&str, &str)]) -> BTreeMap<String, String> {
        let expected = json!({
            "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"a": "b"}},
            "matchConditions": [{"name": "one", "expression": "true"}],
        });
        let own = [(EXPECTED_ANNOTATION, expected.to_string())];
        let extra = extra.iter().map(|(key, value)| (*key, (*value).to_owned()));
        own.into_iter()
            .chain(extra)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn judged(
        webhook: RegisteredWebhook,
        hooks: &Value,
        annotated: &[(&str, &str)],
    ) -> Vec<RegistrationFinding> {
        let annotations = annotations(annotated);
        let configuration = ObservedConfiguration {
            annotations: Some(&annotations),
            webhooks: Some(hooks),
        };
        let expected = Expectation {
            service: Some(SERVICE),
            server_names: &["pullpass.pullpass.svc".to_owned()],
            refusal: &|bundle, name| {
                assert_eq!(name, "pullpass.pullpass.svc");
                (bundle != b"CA").then(|| "it was issued by another CA".to_owned())
            },
        };
        judge(webhook, Some(&configuration), &expected)
    }

    fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut hooks = validating();
        change(&mut hooks[0]);
        let findings = judged(RegisteredWebhook::Validate, &hooks, &[]);
        findings
            .into_iter()
            .map(|finding| finding.problem)
            .collect()
    }

    #[test]
    fn a_configuration_of_the_chart_has_no_problem() {
        assert_eq!(problems(|_| ()), [""; 0]);
        // Wildcards cover more, and what is empty is as good as left out.
        let wide = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*", "pods/*"], "operations": ["*"], "scope": "*"}]);
        assert_eq!(problems(|hook| hook["rules"] = wide), [""; 0]);
        assert_eq!(
            problems(|hook| hook["objectSelector"] = Value::Null),
            [""; 0]
        );
        // Nobody has said what these are meant to be.
        assert_eq!(problems(|hook| hook["timeoutSeconds"] = json!(1)), [""; 0]);
    }

    #[test]
    fn each_change_is_a_problem_of_its_own() {
        type Change = fn(&mut Value);
        let table: &[(Change, &str)] = &[
            (
                |hook| hook["failurePolicy"] = json!("Ignore"),
                "its failurePolicy is Ignore instead of Fail",
            ),
            (
                |hook| hook["namespaceSelector"] = json!({}),
                "somebody changed its namespaceSelector",
            ),
            (
                |hook| hook["matchConditions"] = json!([]),
                "somebody changed its matchConditions",
            ),
            (
                |hook| hook["clientConfig"]["caBundle"] = json!("T1RIRVI="),
                "its caBundle does not fit the certificate that pullpass serves: it was issued by another CA",
            ),
            (
                |hook| hook["clientConfig"]["caBundle"] = json!("not base64!"),
                "its caBundle is empty",
            ),
            (
                |hook| hook["clientConfig"]["caBundle"] = Value::Null,
                "its caBundle is empty",
            ),
            (
                |hook| hook["clientConfig"]["service"]["name"] = json!("other"),
                "it calls the Service pullpass/other",
            ),
            (
                |hook| hook["clientConfig"]["service"]["path"] = json!("/mutate"),
                "it calls the path /mutate",
            ),
            (
                |hook| hook["clientConfig"] = json!({"url": "https://evil.example:8443/validate"}),
                "it calls https://evil.example:8443/validate, which is no name of the certificate that pullpass serves",
            ),
            (|hook| hook["clientConfig"] = json!({}), "it calls nothing"),
            (
                |hook| hook["rules"] = json!([]),
                "its rules leave out CREATE pods, UPDATE pods, UPDATE pods/ephemeralcontainers",
            ),
            (
                |hook| hook["rules"][0]["scope"] = json!("Cluster"),
                "its rules leave out CREATE pods, UPDATE pods",
            ),
            (
                |hook| hook["rules"][1]["resources"] = json!(["*"]),
                "its rules leave out UPDATE pods/ephemeralcontainers",
            ),
        ];
        for (change, problem) in table {
            assert_eq!(problems(change), [*problem]);
        }
    }

    #[test]
    fn a_url_may_name_the_server_by_any_name_of_its_certificate() {
        let url = json!({"url": "https://PULLPASS.pullpass.svc:443/validate", "caBundle": "Q0E="});
        let mut hooks = validating();
        hooks[0]["clientConfig"] = url;
        let annotations = annotations(&[]);
        let configuration = ObservedConfiguration {
            annotations: Some(&annotations),
            webhooks: Some(&hooks),
        };
        let expected = Expectation {
            service: Some(SERVICE),
            server_names: &["pullpass.pullpass.svc".to_owned()],
            refusal: &|_, _| None,
        };
        assert_eq!(
            judge(RegisteredWebhook::Validate, Some(&configuration), &expected),
            []
        );
        assert_eq!(host("[::1]:8443"), "::1");
        assert_eq!(host("a.example"), "a.example");
    }

    #[test]
    fn what_is_missing_says_what_happens_to_whom() {
        let expected = Expectation {
            service: None,
            server_names: &[],
            refusal: &|_, _| None,
        };
        for (webhook, meanwhile) in [
            (
                RegisteredWebhook::Mutate,
                "pods are created without the pull secrets",
            ),
            (
                RegisteredWebhook::Validate,
                "pods that the map denies are admitted",
            ),
            (RegisteredWebhook::ValidateMap, "no replica loads it"),
            (
                RegisteredWebhook::ValidateWorkloads,
                "authors of workloads are told nothing",
            ),
        ] {
            let [finding] = &judge(webhook, None, &expected)[..] else {
                panic!("one finding");
            };
            assert_eq!(finding.problem, "it does not exist");
            assert!(
                finding.meanwhile.contains(meanwhile),
                "{}",
                finding.meanwhile
            );
            assert!(finding.stops_calls);
        }
        let none = judged(RegisteredWebhook::Validate, &json!([]), &[]);
        assert_eq!(none[0].problem, "it contains no webhook");
    }

    #[test]
    fn a_ca_bundle_that_its_owner_left_empty_is_not_judged() {
        let mut hooks = validating();
        hooks[0]["clientConfig"]["caBundle"] = Value::Null;
        let by = |mode| {
            judged(
                RegisteredWebhook::Validate,
                &hooks,
                &[(CA_BUNDLE_ANNOTATION, mode)],
            )
        };
        assert_eq!(by("provided"), []);
        assert_eq!(by("certManager")[0].problem, "its caBundle is empty");
    }

    #[test]
    fn what_is_registered_shows_in_names_and_paths() {
        for (name, path, webhook) in [
            (
                "validate-map.pullpass.dev",
                "/x",
                Some(RegisteredWebhook::ValidateMap),
            ),
            (
                "other.example",
                "/validate-workloads/deny",
                Some(RegisteredWebhook::ValidateWorkloads),
            ),
            ("other.example", "/validate-workloads", None),
            ("validate.pullpass.dev.example", "/", None),
        ] {
            let hooks = json!([{"name": name, "clientConfig": {"service": {"path": path}}}]);
            let configuration = ObservedConfiguration {
                annotations: None,
                webhooks: Some(&hooks),
            };
            assert_eq!(
                RegisteredWebhook::of(&configuration),
                webhook,
                "{name} {path}"
            );
        }
    }

    #[test]
    fn texts_of_an_object_are_safe_to_show_and_bounded() {
        let name = format!("x\u{1b}[2J{}", "y".repeat(10_000));
        let found = problems(|hook| {
            hook["clientConfig"]["service"]["name"] = json!(name);
            hook["failurePolicy"] = json!(name);
        });
        assert!(
            found[0].starts_with("it calls the Service pullpass/x\\u{1b}[2Jy"),
            "{}",
            found[0]
        );
        assert!(found.iter().all(|problem| problem.len() < 400));
        // Shapes that the API server never sends.
        for odd in [
            json!({}),
            json!([1, "a", null]),
            json!([{"rules": 5, "clientConfig": []}]),
        ] {
            let _ = judged(
                RegisteredWebhook::Validate,
                &odd,
                &[(EXPECTED_ANNOTATION, "[")],
            );
        }
    }
}
