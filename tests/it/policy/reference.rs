//! The index against a definition that is too slow to ship, on random maps.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use pullpass::image::Reference;
use pullpass::policy::config::{Diagnostic, Options, SourceFile, load};
use pullpass::policy::{Entry, Pattern, Policy, Rule};

use super::NOW;

/// An entry as it is written, from few letters so that many of them meet.
#[derive(Debug, Clone)]
struct Written {
    patterns: Vec<String>,
    namespaces: Option<Vec<String>>,
    ended: bool,
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
    let port = prop_oneof![3 => Just(""), 1 => Just(":443"), 1 => Just(":5000")];
    let path = prop_oneof![Just(""), Just("/p"), Just("/p/q"), Just("/pq")];
    (host(), port, path).prop_map(|(host, port, path)| format!("{host}{port}{path}"))
}

fn written() -> impl Strategy<Value = Written> {
    let namespace = prop_oneof!["[nm]{1,2}", "[nm]{0,1}[*][nm]{0,1}"];
    let namespaces = proptest::option::of(proptest::collection::vec(namespace, 1..3));
    let patterns = proptest::collection::vec(pattern(), 1..3);
    (patterns, namespaces, proptest::bool::weighted(0.2)).prop_map(
        |(patterns, namespaces, ended)| Written {
            patterns,
            namespaces,
            ended,
        },
    )
}

fn text(entries: &[Written], public: &[String]) -> String {
    let mut text =
        format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\npublicRegistries: {public:?}\n");
    if !entries.is_empty() {
        text += "registries:\n";
    }
    for (at, entry) in entries.iter().enumerate() {
        writeln!(text, "  - name: e{at}\n    match: {:?}", entry.patterns).unwrap();
        if let Some(namespaces) = &entry.namespaces {
            writeln!(text, "    namespaces: {namespaces:?}").unwrap();
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
fn without_contradictions(entries: Vec<Written>, public: &[String]) -> Policy {
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
    whole
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
    count && labels_match && pattern.port() == port && path_matches
}

/// What precedence compares, without the scope.
fn closeness(pattern: &Pattern) -> (bool, usize, usize) {
    let literal = pattern
        .host()
        .chars()
        .filter(|letter| *letter != '*')
        .count();
    (!pattern.is_glob(), literal, pattern.path().len())
}

/// 3 by name, 2 by glob, 1 everywhere, 0 where the entry does not exist.
fn scope(entry: &Entry, namespace: Option<&str>) -> u8 {
    match (&entry.namespaces, namespace) {
        (None, _) => 1,
        (Some(_), None) => 0,
        (Some(globs), Some(namespace)) => {
            let matching = globs.iter().filter(|glob| self::glob(glob, namespace));
            matching
                .map(|glob| if glob.contains('*') { 2 } else { 3 })
                .max()
                .unwrap_or(0)
        }
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

fn slowly(policy: &Policy, place: &Place, namespace: Option<&str>) -> Option<String> {
    let (_, host, port, path) = place;
    let now = NOW.parse().unwrap();
    let entries = policy.entries().iter().flat_map(|entry| {
        let scope = scope(entry, namespace);
        let here = scope > 0 && !entry.has_ended(now);
        let patterns = entry.patterns.iter().filter(move |_| here);
        patterns.map(move |pattern| (pattern, scope, entry.name.clone()))
    });
    let public = policy
        .public_registries()
        .iter()
        .map(|pattern| (pattern, 0, format!("+{pattern}")));
    entries
        .chain(public)
        .filter(|(pattern, ..)| covers(pattern, host, *port, path))
        .max_by_key(|(pattern, scope, _)| (closeness(pattern), *scope))
        .map(|(.., name)| name)
}

fn quickly(policy: &Policy, image: &str, namespace: Option<&str>) -> Option<String> {
    match policy.judge(image, namespace, NOW.parse().unwrap()).rule {
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
fn contradict(a: &Policy, b: &Policy) -> bool {
    let (a, b) = (&a.entries()[0], &b.entries()[0]);
    let same = |p: &Pattern, q: &Pattern| {
        (p.host(), p.port(), p.path(), p.is_deep()) == (q.host(), q.port(), q.path(), q.is_deep())
    };
    let namespaces: BTreeSet<Option<&str>> =
        NAMESPACES.into_iter().map(Some).chain([None]).collect();
    PLACES.iter().any(|(_, host, port, path)| {
        a.patterns.iter().any(|p| {
            b.patterns.iter().any(|q| {
                closeness(p) == closeness(q)
                    && covers(p, host, *port, path)
                    && covers(q, host, *port, path)
                    && namespaces.iter().any(|namespace| {
                        let (left, right) = (scope(a, *namespace), scope(b, *namespace));
                        left > 0 && right > 0 && (left == right || !same(p, q))
                    })
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
        let policy = without_contradictions(entries, &public);
        for place in PLACES.iter() {
            let image = &place.0;
            for namespace in [None, Some("n"), Some("nm"), Some("mn")] {
                // Between two public registries nothing has to be decided.
                let decided = |name: Option<String>| name.map(|name| if name.starts_with('+') { "+".to_owned() } else { name });
                prop_assert_eq!(
                    decided(quickly(&policy, image, namespace)),
                    decided(slowly(&policy, place, namespace)),
                    "{} {:?}", image, namespace
                );
            }
        }
    }

    #[test]
    fn a_contradiction_is_what_nothing_decides(first in written(), second in written()) {
        let alone = |entry: &Written| policy(std::slice::from_ref(entry), &[]).unwrap();
        let (a, b) = (alone(&first), alone(&second));
        let refused = policy(&[first, second], &[]);
        prop_assert_eq!(contradict(&a, &b), refused.is_err(), "{:?}", refused.err());
    }
}

proptest! {
    #[test]
    fn no_image_and_no_namespace_is_a_panic(image in ".{0,60}", namespace in ".{0,20}") {
        let policy = policy(&[], &["**.x".to_owned()]).unwrap();
        let now = NOW.parse().unwrap();
        _ = policy.judge(&image, Some(&namespace), now);
        _ = policy.considered(&image, Some(&namespace), now);
        _ = policy.nearest(&image, Some(&namespace), now);
        _ = policy.exempts(&namespace);
    }

    #[test]
    fn no_file_is_a_panic(text in "(?s).{0,200}", map in "[-a-zA-Z:{}\\[\\]&*!|>'\"#,? \\n]{0,200}") {
        for text in [text, format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\n{map}")] {
            let files = [SourceFile { name: "map.yaml".to_owned(), text }];
            if let Err(problems) = load(&files, &Options::default()) {
                _ = pullpass::policy::config::render(&problems, &files, true);
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
