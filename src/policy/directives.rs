//! The directives of `Cache-Control` (RFC 9111 section 5.2).

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, PRAGMA};

use crate::policy::cache_control::{Argument, Directive, each, each_in};
use crate::policy::fields::is_essential;
use crate::policy::seconds::MAX_SECONDS;
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

    /// A qualified form must be a quoted list of field names. Anything else covers the whole response.
    fn of(directive: &Directive<'_>) -> Self {
        let Argument::Quoted(list) = directive.argument else { return Self::Whole };
        if !directive.clean {
            return Self::Whole;
        }
        field_names(list).map_or(Self::Whole, Self::Fields)
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
        let mut found = Self::default();
        if targets.iter().any(|target| targeted::each(headers, target, &mut |directive| found.add(directive)))
        {
            found.targeted = true;
            return found;
        }
        each(headers, &CACHE_CONTROL, &mut |directive| found.add(directive));
        found
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let seconds = directive.seconds();
        let clean = directive.clean;
        match_name(directive.name, |name| match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache.widen(Scope::of(directive)),
            "private" => self.private.widen(Scope::of(directive)),
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

/// The names in a qualified directive; `None` when one is invalid or is a field that reuse itself depends on, or when
/// they are too many.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
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
