//! The crates that the program is made of. `tests/crates.txt` lists them, and somebody has
//! decided about each: every one runs with the rights of the webhook, or on the machines that
//! build it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const LIST: &str = "tests/crates.txt";

/// The target of the image.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The packages behind these edges of the program, `name version`, without those of the
/// workspace.
fn packages(edges: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--package",
            "pullpass",
            "--target",
            TARGET,
        ])
        .args(["--edges", edges, "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    // A package of the workspace has its folder behind the version.
    let lines = text.lines().filter(|line| !line.contains("(/"));
    lines
        .map(|line| line.split(" (").next().unwrap().to_owned())
        .collect()
}

/// The list as it should be: each name once, with the number of its versions.
fn list() -> String {
    let linked = packages("normal,no-proc-macro");
    let all = packages("normal,build");
    let counted = |packages: &mut dyn Iterator<Item = &String>| {
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for package in packages {
            *names
                .entry(package.split(' ').next().unwrap().to_owned())
                .or_default() += 1;
        }
        names
            .into_iter()
            .map(|(name, versions)| match versions {
                1 => format!("{name}\n"),
                _ => format!("{name} ({versions} versions)\n"),
            })
            .collect::<String>()
    };
    let build = all.difference(&linked).count();
    format!(
        "# {} crates are in the binary:\n{}\n# {build} more run while it is built:\n{}",
        linked.len(),
        counted(&mut linked.iter()),
        counted(&mut all.difference(&linked)),
    )
}

#[test]
fn a_new_crate_is_a_decision() {
    let found = list();
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        let known = std::fs::read_to_string(LIST).unwrap_or_default();
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let new: Vec<_> = lines(&found).difference(&lines(&known)).cloned().collect();
        let gone: Vec<_> = lines(&known).difference(&lines(&found)).cloned().collect();
        assert!(
            found == known,
            "the crates of the program are not those of {LIST}\nnew: {new:#?}\ngone: {gone:#?}\n\
             each crate is code that runs beside every pod of a cluster: say in the commit what it is \
             for and who maintains it, and write the list anew with UPDATE_GOLDEN=1"
        );
    }
    crate::golden::same(LIST, &found);
}

#[test]
fn no_crate_for_tests_is_in_the_program() {
    let all = packages("normal,build");
    for name in [
        "proptest",
        "trycmd",
        "tempfile",
        "jsonschema",
        "libfuzzer-sys",
        "allocation-counter",
    ] {
        let is_in = all
            .iter()
            .any(|package| package.split(' ').next() == Some(name));
        assert!(!is_in, "{name}");
    }
}
