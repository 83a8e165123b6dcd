//! The rules of the house, held by a test: which module may know which, what the
//! pure half may not touch, how files are laid out. ARCHITECTURE.md explains them.
//!
//! The rules are functions over text, so that a second set of tests can feed them
//! a line that breaks each and see it caught.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules, and the modules of this crate that each may name. What is not listed
/// is an edge and may name all but `cli`.
const ARROWS: [(&str, &[&str]); 10] = [
    ("text", &[]),
    ("image", &["text"]),
    ("rotation", &[]),
    ("intree", &["policy", "image", "text"]),
    ("yaml", &["text"]),
    ("policy", &["image", "text", "yaml"]),
    ("pull_secret", &["image", "text"]),
    ("admission", &["policy", "pull_secret", "image", "text"]),
    ("verification", &["policy", "text"]),
    ("manifest", &["admission", "policy", "yaml"]),
];

/// What values in, values out cannot need. Of `std::net` the addresses are values.
const IMPURE: [&str; 20] = [
    "tokio",
    "axum",
    "hyper",
    "tower",
    "rustls",
    "kube::",
    "tracing",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
];

const MODULES: [&str; 23] = [
    "admission",
    "api_server",
    "calendar",
    "certificate_keeper",
    "certificates",
    "cli",
    "cluster",
    "decision_log",
    "events",
    "image",
    "intree",
    "manifest",
    "metrics",
    "namespaces",
    "policy",
    "policy_file",
    "pull_secret",
    "rotation",
    "server",
    "telemetry",
    "text",
    "verification",
    "yaml",
];

/// The code of a file: without comments, and without its tests, which stand last.
fn production(source: &str) -> String {
    let end = source
        .find("#[cfg(test)]\nmod tests")
        .unwrap_or(source.len());
    source[..end]
        .lines()
        .map(|line| match line.find("//") {
            // An address in a string is no comment.
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// `src/policy/config.rs` → `policy`
fn module(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap_or(path);
    let first = inside.iter().next().unwrap_or_default();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn broken_arrows(module: &str, code: &str) -> Vec<String> {
    let pure = ARROWS.iter().find(|(name, _)| *name == module);
    MODULES
        .iter()
        .filter(|other| **other != module)
        .filter(|other| match pure {
            Some((_, allowed)) => !allowed.contains(other),
            // Only the program itself names the command line.
            None => **other == "cli" && module != "main" && module != "lib",
        })
        .filter(|other| names(code, other))
        .map(|other| format!("{module} may not know {other}"))
        .collect()
}

/// Whether code names a module of the crate: `crate::x` or `use crate::{…, x::…}`.
fn names(code: &str, module: &str) -> bool {
    let word = |at: usize| {
        let after = code[at + module.len()..].chars().next();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    let direct = code
        .match_indices(&format!("crate::{module}"))
        .any(|(at, _)| word(at + "crate::".len()));
    let grouped = code.split("crate::{").skip(1).any(|group| {
        group
            .split(';')
            .next()
            .unwrap_or_default()
            .split(['{', '}', ',', ' ', '\n'])
            .any(|name| name.split("::").next() == Some(module))
    });
    direct || grouped
}

fn impurities(module: &str, code: &str) -> Vec<String> {
    if !ARROWS.iter().any(|(name, _)| *name == module) {
        return Vec::new();
    }
    IMPURE
        .iter()
        .filter(|word| code.contains(**word))
        .map(|word| format!("{module} is pure and may not use {word}"))
        .collect()
}

fn layout(path: &Path, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = path.file_name().unwrap().to_string_lossy();
    if !source.starts_with("//! ") {
        found.push("does not open with what it is".to_owned());
    }
    if ["mod.rs", "utils.rs", "helpers.rs", "common.rs"].contains(&name.as_ref()) {
        found.push("has a name that says nothing".to_owned());
    }
    let lines = production(source)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    let ceiling = if name == "main.rs" { 60 } else { 400 };
    if path.starts_with("src") && lines > ceiling {
        found.push(format!("has {lines} lines of code, more than {ceiling}"));
    }
    // Put together here, so that this file does not break its own rule.
    for word in ["todo", "unimplemented", "dbg"] {
        if source.contains(&format!("{word}!(")) {
            found.push(format!("has a {word}!"));
        }
    }
    if source.contains(concat!("#[ign", "ore")) {
        found.push("hides a test".to_owned());
    }
    found
}

/// Places that are on one machine only, and hosts that packages come from.
fn foreign(text: &str) -> Vec<String> {
    [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/home", "/"),
        concat!("crates", ".io/"),
        concat!("proxy.golang", ".org"),
        concat!("pypi", ".org"),
        concat!("deb.debian", ".org"),
    ]
    .iter()
    .filter(|word| text.contains(**word))
    .map(|word| format!("names {word}"))
    .collect()
}

fn files(under: &str, ending: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(under), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "{under} holds no *{ending}");
    found
}

fn all(check: impl Fn(&Path, &str) -> Vec<String>, paths: Vec<PathBuf>) {
    let mut broken = Vec::new();
    for path in paths {
        let source = fs::read_to_string(&path).unwrap();
        broken.extend(
            check(&path, &source)
                .iter()
                .map(|what| format!("{}: {what}", path.display())),
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_arrows_point_one_way() {
    all(
        |path, source| broken_arrows(&module(path), &production(source)),
        files("src", ".rs"),
    );
}

#[test]
fn the_pure_half_takes_values_and_gives_values() {
    all(
        |path, source| impurities(&module(path), &production(source)),
        files("src", ".rs"),
    );
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let mut paths = files("src", ".rs");
    paths.extend(files("tests", ".rs"));
    all(layout, paths);
}

#[test]
fn nothing_names_a_place_on_one_machine() {
    let mut paths = files("src", "");
    for folder in ["tests", "examples", "docs", "certs", ".ci"] {
        if Path::new(folder).exists() {
            paths.extend(files(folder, ""));
        }
    }
    let top = fs::read_dir(".")
        .unwrap()
        .map(|entry| entry.unwrap().path());
    // Cargo writes where packages come from into its lock file.
    paths.extend(
        top.filter(|path| {
            path.is_file() && !path.ends_with(".git") && !path.ends_with("Cargo.lock")
        }),
    );
    let mut broken = Vec::new();
    for path in paths {
        // What is no text (none today) names nothing.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        broken.extend(
            foreign(&text)
                .iter()
                .map(|what| format!("{}: {what}", path.display())),
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

mod the_rules_themselves {
    use super::*;

    #[test]
    fn an_arrow_turned_round_is_caught() {
        for line in [
            "use crate::admission::pod::Pod;",
            "use crate::{\n    image::Reference,\n    server::{Config, Bound},\n};",
            "let x = crate::cli::run();",
        ] {
            assert_eq!(broken_arrows("policy", line).len(), 1, "{line}");
        }
        assert!(
            broken_arrows("policy", "use crate::image::Reference; // crate::imagery").is_empty()
        );
        assert_eq!(broken_arrows("server", "use crate::cli::Failure;").len(), 1);
        assert!(broken_arrows("cli", "use crate::server::Config;").is_empty());
    }

    #[test]
    fn a_clock_in_the_pure_half_is_caught() {
        assert_eq!(impurities("policy", "let now = Timestamp::now();").len(), 1);
        assert_eq!(impurities("image", "std::fs::read(x)").len(), 1);
        assert!(impurities("server", "Timestamp::now()").is_empty());
    }

    #[test]
    fn comments_and_tests_are_no_code() {
        let source = "fn f() {} // tokio\n#[cfg(test)]\nmod tests { use tokio; }";
        assert!(impurities("policy", &production(source)).is_empty());
    }

    #[test]
    fn a_bad_layout_is_caught() {
        assert_eq!(layout(Path::new("src/x.rs"), "fn f() {}").len(), 1);
        assert_eq!(layout(Path::new("src/x/mod.rs"), "//! x").len(), 1);
        let long = format!("//! x\n{}", "fn f() {}\n".repeat(401));
        assert_eq!(layout(Path::new("src/x.rs"), &long).len(), 1);
        let hidden = concat!("//! x\n#[ign", "ore]\nfn f() {}");
        assert_eq!(layout(Path::new("src/x.rs"), hidden).len(), 1);
    }

    #[test]
    fn a_machine_path_is_caught() {
        assert_eq!(foreign(concat!("see /wo", "rk/main")).len(), 1);
        assert!(foreign("see src/main.rs").is_empty());
    }
}

#[test]
fn what_deny_toml_bans_is_not_in_the_lock_file() {
    let names = |text: &str, before: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(before)?.split('"').next())
            .map(str::to_owned)
            .collect()
    };
    let banned = names(&fs::read_to_string("deny.toml").unwrap(), "{ crate = \"");
    let used = names(&fs::read_to_string("Cargo.lock").unwrap(), "name = \"");
    assert!(banned.len() >= 7 && used.iter().any(|name| name == "rustls"));
    let found: Vec<_> = banned.iter().filter(|name| used.contains(name)).collect();
    assert!(found.is_empty(), "banned in deny.toml: {found:?}");
}
