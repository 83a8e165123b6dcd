//! Refuses a map that needs more memory than its size explains.
//!
//! The memory of a map grows with its bytes, except for two things that are bounded here:
//! an entry with many patterns and many namespaces makes a rule for each pair of them, and
//! a short host with `*` can have many labels.

use crate::map::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::map::draft::MapDraft;
use crate::map::entry::DraftEntry;

/// Something that is counted in all entries.
struct Bound {
    most: usize,
    what: &'static str,
    help: &'static str,
    of_entry: fn(&DraftEntry<'_>) -> usize,
}

const BOUNDS: [Bound; 2] = [
    // An entry with one pattern is left out, because its pairs are its namespaces.
    Bound {
        most: 250_000,
        what: "pairs of a pattern and a namespace (or a value of a selector), without those of \
               the first pattern of each entry",
        help: "write fewer patterns or namespaces in one entry, or a `*` for several of them",
        of_entry: |draft| {
            let others = draft.entry.patterns.len().saturating_sub(1);
            others.saturating_mul(draft.entry.scope.size())
        },
    },
    Bound {
        most: 1_000_000,
        what: "labels of hosts with `*`",
        help: "write fewer hosts with `*`, or `**.` for several labels",
        of_entry: |draft| {
            let globs = draft.entry.patterns.iter();
            let globs = globs.filter(|pattern| pattern.is_glob());
            globs.map(|pattern| pattern.host().split('.').count()).sum()
        },
    },
];

pub(in crate::map) fn check(draft: &MapDraft<'_>, diagnostics: &mut Diagnostics) {
    for bound in BOUNDS {
        let mut count = 0_usize;
        for entry in &draft.entries {
            count = count.saturating_add((bound.of_entry)(entry));
            if let (true, Some(place)) = (count > bound.most, entry.patterns.first()) {
                let message = format!(
                    "the entries up to this one have {count} {}, and a map has at most {}",
                    bound.what, bound.most
                );
                diagnostics.add(Diagnostic::new(Severity::Error, place, message).help(bound.help));
                break;
            }
        }
    }
}
