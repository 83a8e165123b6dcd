//! Which rule decides: the sentences of the map's reference, one row each.

use pullpass_core::policy::{Action, Labels, Namespace, Pattern, Policy, Rule, Unknown};

use super::{NOW, map};

/// The name of the entry, the pattern of `publicRegistries` with a `+`, or why none.
fn rule(policy: &Policy, image: &str, namespace: Option<&str>, now: &str) -> String {
    let namespace = namespace.map(Namespace::named);
    let judgement = policy
        .context(namespace, now.parse().unwrap())
        .judge(image)
        .unwrap();
    match judgement.rule {
        Rule::Entry(entry, pattern) => {
            assert!(entry.patterns.contains(pattern));
            entry.name.clone()
        }
        Rule::Public(pattern) => format!("+{pattern}"),
        Rule::Unknown(Unknown::NoEntry) => "none".to_owned(),
        Rule::Unknown(Unknown::InvalidReference) => "invalid".to_owned(),
        Rule::Unknown(Unknown::InvalidPort) => "port".to_owned(),
        Rule::Exempt => "exempt".to_owned(),
    }
}

const A: Option<Namespace<'_>> = Some(Namespace {
    name: "a",
    labels: Labels::LeftOut,
});

fn check(body: &str, rows: &[(&str, &str)]) {
    let policy = map(body);
    for (image, expected) in rows {
        assert_eq!(
            rule(&policy, image, Some("default"), NOW),
            *expected,
            "{image}"
        );
    }
}

#[test]
fn patterns_cover_whole_labels_and_whole_path_parts() {
    check(
        "publicRegistries: []
registries:
  - {name: path, match: quay.io/core}
  - {name: label, match: '*.one.example'}
  - {name: part, match: 'reg*.two.example'}
  - {name: middle, match: 'reg*eu.three.example'}
  - {name: two, match: '*.*.four.example'}
  - {name: deep, match: '**.five.example'}
  - {name: deep-glob, match: '**.reg*.six.example'}
  - {name: port, match: 'seven.example:5000'}
  - {name: glob-port, match: '*.eight.example:5000'}
",
        &[
            ("quay.io/core", "path"),
            ("quay.io/core/etcd:1", "path"),
            ("quay.io/coreos/etcd", "none"),
            ("quay.io/cor", "none"),
            ("quay.io/x/core", "none"),
            ("reg.one.example/x", "label"),
            ("one.example/x", "none"),
            ("a.b.one.example/x", "none"),
            ("reg.one.example.com/x", "none"),
            ("reg.two.example/x", "part"),
            ("reg-1.two.example/x", "part"),
            ("re.two.example/x", "none"),
            ("reg.x.two.example/x", "none"),
            ("reg-eu.three.example/x", "middle"),
            ("regeu.three.example/x", "middle"),
            ("reg-us.three.example/x", "none"),
            ("a.b.four.example/x", "two"),
            ("a.four.example/x", "none"),
            ("a.five.example/x", "deep"),
            ("a.b.c.d.five.example/x", "deep"),
            ("five.example/x", "none"),
            ("xfive.example/x", "none"),
            ("a.reg1.six.example/x", "deep-glob"),
            ("reg1.six.example/x", "none"),
            ("seven.example:5000/x", "port"),
            ("seven.example:05000/x", "port"),
            ("seven.example:5001/x", "none"),
            ("seven.example/x", "none"),
            ("a.eight.example:5000/x", "glob-port"),
            ("a.eight.example/x", "none"),
        ],
    );
}

#[test]
fn spelling_cannot_dodge_a_verdict() {
    check(
        "publicRegistries: []
registries:
  - {name: official, match: docker.io/library}
  - {name: hub, match: registry.hub.docker.com}
  - {name: corp, match: 'Registry.Corp.Example:0443/team'}
  - {name: v6, match: '[2001:DB8:0:0::1]:5000'}
  - {name: local, match: localhost}
  - {name: under, match: reg_ex.com}
  - {name: one-label, match: 'corp:443'}
",
        &[
            ("nginx", "official"),
            ("docker.io/nginx", "official"),
            ("docker.io/library/nginx", "official"),
            ("index.docker.io/nginx", "official"),
            ("registry-1.docker.io/nginx", "official"),
            ("registry.hub.docker.com/library/nginx", "official"),
            ("DOCKER.IO/nginx", "official"),
            ("Docker.io:443/nginx", "official"),
            ("docker.io:00443/library/nginx", "official"),
            ("team/app", "hub"),
            ("INDEX.docker.io:443/team/app", "hub"),
            ("docker.io:5000/nginx", "none"),
            ("registry.corp.example/team/app", "corp"),
            ("REGISTRY.corp.EXAMPLE:443/team", "corp"),
            ("registry.corp.example:0443/team", "corp"),
            ("registry.corp.example:4433/team", "none"),
            ("[2001:db8::1]:5000/app", "v6"),
            ("[2001:0db8:0000::0001]:05000/app", "v6"),
            ("[2001:db8::2]:5000/app", "none"),
            ("localhost/app", "local"),
            ("LocalHost:443/app", "local"),
            ("reg_ex.com/app", "under"),
            ("corp:443/app", "one-label"),
            ("Corp/app", "one-label"),
            // No host without a dot, a port or an upper case letter: Docker Hub.
            ("corp/app", "hub"),
            ("registry.corp.example:65536/team", "port"),
            ("registry.corp.example:99999999999999999999/team", "port"),
            ("registry.corp.example:0/team", "none"),
            ("", "invalid"),
            (" nginx", "invalid"),
            ("HTTPS://docker.io/nginx", "invalid"),
            ("https://docker.io/nginx", "invalid"),
            ("docker.io./nginx", "invalid"),
            ("docker.io/Nginx", "invalid"),
            ("user@docker.io/nginx", "invalid"),
            ("docker.io//nginx", "invalid"),
            ("nginx:", "invalid"),
        ],
    );
}

#[test]
fn an_ipv6_address_is_no_name_that_a_glob_could_cover() {
    check(
        "publicRegistries: []\nregistries: [{name: dots, match: '*.*.*.4'}]\n",
        &[
            ("1.2.3.4/x", "dots"),
            ("[2001:db8::4]/x", "none"),
            ("[::102:304]/x", "none"),
            // The same server as 1.2.3.4.
            ("[::ffff:102:304]/x", "dots"),
            ("[::ffff:0102:0304]/x", "dots"),
        ],
    );
}

#[test]
fn the_closest_rule_decides() {
    check(
        "registries:
  - {name: deep, match: '**.corp.example'}
  - {name: glob, match: '*.corp.example'}
  - {name: glob-path, match: '*.corp.example/team'}
  - {name: closer-glob, match: 'reg*.corp.example'}
  - {name: literal, match: registry.corp.example}
  - {name: literal-path, match: registry.corp.example/a/b}
  - {name: literal-longer, match: registry.corp.example/a/b/c}
  - {name: docker, match: docker.io}
  - {name: docker-glob, match: '*.io/library'}
  - {name: quay-glob, match: 'quay.*'}
publicRegistries: [docker.io, docker.io/library, quay.io/team, gcr.*, g*.io]
",
        &[
            // Literal host before glob host, even if the glob has the longer path.
            ("registry.corp.example/team/app", "literal"),
            // Then the longer path.
            ("registry.corp.example/a/x", "literal"),
            ("registry.corp.example/a/b", "literal-path"),
            ("registry.corp.example/a/b/x", "literal-path"),
            ("registry.corp.example/a/b/c/d", "literal-longer"),
            // More literal characters in the host, even if the other has the longer path.
            ("reg-2.corp.example/team/app", "closer-glob"),
            ("other.corp.example/team/app", "glob-path"),
            ("other.corp.example/x", "glob"),
            // One label before any number of them.
            ("a.b.corp.example/x", "deep"),
            // An entry before a public registry on the same pattern only.
            ("docker.io/team/app", "docker"),
            ("nginx", "+docker.io/library"),
            ("quay.io/team/x", "+quay.io/team"),
            ("quay.io/x", "quay-glob"),
        ],
    );
}

#[test]
fn scopes_narrow_an_entry() {
    let policy = map("publicRegistries: [quay.io]
registries:
  - {name: everywhere, match: quay.io}
  - {name: glob, match: quay.io, namespaces: ['team-*']}
  - {name: named, match: quay.io, namespaces: [team-a, x]}
  - {name: only, match: gcr.io/p, namespaces: ['*-a']}
  - {name: wide, match: gcr.io}
");
    for (image, namespace, expected) in [
        ("quay.io/a", Some("team-a"), "named"),
        ("quay.io/a", Some("team-b"), "glob"),
        ("quay.io/a", Some("x"), "named"),
        ("quay.io/a", Some("y"), "everywhere"),
        ("quay.io/a", None, "everywhere"),
        // A longer path before a scope.
        ("gcr.io/p/q", Some("team-a"), "only"),
        ("gcr.io/p/q", Some("team-b"), "wide"),
        ("gcr.io/p/q", None, "wide"),
    ] {
        assert_eq!(
            rule(&policy, image, namespace, NOW),
            expected,
            "{image} {namespace:?}"
        );
    }
}

#[test]
fn an_entry_that_is_expired_is_as_if_absent() {
    let policy = map("publicRegistries: [docker.io]
registries:
  - {name: day, match: quay.io/a, until: 2026-12-31}
  - {name: below, match: quay.io}
  - {name: time, match: gcr.io, until: '2026-12-31T12:00:00+01:00'}
  - {name: hub, match: docker.io, until: 2026-12-31}
  - {name: scoped, match: quay.io, until: 2026-12-31, namespaces: [x]}
");
    for (image, now, expected) in [
        ("quay.io/a/x", "2026-12-31T23:59:59.999999999Z", "day"),
        ("quay.io/a/x", "2027-01-01T00:00:00Z", "below"),
        ("gcr.io/x", "2026-12-31T10:59:59Z", "time"),
        ("gcr.io/x", "2026-12-31T11:00:00Z", "none"),
        ("nginx", "2026-12-31T23:59:59Z", "hub"),
        ("nginx", "2027-01-01T00:00:00Z", "+docker.io"),
        ("quay.io/b", "2026-12-31T23:59:59Z", "scoped"),
        ("quay.io/b", "2027-01-01T00:00:00Z", "below"),
    ] {
        assert_eq!(
            rule(&policy, image, Some("x"), now),
            expected,
            "{image} {now}"
        );
    }
}

#[test]
fn a_deny_warns_before_it_begins_and_an_end_is_announced() {
    let policy = map("publicRegistries: []
registries:
  - {name: begins, match: quay.io, action: deny, from: 2027-03-01, pullSecrets: [quay]}
  - {name: ends, match: gcr.io, until: 2027-03-14, pullSecrets: [gcr]}
  - {name: denied, match: docker.io, action: deny}
");
    let judge = |image, now: &str| {
        let now = now.parse().unwrap();
        let judgement = policy.context(None, now).judge(image).unwrap();
        let from = judgement.denied_from(now).map(|from| from.to_string());
        let ends = judgement.expires_soon(now).map(|ends| ends.to_string());
        (
            judgement.action,
            judgement.pull_secrets.to_vec(),
            from,
            ends,
        )
    };
    let time = |time: &str| Some(time.to_owned());
    let quay = vec!["quay".to_owned()];
    let gcr = vec!["gcr".to_owned()];
    assert_eq!(
        judge("quay.io/x", "2027-02-28T23:59:59Z"),
        (Action::Warn, quay, time("2027-03-01T00:00:00Z"), None)
    );
    // Nothing is to be pulled, so nothing is needed for it.
    assert_eq!(
        judge("quay.io/x", "2027-03-01T00:00:00Z"),
        (Action::Deny, vec![], None, None)
    );
    assert_eq!(
        judge("gcr.io/x", "2027-02-28T23:59:59Z"),
        (Action::Allow, gcr.clone(), None, None)
    );
    assert_eq!(
        judge("gcr.io/x", "2027-03-01T00:00:00Z"),
        (
            Action::Allow,
            gcr.clone(),
            None,
            time("2027-03-15T00:00:00Z")
        )
    );
    assert_eq!(
        judge("gcr.io/x", "2027-03-14T23:59:59Z"),
        (Action::Allow, gcr, None, time("2027-03-15T00:00:00Z"))
    );
    assert_eq!(
        judge("gcr.io/x", "2027-03-15T00:00:00Z"),
        (Action::Warn, vec![], None, None)
    );
    assert_eq!(judge("nginx", NOW), (Action::Deny, vec![], None, None));
}

#[test]
fn what_is_left_out() {
    let policy = map("");
    let now = NOW.parse().unwrap();
    assert_eq!(
        policy
            .context(A, now)
            .judge("unknown.example/x")
            .unwrap()
            .action,
        Action::Warn
    );
    assert_eq!(
        policy.context(A, now).judge("nginx").unwrap().action,
        Action::Allow
    );
    assert_eq!(
        policy.context(A, now).judge("not an image").unwrap().action,
        Action::Warn
    );
    assert!(policy.exempts("kube-system") && policy.exempts("kube-node-lease"));
    assert!(!policy.exempts("kube-public") && !policy.exempts("pullpass"));
    assert!(
        policy
            .public_registries()
            .iter()
            .any(|pattern| pattern.text == "docker.io")
    );
    // The list stands in only where it is left out.
    let none = map("publicRegistries: []\nexemptNamespaces: []\nunknownRegistries: deny\n");
    assert_eq!(
        none.context(A, now).judge("nginx").unwrap().action,
        Action::Deny
    );
    assert!(!none.exempts("kube-system"));
}

#[test]
fn the_first_override_that_holds_the_namespace_decides() {
    let policy = map("publicRegistries: []
unknownRegistries:
  default: audit
  overrides:
    - {namespaces: [a, 'prod-*'], action: deny}
    - {namespaces: ['*-a', b], action: allow}
    - {namespaces: [a, b, prod-a], action: warn}
  reason: ask
");
    for (namespace, action) in [
        (Some("a"), Action::Deny),
        (Some("prod-a"), Action::Deny),
        (Some("prod-"), Action::Deny),
        (Some("x-a"), Action::Allow),
        (Some("b"), Action::Allow),
        (Some("c"), Action::Audit),
        (None, Action::Audit),
    ] {
        let namespace = namespace.map(Namespace::named);
        assert_eq!(
            policy.unknown_action(namespace),
            Ok(action),
            "{namespace:?}"
        );
        let judgement = policy
            .context(namespace, NOW.parse().unwrap())
            .judge("x.example/y")
            .unwrap();
        assert_eq!(judgement.action, action, "{namespace:?}");
    }
    assert_eq!(policy.unknown_reason(), Some("ask"));
}

#[test]
fn the_nearest_rule_is_one_that_would_help() {
    let policy = map("publicRegistries: [docker.io, quay.io]
registries:
  - {name: corp, match: 'registry.corp.example:5000/team'}
  - {name: scoped, match: registry.scoped.example, namespaces: [a]}
  - {name: denied, match: registry.denied.example, action: deny}
  - {name: warned, match: registry.warned.example, action: warn}
  - {name: ended, match: registry.ended.example, until: 2020-01-01}
  - {name: aliyun, match: [registry.cn-hangzhou.aliyuncs.com/other, registry.cn-hangzhou.aliyuncs.com/team]}
  - {name: v6, match: '[::1]:5000'}
");
    let now = NOW.parse().unwrap();
    for (asked, namespace, expected) in [
        // The same host, another port; another path; a slip in the host.
        (
            "registry.corp.example",
            None,
            Some("registry.corp.example:5000/team"),
        ),
        (
            "registry.corp.example:5001",
            None,
            Some("registry.corp.example:5000/team"),
        ),
        (
            "registry.cn-hangzhou.aliyuncs.com/taem/app",
            None,
            Some("registry.cn-hangzhou.aliyuncs.com/team"),
        ),
        (
            "registry.cn-hangzou.aliyuncs.com",
            None,
            Some("registry.cn-hangzhou.aliyuncs.com/other"),
        ),
        (
            "registry.crop.example:5000",
            None,
            Some("registry.corp.example:5000/team"),
        ),
        ("qauy.io", None, Some("quay.io")),
        ("QUAY.IO:5000", None, Some("quay.io")),
        ("[::1]", None, Some("[::1]:5000")),
        // Only where it exists and is allowed.
        (
            "registry.scopd.example",
            Some("a"),
            Some("registry.scoped.example"),
        ),
        ("registry.scopd.example", Some("b"), None),
        ("registry.scopd.example", None, None),
        ("registry.denid.example", None, None),
        ("registry.warnd.example", None, None),
        ("registry.endd.example", None, None),
        // Another host is no slip.
        ("gcr.io", None, None),
        ("other.example", None, None),
        ("", None, None),
    ] {
        let found = policy
            .context(namespace.map(Namespace::named), now)
            .suggestion(asked)
            .map(|near| near.pattern.text.as_str());
        assert_eq!(found, expected, "{asked} {namespace:?}");
    }
}

#[test]
fn an_explanation_says_what_spoke_against_the_others() {
    let policy = map("publicRegistries: [docker.io, registry.corp.example]
registries:
  - {name: wins, match: registry.corp.example/team}
  - {name: scoped, match: registry.corp.example/team/app, namespaces: [a]}
  - {name: ended, match: registry.corp.example/team/app, until: 2020-01-01, namespaces: [b]}
  - {name: other-path, match: registry.corp.example/other}
  - {name: other-port, match: 'registry.corp.example:5000'}
  - {name: shorter, match: registry.corp.example}
  - {name: glob, match: '*.corp.example'}
  - {name: labels, match: '*.*.corp.example'}
  - {name: unrelated, match: quay.io}
");
    let now = NOW.parse().unwrap();
    let explain = |image, namespace: Option<&'static str>| {
        let considered = policy
            .context(namespace.map(Namespace::named), now)
            .considered(image);
        let words = considered.iter().map(|considered| {
            let name = considered
                .entry
                .map_or("publicRegistries", |entry| &entry.name);
            format!("{name}: {}", considered.why_not)
        });
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        explain("registry.corp.example/team/app", Some("b")),
        [
            "scoped: exists only in other namespaces",
            "ended: expired at 2020-01-02T00:00:00Z",
            "other-path: its path is not the beginning of the image's path",
            "other-port: is for port 5000",
            "shorter: a rule with a longer path comes first",
            "glob: a rule that names the host comes first",
            "labels: each `*` is one label, and the host has more or fewer labels",
            "publicRegistries: a rule with a longer path comes first",
        ]
    );
    assert_eq!(
        explain("registry.corp.example/team/app", None)[0],
        "scoped: exists only in some namespaces, and no namespace was given"
    );
    assert_eq!(
        explain("registry.corp.example/x", Some("b"))
            .last()
            .unwrap(),
        "publicRegistries: on the same pattern, an entry comes first"
    );
    assert_eq!(explain("elsewhere.example/x", None), Vec::<String>::new());
    assert_eq!(explain("not an image", None), Vec::<String>::new());
}

#[test]
fn a_pattern_tells_its_parts() {
    let pattern = Pattern::parse("**.Corp.example:05000/team/app").unwrap();
    assert_eq!(pattern.to_string(), "**.Corp.example:05000/team/app");
    assert_eq!(
        (pattern.host(), pattern.port(), pattern.path()),
        ("corp.example", Some(5000), "team/app")
    );
    assert!(pattern.is_glob() && pattern.is_deep());
}

#[test]
fn a_pattern_for_every_port_covers_what_no_pattern_for_one_port_does() {
    let body = r#"
registries:
  - {name: any, match: "reg.example:*"}
  - {name: any-path, match: "reg.example:*/team"}
  - {name: one, match: reg.example:5000}
  - {name: glob-any, match: "*.example:*"}
  - {name: glob-one, match: "*.example:7000/x"}
  - {name: glob-shorter, match: "**.example:7000/x/y"}
  - {name: address, match: "[::1]:*"}
publicRegistries: []
"#;
    check(
        body,
        &[
            ("reg.example/a", "any"),
            ("reg.example:443/a", "any"),
            ("reg.example:1234/a", "any"),
            ("reg.example:1234/team/a", "any-path"),
            ("reg.example:65535/team", "any-path"),
            // The port precedes the path, as the host does.
            ("reg.example:5000/team/a", "one"),
            ("other.example:1/a", "glob-any"),
            ("other.example:7000/x/y", "glob-one"),
            ("other.example:7000/z", "glob-any"),
            ("a.b.example:7000/x/y", "glob-shorter"),
            // A host without `*` precedes one with `*` for this very port.
            ("reg.example:7000/x/y", "any"),
            ("[0:0::1]:5000/a", "address"),
        ],
    );
    let policy = map(body);
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let found = policy
        .context(None, now)
        .considered("reg.example:5000/team/a");
    let why: Vec<String> = found.iter().map(|one| one.why_not.to_string()).collect();
    assert_eq!(why[0], "a rule that names the port comes first");
    // A typing error in the host is found although the pattern has no port.
    let suggestion = policy
        .context(None, now)
        .suggestion("rge.example:99/a")
        .unwrap();
    assert_eq!(suggestion.pattern.text, "reg.example:*");
}
