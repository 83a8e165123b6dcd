//! The index against a definition that is too slow to ship, on random maps.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use image_reference::Reference;
use proptest::prelude::*;
use pullpass_core::map::{Diagnostic, Options, SourceFile, load};
use pullpass_core::policy::{Entry, LabelMap, Labels, Namespace, Pattern, Policy, Rule};

use super::NOW;

/// An entry as it is written, from few letters so that many of them meet.
#[derive(Debug, Clone)]
struct Written {
    patterns: Vec<String>,
    scope: Scope,
    ended: bool,
}

#[derive(Debug, Clone)]
enum Scope {
    Everywhere,
    Named(Vec<String>),
    // Requirements as they are written in `matchExpressions`.
    Selected(Vec<String>),
}

fn host() -> impl Strategy<Value = String> {
    let label = prop_oneof!["[ab]{1,2}", "[ab]{0,1}[*][ab]{0,1}", Just("*".to_owned())];
    let deep = prop_oneof![3 => Just(""), 1 => Just("**.")];
    (deep, proptest::collection::vec(label, 0..3)).prop_map(|(deep, mut labels)| {
        labels.push("x".to_owned());
        if labels.len() == 1 {
            labels.insert(0, "a".to_owned());
        }
        format!("{deep}{}", labels.join("."))
    })
}

fn pattern() -> impl Strategy<Value = String> {
    let port = prop_oneof![3 => Just(""), 1 => Just(":443"), 1 => Just(":5000"), 1 => Just(":*")];
    let path = prop_oneof![Just(""), Just("/p"), Just("/p/q"), Just("/pq")];
    (host(), port, path).prop_map(|(host, port, path)| format!("{host}{port}{path}"))
}

fn written() -> impl Strategy<Value = Written> {
    let namespace = prop_oneof!["[nm]{1,2}", "[nm]{0,1}[*][nm]{0,1}"];
    let requirement = proptest::sample::select(&[
        "{key: k, operator: In, values: [v]}",
        "{key: k, operator: In, values: [v, w]}",
        "{key: k, operator: NotIn, values: [w]}",
        "{key: k, operator: Exists}",
        "{key: j, operator: DoesNotExist}",
        "{key: kubernetes.io/metadata.name, operator: In, values: [nm]}",
        "{key: kubernetes.io/metadata.name, operator: NotIn, values: [mn]}",
    ]);
    let requirement = requirement.prop_map(str::to_owned);
    let scope = prop_oneof![
        Just(Scope::Everywhere),
        proptest::collection::vec(namespace, 1..3).prop_map(Scope::Named),
        proptest::collection::vec(requirement, 1..3).prop_map(Scope::Selected),
    ];
    let patterns = proptest::collection::vec(pattern(), 1..3);
    (patterns, scope, proptest::bool::weighted(0.2)).prop_map(|(patterns, scope, ended)| Written {
        patterns,
        scope,
        ended,
    })
}

fn text(entries: &[Written], public: &[String]) -> String {
    let mut text =
        format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\npublicRegistries: {public:?}\n");
    if !entries.is_empty() {
        text += "registries:\n";
    }
    for (at, entry) in entries.iter().enumerate() {
        writeln!(text, "  - name: e{at}\n    match: {:?}", entry.patterns).unwrap();
        match &entry.scope {
            Scope::Everywhere => {}
            Scope::Named(namespaces) => {
                writeln!(text, "    namespaces: {namespaces:?}").unwrap();
            }
            Scope::Selected(requirements) => {
                let requirements = requirements.join(", ");
                writeln!(
                    text,
                    "    namespaceSelector: {{matchExpressions: [{requirements}]}}"
                )
                .unwrap();
            }
        }
        if entry.ended {
            text += "    until: 2020-01-01\n";
        }
    }
    text
}

fn policy(entries: &[Written], public: &[String]) -> Result<Policy, String> {
    let files = [SourceFile {
        name: "map.yaml".to_owned(),
        text: text(entries, public),
    }];
    let lines = |problems: Vec<Diagnostic>| -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    };
    load(&files, &Options::default())
        .map(|loaded| loaded.policy)
        .map_err(|problems| lines(problems).join("\n"))
}

/// The map without the entries that contradict one before them.
fn without_contradictions(entries: Vec<Written>, public: &[String]) -> (Policy, Vec<Written>) {
    let mut kept = Vec::new();
    let mut whole = policy(&kept, public).unwrap();
    for entry in entries {
        kept.push(entry);
        match policy(&kept, public) {
            Ok(policy) => whole = policy,
            Err(problems) => {
                assert!(problems.contains("nothing decides"), "{problems}");
                kept.pop();
            }
        }
    }
    (whole, kept)
}

// The definition: no index, no parts shared with the code but the two parsers.

fn glob(glob: &str, text: &str) -> bool {
    match glob.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            glob_rest(glob, text)
                || text
                    .chars()
                    .next()
                    .is_some_and(|first| self::glob(glob, &text[first.len_utf8()..]))
        }
        Some(letter) => text.starts_with(letter) && self::glob(&glob[1..], &text[1..]),
    }
}

fn glob_rest(star: &str, text: &str) -> bool {
    glob(&star[1..], text)
}

fn covers(pattern: &Pattern, host: &str, port: u16, path: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let wanted: Vec<&str> = pattern.host().split('.').collect();
    let count = if pattern.is_deep() {
        labels.len() > wanted.len()
    } else {
        labels.len() == wanted.len()
    };
    let labels_match = wanted
        .iter()
        .rev()
        .zip(labels.iter().rev())
        .all(|(glob, label)| self::glob(glob, label));
    let path_matches = pattern.path().is_empty()
        || path == pattern.path()
        || path.starts_with(&format!("{}/", pattern.path()));
    count && labels_match && pattern.port().is_none_or(|own| own == port) && path_matches
}

/// What precedence compares, without the scope.
fn closeness(pattern: &Pattern) -> (bool, usize, bool, usize) {
    let literal = pattern
        .host()
        .chars()
        .filter(|letter| *letter != '*')
        .count();
    let one_port = pattern.port().is_some();
    (!pattern.is_glob(), literal, one_port, pattern.path().len())
}

/// 4 by name, 3 by glob, 2 by selector, 1 everywhere, 0 where the entry does not exist.
fn scope(written: &Scope, namespace: Option<Namespace<'_>>) -> u8 {
    match (written, namespace) {
        (Scope::Everywhere, _) => 1,
        (_, None) => 0,
        (Scope::Named(globs), Some(namespace)) => {
            let matching = globs.iter().filter(|glob| self::glob(glob, namespace.name));
            matching
                .map(|glob| if glob.contains('*') { 3 } else { 4 })
                .max()
                .unwrap_or(0)
        }
        (Scope::Selected(requirements), Some(namespace)) => {
            let all = requirements
                .iter()
                .all(|requirement| holds(requirement, namespace));
            if all { 2 } else { 0 }
        }
    }
}

/// A requirement by its words; of labels that are left out none holds.
fn holds(requirement: &str, namespace: Namespace<'_>) -> bool {
    let known = match namespace.labels {
        Labels::Known(labels) => Some(labels),
        _ => None,
    };
    let (key, rest) = requirement["{key: ".len()..].split_once(',').unwrap();
    let label = if key == "kubernetes.io/metadata.name" {
        Some(namespace.name)
    } else {
        let Some(labels) = known else { return false };
        labels.get(key).map(String::as_str)
    };
    let listed = |value: &str| {
        let (_, values) = rest.split_once('[').unwrap();
        values
            .trim_end_matches("]}")
            .split(", ")
            .any(|listed| listed == value)
    };
    if rest.contains("DoesNotExist") {
        label.is_none()
    } else if rest.contains("Exists") {
        label.is_some()
    } else if rest.contains("NotIn") {
        !label.is_some_and(listed)
    } else {
        label.is_some_and(listed)
    }
}

/// An image, with the host, the port and the path that it is pulled from.
type Place = (String, String, u16, String);

fn place(image: String) -> Place {
    let reference = Reference::parse(&image).unwrap();
    let port = reference.port().map_or(443, |port| port.parse().unwrap());
    let host = reference.host().to_lowercase();
    let path = reference.repository().into_owned();
    (image, host, port, path)
}

fn slowly(
    policy: &Policy,
    written: &[Written],
    place: &Place,
    namespace: Option<Namespace<'_>>,
) -> Option<String> {
    let (_, host, port, path) = place;
    let now = NOW.parse().unwrap();
    let entries = policy.entries().iter().zip(written).enumerate();
    let entries = entries.flat_map(|(at, (entry, written))| {
        let scope = scope(&written.scope, namespace);
        let here = scope > 0 && !entry.is_expired(now);
        let patterns = entry.patterns.iter().filter(move |_| here);
        // Where all else is equal, the earlier in the map.
        patterns.map(move |pattern| (pattern, (scope, Reverse(at)), entry.name.clone()))
    });
    let public = policy
        .public_registries()
        .iter()
        .map(|pattern| (pattern, (0, Reverse(0)), format!("+{pattern}")));
    entries
        .chain(public)
        .filter(|(pattern, ..)| covers(pattern, host, *port, path))
        .max_by(|(p, a, _), (q, b, _)| {
            let close = closeness(p).cmp(&closeness(q));
            // Scopes are compared on one pattern; else only the order is left.
            close.then_with(|| match (a.0 == 0) == (b.0 == 0) {
                true if same(p, q) => a.cmp(b),
                true => a.1.cmp(&b.1),
                false => a.0.cmp(&b.0),
            })
        })
        .map(|(.., name)| name)
}

fn same(p: &Pattern, q: &Pattern) -> bool {
    (p.host(), p.port(), p.path(), p.is_deep()) == (q.host(), q.port(), q.path(), q.is_deep())
}

fn quickly(policy: &Policy, image: &str, namespace: Option<Namespace<'_>>) -> Option<String> {
    let judgement = policy.context(namespace, NOW.parse().unwrap()).judge(image);
    name(judgement.unwrap().rule)
}

fn label_map(labels: &[(&str, &str)]) -> LabelMap {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

fn name(rule: Rule<'_>) -> Option<String> {
    match rule {
        Rule::Entry(entry, _) => Some(entry.name.clone()),
        Rule::Public(pattern) => Some(format!("+{pattern}")),
        Rule::Unknown(_) | Rule::Exempt => None,
    }
}

/// Every image and namespace in which entries from those letters can meet.
static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let words = ["a", "b", "aa", "ab", "ba", "bb", "aab", "abb", "aba"];
    let mut hosts: Vec<String> = words.iter().map(|word| format!("{word}.x")).collect();
    for first in words {
        hosts.extend(words.iter().map(|second| format!("{first}.{second}.x")));
        hosts.push(format!("a.{first}.b.x"));
        hosts.push(format!("b.a.{first}.x"));
    }
    let places = ["/p/q/r", "/pq", "/z", ":5000/p/q/r", ":5000/pq", ":5000/z"];
    hosts
        .iter()
        .flat_map(|host| places.map(|rest| place(format!("{host}{rest}"))))
        .collect()
});

const NAMESPACES: [&str; 8] = ["n", "m", "nn", "nm", "mn", "mm", "nmn", "mnm"];

/// Whether two entries are equal for some image in some namespace, by the letter of
/// the precedence: scopes are compared on the same pattern only.
fn contradict(first: &Written, second: &Written, a: &Policy, b: &Policy) -> bool {
    let (a, b) = (&a.entries()[0], &b.entries()[0]);
    let namespaces = NAMESPACES.map(|name| Some(Namespace::named(name)));
    let namespaces: Vec<_> = namespaces.into_iter().chain([None]).collect();
    if let (Scope::Selected(_), Scope::Selected(_)) = (&first.scope, &second.scope) {
        // Of selectors, the same one twice is all that can be seen.
        let one = |written: &Written| match &written.scope {
            Scope::Selected(requirements) => requirements.iter().cloned().collect::<BTreeSet<_>>(),
            _ => BTreeSet::new(),
        };
        return one(first) == one(second) && meet(a, b, |_, _| true);
    }
    meet(a, b, |p, q| {
        namespaces.iter().any(|namespace| {
            // A selector may select each of them, but is no kind of its own elsewhere.
            let scope = |written: &Written| match written.scope {
                Scope::Selected(_) => u8::from(false),
                _ => scope(&written.scope, *namespace),
            };
            let (left, right) = (scope(first), scope(second));
            left > 0 && right > 0 && (left == right || !same(p, q))
        }) || everywhere_and_selected(first, second) && !same(p, q)
    })
}

fn everywhere_and_selected(first: &Written, second: &Written) -> bool {
    matches!(
        (&first.scope, &second.scope),
        (Scope::Everywhere, Scope::Selected(_)) | (Scope::Selected(_), Scope::Everywhere)
    )
}

/// Whether patterns that are equally close, and of which that holds, cover an image.
fn meet(a: &Entry, b: &Entry, holds: impl Fn(&Pattern, &Pattern) -> bool) -> bool {
    PLACES.iter().any(|(_, host, port, path)| {
        a.patterns.iter().any(|p| {
            b.patterns.iter().any(|q| {
                closeness(p) == closeness(q)
                    && covers(p, host, *port, path)
                    && covers(q, host, *port, path)
                    && holds(p, q)
            })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_index_agrees_with_the_definition(
        entries in proptest::collection::vec(written(), 0..8),
        public in proptest::collection::vec(pattern(), 0..3),
    ) {
        let (policy, written) = without_contradictions(entries, &public);
        let labels = [&[][..], &[("k", "v")], &[("j", ""), ("k", "w")]].map(label_map);
        for place in PLACES.iter() {
            let image = &place.0;
            let mut namespaces = vec![None];
            namespaces.extend(["n", "nm", "mn"].map(|name| Some(Namespace::named(name))));
            let labelled = |labels| Some(Namespace::labelled("nm", labels));
            namespaces.extend(labels.iter().map(labelled));
            for namespace in namespaces {
                // Between two public registries nothing has to be decided.
                let decided = |name: Option<String>| name.map(|name| if name.starts_with('+') { "+".to_owned() } else { name });
                prop_assert_eq!(
                    decided(quickly(&policy, image, namespace)),
                    decided(slowly(&policy, &written, place, namespace)),
                    "{} {:?}", image, namespace
                );
                // Unknown labels: the same answer whatever they are, or none.
                let unknown = namespace.map(|namespace| Namespace { labels: Labels::Unknown, ..namespace });
                if let Ok(judgement) = policy.context(unknown, NOW.parse().unwrap()).judge(image) {
                    let anyway = decided(name(judgement.rule));
                    prop_assert_eq!(decided(quickly(&policy, image, namespace)), anyway);
                }
            }
        }
    }

    #[test]
    fn a_contradiction_is_what_nothing_decides(first in written(), second in written()) {
        let alone = |entry: &Written| policy(std::slice::from_ref(entry), &[]).unwrap();
        let (a, b) = (alone(&first), alone(&second));
        let refused = policy(&[first.clone(), second.clone()], &[]);
        prop_assert_eq!(contradict(&first, &second, &a, &b), refused.is_err(), "{:?}", refused.err());
    }
}

proptest! {
    #[test]
    fn no_image_and_no_namespace_is_a_panic(image in ".{0,60}", namespace in ".{0,20}") {
        let policy = policy(&[], &["**.x".to_owned()]).unwrap();
        let now = NOW.parse().unwrap();
        let named = Some(Namespace::named(&namespace));
        _ = policy.context(named, now).judge(&image);
        _ = policy.context(named, now).considered(&image);
        _ = policy.context(named, now).suggestion(&image);
        _ = policy.exempts(&namespace);
    }

    #[test]
    fn no_file_is_a_panic(text in "(?s).{0,200}", map in "[-a-zA-Z:{}\\[\\]&*!|>'\"#,? \\n]{0,200}") {
        for text in [text, format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\n{map}")] {
            let files = [SourceFile { name: "map.yaml".to_owned(), text }];
            if let Err(problems) = load(&files, &Options::default()) {
                _ = pullpass_core::map::render(&problems, &files, true);
            }
        }
    }

    #[test]
    fn no_pattern_is_a_panic(text in ".{0,40}", like in "[a*.:/\\[\\]@-]{0,20}") {
        for text in [text, like] {
            match Pattern::parse(&text) {
                Ok(pattern) => prop_assert_eq!(Pattern::parse(&pattern.to_string()).unwrap(), pattern),
                Err(error) => {
                    // What is proposed is at least valid.
                    if let Some(instead) = error.instead {
                        prop_assert!(Pattern::parse(&instead).is_ok(), "{}", instead);
                    }
                }
            }
        }
    }
}
