//! Changes inputs: the same seed makes the same changes.
//!
//! libFuzzer changes bytes, and most changes of a byte end in a syntax error. These changes
//! know lines, words, brackets and list items, so that JSON and YAML stay mostly readable, and
//! they make inputs large by repeating a part, because cost shows in large inputs. This
//! module must not know what an input means.

use fastrand::Rng;
use std::ops::Range;

/// Makes new inputs from others.
#[derive(Debug)]
pub struct Mutator<'a> {
    random: Rng,
    words: &'a [Vec<u8>],
    inputs: &'a [Vec<u8>],
    longest: usize,
}

/// Bytes that parsers care about.
const BYTES: &[u8] = b"\0\t\n\r \"'\\{}[]<>:,-*&!|>%@`#~?/._=+0aA\x7f\x80\xc2\xe2\xff";

impl<'a> Mutator<'a> {
    /// The changes, each as often as it stands here.
    const CHANGES: [fn(&mut Self, &mut Vec<u8>); 14] = [
        Self::set_byte,
        Self::remove,
        Self::repeat,
        Self::copy,
        Self::replace_by_word,
        Self::replace_by_word,
        Self::insert_word,
        Self::take_from_another,
        Self::take_from_another,
        Self::change_number,
        Self::escape,
        Self::indent,
        Self::cut,
        Self::lengthen,
    ];

    /// A mutator whose changes depend on `seed` alone. It takes parts from `words` and
    /// `inputs`, and its results have at most `longest` bytes.
    #[must_use]
    pub fn new(seed: u64, words: &'a [Vec<u8>], inputs: &'a [Vec<u8>], longest: usize) -> Self {
        Self {
            random: Rng::with_seed(seed),
            words,
            inputs,
            longest,
        }
    }

    /// One of the inputs, changed in one to six ways. One of ten is made as long as allowed,
    /// mostly without other changes, because most changes make an input invalid.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.random.choice(self.inputs).cloned().unwrap_or_default();
        let fills = self.random.u8(..10) == 0;
        if !fills || self.random.u8(..3) == 0 {
            self.change(&mut input);
        }
        if fills {
            self.fill(&mut input);
        }
        input
    }

    /// Changes an input in one to six ways.
    pub fn change(&mut self, input: &mut Vec<u8>) {
        for _ in 0..self.random.usize(1..=6) {
            if let Some(change) = self.random.choice(Self::CHANGES) {
                change(self, input);
            }
            input.truncate(self.longest);
        }
    }

    /// Repeats a part until the input is as long as allowed: mostly a list item or what
    /// stands in brackets, so that the input stays readable. Two of three times the copies are
    /// numbered, because equal names are refused early.
    pub fn fill(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let part = match self.random.u8(..6) {
            0 => self.part(input),
            1 => line(input, at),
            2 | 3 => item(input, at),
            _ => group(input, at),
        };
        let Some(original) = input.get(part.clone()).filter(|part| !part.is_empty()) else {
            return;
        };
        let numbered = match self.random.u8(..3) {
            0 => None,
            _ => self.random.choice(ends_of_values(original)),
        };
        let mut copies = Vec::new();
        let mut number = 0;
        while input.len() + copies.len() + original.len() + 8 < self.longest {
            let (before, after) = original.split_at(numbered.unwrap_or(original.len()));
            copies.extend_from_slice(before);
            if numbered.is_some() {
                copies.extend_from_slice(format!("{number}").as_bytes());
            }
            copies.extend_from_slice(after);
            // What stands between brackets is separated by commas.
            if matches!(original.last(), Some(b'}' | b']' | b'"')) {
                copies.push(b',');
            }
            number += 1;
        }
        input.splice(part.start..part.start, copies);
    }

    fn place(&mut self, input: &[u8]) -> usize {
        self.random.usize(..=input.len())
    }

    /// A part of the input: bytes, a word, a line, a list item or what stands in brackets.
    fn part(&mut self, input: &[u8]) -> Range<usize> {
        let at = self.place(input);
        match self.random.u8(..8) {
            0 => {
                let length = self.random.usize(..=32);
                at..(at + length).min(input.len())
            }
            1 | 2 => word(input, at),
            3 => line(input, at),
            4 | 5 => item(input, at),
            _ => group(input, at),
        }
    }

    fn word(&mut self) -> Vec<u8> {
        self.random.choice(self.words).cloned().unwrap_or_default()
    }

    #[expect(clippy::ptr_arg, reason = "all changes have the same type")]
    fn set_byte(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let new = if self.random.bool() {
            self.random.choice(BYTES).copied().unwrap_or_default()
        } else {
            self.random.u8(..)
        };
        if let Some(byte) = input.get_mut(at) {
            *byte = new;
        }
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        input.drain(part);
    }

    fn repeat(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        let original = input.get(part.clone()).unwrap_or_default();
        let times = self.random.usize(1..=4);
        if original.len() * times <= self.longest {
            let copies = original.repeat(times);
            input.splice(part.end..part.end, copies);
        }
    }

    fn copy(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        let original = input.get(part).unwrap_or_default().to_vec();
        let onto = self.part(input);
        input.splice(onto, original);
    }

    fn replace_by_word(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        let word = self.word();
        input.splice(part, word);
    }

    fn insert_word(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let word = self.word();
        input.splice(at..at, word);
    }

    fn take_from_another(&mut self, input: &mut Vec<u8>) {
        let other: &'a [u8] = self.random.choice(self.inputs).map_or(&[], Vec::as_slice);
        let taken = self.part(other);
        let onto = if self.random.bool() {
            self.part(input)
        } else {
            let at = self.place(input);
            at..at
        };
        input.splice(onto, other.get(taken).unwrap_or_default().iter().copied());
    }

    fn change_number(&mut self, input: &mut Vec<u8>) {
        let from = self.place(input);
        let digits = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = input.iter().skip(from).position(digits) else {
            return;
        };
        let start = from + start;
        let length = input
            .iter()
            .skip(start)
            .take_while(|byte| digits(byte))
            .count();
        let numbers: [&[u8]; 9] = [
            b"0",
            b"-1",
            b"1",
            b"65535",
            b"65536",
            b"4294967296",
            b"18446744073709551616",
            b"1e309",
            b"0443",
        ];
        let new = self.random.choice(numbers).unwrap_or_default();
        input.splice(start..start + length, new.iter().copied());
    }

    /// Writes a letter as an escape of JSON, or in the other case.
    fn escape(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let Some(letter) = input.get(at).copied().filter(u8::is_ascii_alphanumeric) else {
            return;
        };
        let new = if self.random.bool() {
            format!("\\u{letter:04x}").into_bytes()
        } else {
            vec![letter ^ 0x20]
        };
        input.splice(at..=at, new);
    }

    fn indent(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let start = line(input, at).start;
        if self.random.bool() {
            input.splice(start..start, *b"  ");
        } else if input
            .get(start..)
            .is_some_and(|rest| rest.starts_with(b"  "))
        {
            input.drain(start..start + 2);
        }
    }

    fn cut(&mut self, input: &mut Vec<u8>) {
        if self.random.u8(..4) == 0 {
            let at = self.place(input);
            input.truncate(at);
        }
    }

    /// Repeats a few bytes up to a thousand times: long labels, deep brackets.
    fn lengthen(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let end = (at + self.random.usize(1..=4)).min(input.len());
        let original = input.get(at..end).unwrap_or_default();
        let copies = original.repeat(1 << self.random.u8(1..=10));
        input.splice(at..at, copies);
    }
}

fn around(input: &[u8], at: usize, inside: impl Fn(u8) -> bool) -> Range<usize> {
    let (before, after) = input.split_at(at.min(input.len()));
    let left = before
        .iter()
        .rev()
        .take_while(|byte| inside(**byte))
        .count();
    let right = after.iter().take_while(|byte| inside(**byte)).count();
    before.len() - left..before.len() + right
}

fn word(input: &[u8], at: usize) -> Range<usize> {
    around(input, at, |byte| {
        byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_-./:*@".contains(&byte)
    })
}

/// Where words end that are not keys.
fn ends_of_values(input: &[u8]) -> Vec<usize> {
    let is_end = |pair: &[u8]| match pair {
        [before, after] => before.is_ascii_alphanumeric() && b"\".,]}/\n ".contains(after),
        _ => false,
    };
    let pairs = input
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| is_end(pair));
    let ends = pairs.map(|(at, _)| at + 1);
    ends.filter(|at| {
        !input
            .get(*at..)
            .is_some_and(|rest| rest.starts_with(b"\":"))
    })
    .collect()
}

/// A line with its end.
fn line(input: &[u8], at: usize) -> Range<usize> {
    let line = around(input, at, |byte| byte != b'\n');
    line.start..(line.end + 1).min(input.len())
}

/// A line and the lines below it that are indented deeper: an item or a key of YAML.
fn item(input: &[u8], at: usize) -> Range<usize> {
    let indentation = |line: &[u8]| line.iter().take_while(|byte| **byte == b' ').count();
    let first = line(input, at);
    let depth = indentation(input.get(first.clone()).unwrap_or_default());
    let mut end = first.end;
    for line in input
        .get(end..)
        .unwrap_or_default()
        .split_inclusive(|byte| *byte == b'\n')
    {
        if indentation(line) <= depth {
            break;
        }
        end += line.len();
    }
    first.start..end
}

/// From an opening bracket or quote to the one that closes it.
fn group(input: &[u8], at: usize) -> Range<usize> {
    let opens = |byte: &u8| b"{[\"".contains(byte);
    let Some(start) = input.iter().skip(at).position(opens) else {
        return at..at;
    };
    let start = at + start;
    let mut depth = 0_usize;
    let mut in_quotes = false;
    let mut escaped = false;
    for (offset, byte) in input.iter().skip(start).enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_quotes => escaped = true,
            b'"' => in_quotes = !in_quotes,
            b'{' | b'[' if !in_quotes => depth += 1,
            b'}' | b']' if !in_quotes => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !in_quotes {
            return start..start + offset + 1;
        }
    }
    start..input.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_they_are_called() {
        let text = b"a:\n  - b: [1, \"x]\"]\n    c: d.e/f\n  - g\n";
        let part = |range: Range<usize>| std::str::from_utf8(&text[range]).unwrap();
        assert_eq!(part(word(text, 27)), "d.e/f");
        assert_eq!(part(line(text, 27)), "    c: d.e/f\n");
        assert_eq!(part(item(text, 5)), "  - b: [1, \"x]\"]\n    c: d.e/f\n");
        assert_eq!(part(group(text, 5)), "[1, \"x]\"]");
    }

    #[test]
    fn the_same_seed_makes_the_same_inputs_within_their_length() {
        let words = [b"word".to_vec()];
        let inputs = [b"{\"a\": [1, 2]}".to_vec(), b"- a: b\n- c\n".to_vec()];
        let many = |seed| {
            let mut mutator = Mutator::new(seed, &words, &inputs, 500);
            let inputs = std::iter::repeat_with(|| mutator.next_input());
            inputs.take(1_000).collect::<Vec<_>>()
        };
        assert_eq!(many(1), many(1));
        assert_ne!(many(1), many(2));
        assert!(many(1).iter().all(|input| input.len() <= 500));
        assert!(many(1).iter().any(|input| input.len() > 480));
    }
}
