//! Go's `filepath.Match`, which the kubelet uses on each label of a host.
//!
//! `*` matches any run of characters, `?` matches one character, `[a-c]` and `[^a-c]`
//! match one character of a class, and `\` makes the next character literal. `*` and `?`
//! do not match a `/`. This module must not know where labels come from. The time is at
//! most proportional to the product of both lengths.

/// The pattern is not valid: a class is not closed, or a `\` stands at the end
/// (`ErrPatternError` in `path/filepath`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GlobError;

/// Whether the whole of `name` matches. Go finds a mistake in a pattern only where it
/// reaches it, so that a bad pattern does not match some names and fails for others.
pub(super) fn matches(mut pattern: &[u8], mut name: &[u8]) -> Result<bool, GlobError> {
    while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        let last = rest.is_empty();
        match match_chunk(chunk, name)? {
            Some(left) if left.is_empty() || !last => name = left,
            _ if star => match after_skipping(chunk, name, last)? {
                Some(left) => name = left,
                None => return Ok(false),
            },
            _ => return Ok(false),
        }
    }
    Ok(name.is_empty())
}

/// The rest of `name` after a `*`, which matches as few characters as possible and at least
/// one, and after the chunk.
fn after_skipping<'n>(
    chunk: &[u8],
    name: &'n [u8],
    last: bool,
) -> Result<Option<&'n [u8]>, GlobError> {
    let mut rest = name;
    while let [skipped, after @ ..] = rest {
        if *skipped == b'/' {
            break;
        }
        rest = after;
        if let Some(left) = match_chunk(chunk, rest)?
            && (left.is_empty() || !last)
        {
            return Ok(Some(left));
        }
    }
    Ok(None)
}

/// Splits a pattern: whether a `*` comes first, the chunk up to the next `*`, and the rest.
fn next_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
    let (_, chunk) = pattern.split_at(stars);
    let mut in_class = false;
    let mut bytes = chunk.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => {
                let (chunk, rest) = chunk.split_at(at);
                return (stars > 0, chunk, rest);
            }
            _ => {}
        }
    }
    (stars > 0, chunk, &[])
}

/// The rest of `name` after the chunk; `None` where `name` does not begin with the chunk.
fn match_chunk<'n>(mut chunk: &[u8], name: &'n [u8]) -> Result<Option<&'n [u8]>, GlobError> {
    // After a mismatch Go still reads the rest of the chunk, to find mistakes in it.
    let mut name = Some(name);
    while let [first, rest @ ..] = chunk {
        name = name.filter(|name| !name.is_empty());
        match first {
            b'[' => {
                let (class, after) = read_class(rest, name)?;
                name = class;
                chunk = after;
            }
            b'?' => {
                name = name
                    .filter(|name| !name.starts_with(b"/"))
                    .map(|name| first_character(name).1);
                chunk = rest;
            }
            literal => {
                let (literal, after) = match (literal, rest) {
                    (b'\\', [escaped, after @ ..]) => (escaped, after),
                    (b'\\', []) => return Err(GlobError),
                    _ => (literal, rest),
                };
                name = name.and_then(|name| name.strip_prefix(&[*literal]));
                chunk = after;
            }
        }
    }
    Ok(name)
}

/// Reads a class after its `[`, and returns the rest of `name` and the rest of the chunk.
fn read_class<'n, 'c>(
    mut chunk: &'c [u8],
    name: Option<&'n [u8]>,
) -> Result<(Option<&'n [u8]>, &'c [u8]), GlobError> {
    let (character, left) = name.map_or((0, None), |name| {
        let (character, left) = first_character(name);
        (character, Some(left))
    });
    let negated = chunk.starts_with(b"^");
    if negated {
        chunk = chunk.get(1..).unwrap_or_default();
    }
    let mut found = false;
    let mut ranges = 0;
    loop {
        if ranges > 0
            && let Some(after) = chunk.strip_prefix(b"]")
        {
            return Ok((left.filter(|_| found != negated), after));
        }
        let (low, after) = class_character(chunk)?;
        let (high, after) = match after.strip_prefix(b"-") {
            Some(after) => class_character(after)?,
            None => (low, after),
        };
        found |= (low..=high).contains(&character);
        ranges += 1;
        chunk = after;
    }
}

fn class_character(chunk: &[u8]) -> Result<(u32, &[u8]), GlobError> {
    let chunk = match chunk {
        [] | [b'-' | b']', ..] => return Err(GlobError),
        [b'\\', rest @ ..] => rest,
        _ => chunk,
    };
    let (character, rest) = first_character(chunk);
    let broken = character == RUNE_ERROR && chunk.len() - rest.len() == 1;
    // A class must have an end.
    if chunk.is_empty() || broken || rest.is_empty() {
        return Err(GlobError);
    }
    Ok((character, rest))
}

/// The character that Go's decoder returns for a byte that does not begin a UTF-8
/// character (`utf8.RuneError`).
const RUNE_ERROR: u32 = 0xfffd;

fn first_character(text: &[u8]) -> (u32, &[u8]) {
    // A character has at most four bytes, so the rest of the text need not be decoded.
    let (head, _) = text.split_at(text.len().min(4));
    let first = head
        .utf8_chunks()
        .next()
        .and_then(|chunk| chunk.valid().chars().next());
    let (character, length) = first.map_or((RUNE_ERROR, 1), |first| {
        (u32::from(first), first.len_utf8())
    });
    (character, text.get(length..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(pattern: &str, name: &str) -> Result<bool, GlobError> {
        matches(pattern.as_bytes(), name.as_bytes())
    }

    #[test]
    fn globs_match_as_in_go() {
        for (pattern, name, expected) in [
            ("reg", "reg", true),
            ("*", "", true),
            ("*", "reg", true),
            ("", "", true),
            ("", "a", false),
            ("r*", "reg", true),
            ("*g", "reg", true),
            ("r*g", "rgeg", true),
            ("r*g", "rgx", false),
            ("*e*", "reg", true),
            ("r?g", "reg", true),
            ("r?g", "rg", false),
            ("?", "\u{e4}", true),
            ("reg[1-3]", "reg2", true),
            ("reg[^1-3]", "reg2", false),
            ("reg[^1-3]", "reg7", true),
            ("[a\\-z]", "-", true),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[*]", "*", true),
            ("a*/b", "a/b", true),
            ("a*b", "a/b", false),
            ("a?b", "a/b", false),
            ("[\u{e0}-\u{ff}]", "\u{e4}", true),
            ("[[]x", "[x", true),
        ] {
            assert_eq!(go(pattern, name), Ok(expected), "{pattern} {name}");
        }
    }

    #[test]
    fn a_bad_pattern_is_one_only_where_go_reaches_it() {
        for pattern in [
            "[", "[]", "[^", "[^]", "[a", "[a-", "[a-]", "[]a]", "[-]", "a\\", "[\\", "*[",
        ] {
            assert_eq!(go(pattern, "a"), Err(GlobError), "{pattern}");
        }
        assert_eq!(go("b*[", "a"), Ok(false));
        assert_eq!(go("a[", "b"), Err(GlobError), "Go reads the whole chunk");
    }
}
