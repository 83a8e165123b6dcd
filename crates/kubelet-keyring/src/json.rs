//! JSON as the kubelet's decoder reads it: Go's `encoding/json`.
//!
//! What that takes and `serde_json` does not: bytes that are no UTF-8 and halves of
//! surrogate pairs inside strings (each becomes U+FFFD), field names in any case,
//! and nesting down to 10,000. So a [`Reader`] walks over the bytes and leaves what
//! to keep to its caller, which must first have [`check`]ed the whole. It knows no
//! docker config, and its errors quote nothing, for the text holds passwords.

use zeroize::Zeroizing;

/// How deep Go lets arrays and objects nest.
const DEEPEST: usize = 10_000;

/// Where a text stops being JSON, and what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("no valid JSON at byte {at}: {what}")]
pub struct SyntaxError {
    /// Bytes from the start of the payload, from 0.
    pub at: usize,
    /// What was found or missed there.
    pub what: &'static str,
}

/// The kinds of value.
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

/// Whether the whole is one JSON value.
pub(super) fn check(bytes: &[u8]) -> Result<(), SyntaxError> {
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    reader.space();
    match reader.peek() {
        None => Ok(()),
        Some(_) => Err(reader.error("something follows the value")),
    }
}

/// A place in a JSON text.
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
    pub(super) fn kind(&mut self) -> Result<JsonKind, SyntaxError> {
        self.space();
        match self.peek() {
            Some(b'{') => Ok(JsonKind::Object),
            Some(b'[') => Ok(JsonKind::Array),
            Some(b'"') => Ok(JsonKind::String),
            Some(b't' | b'f') => Ok(JsonKind::Bool),
            Some(b'n') => Ok(JsonKind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(JsonKind::Number),
            Some(_) => Err(self.error("a value should stand there")),
            None => Err(self.error("the text ends where a value should stand")),
        }
    }

    /// Goes through an object; `each` gets a name and must read or skip its value.
    pub(super) fn object<E: From<SyntaxError>>(
        &mut self,
        mut each: impl FnMut(&str, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.space();
        self.expect(b'{', "an object should begin there")?;
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
            self.expect(b',', "a comma or the object's end should stand there")?;
        }
    }

    /// A string's text, as Go has it.
    pub(super) fn string(&mut self) -> Result<Zeroizing<String>, SyntaxError> {
        self.space();
        let start = self.at + 1;
        self.scan_string()?;
        let inside = self.bytes.get(start..self.at - 1).unwrap_or_default();
        Ok(decode(inside))
    }

    /// Steps over the next value, whatever it is, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), SyntaxError> {
        // The closing bracket of each array and object that is open.
        let mut open = Vec::new();
        loop {
            if let Some(closing) = self.begin_value()? {
                open.push(closing);
                if open.len() > DEEPEST {
                    return Err(self.error("arrays and objects nest too deep"));
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
            // A value has ended, and so may those around it.
            loop {
                let Some(&closing) = open.last() else {
                    return Ok(());
                };
                self.space();
                if self.take(closing) {
                    open.pop();
                    continue;
                }
                self.expect(b',', "a comma or a closing bracket should stand there")?;
                if closing == b'}' {
                    self.name()?;
                }
                break;
            }
        }
    }

    /// Reads a value that holds no others, or the start of one that does: then the
    /// bracket that will end it.
    fn begin_value(&mut self) -> Result<Option<u8>, SyntaxError> {
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

    fn name(&mut self) -> Result<Zeroizing<String>, SyntaxError> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.error("a field's name in quotes should stand there"));
        }
        let name = self.string()?;
        self.space();
        self.expect(b':', "a colon should stand there")?;
        Ok(name)
    }

    /// Steps over a string and leaves `at` behind its closing quote.
    fn scan_string(&mut self) -> Result<(), SyntaxError> {
        self.expect(b'"', "a string should begin there")?;
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
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.error("the text ends inside a string")),
            }
        }
    }

    fn scan_escape(&mut self) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error("four hexadecimal digits should follow `\\u`"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.error("no such escape in a string")),
        }
        Ok(())
    }

    fn scan_number(&mut self) -> Result<(), SyntaxError> {
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

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("a digit should stand there"));
        }
        Ok(())
    }

    fn scan_word(&mut self) -> Result<(), SyntaxError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.error("only `true`, `false` and `null` stand without quotes"))
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

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), SyntaxError> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.error(what))
    }

    fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, what }
    }
}

/// Whether Go's decoder takes `name` for the field: it folds case, and two letters
/// outside ASCII fold to `s` and `k`.
pub(super) fn is_field(name: &str, field: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(field.chars().map(fold))
}

/// The text of a string that was scanned, without its quotes.
fn decode(inside: &[u8]) -> Zeroizing<String> {
    // Never shorter than the result, so that nothing secret is left behind by a
    // reallocation: an escape is longer than what it means, and only a byte that is
    // no UTF-8 grows, to three.
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

/// What an escape means, and how many bytes it takes after its backslash.
fn unescape(escape: &str) -> (char, usize) {
    let character = match escape.bytes().next() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unit(escape),
        // A quote, a backslash, a slash: themselves.
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

// `u` and four digits.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix('u')?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}
