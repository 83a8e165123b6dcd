//! The structure, held by tests: which package may use which crate, which room may know
//! which, what the pure half may not touch, how files are laid out. ARCHITECTURE.md
//! explains the rules.
//!
//! Most of them are functions over text, so that a second set of tests can feed them a
//! line that breaks each and see it caught.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source folder of a package.
struct Package {
    source: &'static str,
    /// Its rooms (top-level modules), and the rooms of the same package that each may
    /// name. A room that is not listed is an error.
    rooms: &'static [(&'static str, &'static [&'static str])],
}

const CORE: Package = Package {
    source: "crates/core/src",
    rooms: &[
        ("lib", &[]),
        ("text", &[]),
        ("well_known", &[]),
        ("rotation", &[]),
        ("registration", &["text", "well_known"]),
        ("yaml", &["text"]),
        ("policy", &["text"]),
        ("map", &["policy", "text", "yaml"]),
        ("admission", &["map", "policy", "text", "well_known"]),
        ("manifest", &["admission", "policy", "text", "yaml"]),
        ("secret_manifest", &["manifest", "yaml"]),
        ("diagnosis", &["manifest", "secret_manifest", "text"]),
        ("probe", &["policy", "text", "well_known"]),
        ("vap", &["policy", "text", "well_known"]),
    ],
};

const PROGRAM: Package = Package {
    source: "src",
    rooms: &[
        ("main", &[]),
        ("lib", &[]),
        ("clock", &[]),
        ("observe", &[]),
        ("kube", &["observe"]),
        ("certs", &["clock", "kube", "observe"]),
        ("state", &["clock", "kube", "observe"]),
        ("audit", &["kube", "observe"]),
        ("registration", &["certs", "kube", "observe"]),
        (
            "http",
            &["audit", "certs", "observe", "registration", "state"],
        ),
        (
            "serve",
            &[
                "audit",
                "certs",
                "http",
                "kube",
                "observe",
                "registration",
                "state",
            ],
        ),
        (
            "cli",
            &[
                "audit",
                "certs",
                "http",
                "kube",
                "observe",
                "registration",
                "serve",
                "state",
            ],
        ),
    ],
};

/// The packages, and the packages of the workspace that each may depend on.
const PACKAGES: [(&str, &[&str]); 5] = [
    ("crates/golden-oracle", &[]),
    ("crates/image-reference", &[]),
    ("crates/kubelet-keyring", &["image-reference"]),
    ("crates/core", &["image-reference", "kubelet-keyring"]),
    (
        ".",
        &["image-reference", "kubelet-keyring", "pullpass-core"],
    ),
];

/// Crates that the packages below `crates/` must not depend on: each has a runtime, a
/// socket, a cluster, a logger or a command line in it.
const EDGE_CRATES: [&str; 12] = [
    "anstream",
    "axum",
    "clap",
    "hyper",
    "hyper-util",
    "k8s-openapi",
    "kube",
    "tokio",
    "tokio-rustls",
    "tower",
    "tracing",
    "tracing-subscriber",
];

/// What values in, values out cannot need of the standard library. Of `std::net` the
/// addresses are values.
const IMPURE: [&str; 13] = [
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

/// As many modules as may stand beside each other in one folder.
const MODULES_IN_A_FOLDER: usize = 15;

/// The lines of a module that is so small that what it must not do needs no saying.
const SMALL_MODULE: usize = 40;

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

/// `src/http/tls.rs` → `http`
fn room(package: &Package, path: &Path) -> String {
    let inside = path.strip_prefix(package.source).unwrap();
    let first = inside.iter().next().unwrap_or_default();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn broken_arrows(package: &Package, room: &str, code: &str) -> Vec<String> {
    let Some((_, allowed)) = package.rooms.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{room} is in no list of rooms")];
    };
    // The root of a crate names its rooms to declare them.
    let is_root = ["main", "lib"].contains(&room);
    let others = package.rooms.iter().map(|(name, _)| *name);
    others
        .filter(|other| *other != room && !allowed.contains(other) && !is_root)
        .filter(|other| names(code, other))
        .map(|other| format!("{room} may not know {other}"))
        .collect()
}

/// Whether code names a room of its package: `crate::x` or `use crate::{…, x::…}`.
fn names(code: &str, room: &str) -> bool {
    let word = |at: usize| {
        let after = code[at + room.len()..].chars().next();
        !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    let direct = code
        .match_indices(&format!("crate::{room}"))
        .any(|(at, _)| word(at + "crate::".len()));
    let grouped = code.split("crate::{").skip(1).any(|group| {
        group
            .split(';')
            .next()
            .unwrap_or_default()
            .split(['{', '}', ',', ' ', '\n'])
            .any(|name| name.split("::").next() == Some(room))
    });
    direct || grouped
}

fn impurities(code: &str) -> Vec<String> {
    IMPURE
        .iter()
        .filter(|word| code.contains(**word))
        .map(|word| format!("the pure half may not use {word}"))
        .collect()
}

/// The crates of `[dependencies]`, without those of tests and builds.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1);
    let section = section.unwrap_or_default().split("\n[").next();
    let lines = section.unwrap_or_default().lines();
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn broken_walls(package: &str, manifest: &str, allowed: &[&str]) -> Vec<String> {
    let ours = [
        "golden-oracle",
        "image-reference",
        "kubelet-keyring",
        "pullpass-core",
        "pullpass",
    ];
    let used = dependencies(manifest);
    let forbidden = used.iter().filter(|name| {
        let name = name.as_str();
        let is_edge = package != "." && EDGE_CRATES.contains(&name);
        is_edge || ours.contains(&name) && !allowed.contains(&name)
    });
    forbidden
        .map(|name| format!("{package} may not depend on {name}"))
        .collect()
}

fn layout(path: &Path, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let name = path.file_name().unwrap().to_string_lossy();
    // The README of a package is its first page of documentation.
    let readme = "#![doc = include_str!(\"../README.md\")]";
    if !source.starts_with("//! ") && !source.contains(readme) {
        found.push("does not open with what it is".to_owned());
    }
    if !path.starts_with("tests") && !path.starts_with("examples") && !source.contains(readme) {
        let header = source.lines().take_while(|line| line.starts_with("//!"));
        let header = header.map(|line| line.trim_start_matches("//!").trim());
        let header = header.collect::<Vec<_>>().join(" ");
        let has_limit = header.contains("must not") || header.contains("must never");
        if !has_limit && source.lines().count() > SMALL_MODULE {
            found.push("does not open with what it must not do".to_owned());
        }
    }
    if ["mod.rs", "utils.rs", "helpers.rs", "common.rs"].contains(&name.as_ref()) {
        found.push("has a name that says nothing".to_owned());
    }
    let lines = production(source)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    let ceiling = if name == "main.rs" { 60 } else { 400 };
    if !path.starts_with("tests") && lines > ceiling {
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

/// The source folders of all packages.
fn sources() -> Vec<PathBuf> {
    PACKAGES
        .iter()
        .flat_map(|(folder, _)| files(&format!("{folder}/src"), ".rs"))
        .collect()
}

#[test]
fn the_arrows_between_rooms_point_one_way() {
    for package in [CORE, PROGRAM] {
        all(
            |path, source| broken_arrows(&package, &room(&package, path), &production(source)),
            files(package.source, ".rs"),
        );
    }
}

#[test]
fn rooms_know_only_rooms_before_them() {
    for package in [CORE, PROGRAM] {
        let mut before = BTreeSet::new();
        for (room, known) in package.rooms {
            let unknown: Vec<_> = known
                .iter()
                .filter(|name| !before.contains(*name))
                .collect();
            assert!(unknown.is_empty(), "{room} makes a circle with {unknown:?}");
            before.insert(room);
        }
    }
}

#[test]
fn the_walls_are_in_the_dependency_lists() {
    for (folder, allowed) in PACKAGES {
        let manifest = fs::read_to_string(Path::new(folder).join("Cargo.toml")).unwrap();
        assert!(!dependencies(&manifest).is_empty() || folder == "crates/golden-oracle");
        let broken = broken_walls(folder, &manifest, allowed);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
    let folders = fs::read_dir("crates").unwrap().count();
    assert_eq!(folders + 1, PACKAGES.len(), "a package is in no list");
}

#[test]
fn the_pure_half_takes_values_and_gives_values() {
    let pure = ["image-reference", "kubelet-keyring", "core"];
    for package in pure {
        all(
            |_, source| impurities(&production(source)),
            files(&format!("crates/{package}/src"), ".rs"),
        );
    }
}

#[test]
fn one_module_knows_the_yaml_library() {
    let knows = |path: &PathBuf| {
        let source = fs::read_to_string(path).unwrap();
        production(&source).contains("serde_saphyr")
    };
    let knowing: BTreeSet<String> = sources()
        .iter()
        .filter(|path| knows(path))
        .map(|path| path.display().to_string())
        .collect();
    let elsewhere: Vec<_> = knowing
        .iter()
        .filter(|path| !path.starts_with("crates/core/src/yaml"))
        .collect();
    assert!(!knowing.is_empty() && elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn no_folder_holds_more_modules_than_one_takes_in() {
    let mut modules: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in sources() {
        *modules
            .entry(path.parent().unwrap().to_owned())
            .or_default() += 1;
    }
    let crowded: Vec<_> = modules
        .iter()
        .filter(|(_, count)| **count > MODULES_IN_A_FOLDER)
        .collect();
    assert!(crowded.is_empty(), "{crowded:?}");
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let mut paths = sources();
    paths.extend(files("tests", ".rs"));
    paths.extend(files("examples", ".rs"));
    all(layout, paths);
}

#[test]
fn nothing_names_a_place_on_one_machine() {
    let mut paths = files("src", "");
    paths.extend(files("crates", ""));
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
            "use crate::{\n    text::cut,\n    map::{Options, load},\n};",
            "let x = crate::vap::objects();",
        ] {
            assert_eq!(broken_arrows(&CORE, "policy", line).len(), 1, "{line}");
        }
        let fine = "use crate::text::cut; // crate::textual";
        assert!(broken_arrows(&CORE, "policy", fine).is_empty());
        let up = "use crate::cli::Failure;";
        assert_eq!(broken_arrows(&PROGRAM, "http", up).len(), 1);
        let between_edges = "use crate::http::webhook::Webhook;";
        assert_eq!(broken_arrows(&PROGRAM, "certs", between_edges).len(), 1);
        assert!(broken_arrows(&PROGRAM, "serve", between_edges).is_empty());
        assert_eq!(broken_arrows(&PROGRAM, "attic", "").len(), 1);
    }

    #[test]
    fn a_wall_with_a_hole_is_caught() {
        let hole = "[package]\nname = \"x\"\n\n[dependencies]\ntokio = \"1\"\nserde.workspace = true\n\n[dev-dependencies]\nkube = \"1\"\n";
        assert_eq!(broken_walls("crates/core", hole, &[]).len(), 1);
        assert!(broken_walls(".", hole, &[]).is_empty());
        let round = "\n[dependencies]\npullpass-core.workspace = true\n";
        assert_eq!(broken_walls("crates/image-reference", round, &[]).len(), 1);
    }

    #[test]
    fn a_clock_in_the_pure_half_is_caught() {
        assert_eq!(impurities("let now = Timestamp::now();").len(), 1);
        assert_eq!(impurities("std::fs::read(x)").len(), 1);
    }

    #[test]
    fn comments_and_tests_are_no_code() {
        let source = "fn f() {} // std::fs\n#[cfg(test)]\nmod tests { use std::fs; }";
        assert!(impurities(&production(source)).is_empty());
    }

    #[test]
    fn a_bad_layout_is_caught() {
        assert_eq!(layout(Path::new("src/x.rs"), "fn f() {}").len(), 1);
        assert_eq!(layout(Path::new("src/x/mod.rs"), "//! x").len(), 1);
        let long = format!("//! x\n{}", "fn f() {}\n".repeat(401));
        assert_eq!(layout(Path::new("src/x.rs"), &long).len(), 2);
        let long = format!("//! x must\n//! not\n{}", "fn f() {}\n".repeat(401));
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
