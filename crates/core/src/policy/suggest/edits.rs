//! The edit distance of two words, for "did you mean".
//!
//! Only the diagonals are computed on which the distance can be small enough, so the cost is
//! linear in the words. This module must not know what the words are.

use std::ops::ControlFlow;

use super::steps::Steps;

/// The greatest distance that is computed.
const MOST: usize = 8;

/// The cells of a row: those of the middle diagonal and of [`MOST`] on either side.
type Row = [usize; 2 * MOST + 1];

/// Stands for a distance that is too great.
const FAR: usize = usize::MAX / 2;

/// How many letters must be inserted, deleted, replaced or swapped with their neighbor to
/// turn one word into the other; `None` if these are more than `most`, which is at most 8.
/// A cell takes a step. It breaks if no steps are left.
pub(crate) fn edits(
    a: &str,
    b: &str,
    most: usize,
    steps: &mut Steps,
) -> ControlFlow<(), Option<usize>> {
    let most = most.min(MOST);
    if a.len().abs_diff(b.len()) > most {
        return ControlFlow::Continue(None);
    }
    steps.compare(a.len())?;
    let (a, b) = without_common_ends(a.as_bytes(), b.as_bytes());
    // In the cells of a row, `side` says how far a column is from the row, plus `most`.
    let (mut before, mut above): (Row, Row) = ([FAR; 2 * MOST + 1], [FAR; 2 * MOST + 1]);
    for (column, cell) in above.iter_mut().skip(most).take(most + 1).enumerate() {
        *cell = column;
    }
    for (row, letter) in a.iter().enumerate() {
        steps.take(2 * most + 1)?;
        let mut here = [FAR; 2 * MOST + 1];
        let (mut left, mut least) = (FAR, FAR);
        for (side, cell) in here.iter_mut().enumerate().take(2 * most + 1) {
            // The columns are counted from 1, as in the usual table; 0 is its margin.
            let Some(column) = (row + 1 + side).checked_sub(most) else {
                continue;
            };
            let at = |line: &Row, side: usize| line.get(side).copied().unwrap_or(FAR);
            let distance = match column.checked_sub(1).map(|index| (index, b.get(index))) {
                None => row + 1,
                Some((_, None)) => break,
                Some((index, Some(other))) => {
                    let swapped = index > 0
                        && row > 0
                        && a.get(row - 1) == Some(other)
                        && b.get(index - 1) == Some(letter);
                    let replaced = at(&above, side) + usize::from(letter != other);
                    let deleted = at(&above, side + 1) + 1;
                    let swap = if swapped { at(&before, side) + 1 } else { FAR };
                    replaced.min(deleted).min(left + 1).min(swap)
                }
            };
            *cell = distance;
            left = distance;
            least = least.min(distance);
        }
        if least > most {
            return ControlFlow::Continue(None);
        }
        before = std::mem::replace(&mut above, here);
    }
    let side = (b.len() + most).checked_sub(a.len());
    let distance = side.and_then(|side| above.get(side)).copied();
    ControlFlow::Continue(distance.filter(|distance| *distance <= most))
}

/// The words without the letters at which both begin and end.
fn without_common_ends<'w>(a: &'w [u8], b: &'w [u8]) -> (&'w [u8], &'w [u8]) {
    let begin = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (
        a.get(begin..).unwrap_or_default(),
        b.get(begin..).unwrap_or_default(),
    );
    let end = a.iter().rev().zip(b.iter().rev());
    let end = end.take_while(|(a, b)| a == b).count();
    (
        a.get(..a.len() - end).unwrap_or_default(),
        b.get(..b.len() - end).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
        match edits(a, b, most, &mut Steps::new(usize::MAX)) {
            ControlFlow::Continue(distance) => distance,
            ControlFlow::Break(()) => panic!("no steps are left"),
        }
    }

    /// The definition, with the whole table.
    fn slowly(a: &[u8], b: &[u8]) -> usize {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for row in 0..=a.len() {
            for column in 0..=b.len() {
                table[row][column] = if row == 0 || column == 0 {
                    row + column
                } else {
                    let same = usize::from(a[row - 1] != b[column - 1]);
                    let mut least = (table[row - 1][column - 1] + same)
                        .min(table[row - 1][column] + 1)
                        .min(table[row][column - 1] + 1);
                    if row > 1
                        && column > 1
                        && a[row - 1] == b[column - 2]
                        && a[row - 2] == b[column - 1]
                    {
                        least = least.min(table[row - 2][column - 2] + 1);
                    }
                    least
                };
            }
        }
        table[a.len()][b.len()]
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(a in "[abc]{0,10}", b in "[abc]{0,10}", most in 0_usize..=8) {
            let expected = slowly(a.as_bytes(), b.as_bytes());
            let expected = Some(expected).filter(|distance| *distance <= most);
            prop_assert_eq!(distance(&a, &b, most), expected, "{} {}", a, b);
        }
    }

    #[test]
    fn the_steps_are_linear_in_the_words() {
        let word = |first: char, last: char| format!("{first}{}{last}", "ab".repeat(100));
        let mut steps = Steps::new(1_500);
        let far = edits(&word('x', 'y'), &word('y', 'x'), 3, &mut steps);
        assert_eq!(far, ControlFlow::Continue(Some(2)));
        let few = edits(&word('x', 'y'), &word('y', 'x'), 3, &mut Steps::new(100));
        assert_eq!(few, ControlFlow::Break(()));
    }
}
