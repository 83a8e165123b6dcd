//! The memory that a map takes at its peak, counted in allocated bytes.
//!
//! It is the only test of its program, because the counter counts all threads.

use std::fmt::Write as _;

use peak_alloc::PeakAlloc;
use pullpass_core::map::{self, Options, SourceFile};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The most bytes of memory for each byte of a map, as [`map::check`] and [`map::load`]
/// promise it.
const OF_EACH_BYTE: usize = 100;

/// What [`map::load`] may take beyond that, for pairs of a pattern and a namespace.
const OF_PAIRS: usize = 60_000_000;

/// The bytes of each map: a quarter of a `ConfigMap`, because more takes long in a debug
/// build.
const MAP: usize = 1 << 18;

const HEAD: &str = "apiVersion: pullpass.dev/v1\nkind: RegistryMap\n";

/// A map of as many entries as fit.
fn filled(entry: impl Fn(usize) -> String) -> String {
    let mut text = format!("{HEAD}registries:\n");
    for at in 0.. {
        let entry = entry(at);
        if text.len() + entry.len() > MAP {
            break;
        }
        text += &entry;
    }
    text
}

/// A list of words on one line, as long as `bytes`.
fn list(bytes: usize, word: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for at in 0.. {
        let word = word(at);
        if text.len() + word.len() + 2 > bytes {
            break;
        }
        _ = write!(text, "{word}, ");
    }
    format!("[{text}]")
}

/// The peak of a call beyond what was allocated before it.
fn peak<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = call();
    (result, ALLOCATED.peak_usage().saturating_sub(before))
}

/// Maps that took most, by the way in which they took it. Whether they are valid.
fn maps() -> Vec<(&'static str, bool, String)> {
    let many_labels = |at: usize| format!("- match: \"**{}.l{at:x}\"\n", ".*".repeat(117));
    let labels = |at: usize| format!("- match: \"{}x{at:x}\"\n", "a.*.".repeat(10));
    let two = |at: usize| {
        let end = format!("{}e{:x}", "*.".repeat(50), at / 2);
        let begin = if at.is_multiple_of(2) { "a" } else { "b" };
        format!("- match: \"{begin}.{end}\"\n")
    };
    let globs = |at: usize| format!("- {{match: h.x{at:x}, namespaces: [\"a*{at:x}\"]}}\n");
    let names = |at: usize| format!("- {{name: e{at:x}, match: h.x, namespaces: [a{at:x}]}}\n");
    let pairs = format!(
        "{HEAD}registries: [{{match: {}, namespaces: {}}}]\n",
        list(480 * 8, |at| format!("h.x{at:04x}")),
        list(519 * 8, |at| format!("a{at:05x}")),
    );
    let glob_pairs = pairs.replace(", a", "*, a");
    let too_many_pairs = format!(
        "{HEAD}registries: [{{match: {}, namespaces: {}}}]\n",
        list(MAP / 2, |at| format!("h.x{at:04x}")),
        list(MAP / 2, |at| format!("a{at:05x}")),
    );
    let public = list(MAP, |at| format!("h.{at:x}"));
    let secrets = list(MAP, |at| format!("s{at:x}"));
    let value = "v".repeat(MAP / 4);
    let repeated = format!(
        "{HEAD}contact: &a \"{value}\"\nregistries: {}\n",
        list(MAP / 2, |_| "*a".to_owned()),
    );
    let nested = "{a: ".repeat(20_000);
    vec![
        ("hosts of 118 labels", true, filled(many_labels)),
        ("hosts of 21 labels", true, filled(labels)),
        ("hosts that differ at both ends", true, filled(two)),
        ("namespaces with `*`", true, filled(globs)),
        ("namespaces of one host", true, filled(names)),
        ("many patterns and many namespaces", true, pairs),
        ("many patterns and many globs", true, glob_pairs),
        ("too many pairs", false, too_many_pairs),
        (
            "short patterns",
            true,
            format!("{HEAD}publicRegistries: {public}\n"),
        ),
        (
            "pull secrets",
            true,
            format!("{HEAD}registries: [{{match: h.x, pullSecrets: {secrets}}}]\n"),
        ),
        (
            "unknown keys",
            false,
            filled(|at| format!("- {{x{at:x}: y}}\n")),
        ),
        (
            "wrong patterns",
            false,
            filled(|at| format!("- {{match: x{at:x}}}\n")),
        ),
        (
            "nothing but values",
            false,
            format!("{HEAD}x: {}\n", list(MAP, |_| "1".to_owned())),
        ),
        ("an alias of a long text", false, repeated),
        ("maps in maps", false, format!("{HEAD}registries: {nested}")),
    ]
}

#[test]
fn a_map_takes_a_bounded_multiple_of_its_bytes() {
    let mut faults = String::new();
    for (name, is_valid, text) in maps() {
        assert!(text.len() <= MAP + 100, "{name}");
        let name_of_file = "map.yaml".to_owned();
        let files = [SourceFile {
            name: name_of_file,
            text,
        }];
        let bytes = files[0].text.len();
        let (checked, of_check) = peak(|| map::check(&files));
        let first = checked.errors().next().map(ToString::to_string);
        assert_eq!(checked.is_valid(), is_valid, "{name}: {first:?}");
        drop(checked);
        let (loaded, of_load) = peak(|| map::load(&files, &Options::default()));
        assert_eq!(loaded.is_ok(), is_valid, "{name}");
        println!(
            "{name}: {bytes} bytes; check {of_check} ({} for each byte), load {of_load} ({})",
            of_check / bytes,
            of_load / bytes,
        );
        let most = OF_EACH_BYTE * bytes + 1_000_000;
        if of_check > most || of_load > most + OF_PAIRS {
            _ = writeln!(
                faults,
                "{name}: check {of_check}, load {of_load}, most {most}"
            );
        }
    }
    assert!(faults.is_empty(), "{faults}");
}
