//! Globs, in which `*` stands for any sequence of characters, and a map keyed by globs.
//!
//! A glob stands for one label of a host or for one namespace. This module must not treat
//! dots specially: `*` is the only character with a meaning.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, ControlFlow};

/// Whether the text contains a `*`.
pub(crate) fn is_glob(text: &str) -> bool {
    text.contains('*')
}

/// Whether `glob` covers the whole of `text`. The cost is linear in the text for each `*`.
pub(crate) fn matches(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut left) = text
        .strip_prefix(head)
        .and_then(|text| text.strip_suffix(tail))
    else {
        return false;
    };
    // The leftmost match of each part leaves the most room for the next part.
    for part in middle.split('*') {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    true
}

/// Whether some text is covered by both globs.
///
/// The answer is exact: if both globs contain a `*`, only the text before the first `*` and
/// the text after the last `*` can conflict, because the rest of one glob fits into a `*`
/// of the other.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    match (is_glob(a), is_glob(b)) {
        (false, _) => matches(b, a),
        (true, false) => matches(a, b),
        (true, true) => {
            let ((head_a, tail_a), (head_b, tail_b)) = (ends(a), ends(b));
            (head_a.starts_with(head_b) || head_b.starts_with(head_a))
                && (tail_a.ends_with(tail_b) || tail_b.ends_with(tail_a))
        }
    }
}

/// The text before the first `*` and the text after the last `*`.
pub(crate) fn ends(glob: &str) -> (&str, &str) {
    let head = glob.split('*').next().unwrap_or_default();
    let tail = glob.rsplit('*').next().unwrap_or_default();
    (head, tail)
}

/// Calls `visit` with the indices of each pair of globs whose ends do not exclude each
/// other, the lower index first, until `visit` breaks.
///
/// These are the pairs that overlap as defined by [`overlap`]. The cost grows with the
/// number of these pairs, not with the square of the number of globs.
pub(crate) fn compatible_pairs(
    globs: &[&str],
    mut visit: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut order: Vec<usize> = (0..globs.len()).collect();
    // Short heads come first, so that only prefixes of a head can be compatible with it.
    order.sort_by_key(|at| globs.get(*at).map(|glob| ends(glob).0.len()));
    let mut seen: HashMap<&str, BTreeMap<Vec<u8>, Vec<usize>>> = HashMap::new();
    for at in order {
        let (head, tail) = globs.get(at).map_or(("", ""), |glob| ends(glob));
        let tail: Vec<u8> = tail.bytes().rev().collect();
        for end in 0..=head.len() {
            let Some(tails) = head.get(..end).and_then(|head| seen.get(head)) else {
                continue;
            };
            let shorter = (0..tail.len()).filter_map(|end| tails.get(tail.get(..end)?));
            let longer =
                tails.range::<[u8], _>((Bound::Included(tail.as_slice()), Bound::Unbounded));
            let longer = longer.take_while(|(other, _)| other.starts_with(&tail));
            for other in shorter.chain(longer.map(|(_, list)| list)).flatten() {
                visit(at.min(*other), at.max(*other))?;
            }
        }
        seen.entry(head)
            .or_default()
            .entry(tail)
            .or_default()
            .push(at);
    }
    ControlFlow::Continue(())
}

/// Values by glob, which are found by a text that the glob covers.
///
/// Globs are in buckets by the text before the first `*` and the text after the last `*`,
/// so the cost of a lookup grows with the number of different lengths of these texts, not
/// with the number of globs: `a1*`, `a2*`, … have the same lengths.
#[derive(Debug)]
pub(crate) struct GlobMap<V> {
    literal: HashMap<Box<str>, V>,
    lengths: BTreeSet<(usize, usize)>,
    globs: HashMap<Box<str>, HashMap<Box<str>, Bucket<V>>>,
}

/// Globs that share a head and a tail, with their values.
type Bucket<V> = Vec<(Box<str>, V)>;

impl<V> Default for GlobMap<V> {
    fn default() -> Self {
        Self {
            literal: HashMap::new(),
            lengths: BTreeSet::new(),
            globs: HashMap::new(),
        }
    }
}

impl<V> GlobMap<V> {
    /// The value of exactly this glob; `new` makes it if the glob is not in the map yet.
    pub(crate) fn entry(&mut self, glob: &str, new: impl FnOnce() -> V) -> &mut V {
        if !is_glob(glob) {
            return self.literal.entry(glob.into()).or_insert_with(new);
        }
        let (head, tail) = ends(glob);
        self.lengths.insert((head.len(), tail.len()));
        let bucket = self
            .globs
            .entry(head.into())
            .or_default()
            .entry(tail.into())
            .or_default();
        let at = bucket
            .iter()
            .position(|(text, _)| **text == *glob)
            .unwrap_or(bucket.len());
        if at == bucket.len() {
            bucket.push((glob.into(), new()));
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "the glob is pushed if it is not in the bucket"
        )]
        &mut bucket[at].1
    }

    /// All globs and literal texts with their values, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &V)> {
        let globs = self.globs.values().flat_map(HashMap::values).flatten();
        let globs = globs.map(|(glob, value)| (&**glob, value));
        let literal = self.literal.iter().map(|(text, value)| (&**text, value));
        globs.chain(literal)
    }

    /// The value of the glob that is exactly this text and contains no `*`.
    pub(crate) fn literal(&self, text: &str) -> Option<&V> {
        self.literal.get(text)
    }

    /// The values of all globs with a `*` that cover the text.
    pub(crate) fn globs<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a V> {
        self.lengths
            .iter()
            .filter(|(head, tail)| head + tail <= text.len())
            .filter_map(|(head, tail)| {
                let tail = text.get(text.len() - tail..)?;
                self.globs.get(text.get(..*head)?)?.get(tail)
            })
            .flatten()
            .filter(|(glob, _)| matches(glob, text))
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (glob, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a.b", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("ab*ba", "aba", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
            ("*b*b*", "ab", false),
            ("team-*", "team-", true),
            ("ä*", "äx", true),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
    }

    // The definition by recursion, which is too slow for production.
    fn slowly(glob: &[u8], text: &[u8]) -> bool {
        match (glob.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                slowly(rest, text)
                    || text
                        .split_first()
                        .is_some_and(|(_, left)| slowly(glob, left))
            }
            (Some((a, glob)), Some((b, text))) => a == b && slowly(glob, text),
            _ => false,
        }
    }

    fn words(most: u32) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut last = words.clone();
        for _ in 0..most {
            last = last
                .iter()
                .flat_map(|word| ["a", "b"].map(|letter| format!("{word}{letter}")))
                .collect();
            words.extend(last.iter().cloned());
        }
        words
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(glob in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&glob, &text), slowly(glob.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn overlap_is_a_text_that_both_cover(a in "[ab*]{0,4}", b in "[ab*]{0,4}") {
            // If two globs of four characters overlap, they share a text of at most eight.
            let shared = words(8).iter().any(|word| matches(&a, word) && matches(&b, word));
            prop_assert_eq!(overlap(&a, &b), shared, "{} {}", a, b);
        }

        #[test]
        fn compatible_pairs_are_those_that_overlap(globs in proptest::collection::vec("[ab]{0,2}[*][ab*]{0,2}", 0..12)) {
            let texts: Vec<&str> = globs.iter().map(String::as_str).collect();
            let mut found = Vec::new();
            let _ = compatible_pairs(&texts, |a, b| {
                found.push((a, b));
                ControlFlow::Continue(())
            });
            found.sort_unstable();
            let mut expected = Vec::new();
            for (a, left) in texts.iter().enumerate() {
                for (b, right) in texts.iter().enumerate().skip(a + 1) {
                    if overlap(left, right) {
                        expected.push((a, b));
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_map_finds_what_matches(globs in proptest::collection::vec("[ab*]{0,4}", 0..12), text in "[ab]{0,6}") {
            let mut map = GlobMap::default();
            for glob in &globs {
                map.entry(glob, || glob.clone());
            }
            let mut found: Vec<_> = map.globs(&text).chain(map.literal(&text)).cloned().collect();
            let mut expected: Vec<_> = globs.iter().filter(|glob| matches(glob, &text)).cloned().collect();
            found.sort();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(found, expected);
        }
    }
}
