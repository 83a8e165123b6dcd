//! The registry map: what is refused and how it is said, and which rule decides.
//!
//! `UPDATE_GOLDEN=1` writes what is said into `tests/fixtures/maps`; read the
//! difference before it is committed.

mod precedence;
mod reference;
mod schema;

use std::fs;
use std::path::{Path, PathBuf};

use pullpass::policy::config::{Diagnostic, Options, SourceFile, load, render};
use pullpass::policy::{Action, Policy};

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
    let lines: String = problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    format!("{lines}\n{}", render(problems, files, false))
}

fn compare_with_golden(path: &Path, found: &str) {
    let golden = path.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, found).unwrap();
    }
    let expected = fs::read_to_string(&golden)
        .unwrap_or_else(|error| panic!("{}: {error}; run with UPDATE_GOLDEN=1", golden.display()));
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn everything_wrong_with_a_map_is_said_at_once() {
    for path in fixtures("bad") {
        let files = sources(&path);
        let problems = match load(&files, &Options::default()) {
            Ok(_) => panic!("{} is taken for good", path.display()),
            Err(problems) => problems,
        };
        compare_with_golden(&path, &said(&problems, &files));
    }
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    for path in fixtures("warned") {
        let files = sources(&path);
        let loaded = load(&files, &Options::default());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}", said(&problems, &files)));
        assert!(!loaded.warnings.is_empty(), "{}", path.display());
        compare_with_golden(&path, &said(&loaded.warnings, &files));
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
    let loaded = loaded.unwrap_or_else(|problems| {
        panic!(
            "{}",
            pullpass::policy::config::render(&problems, &[file], false)
        )
    });
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let now = NOW.parse().unwrap();
    let judge = |image, namespace| loaded.policy.judge(image, Some(namespace), now);
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
