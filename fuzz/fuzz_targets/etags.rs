//! `ETag` and lists of tags: any bytes are taken; a list of tags means what it lists, by weak comparison; and a
//! validation sends the stored tags and the client's own, each once.
#![no_main]

mod support;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue};
use larder::Policy;
use larder::overrides::CacheOverride;
use larder::policy::engine::{self, Answer, Reuse, Times, Validated};
use libfuzzer_sys::fuzz_target;
use support::{Request, at, key, lines, response, stored};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    stored: Vec<&'a [u8]>,
    raw: Vec<&'a [u8]>,
    listed: Vec<(bool, &'a [u8], u8)>,
    confirmed: Option<&'a [u8]>,
}

/// A tag with these bytes, without those that cannot stand in one.
fn tag(weak: bool, bytes: &[u8]) -> Vec<u8> {
    let mut tag = if weak { b"W/\"".to_vec() } else { b"\"".to_vec() };
    tag.extend(bytes.iter().filter(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)).take(40));
    tag.push(b'"');
    tag
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn listing(tags: &[(bool, &[u8], u8)]) -> Vec<u8> {
    let mut line = Vec::new();
    for (number, (weak, bytes, between)) in tags.iter().take(20).enumerate() {
        if number > 0 {
            line.extend_from_slice([&b","[..], b", ", b" ,\t", b",, ,"][usize::from(between % 4)]);
        }
        line.extend(tag(*weak, bytes));
    }
    line
}

fuzz_target!(|input: Input<'_>| {
    let policy = Policy::private();
    let times = Times { request: at(0), response: at(0) };
    let plain = Request::get(HeaderMap::new());
    let kept = |value: &[u8]| {
        let mut fields = HeaderMap::new();
        fields.insert("cache-control", HeaderValue::from_static("max-age=60"));
        fields.insert("etag", HeaderValue::from_bytes(value).ok()?);
        let answer = response(200, fields);
        plain.with_info(|info| engine::storable(&policy, info, &key(), &answer, times)).ok().map(stored)
    };

    // Well-formed lists, against a naive reading.
    let listed: Vec<_> = input.listed.iter().take(20).map(|(weak, bytes, _)| tag(*weak, bytes)).collect();
    let own = tag(false, input.stored.first().copied().unwrap_or_default());
    let one = [kept(&own).expect("a tag and a lifetime")];
    let request = Request::get(lines("if-none-match", &[&listing(&input.listed)]));
    let Reuse::Serve(serve) = request.with_info(|info| engine::reuse(&policy, info, &one, at(0))) else {
        panic!("fresh, and not served");
    };
    let names = listed.iter().any(|tag| opaque(tag) == own);
    assert_eq!(serve.answer == Answer::NotModified, names);

    // A validation sends all of them.
    let mut again = Request::get(request.headers.clone());
    again.overrides = CacheOverride::revalidate();
    let Reuse::Validate(validation) = again.with_info(|info| engine::reuse(&policy, info, &one, at(0)))
    else {
        panic!("revalidation demanded, and not made");
    };
    let mut sent = again.headers.clone();
    engine::preconditions(&mut sent, &validation, &one);
    let sent = sent.get("if-none-match").expect("the stored tag").as_bytes();
    for tag in listed.iter().chain([&own]) {
        assert!(sent.windows(tag.len()).any(|window| window == tag));
    }

    // Any bytes.
    let raw: Vec<&[u8]> = input.raw.iter().copied().take(6).collect();
    let request = Request::get(lines("if-none-match", &raw));
    let several: Vec<_> = input.stored.iter().take(6).filter_map(|value| kept(value)).collect();
    let _ = request.with_info(|info| engine::reuse(&policy, info, &several, at(0)));
    let mut again = Request::get(request.headers.clone());
    again.overrides = CacheOverride::revalidate();
    if let Reuse::Validate(validation) = again.with_info(|info| engine::reuse(&policy, info, &several, at(0)))
    {
        let mut sent = again.headers.clone();
        engine::preconditions(&mut sent, &validation, &several);
        let answer = response(304, lines("etag", input.confirmed.as_slice()));
        let judged =
            again.with_info(|info| engine::validated(&policy, info, &several, &validation, &answer, times));
        if let Validated::Freshened { updates, serve, .. } = judged {
            assert!(serve < several.len());
            for update in updates {
                assert_eq!(update.head.headers.get("etag"), several[update.index].head.headers.get("etag"));
            }
        }
    }
});
