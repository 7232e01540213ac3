//! `Cache-Control` (RFC 9111 section 5.2): a parser that reads what is malformed in the restrictive way.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, PRAGMA};

use crate::policy::fields::is_essential;
use crate::policy::freshness::MAX_SECONDS;
use crate::policy::targeted;

/// The directives of a request (section 5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// `no-cache`, or `Pragma: no-cache` without `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age` in seconds.
    pub max_age: Option<u32>,
    /// `min-fresh` in seconds.
    pub min_fresh: Option<u32>,
    /// `max-stale` in seconds; `u32::MAX` where no limit is given.
    pub max_stale: Option<u32>,
    /// `stale-if-error` in seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
}

impl RequestDirectives {
    /// Reads them. A number that is none asks for validation or allows nothing, whichever is stricter.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            // 5.4: "treat [Pragma: no-cache] as if Cache-Control: no-cache were present" when there is none.
            for value in headers.get_all(PRAGMA) {
                each_in(value.as_bytes(), &mut |directive| found.no_cache |= directive.is("no-cache"));
            }
            return found;
        }
        each(headers, &CACHE_CONTROL, &mut |directive| found.add(directive));
        found
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let seconds = directive.seconds();
        match_name(directive.name, |name| match name {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => tighten(&mut self.max_age, seconds.unwrap_or(0)),
            "min-fresh" => {
                let seconds = seconds.unwrap_or(MAX_SECONDS);
                self.min_fresh = Some(self.min_fresh.map_or(seconds, |other| other.max(seconds)));
            }
            "max-stale" => match (directive.argument, seconds) {
                (Argument::None, _) if directive.clean => tighten(&mut self.max_stale, u32::MAX),
                (_, Some(seconds)) => tighten(&mut self.max_stale, seconds),
                _ => tighten(&mut self.max_stale, 0),
            },
            "stale-if-error" => tighten(&mut self.stale_if_error, seconds.unwrap_or(0)),
            _ => {}
        });
    }
}

/// What a directive that may name fields covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The directive is absent.
    #[default]
    Nothing,
    /// The listed fields only: the qualified form.
    Fields(Vec<HeaderName>),
    /// The whole response.
    Whole,
}

impl Scope {
    /// The listed fields of the qualified form.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Nothing | Self::Whole => &[],
        }
    }

    fn widen(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Whole, _) | (_, Self::Nothing) => {}
            (Self::Fields(names), Self::Fields(more)) if names.len() + more.len() <= MOST_NAMES => {
                names.extend(more);
            }
            (Self::Fields(_), Self::Fields(_)) => *self = Self::Whole,
            (_, other) => *self = other,
        }
    }
}

/// A directive that names more fields than this covers the whole response.
const MOST_NAMES: usize = 64;

/// The directives of a response (section 5.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`.
    pub no_cache: Scope,
    /// `private`.
    pub private: Scope,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `max-age` in seconds; 0 when it is invalid.
    pub max_age: Option<u32>,
    /// `s-maxage` in seconds; 0 when it is invalid.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate` in seconds (RFC 5861).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` in seconds (RFC 5861).
    pub stale_if_error: Option<u32>,
    /// Whether a well-formed directive lets shared caches reuse the response to a request with Authorization
    /// (section 3.5).
    pub authorization_leave: bool,
    /// Whether a targeted field (RFC 9213) decided, so that `Cache-Control` and `Expires` do not.
    pub targeted: bool,
}

impl ResponseDirectives {
    /// Reads them from the first of the `targets` (RFC 9213) that is present and valid, else from `Cache-Control`.
    #[must_use]
    pub fn parse(headers: &HeaderMap, targets: &[HeaderName]) -> Self {
        if let Some(found) = targets.iter().find_map(|target| targeted::directives(headers, target)) {
            return found;
        }
        let mut found = Self::default();
        each(headers, &CACHE_CONTROL, &mut |directive| found.add(directive));
        found
    }

    pub(crate) fn add(&mut self, directive: &Directive<'_>) {
        let seconds = directive.seconds();
        let clean = directive.clean;
        match_name(directive.name, |name| match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache.widen(directive.scope()),
            "private" => self.private.widen(directive.scope()),
            "public" if clean => {
                self.public = true;
                self.authorization_leave = true;
            }
            "must-revalidate" => {
                self.must_revalidate = true;
                self.authorization_leave |= clean;
            }
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "immutable" if clean => self.immutable = true,
            "max-age" => tighten(&mut self.max_age, seconds.unwrap_or(0)),
            "s-maxage" => {
                tighten(&mut self.s_maxage, seconds.unwrap_or(0));
                self.authorization_leave |= seconds.is_some();
            }
            "stale-while-revalidate" => tighten(&mut self.stale_while_revalidate, seconds.unwrap_or(0)),
            "stale-if-error" => tighten(&mut self.stale_if_error, seconds.unwrap_or(0)),
            _ => {}
        });
    }
}

/// 4.2.1: of duplicates and conflicts, "the most restrictive directive" is honoured.
fn tighten(slot: &mut Option<u32>, seconds: u32) {
    *slot = Some(slot.map_or(seconds, |other| other.min(seconds)));
}

/// One directive as it stood in the field.
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
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// delta-seconds (1.2.2): too large a number is 2^31.
    fn seconds(&self) -> Option<u32> {
        match self.argument {
            Argument::Token(digits) | Argument::Quoted(digits) if self.clean => delta_seconds(digits),
            _ => None,
        }
    }

    /// A qualified form must be a quoted list of field names. Anything else covers the whole response.
    fn scope(&self) -> Scope {
        let Argument::Quoted(list) = self.argument else { return Scope::Whole };
        if !self.clean {
            return Scope::Whole;
        }
        field_names(list).map_or(Scope::Whole, Scope::Fields)
    }
}

/// The names in a qualified directive; `None` when one is invalid or is a field that reuse itself depends on, or when
/// they are too many.
pub(crate) fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for name in list.split(|byte| matches!(byte, b',' | b' ' | b'\t')).filter(|name| !name.is_empty()) {
        let name = HeaderName::from_bytes(name).ok()?;
        if is_essential(&name) || names.len() == MOST_NAMES {
            return None;
        }
        names.push(name);
    }
    (!names.is_empty()).then_some(names)
}

/// Digits only; saturates at 2^31.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds =
        digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(u32::try_from(seconds).unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
}

/// The longest directive name there is; a longer one is unknown.
const LONGEST_NAME: usize = 24;

/// Calls `then` with the lower-case name, without allocating.
fn match_name(name: &[u8], then: impl FnOnce(&str)) {
    let mut buffer = [0; LONGEST_NAME];
    let Some(lower) = buffer.get_mut(..name.len()) else { return };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    if let Ok(name) = std::str::from_utf8(lower) {
        then(name);
    }
}

/// Every directive of every line of a field.
fn each(headers: &HeaderMap, field: &HeaderName, visit: &mut dyn FnMut(&Directive<'_>)) {
    for value in headers.get_all(field) {
        each_in(value.as_bytes(), visit);
    }
}

fn each_in(line: &[u8], visit: &mut dyn FnMut(&Directive<'_>)) {
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
    // A name in quotes, with stray bytes, ...: whatever can be read as a restriction is one.
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

pub(crate) const fn is_token(byte: u8) -> bool {
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

/// The non-empty pieces between separators that stand outside of quoted strings.
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
