//! JSON as Go's `encoding/json` reads it, which the kubelet uses.
//!
//! Go accepts texts that `serde_json` refuses: strings with bytes that are not UTF-8 or
//! with halves of surrogate pairs (each becomes U+FFFD), field names in any case, and
//! 10,000 levels of nesting. A [`Reader`] therefore walks over the bytes, and its caller
//! decides what to keep. The caller must [`check`] the whole text first. This module must
//! not know what a docker config is, and its errors must not quote the text, because it
//! contains passwords.

use zeroize::Zeroizing;

/// The levels of arrays and objects that Go allows (`maxNestingDepth` in
/// `encoding/json/scanner.go`).
const DEEPEST: usize = 10_000;

/// The position where a text is not valid JSON, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the JSON is not valid at byte {at}: {what}")]
pub struct JsonError {
    /// The offset in bytes from the start of the payload, from 0.
    pub at: usize,
    /// What is wrong there. It never contains the payload.
    pub what: &'static str,
}

/// The kind of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonKind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `1`
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl JsonKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::Null => "null",
        }
    }
}

/// Checks that the whole text is one JSON value.
pub(super) fn check(bytes: &[u8]) -> Result<(), JsonError> {
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    reader.space();
    match reader.peek() {
        None => Ok(()),
        Some(_) => Err(reader.error("text follows the value")),
    }
}

/// A position in a JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The kind of the value that comes next.
    pub(super) fn kind(&mut self) -> Result<JsonKind, JsonError> {
        self.space();
        match self.peek() {
            Some(b'{') => Ok(JsonKind::Object),
            Some(b'[') => Ok(JsonKind::Array),
            Some(b'"') => Ok(JsonKind::String),
            Some(b't' | b'f') => Ok(JsonKind::Bool),
            Some(b'n') => Ok(JsonKind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(JsonKind::Number),
            Some(_) => Err(self.error("a value is expected")),
            None => Err(self.error("the text ends where a value is expected")),
        }
    }

    /// Reads an object. `each` gets the name of a field and must read or skip its value.
    pub(super) fn object<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&str, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.space();
        self.expect(b'{', "an object is expected")?;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            each(&name, self)?;
            self.space();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma or the end of the object is expected")?;
        }
    }

    /// Reads a string and returns its text as Go decodes it.
    pub(super) fn string(&mut self) -> Result<Zeroizing<String>, JsonError> {
        self.space();
        let start = self.at + 1;
        self.scan_string()?;
        let inside = self.bytes.get(start..self.at - 1).unwrap_or_default();
        Ok(decode(inside))
    }

    /// Skips the next value of any kind, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        // The closing brackets of the open arrays and objects.
        let mut open = Vec::new();
        loop {
            if let Some(closing) = self.begin_value()? {
                open.push(closing);
                if open.len() > DEEPEST {
                    return Err(self.error("arrays and objects are nested too deeply"));
                }
                self.space();
                if !self.take(closing) {
                    if closing == b'}' {
                        self.name()?;
                    }
                    continue;
                }
                open.pop();
            }
            // A value ends here, and the arrays and objects around it may end too.
            loop {
                let Some(&closing) = open.last() else {
                    return Ok(());
                };
                self.space();
                if self.take(closing) {
                    open.pop();
                    continue;
                }
                self.expect(b',', "a comma or a closing bracket is expected")?;
                if closing == b'}' {
                    self.name()?;
                }
                break;
            }
        }
    }

    /// Reads a scalar, or the start of an array or object, and then returns the bracket that
    /// closes it.
    fn begin_value(&mut self) -> Result<Option<u8>, JsonError> {
        match self.kind()? {
            JsonKind::Object => {
                self.at += 1;
                return Ok(Some(b'}'));
            }
            JsonKind::Array => {
                self.at += 1;
                return Ok(Some(b']'));
            }
            JsonKind::String => self.scan_string()?,
            JsonKind::Number => self.scan_number()?,
            JsonKind::Bool | JsonKind::Null => self.scan_word()?,
        }
        Ok(None)
    }

    fn name(&mut self) -> Result<Zeroizing<String>, JsonError> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.error("a field name in quotes is expected"));
        }
        let name = self.string()?;
        self.space();
        self.expect(b':', "a colon is expected")?;
        Ok(name)
    }

    /// Skips a string, so that `at` is after its closing quote.
    fn scan_string(&mut self) -> Result<(), JsonError> {
        self.expect(b'"', "a string is expected")?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.scan_escape()?;
                }
                Some(0..=0x1f) => return Err(self.error("a string contains a control character")),
                Some(_) => self.at += 1,
                None => return Err(self.error("the text ends inside a string")),
            }
        }
    }

    fn scan_escape(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error("four hexadecimal digits are expected after `\\u`"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.error("a string contains an unknown escape")),
        }
        Ok(())
    }

    fn scan_number(&mut self) -> Result<(), JsonError> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("a digit is expected"));
        }
        Ok(())
    }

    fn scan_word(&mut self) -> Result<(), JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.error("only `true`, `false` and `null` are written without quotes"))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.error(what))
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { at: self.at, what }
    }
}

/// Whether Go's decoder takes `name` for the field. It folds case, and two letters outside
/// ASCII fold to `s` and `k` (`foldName` in `encoding/json/fold.go`).
pub(super) fn is_field(name: &str, field: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(field.chars().map(fold))
}

/// Decodes the inside of a scanned string.
fn decode(inside: &[u8]) -> Zeroizing<String> {
    // The capacity is enough for the result, so that no reallocation leaves a copy of a
    // secret behind. An escape is longer than its character, and only a byte that is not
    // UTF-8 grows, to three bytes.
    let mut text = Zeroizing::new(String::with_capacity(inside.len() * 3));
    for chunk in inside.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((plain, escape)) = rest.split_once('\\') {
            text.push_str(plain);
            let (meant, length) = unescape(escape);
            text.push(meant);
            rest = escape.get(length..).unwrap_or_default();
        }
        text.push_str(rest);
        for _ in chunk.invalid() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// The character of an escape, and the number of its bytes after the backslash.
fn unescape(escape: &str) -> (char, usize) {
    let character = match escape.bytes().next() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unit(escape),
        // A quote, a backslash and a slash stand for themselves.
        other => char::from(other.unwrap_or(b'\\')),
    };
    (character, 1)
}

fn unescape_unit(escape: &str) -> (char, usize) {
    let first = unit(escape).unwrap_or_default();
    let second = escape
        .get(5..)
        .and_then(|rest| rest.strip_prefix('\\'))
        .and_then(unit);
    if let Some(second) = second
        && let Some(Ok(pair)) = char::decode_utf16([first, second]).next()
        && u32::from(pair) > 0xffff
    {
        return (pair, 11);
    }
    let alone = char::from_u32(u32::from(first));
    (alone.unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}

// The value of `u` and four hexadecimal digits.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}
