//! Go's `filepath.Match`, which the kubelet uses on each label of a host.
//!
//! `*` is any run of characters, `?` one, `[a-c]` and `[^a-c]` one of a class, `\`
//! takes the next one literally; none of them crosses a `/`. It must not know
//! where labels come from. Takes time in the product of both lengths at most.

/// The pattern is none: a class that is not closed, or a `\` at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadPattern;

/// Whether the whole of `name` matches. Go finds a mistake in the pattern only when
/// it gets that far, so for some names a bad pattern is just no match.
pub(super) fn matches(mut pattern: &[u8], mut name: &[u8]) -> Result<bool, BadPattern> {
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

/// What is left of `name` when `*` takes the fewest characters, but at least one.
fn after_skipping<'n>(
    chunk: &[u8],
    name: &'n [u8],
    last: bool,
) -> Result<Option<&'n [u8]>, BadPattern> {
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

/// Whether a `*` comes first, what stands up to the next `*`, and the rest.
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

/// What is left of `name` after the chunk; `None` when it does not begin with it.
fn match_chunk<'n>(mut chunk: &[u8], name: &'n [u8]) -> Result<Option<&'n [u8]>, BadPattern> {
    // After a mismatch the chunk is read on, only to find mistakes in it.
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
                    (b'\\', []) => return Err(BadPattern),
                    _ => (literal, rest),
                };
                name = name.and_then(|name| name.strip_prefix(&[*literal]));
                chunk = after;
            }
        }
    }
    Ok(name)
}

/// A class, after its `[`: what it leaves of `name`, and of the chunk.
fn read_class<'n, 'c>(
    mut chunk: &'c [u8],
    name: Option<&'n [u8]>,
) -> Result<(Option<&'n [u8]>, &'c [u8]), BadPattern> {
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

fn class_character(chunk: &[u8]) -> Result<(u32, &[u8]), BadPattern> {
    let chunk = match chunk {
        [] | [b'-' | b']', ..] => return Err(BadPattern),
        [b'\\', rest @ ..] => rest,
        _ => chunk,
    };
    let (character, rest) = first_character(chunk);
    let broken = character == NO_CHARACTER && chunk.len() - rest.len() == 1;
    // A class that has no end is none.
    if chunk.is_empty() || broken || rest.is_empty() {
        return Err(BadPattern);
    }
    Ok((character, rest))
}

/// What Go's decoder gives for a byte that begins no UTF-8 character.
const NO_CHARACTER: u32 = 0xfffd;

fn first_character(text: &[u8]) -> (u32, &[u8]) {
    // No character is longer, and to look further would take time for nothing.
    let (head, _) = text.split_at(text.len().min(4));
    let first = head
        .utf8_chunks()
        .next()
        .and_then(|chunk| chunk.valid().chars().next());
    let (character, length) = first.map_or((NO_CHARACTER, 1), |first| {
        (u32::from(first), first.len_utf8())
    });
    (character, text.get(length..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(pattern: &str, name: &str) -> Result<bool, BadPattern> {
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
            assert_eq!(go(pattern, "a"), Err(BadPattern), "{pattern}");
        }
        assert_eq!(go("b*[", "a"), Ok(false));
        assert_eq!(go("a[", "b"), Err(BadPattern), "in one chunk it is read on");
    }
}
