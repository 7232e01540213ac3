//! Heads to encode.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use larder::clock::Timestamp;
use larder::entry::{BodySummary, EntryId, Group, StoredHead, StoredRange};
use larder::key::{CacheKey, Selecting, SelectingField, SelectingValue};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn key(uri: &str) -> CacheKey {
    CacheKey::builder().part(CacheKey::METHOD, "GET").part(CacheKey::URI, uri).build()
}

/// A head as it comes from an ordinary origin: 12 fields.
pub(crate) fn ordinary() -> StoredHead {
    let mut head = StoredHead::new(key("https://example.com/a?b=c"), StatusCode::OK);
    for (name, value) in [
        ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "1024"),
        ("cache-control", "public, max-age=3600, stale-while-revalidate=60"),
        ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        ("last-modified", "Mon, 14 Nov 1994 12:45:26 GMT"),
        ("vary", "Accept-Encoding"),
        ("server", "origin/1.0"),
        ("content-encoding", "gzip"),
        ("strict-transport-security", "max-age=31536000"),
        ("x-own-field", "of no known name"),
        ("accept-ranges", "bytes"),
    ] {
        head.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    head.selecting.fields.push(SelectingField {
        name: HeaderName::from_static("accept-encoding"),
        value: SelectingValue::Plain("gzip, br".into()),
    });
    head.body = Some(BodySummary::of(b"hello"));
    head
}

fn name() -> impl Strategy<Value = HeaderName> {
    prop_oneof![
        prop_oneof![Just("date"), Just("set-cookie"), Just("vary"), Just("nel"), Just("te")]
            .prop_map(HeaderName::from_static),
        "[a-z!#$%&'*+.^_`|~0-9-]{1,90}".prop_map(|name| name.parse().unwrap()),
    ]
}

/// Every byte that a field value may hold: tab, visible ASCII, and all from 0x80 on.
fn value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8];
    (vec(byte, 0..40), any::<bool>()).prop_map(|(bytes, sensitive)| {
        let mut value = HeaderValue::from_bytes(&bytes).unwrap();
        value.set_sensitive(sensitive);
        value
    })
}

fn fields() -> impl Strategy<Value = HeaderMap> {
    vec((name(), value()), 0..20).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    })
}

fn selecting() -> impl Strategy<Value = Selecting> {
    let value = prop_oneof![
        Just(SelectingValue::Absent),
        vec(any::<u8>(), 0..40).prop_map(|value| SelectingValue::Plain(value.into())),
        any::<[u8; 32]>().prop_map(SelectingValue::Hashed),
    ];
    let field = (name(), value).prop_map(|(name, value)| SelectingField { name, value });
    (any::<bool>(), vec(field, 0..5)).prop_map(|(any, fields)| Selecting { any, fields })
}

fn times() -> impl Strategy<Value = [Timestamp; 4]> {
    any::<[i64; 4]>().prop_map(|times| times.map(Timestamp::from_millis))
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    vec((".*", ".*").prop_map(|(origin, name)| Group { origin, name }), 0..4)
}

/// Heads of every kind, sensible or not.
pub(crate) fn any_head() -> impl Strategy<Value = StoredHead> {
    let what =
        (vec(any::<u8>(), 0..60), proptest::option::of(".*"), "[A-Z!]{1,12}", 100..=999_u16, 0..5_usize);
    let fields = (fields(), proptest::option::of(fields()), selecting(), groups());
    let body = (
        proptest::option::of(any::<(u64, u64)>()),
        proptest::option::of(any::<(u64, Option<u64>)>()),
        any::<u128>(),
    );
    (what, fields, times(), body, any::<[bool; 8]>(), any::<[u64; 2]>(), any::<[u32; 3]>()).prop_map(
        |(what, fields, times, (body, range, id), flags, wide, seconds)| {
            let (uri_part, uri, method, status, version) = what;
            let key = CacheKey::builder().part("p", "").part(CacheKey::URI, uri_part).build();
            let mut head = StoredHead::new(key, StatusCode::from_u16(status).unwrap());
            head.id = EntryId::from_bits(id);
            head.uri = uri.unwrap_or(head.uri);
            head.method = Method::from_bytes(method.as_bytes()).unwrap();
            head.version =
                [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3]
                    [version];
            (head.headers, head.trailers, head.selecting, head.groups) = fields;
            [head.request_time, head.response_time, head.usable_until, head.freshness.date] = times;
            head.body = body.map(|(len, checksum)| BodySummary { len, checksum });
            head.range = range.map(|(first, complete_len)| StoredRange { first, complete_len });
            let freshness = &mut head.freshness;
            [
                head.authorized,
                freshness.no_cache,
                freshness.must_revalidate,
                freshness.immutable,
                freshness.explicit,
                freshness.overridden,
                freshness.outdated,
                _,
            ] = flags;
            [freshness.settings, freshness.initial_age] = wide;
            [freshness.lifetime, freshness.stale_while_revalidate, freshness.stale_if_error] = seconds;
            head
        },
    )
}
