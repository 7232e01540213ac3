//! The grammar of `Cache-Control` (RFC 9111 section 5.2): a parser that reads what is malformed in the restrictive way.

use http::HeaderMap;
use http::header::HeaderName;

use crate::policy::seconds::delta_seconds;

/// One directive of the field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directive<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) argument: Argument<'a>,
    /// Well-formed. What is not may restrict, but never permit.
    pub(crate) clean: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument<'a> {
    None,
    Token(&'a [u8]),
    Quoted(&'a [u8]),
    Malformed,
}

impl Directive<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// delta-seconds (1.2.2): too large a number is 2^31.
    pub(crate) fn seconds(&self) -> Option<u32> {
        match self.argument {
            Argument::Token(digits) | Argument::Quoted(digits) if self.clean => delta_seconds(digits),
            _ => None,
        }
    }
}

/// Every directive of every line of a field.
pub(crate) fn each(headers: &HeaderMap, field: &HeaderName, visit: &mut dyn FnMut(&Directive<'_>)) {
    for value in headers.get_all(field) {
        each_in(value.as_bytes(), visit);
    }
}

pub(crate) fn each_in(line: &[u8], visit: &mut dyn FnMut(&Directive<'_>)) {
    for member in Split::new(line, |byte| byte == b',') {
        let mut words = Split::new(member, |byte| matches!(byte, b' ' | b'\t' | b';'));
        let Some(first) = words.next() else { continue };
        // Two words without a comma between them: both are read, neither is well-formed.
        let clean = words.clone().next().is_none();
        for word in std::iter::once(first).chain(words) {
            each_in_word(word, clean, visit);
        }
    }
}

fn each_in_word(word: &[u8], clean: bool, visit: &mut dyn FnMut(&Directive<'_>)) {
    let equals = word.iter().position(|byte| *byte == b'=');
    let (name, argument) = match equals {
        Some(at) => {
            (word.get(..at).unwrap_or_default(), read_argument(word.get(at + 1..).unwrap_or_default()))
        }
        None => (word, Argument::None),
    };
    if !name.is_empty() && name.iter().all(|byte| is_token(*byte)) {
        let clean = clean && argument != Argument::Malformed;
        visit(&Directive { name, argument, clean });
        return;
    }
    // A name in quotes, with stray bytes, ...: if it can be read as a restriction, it is one.
    for name in word.split(|byte| !is_token(*byte)).filter(|name| !name.is_empty()) {
        visit(&Directive { name, argument: Argument::Malformed, clean: false });
    }
}

fn read_argument(argument: &[u8]) -> Argument<'_> {
    if let Some(inner) = argument.strip_prefix(b"\"") {
        return match inner.strip_suffix(b"\"") {
            Some(inner) if !inner.contains(&b'"') && !inner.contains(&b'\\') => Argument::Quoted(inner),
            _ => Argument::Malformed,
        };
    }
    if !argument.is_empty() && argument.iter().all(|byte| is_token(*byte)) {
        Argument::Token(argument)
    } else {
        Argument::Malformed
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The non-empty texts between separators outside of quoted strings.
///
/// A quote that is never closed is an ordinary byte: it cannot hide what follows it.
#[derive(Clone)]
struct Split<'a, F> {
    rest: &'a [u8],
    is_separator: F,
    quotes_close: bool,
}

impl<'a, F: Fn(u8) -> bool> Split<'a, F> {
    fn new(rest: &'a [u8], is_separator: F) -> Self {
        Self { rest, is_separator, quotes_close: true }
    }
}

impl<'a, F: Fn(u8) -> bool> Iterator for Split<'a, F> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.piece_len();
            let piece = self.rest.get(..end).unwrap_or_default();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    }
}

impl<F: Fn(u8) -> bool> Split<'_, F> {
    fn piece_len(&mut self) -> usize {
        let mut at = 0;
        while let Some(byte) = self.rest.get(at) {
            if *byte == b'"' && self.quotes_close {
                match closing_quote(self.rest, at) {
                    Some(close) => at = close,
                    // Looked for once in all pieces: all quotes behind one that is never closed are escaped, and as seen
                    // from them the others are escaped too. A line of nothing but quotes must not cost a square.
                    None => self.quotes_close = false,
                }
            } else if (self.is_separator)(*byte) {
                return at;
            }
            at += 1;
        }
        at
    }
}

fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
