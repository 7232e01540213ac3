//! What the targets share: heads made of words that mean something and of bytes that mean nothing, and a naive reading
//! of them to compare with.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, response};
use larder::CacheOverride;
use larder::clock::Timestamp;
use larder::entry::{BodySummary, StoredBody, StoredHead, StoredResponse};
use larder::key::{CacheKey, RequestHead};
use larder::policy::engine::RequestInfo;

/// The day on which the targets begin.
pub const START: i64 = 1_800_000_000;

const NAMES: [&str; 30] = [
    "cache-control",
    "cache-control",
    "cache-control",
    "expires",
    "date",
    "age",
    "etag",
    "last-modified",
    "vary",
    "content-length",
    "content-range",
    "content-encoding",
    "content-location",
    "location",
    "set-cookie",
    "connection",
    "pragma",
    "cdn-cache-control",
    "cache-groups",
    "cache-group-invalidation",
    "no-vary-search",
    "authorization",
    "if-none-match",
    "if-modified-since",
    "if-match",
    "if-unmodified-since",
    "if-range",
    "range",
    "accept",
    "x-other",
];

const WORDS: [&str; 44] = [
    "max-age",
    "s-maxage",
    "no-cache",
    "no-store",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "stale-while-revalidate",
    "stale-if-error",
    "max-stale",
    "min-fresh",
    "only-if-cached",
    "=",
    "=",
    ",",
    ", ",
    " ",
    ";",
    "\"",
    "\"a\"",
    "\"b\"",
    "W/\"a\"",
    "*",
    "0",
    "1",
    "60",
    "100",
    "2147483648",
    "99999999999999999999",
    "-1",
    "1.5",
    "bytes=",
    "bytes ",
    "-",
    "/",
    "0-4",
    "5-9",
    "/10",
    "accept",
    "set-cookie",
    "GMT",
];

/// One header field.
#[derive(Arbitrary, Debug, Clone)]
pub struct Field<'a> {
    name: u8,
    value: Value<'a>,
}

#[derive(Arbitrary, Debug, Clone)]
enum Value<'a> {
    Raw(&'a [u8]),
    Words(Vec<u8>),
    Directives(Vec<(u8, Option<i16>)>),
    /// So many seconds from the start.
    Date(i32),
    Number(i64),
}

impl Value<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Words(words) => words.iter().map(|word| pick(&WORDS, *word)).collect::<String>().into(),
            Self::Directives(all) => {
                let one = |(word, number): &(u8, Option<i16>)| {
                    let word = WORDS[usize::from(*word) % 15];
                    number.map_or(word.to_owned(), |number| format!("{word}={number}"))
                };
                all.iter().map(one).collect::<Vec<_>>().join(", ").into()
            }
            Self::Date(offset) => date(*offset).into(),
            Self::Number(number) => number.to_string().into(),
        }
    }
}

fn pick(from: &[&'static str], number: u8) -> &'static str {
    from[usize::from(number) % from.len()]
}

/// The date so many seconds from the start.
pub fn date(offset: i32) -> String {
    let seconds = u64::try_from(START + i64::from(offset)).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A map of all fields that can stand in one.
pub fn headers(fields: &[Field<'_>]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for field in fields.iter().take(24) {
        if let Ok(value) = HeaderValue::from_bytes(&field.value.bytes()) {
            map.append(HeaderName::from_static(pick(&NAMES, field.name)), value);
        }
    }
    map
}

/// A map of one field with these lines, as far as they are field values.
pub fn lines(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            map.append(name, value);
        }
    }
    map
}

/// Everything about a request but its body.
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub overrides: CacheOverride,
}

impl Request {
    pub fn get(headers: HeaderMap) -> Self {
        let uri = Uri::from_static("https://example.com/a?b");
        Self { method: Method::GET, uri, headers, overrides: CacheOverride::new() }
    }

    pub fn with_info<T>(&self, with: impl FnOnce(&RequestInfo<'_>) -> T) -> T {
        let extensions = Extensions::new();
        let head = RequestHead::new(&self.method, &self.uri, &self.headers, &extensions);
        with(&RequestInfo::new(&head, &self.overrides))
    }
}

pub fn key() -> CacheKey {
    CacheKey::builder().part(CacheKey::URI, "https://example.com/a?b").build()
}

pub fn response(status: u16, headers: HeaderMap) -> response::Parts {
    let mut parts = Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    parts.headers = headers;
    parts
}

/// As it would come back from a storage, with a body of ten bytes where nothing else is said.
pub fn stored(mut head: StoredHead) -> StoredResponse {
    let len = head.body.map_or(10, |body| body.len);
    head.body = Some(BodySummary { len, checksum: 0 });
    StoredResponse { head: Arc::new(head), body: StoredBody::Inline(Bytes::new()), invalidated: false }
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START * 1000).plus_millis(millis)
}

/// Whether a `Cache-Control` line without quotes has this member, read naively; with `=` at its end, a member that
/// begins so.
pub fn says(headers: &HeaderMap, directive: &str) -> bool {
    let lines = headers.get_all("cache-control").iter().filter(|line| !line.as_bytes().contains(&b'"'));
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(|member| {
        let member = member.trim_ascii().to_ascii_lowercase();
        member == directive.as_bytes() || directive.ends_with('=') && member.starts_with(directive.as_bytes())
    })
}

/// Whether this stands anywhere in `Cache-Control`.
pub fn mentions(headers: &HeaderMap, text: &str) -> bool {
    headers.get_all("cache-control").iter().any(|line| {
        let line = line.as_bytes().to_ascii_lowercase();
        line.windows(text.len()).any(|window| window == text.as_bytes())
    })
}
