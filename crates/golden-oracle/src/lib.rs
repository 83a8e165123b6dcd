//! Compares a parser of this workspace with the answers of the Go code that it follows.
//!
//! The Go programs of `tests/go/oracle` give the answers. The golden files hold a few
//! thousand of them, and the tests always compare those. `make test-oracle` compares fresh
//! cases too: it sets `PULLPASS_ORACLE` to the folder of the programs. The number of cases
//! stands in `PULLPASS_ORACLE_CASES` and the seed in `PULLPASS_ORACLE_SEED`. This crate is
//! for tests only and must not be used by others: a difference is a panic.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test reports a difference by a panic, and a skip on stdout"
)]

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Runs the oracle of this name on fresh random cases, and passes each line of its output to
/// `check`. Prints a skip where the oracles are not built.
///
/// # Panics
///
/// `check` reports a difference, or the oracle fails or stops early.
pub fn compare(name: &str, check: impl Fn(&str) -> Result<(), String>) {
    let Some(folder) = env::var_os("PULLPASS_ORACLE") else {
        println!("SKIP oracle: {name}: PULLPASS_ORACLE is not set (make test-oracle sets it)");
        return;
    };
    let cases = env::var("PULLPASS_ORACLE_CASES").unwrap_or_else(|_| "100000".to_owned());
    let seed = env::var("PULLPASS_ORACLE_SEED").unwrap_or_else(|_| fresh_seed());
    println!("oracle {name}: {cases} cases, PULLPASS_ORACLE_SEED={seed}");

    let program = Path::new(&folder).join(name);
    let mut oracle = Command::new(&program)
        .args(["-generate", "-seed", &seed, "-n", &cases])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut compared = 0;
    let mut differences = Vec::new();
    for line in BufReader::new(oracle.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        compared += 1;
        if let Err(difference) = check(&line) {
            differences.push(format!("{difference}\n  {line}"));
        }
    }
    assert!(oracle.wait().unwrap().success(), "{name} failed");
    println!(
        "oracle {name}: {compared} compared, {} different",
        differences.len()
    );
    assert_eq!(compared.to_string(), cases, "{name} stopped early");
    assert!(differences.is_empty(), "{}", first_of(&differences));
}

/// Passes each line of a golden file to `check`.
///
/// # Panics
///
/// `check` reports a difference, or the file has fewer than `at_least` lines.
pub fn compare_golden(lines: &str, at_least: usize, check: impl Fn(&str) -> Result<(), String>) {
    let differences: Vec<String> = lines
        .lines()
        .filter_map(|line| Some(format!("{}\n  {line}", check(line).err()?)))
        .collect();
    assert!(differences.is_empty(), "{}", first_of(&differences));
    assert!(
        lines.lines().count() >= at_least,
        "the golden file has too few lines"
    );
}

fn first_of(differences: &[String]) -> String {
    let shown = differences.len().min(20);
    format!(
        "{} different, the first {shown}:\n{}",
        differences.len(),
        differences[..shown].join("\n")
    )
}

fn fresh_seed() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis().to_string()
}
