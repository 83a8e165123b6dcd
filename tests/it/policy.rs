//! The registry map: what is refused and how it is said, and which rule decides.
//!
//! `UPDATE_GOLDEN=1` writes what is said into `tests/fixtures/maps`; read the
//! difference before it is committed.

mod bounds;
mod precedence;
mod reference;
mod schema;
mod selectors;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::golden;
use pullpass_core::map::{
    Case, Diagnostic, ExpectedEntry, Options, SourceFile, load, render, tests,
};
use pullpass_core::policy::{Action, Namespace, Policy};

/// A moment at which nothing in the tests' maps has begun or ended by accident.
const NOW: &str = "2026-11-20T12:00:00Z";

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/maps")
        .join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "txt"))
        .collect();
    if folder.ends_with("good") {
        // What people copy from.
        paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/registry-map.yaml"));
    }
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.sort();
    paths
}

/// The file, or the files of the directory in name order, as the edge lists them.
fn sources(path: &Path) -> Vec<SourceFile> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        paths = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
    }
    let source = |path: &PathBuf| SourceFile {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(source).collect()
}

/// One line for each problem, and the same with the source and a caret.
fn said(problems: &[Diagnostic], files: &[SourceFile]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    format!("{}\n\n{}", lines.join("\n"), render(problems, files, false))
}

#[test]
fn everything_wrong_with_a_map_is_said_at_once() {
    for path in fixtures("bad") {
        let files = sources(&path);
        let Err(problems) = load(&files, &Options::default()) else {
            panic!("{} is taken for good", path.display());
        };
        golden::same(path.with_extension("txt"), &said(&problems, &files));
    }
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    for path in fixtures("warned") {
        let files = sources(&path);
        let loaded = load(&files, &Options::default());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}", said(&problems, &files)));
        assert!(!loaded.warnings.is_empty(), "{}", path.display());
        golden::same(path.with_extension("txt"), &said(&loaded.warnings, &files));
    }
}

#[test]
fn good_maps_load_without_a_word() {
    for path in fixtures("good") {
        let files = sources(&path);
        let loaded = load(&files, &Options::default());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}", said(&problems, &files)));
        assert!(
            loaded.warnings.is_empty(),
            "{}",
            said(&loaded.warnings, &files)
        );
    }
}

fn map(body: &str) -> Policy {
    let text = format!("apiVersion: pullpass.dev/v1\nkind: RegistryMap\n{body}");
    let files = [SourceFile {
        name: "map.yaml".to_owned(),
        text,
    }];
    match load(&files, &Options::default()) {
        Ok(loaded) => loaded.policy,
        Err(problems) => panic!("{}", said(&problems, &files)),
    }
}

#[test]
fn the_example_is_a_map() {
    let file = SourceFile {
        name: "examples/registry-map.yaml".to_owned(),
        text: include_str!("../../examples/registry-map.yaml").to_owned(),
    };
    let loaded = load(std::slice::from_ref(&file), &Options::default());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{}", said(&problems, &[file])));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let now = NOW.parse().unwrap();
    let judge = |image, namespace| {
        let namespace = Some(Namespace::named(namespace));
        loaded.policy.context(namespace, now).judge(image).unwrap()
    };
    let corp = judge("registry.corp.example/app:1", "default");
    assert_eq!(corp.pull_secrets, ["corp-pull"]);
    assert_eq!(judge("unknown.example/app", "default").action, Action::Deny);
    assert_eq!(
        judge("unknown.example/app", "sandbox-1").action,
        Action::Warn
    );
    assert_eq!(judge("nginx", "default").action, Action::Allow);
    assert_eq!(judge("evil/x", "default").action, Action::Deny);
    assert_eq!(
        judge("docker.io/bitnami/redis", "default").action,
        Action::Warn
    );
}

fn source(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn files_of_a_directory_are_one_map() {
    let header = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\n";
    let files = [
        source(
            "a.yaml",
            &format!("{header}contact: me\nregistries:\n  - match: a.example\n"),
        ),
        source(
            "b.yml",
            &format!(
                "{header}registries:\n  - match: b.example\n---\n{header}publicRegistries: []\n"
            ),
        ),
        source(
            "c.json",
            r#"{"apiVersion": "pullpass.dev/v1", "kind": "RegistryMap", "unknownRegistries": "deny"}"#,
        ),
        source(
            "d.yaml",
            "apiVersion: pullpass.dev/v1\nkind: RegistryMapTest\ncases: nonsense\n",
        ),
        source("e.yaml", "# nothing\n"),
    ];
    let policy = load(&files, &Options::default()).unwrap().policy;
    let places: Vec<_> = policy
        .entries()
        .iter()
        .map(|entry| (entry.name.as_str(), entry.location.as_str()))
        .collect();
    assert_eq!(
        places,
        [("a.example", "a.yaml:5"), ("b.example", "b.yml:4")]
    );
    assert_eq!(policy.contact(), Some("me"));
    assert_eq!(policy.unknown_action(None), Ok(Action::Deny));
    assert!(policy.public_registries().is_empty());
}

#[test]
fn the_own_namespace_is_exempt_whatever_the_map_says() {
    let files = [source(
        "map.yaml",
        "apiVersion: pullpass.dev/v1\nkind: RegistryMap\nexemptNamespaces: []\n",
    )];
    let options = Options {
        own_namespace: Some("pullpass".to_owned()),
    };
    let policy = load(&files, &options).unwrap().policy;
    assert!(policy.exempts("pullpass"));
    assert!(!policy.exempts("kube-system"));
}

#[test]
fn a_large_map_loads_and_is_warned_of() {
    let mut body = String::from(
        "apiVersion: pullpass.dev/v1\nkind: RegistryMap\npublicRegistries: []\nregistries:\n",
    );
    for at in 0..2_500 {
        write!(
            body,
            "  - {{match: r{at}.example/team, pullSecrets: [secret-{at}], reason: {}}}\n\
             \x20 - {{match: 'shared.example:*/p{at}', action: deny}}\n\
             \x20 - {{match: '*.g{at}.example', namespaces: [team-{at}]}}\n\
             \x20 - {{name: n{at}, match: scoped.example, namespaces: ['team-{at}-*']}}\n",
            "x".repeat(200)
        )
        .unwrap();
    }
    let files = [source("map.yaml", &body)];
    let loaded = load(&files, &Options::default())
        .unwrap_or_else(|problems| panic!("{}", said(&problems, &files)));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let expected = format!(
        "map.yaml: warning: the map has {} kB and a ConfigMap holds at most 1 MiB; mount it another way",
        body.len() / 1000
    );
    assert_eq!(warnings, [expected]);
    let now = NOW.parse().unwrap();
    let judge = |image, namespace| {
        let namespace = Some(Namespace::named(namespace));
        loaded.policy.context(namespace, now).judge(image).unwrap()
    };
    assert_eq!(
        judge("r2400.example/team/app", "x").pull_secrets,
        ["secret-2400"]
    );
    assert_eq!(judge("shared.example/p2400/app", "x").action, Action::Deny);
    assert_eq!(
        judge("a.g2400.example/app", "team-2400").action,
        Action::Allow
    );
    assert_eq!(
        judge("a.g2400.example/app", "team-2401").action,
        Action::Warn
    );
    assert_eq!(
        judge("scoped.example/app", "team-2400-dev").action,
        Action::Allow
    );
}

#[test]
fn cases_are_read_with_their_places() {
    let text = "apiVersion: pullpass.dev/v1
kind: RegistryMapTest
cases:
  - {image: nginx, entry: docker.io}
  - image: ''
    namespace: team-a
    at: 2027-03-01
    entry: null
    action: warn
    secrets: []
---
apiVersion: pullpass.dev/v1
kind: RegistryMap
registries: nonsense
";
    let cases = tests(&[source("test.yaml", text)]).unwrap();
    let first = Case {
        image: "nginx".to_owned(),
        namespace: None,
        namespace_labels: None,
        at: None,
        entry: ExpectedEntry::Named("docker.io".to_owned()),
        action: None,
        secrets: None,
        location: "test.yaml:4".to_owned(),
    };
    let second = Case {
        image: String::new(),
        namespace: Some("team-a".to_owned()),
        namespace_labels: None,
        at: Some("2027-03-01T00:00:00Z".parse().unwrap()),
        entry: ExpectedEntry::None,
        action: Some(Action::Warn),
        secrets: Some(Vec::new()),
        location: "test.yaml:5".to_owned(),
    };
    assert_eq!(cases, [first, second]);
}

#[test]
fn everything_wrong_with_cases_is_said_at_once() {
    for path in fixtures("bad-cases") {
        let files = sources(&path);
        let Err(problems) = tests(&files) else {
            panic!("{} is taken for good", path.display());
        };
        golden::same(path.with_extension("txt"), &said(&problems, &files));
    }
}

#[test]
fn what_is_said_has_no_signs_that_a_terminal_acts_on() {
    let text = "apiVersion: pullpass.dev/v1
kind: RegistryMap # \u{202e}
contact\u{202e}: x
registries:
  - {match: \"a\u{202e}.b\", action: \"\\e[31m\", name: \"\\u202e\", namespaces: [\"\\e\"], pullSecrets: [\"\\u202e\"]} # \u{202e}\u{85}
  - {match: \"a.b/\\u202e\", until: \"\\e\", \"\\e[1m\": 1, \"\\e[1m\": 2}
unknownRegistries: \"\\u202e\"
---
kind: \"\\e[31m\"
";
    let files = [source("map.yaml", text)];
    let problems = load(&files, &Options::default()).unwrap_err();
    assert!(problems.len() > 8, "{problems:?}");
    let bad = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
    let plain = said(&problems, &files);
    assert!(!plain.contains(bad), "{plain:?}");
    // The colours are our own.
    let coloured = render(&problems, &files, true);
    assert!(coloured.contains("\u{1b}["));
    assert!(
        !coloured.replace("\u{1b}[", "").contains(bad),
        "{coloured:?}"
    );
}
