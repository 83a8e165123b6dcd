//! Globs, in which `*` stands for any sequence of characters, and a map keyed by globs.
//!
//! A glob stands for one label of a host or for one namespace. This module must not treat
//! dots specially: `*` is the only character with a meaning.

pub(crate) mod text_map;

use std::collections::BTreeSet;

use text_map::TextMap;

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

/// Values by glob, which are found by a text that the glob covers.
///
/// Globs are in buckets by the text before the first `*` and the text after the last `*`,
/// so the cost of a lookup grows with the number of different lengths of these texts, not
/// with the number of globs: `a1*`, `a2*`, … have the same lengths.
///
/// Up to eight globs are compared one by one: that takes little memory, and is faster.
#[derive(Debug)]
pub(crate) struct GlobMap<V> {
    literal: TextMap<V>,
    few: Vec<(Box<str>, V)>,
    // All globs, if there are more than a few.
    many: Option<Box<ManyGlobs<V>>>,
}

/// How many globs are compared one by one.
const FEW: usize = 8;

#[derive(Debug)]
struct ManyGlobs<V> {
    lengths: BTreeSet<(usize, usize)>,
    // By head, by tail, by the whole glob.
    by_ends: TextMap<TextMap<TextMap<V>>>,
}

impl<V> Default for ManyGlobs<V> {
    fn default() -> Self {
        Self {
            lengths: BTreeSet::new(),
            by_ends: TextMap::default(),
        }
    }
}

impl<V> Default for GlobMap<V> {
    fn default() -> Self {
        Self {
            literal: TextMap::default(),
            few: Vec::new(),
            many: None,
        }
    }
}

impl<V> ManyGlobs<V> {
    fn entry(&mut self, glob: &str, new: impl FnOnce() -> V) -> &mut V {
        let (head, tail) = ends(glob);
        self.lengths.insert((head.len(), tail.len()));
        let tails = self.by_ends.entry(head, TextMap::default);
        tails.entry(tail, TextMap::default).entry(glob, new)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        let tails = self.by_ends.iter().flat_map(|(_, tails)| tails.iter());
        tails.flat_map(|(_, globs)| globs.iter())
    }

    /// The globs whose head and tail are those of the text, with their values.
    fn candidates<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a V)> {
        self.lengths
            .iter()
            .filter(|(head, tail)| head + tail <= text.len())
            .filter_map(|(head, tail)| {
                let tail = text.get(text.len() - tail..)?;
                self.by_ends.get(text.get(..*head)?)?.get(tail)
            })
            .flat_map(TextMap::iter)
    }
}

impl<V> GlobMap<V> {
    /// The value of exactly this glob; `new` makes it if the glob is not in the map yet.
    pub(crate) fn entry(&mut self, glob: &str, new: impl FnOnce() -> V) -> &mut V {
        if !is_glob(glob) {
            return self.literal.entry(glob, new);
        }
        let at = self.few.iter().position(|(text, _)| **text == *glob);
        if at.is_none() && self.few.len() == FEW {
            let mut many = Box::<ManyGlobs<V>>::default();
            for (glob, value) in std::mem::take(&mut self.few) {
                many.entry(&glob, || value);
            }
            self.many = Some(many);
        }
        if let Some(many) = &mut self.many {
            return many.entry(glob, new);
        }
        let at = at.unwrap_or(self.few.len());
        if at == self.few.len() {
            self.few.reserve_exact(self.few.len().max(1));
            self.few.push((glob.into(), new()));
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "the glob is pushed if it is not in the list"
        )]
        &mut self.few[at].1
    }

    /// All globs and literal texts with their values, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &V)> {
        let few = self.few.iter().map(|(glob, value)| (&**glob, value));
        let many = self.many.iter().flat_map(|many| many.iter());
        few.chain(many).chain(self.literal.iter())
    }

    /// The value of the glob that is exactly this text and contains no `*`.
    pub(crate) fn literal(&self, text: &str) -> Option<&V> {
        self.literal.get(text)
    }

    /// The values of all globs with a `*` that cover the text.
    pub(crate) fn globs<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a V> {
        self.candidates(text)
            .filter(|(glob, _)| matches(glob, text))
            .map(|(_, value)| value)
    }

    /// The globs with a `*` that may cover the text, with their values: all that
    /// [`Self::globs`] compares with it.
    pub(crate) fn candidates<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a V)> {
        let few = self.few.iter().map(|(glob, value)| (&**glob, value));
        let many = self.many.iter().flat_map(|many| many.candidates(text));
        few.chain(many)
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
        fn the_map_finds_what_matches(globs in proptest::collection::vec("[ab*]{0,4}", 0..24), text in "[ab]{0,6}") {
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
