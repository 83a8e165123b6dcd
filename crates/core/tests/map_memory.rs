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
const OF_EACH_BYTE: usize = 150;

/// What [`map::load`] may take beyond that, for pairs of a pattern and a namespace.
const OF_PAIRS: usize = 60_000_000;

/// The bytes of each map: an eighth of a `ConfigMap`, because more takes long in a debug
/// build.
const MAP: usize = 1 << 17;

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

/// Valid maps that took most, by the way in which they took it.
fn valid() -> Vec<(&'static str, String)> {
    let many_labels = |at: usize| format!("- match: \"**{}.l{at:x}\"\n", ".*".repeat(117));
    let labels = |at: usize| format!("- match: \"{}x{at:x}\"\n", "a.*.".repeat(10));
    let two = |at: usize| {
        let end = format!("{}e{:x}", "*.".repeat(50), at / 2);
        let begin = if at.is_multiple_of(2) { "a" } else { "b" };
        format!("- match: \"{begin}.{end}\"\n")
    };
    let globs = |at: usize| format!("- {{match: h.x{at:x}, namespaces: [\"a*{at:x}\"]}}\n");
    let names = |at: usize| format!("- {{name: e{at:x}, match: h.x, namespaces: [a{at:x}]}}\n");
    let pairs = pairs(480 * 8, 519 * 8);
    let glob_pairs = pairs.replace(", a", "*, a");
    let public = list(MAP, |at| format!("h.{at:x}"));
    let public = format!("{HEAD}publicRegistries: {public}\n");
    let secrets = list(MAP, |at| format!("s{at:x}"));
    let secrets = format!("{HEAD}registries: [{{match: h.x, pullSecrets: {secrets}}}]\n");
    vec![
        ("hosts of 118 labels", filled(many_labels)),
        ("hosts of 21 labels", filled(labels)),
        ("hosts that differ at both ends", filled(two)),
        ("namespaces with `*`", filled(globs)),
        ("namespaces of one host", filled(names)),
        ("many patterns and many namespaces", pairs),
        ("many patterns and many globs", glob_pairs),
        ("short patterns", public),
        ("pull secrets", secrets),
    ]
}

/// One entry with so many bytes of patterns and of namespaces.
fn pairs(patterns: usize, namespaces: usize) -> String {
    let patterns = list(patterns, |at| format!("h.x{at:04x}"));
    let namespaces = list(namespaces, |at| format!("a{at:05x}"));
    format!("{HEAD}registries: [{{match: {patterns}, namespaces: {namespaces}}}]\n")
}

/// Maps that are not valid.
fn invalid() -> Vec<(&'static str, String)> {
    let value = "v".repeat(MAP / 4);
    let aliases = list(MAP / 2, |_| "*a".to_owned());
    let repeated = format!("{HEAD}contact: &a \"{value}\"\nregistries: {aliases}\n");
    let keys = list(MAP / 2, |at| format!("k{at:x}: 1"));
    let uses = list(MAP / 2, |_| "{<<: *a}".to_owned());
    let merged = format!(
        "{HEAD}a: &a {{{}}}\nregistries: {uses}\n",
        keys.trim_matches(['[', ']']),
    );
    let ones = list(MAP, |_| "1".to_owned());
    let nested = "{a: ".repeat(20_000);
    let unknown = |at: usize| format!("- {{x{at:x}: y}}\n");
    let wrong = |at: usize| format!("- {{match: x{at:x}}}\n");
    vec![
        ("too many pairs", pairs(MAP / 2, MAP / 2)),
        ("unknown keys", filled(unknown)),
        ("wrong patterns", filled(wrong)),
        ("nothing but values", format!("{HEAD}x: {ones}\n")),
        ("an alias of a long text", repeated),
        ("merged maps", merged),
        ("maps in maps", format!("{HEAD}registries: {nested}")),
    ]
}

#[test]
fn a_map_takes_a_bounded_multiple_of_its_bytes() {
    let mut faults = String::new();
    let valid = valid().into_iter().map(|(name, text)| (name, true, text));
    let invalid = invalid()
        .into_iter()
        .map(|(name, text)| (name, false, text));
    for (name, is_valid, text) in valid.chain(invalid) {
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
