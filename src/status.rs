//! What the cache did with a request: `Cache-Status` (RFC 9211).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

/// What the cache did with one request; in the extensions of every response but those to OPTIONS, TRACE and CONNECT,
/// which pass by untouched.
///
/// Its [`Display`](fmt::Display) is the member this cache adds to `Cache-Status`.
///
/// ```
/// use larder::status::{CacheStatus, Fwd};
///
/// assert_eq!(CacheStatus::hit(30).to_string(), "larder; hit; ttl=30");
/// let status = CacheStatus::forwarded(Fwd::UriMiss).with_stored(true).with_detail("first time");
/// assert_eq!(status.to_string(), r#"larder; fwd=uri-miss; stored; detail="first time""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatus {
    /// Answered from the cache, or why the request went forward.
    pub outcome: Outcome,
    /// The status the origin gave to a forwarded request, where it differs from the response's or one was received.
    pub fwd_status: Option<StatusCode>,
    /// Remaining freshness lifetime in seconds; negative for a stale response.
    pub ttl: Option<i64>,
    /// The response was (or, while its body still streams, will be) stored.
    pub stored: bool,
    /// The request waited for another one that asked the same: `true` where that one's response answered it, `false`
    /// where it had to go forward itself after all.
    pub collapsed: Option<bool>,
    /// The cache key, when the layer was told to show it.
    pub key: Option<String>,
    /// More, for people: why a response was not stored, what the storage said.
    pub detail: Option<Cow<'static, str>>,
}

/// Hit, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered from a stored response.
    Hit,
    /// Sent on to the origin.
    Forwarded(Fwd),
    /// Neither: the cache answered with a response of its own, because only a stored one was wanted and there was
    /// none (504). Such a response has no `Cache-Status` field: "An intermediary SHOULD NOT append a Cache-Status
    /// member to responses that it generates" (RFC 9211 section 2).
    Generated,
}

/// Why a request went forward (RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fwd {
    /// The cache was told not to handle the request.
    Bypass,
    /// The method's semantics require it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but not for these selecting fields.
    VaryMiss,
    /// Nothing usable is stored, and no more specific reason applies.
    Miss,
    /// A usable response was stored, but the request's directives did not allow it.
    Request,
    /// The selected response was stale.
    Stale,
    /// Only part of what was asked is stored.
    Partial,
}

impl Fwd {
    /// The reason as it is written in `Cache-Status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for Fwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl CacheStatus {
    /// Answered from a stored response that stays fresh for `ttl` seconds; negative when it is stale.
    #[must_use]
    pub fn hit(ttl: i64) -> Self {
        Self { ttl: Some(ttl), ..Self::new(Outcome::Hit) }
    }

    /// Sent on to the origin.
    #[must_use]
    pub fn forwarded(reason: Fwd) -> Self {
        Self::new(Outcome::Forwarded(reason))
    }

    /// Answered by the cache itself, with neither a stored response nor the origin's.
    #[must_use]
    pub fn generated() -> Self {
        Self::new(Outcome::Generated)
    }

    fn new(outcome: Outcome) -> Self {
        Self { outcome, fwd_status: None, ttl: None, stored: false, collapsed: None, key: None, detail: None }
    }

    /// Sets the status the origin gave to the forwarded request.
    #[must_use]
    pub fn with_fwd_status(mut self, status: StatusCode) -> Self {
        self.fwd_status = Some(status);
        self
    }

    /// Sets the remaining freshness lifetime in seconds.
    #[must_use]
    pub fn with_ttl(mut self, ttl: i64) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets whether the response was stored.
    #[must_use]
    pub fn with_stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// Sets that the request was collapsed with another one, and whether that one's response answered it.
    #[must_use]
    pub fn with_collapsed(mut self, collapsed: bool) -> Self {
        self.collapsed = Some(collapsed);
        self
    }

    /// Shows the cache key. RFC 9211 section 6: it can tell an attacker what to attack.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds more for people.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Whether the response came from the cache.
    #[must_use]
    pub const fn is_hit(&self) -> bool {
        matches!(self.outcome, Outcome::Hit)
    }

    /// Why the request went forward, if it did.
    #[must_use]
    pub const fn fwd(&self) -> Option<Fwd> {
        match self.outcome {
            Outcome::Hit | Outcome::Generated => None,
            Outcome::Forwarded(reason) => Some(reason),
        }
    }

    /// The member of `Cache-Status` by which a cache of this name tells it.
    #[must_use]
    pub fn member<'a>(&'a self, name: &'a CacheName) -> Member<'a> {
        Member { name: name.as_str(), status: self }
    }

    /// Adds this cache's member to `Cache-Status`, behind those of the caches nearer to the origin.
    pub fn append_to(&self, headers: &mut HeaderMap) {
        append(headers, self);
    }

    /// The same, under another name.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use larder::status::{CacheName, CacheStatus};
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert("cache-status", "cdn; hit".parse()?);
    /// CacheStatus::hit(-3).append_as(&CacheName::new("my client"), &mut headers);
    /// assert!(headers.get_all("cache-status").iter().eq(["cdn; hit", r#""my client"; hit; ttl=-3"#]));
    /// # Ok::<(), http::header::InvalidHeaderValue>(())
    /// ```
    pub fn append_as(&self, name: &CacheName, headers: &mut HeaderMap) {
        append(headers, &self.member(name));
    }
}

fn append(headers: &mut HeaderMap, member: &impl fmt::Display) {
    // Nothing but visible ASCII is ever written, and a map of 32768 fields is full: the field is then left out.
    if let Ok(value) = HeaderValue::try_from(member.to_string()) {
        let _ = headers.try_append(header::CACHE_STATUS, value);
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Member { name: DEFAULT_NAME, status: self }.fmt(f)
    }
}

const DEFAULT_NAME: &str = "larder";

/// The name of a cache in `Cache-Status`: `larder` unless set.
#[derive(Clone, Debug, Default)]
pub struct CacheName(Option<Arc<str>>);

impl CacheName {
    /// Any name: written as a token where it is one, else as a string, with `%` escapes for what is not ASCII.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut written = String::with_capacity(name.len() + 2);
        // Writing to a `String` cannot fail.
        let _ = write_token_or_string(&mut written, name);
        Self(Some(written.into()))
    }

    /// As it is written in the field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT_NAME)
    }
}

/// One member of `Cache-Status`; write it with [`Display`](fmt::Display).
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    name: &'a str,
    status: &'a CacheStatus,
}

impl fmt::Display for Member<'_> {
    /// A structured field item with parameters (RFC 9651 section 4.1.3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CacheStatus { outcome, fwd_status, ttl, stored, collapsed, key, detail } = self.status;
        f.write_str(self.name)?;
        match outcome {
            Outcome::Hit => f.write_str("; hit")?,
            Outcome::Forwarded(reason) => write!(f, "; fwd={reason}")?,
            Outcome::Generated => {}
        }
        if let Some(status) = fwd_status {
            write!(f, "; fwd-status={}", status.as_str())?;
        }
        if let Some(ttl) = ttl {
            write!(f, "; ttl={}", (*ttl).clamp(-LARGEST_INTEGER, LARGEST_INTEGER))?;
        }
        if *stored {
            f.write_str("; stored")?;
        }
        if let Some(reused) = collapsed {
            f.write_str(if *reused { "; collapsed" } else { "; collapsed=?0" })?;
        }
        if let Some(key) = key {
            f.write_str("; key=")?;
            write_string(f, key)?;
        }
        if let Some(detail) = detail {
            f.write_str("; detail=")?;
            write_token_or_string(f, detail)?;
        }
        Ok(())
    }
}

/// RFC 9651 section 3.3.1: fifteen digits.
const LARGEST_INTEGER: i64 = 999_999_999_999_999;

/// RFC 9651 section 3.3.4: a letter or `*`, then the characters of a token, `:` and `/`.
fn is_token(text: &str) -> bool {
    let token = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
            || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~' | b':' | b'/')
    };
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*') && text.bytes().all(token)
}

fn write_token_or_string(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    if is_token(text) { out.write_str(text) } else { write_string(out, text) }
}

/// RFC 9651 section 3.3.3: printable ASCII between quotes. Other bytes are written as `%` and two digits, so that
/// people can still read the rest.
fn write_string(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(byte))?,
            0x20..=0x7e => out.write_char(char::from(byte))?,
            _ => write!(out, "%{byte:02x}")?,
        }
    }
    out.write_char('"')
}
