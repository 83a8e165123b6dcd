//! Finds the pairs of globs whose ends do not exclude each other, without comparing each
//! glob with each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, ControlFlow};

use crate::policy::Steps;
use crate::policy::glob::ends;

/// Which pairs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Pairs of a left glob with any other.
    LeftWithAll,
    /// Pairs of a left glob with a right one.
    LeftWithRight,
}

/// The globs that are seen, by head and by tail.
#[derive(Default)]
struct Seen<'g> {
    heads: HashMap<&'g str, Tails>,
    lengths: BTreeSet<usize>,
}

/// Positions of globs by their tail, in which the bytes are turned round so that a tail that
/// ends another is its beginning.
#[derive(Default)]
struct Tails {
    globs: BTreeMap<Vec<u8>, Vec<usize>>,
    lengths: BTreeSet<usize>,
}

/// Calls `visit` with the positions of each wanted pair of globs whose ends do not exclude
/// each other, the lower position first, until `visit` breaks or no steps are left. The
/// globs on the right are counted on from those on the left.
///
/// These are the pairs that overlap as defined by [`crate::policy::glob::overlap`]. The cost
/// grows with the number of these pairs and with the number of different lengths of ends,
/// not with the square of the number of globs.
pub(super) fn compatible_pairs(
    left: &[&str],
    right: &[&str],
    wanted: Wanted,
    steps: &mut Steps,
    mut visit: impl FnMut(usize, usize, &mut Steps) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let globs = || left.iter().chain(right).map(|glob| ends(glob)).enumerate();
    let mut order: Vec<_> = globs().collect();
    // Short heads come first, so that only prefixes of a head can be compatible with it.
    order.sort_by_key(|(_, (head, _))| head.len());
    let (mut seen_left, mut seen_right) = (Seen::default(), Seen::default());
    for (at, (head, tail)) in order {
        let is_left = at < left.len();
        let tail: Vec<u8> = tail.bytes().rev().collect();
        let mut visit = |other: usize, steps: &mut Steps| {
            steps.take(1)?;
            visit(at.min(other), at.max(other), steps)
        };
        if !is_left || wanted == Wanted::LeftWithAll {
            seen_left.compatible(head, &tail, steps, &mut visit)?;
        }
        if is_left {
            seen_right.compatible(head, &tail, steps, &mut visit)?;
        }
        let seen = if is_left {
            &mut seen_left
        } else {
            &mut seen_right
        };
        seen.add(head, tail, at);
    }
    ControlFlow::Continue(())
}

impl<'g> Seen<'g> {
    fn add(&mut self, head: &'g str, tail: Vec<u8>, at: usize) {
        self.lengths.insert(head.len());
        let tails = self.heads.entry(head).or_default();
        tails.lengths.insert(tail.len());
        tails.globs.entry(tail).or_default().push(at);
    }

    fn compatible(
        &self,
        head: &str,
        tail: &[u8],
        steps: &mut Steps,
        visit: &mut impl FnMut(usize, &mut Steps) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for length in self.lengths.range(..=head.len()) {
            steps.compare(*length)?;
            let tails = head.get(..*length).and_then(|head| self.heads.get(head));
            let Some(tails) = tails else {
                continue;
            };
            for length in tails.lengths.range(..tail.len()) {
                steps.compare(*length)?;
                let shorter = tail.get(..*length).and_then(|tail| tails.globs.get(tail));
                for other in shorter.into_iter().flatten() {
                    visit(*other, steps)?;
                }
            }
            steps.compare(tail.len())?;
            let longer = tails
                .globs
                .range::<[u8], _>((Bound::Included(tail), Bound::Unbounded))
                .take_while(|(other, _)| other.starts_with(tail));
            for other in longer.flat_map(|(_, list)| list) {
                visit(*other, steps)?;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::glob::overlap;
    use proptest::prelude::*;

    fn found(left: &[&str], right: &[&str], wanted: Wanted) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let steps = &mut Steps::new(usize::MAX);
        let all = compatible_pairs(left, right, wanted, steps, |a, b, _| {
            found.push((a, b));
            ControlFlow::Continue(())
        });
        assert!(all.is_continue());
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn the_pairs_are_those_that_overlap(
            globs in proptest::collection::vec("[ab]{0,2}[*][ab*]{0,2}", 0..12),
            split in 0_usize..12,
        ) {
            let texts: Vec<&str> = globs.iter().map(String::as_str).collect();
            let split = split.min(texts.len());
            let (left, right) = texts.split_at(split);
            for wanted in [Wanted::LeftWithAll, Wanted::LeftWithRight] {
                let mut expected = Vec::new();
                for (a, one) in texts.iter().enumerate() {
                    for (b, other) in texts.iter().enumerate().skip(a + 1) {
                        let is_wanted = match wanted {
                            Wanted::LeftWithAll => a < split,
                            Wanted::LeftWithRight => a < split && b >= split,
                        };
                        if is_wanted && overlap(one, other) {
                            expected.push((a, b));
                        }
                    }
                }
                prop_assert_eq!(found(left, right, wanted), expected);
            }
        }
    }

    #[test]
    fn globs_that_exclude_each_other_take_few_steps() {
        let globs: Vec<String> = (0..10_000).map(|at| format!("team-{at}-*")).collect();
        let texts: Vec<&str> = globs.iter().map(String::as_str).collect();
        let steps = &mut Steps::new(20 * texts.len());
        let none = compatible_pairs(&texts, &[], Wanted::LeftWithAll, steps, |_, _, _| {
            panic!("a pair");
        });
        assert!(none.is_continue());
    }
}
