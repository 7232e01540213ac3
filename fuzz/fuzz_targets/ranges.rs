//! `Range`, `If-Range` and `Content-Range`: an answer never leaves what is held, a part is never a whole, and a
//! well-formed range is answered as a naive reading says.
#![no_main]

mod support;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue};
use larder::Policy;
use larder::entry::{StoredHead, StoredResponse};
use larder::policy::engine::{self, Answer, Reuse, Times, Validated};
use libfuzzer_sys::fuzz_target;
use support::{Request, at, key, response, stored};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    range: Range<'a>,
    if_range: Option<&'a [u8]>,
    content_range: ContentRange<'a>,
    length: u16,
    etag: Option<&'a [u8]>,
    missing: ContentRange<'a>,
    confirmed: bool,
}

#[derive(Arbitrary, Debug)]
enum Range<'a> {
    Raw(&'a [u8]),
    Spec(&'a [u8]),
    Of(Option<u16>, Option<u16>),
}

#[derive(Arbitrary, Debug)]
enum ContentRange<'a> {
    Raw(&'a [u8]),
    Of(u16, u16, Option<u16>),
    Large(u64, u64, u64),
}

impl Range<'_> {
    fn value(&self) -> Option<HeaderValue> {
        let bytes = match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Spec(bytes) => [b"bytes=", *bytes].concat(),
            Self::Of(first, last) => format!("bytes={}-{}", number(*first), number(*last)).into(),
        };
        HeaderValue::from_bytes(&bytes).ok()
    }
}

impl ContentRange<'_> {
    fn value(&self) -> Option<HeaderValue> {
        let bytes = match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Of(first, last, None) => format!("bytes {first}-{last}/*").into(),
            Self::Of(first, last, Some(length)) => format!("bytes {first}-{last}/{length}").into(),
            Self::Large(first, last, length) => format!("bytes {first}-{last}/{length}").into(),
        };
        HeaderValue::from_bytes(&bytes).ok()
    }
}

fn number(number: Option<u16>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// The bytes that a range asks of so many.
fn naive(range: &Range<'_>, length: u64) -> Option<Option<(u64, u64)>> {
    let Range::Of(first, last) = range else { return None };
    let within = |first: u64, last: u64| (first < length).then(|| (first, last.min(length - 1)));
    match (first.map(u64::from), last.map(u64::from)) {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        (Some(first), last) => Some(within(first, last.unwrap_or(u64::MAX))),
        (None, Some(0)) => Some(None),
        (None, Some(count)) => Some(within(length.saturating_sub(count), u64::MAX)),
    }
}

fn second_part(
    policy: &Policy,
    fields: &HeaderMap,
    content_range: &ContentRange<'_>,
    times: Times,
) -> Option<StoredHead> {
    let mut fields = fields.clone();
    fields.remove("content-range");
    insert(&mut fields, "content-range", content_range.value());
    let mut ranged = Request::get(HeaderMap::new());
    ranged.headers.insert("range", HeaderValue::from_static("bytes=0-"));
    ranged.with_info(|info| engine::storable(policy, info, &key(), &response(206, fields), times)).ok()
}

/// The slices of a union lie one behind the other, are held, and are as long as it says.
fn check_combined(parts: [StoredResponse; 2], policy: &Policy) {
    let Some(union) = engine::combine(policy, &parts, parts[1].head.id).union else { return };
    let first = union.head.range.map_or(0, |range| range.first);
    let mut reached = first;
    for slice in &union.slices {
        let held = &parts[slice.index].head;
        assert_eq!(held.range.expect("a part").first + slice.skip, reached);
        assert!(slice.len > 0 && slice.skip.checked_add(slice.len).is_some_and(|end| end <= held.body_len()));
        reached = reached.checked_add(slice.len).expect("ends before the largest number");
    }
    assert_eq!(union.head.body_len(), reached - first);
    let complete_len = parts.iter().filter_map(|part| part.head.range?.complete_len).next();
    assert_eq!(union.head.status == 200, first == 0 && complete_len == Some(reached));
    assert_eq!(union.head.range.is_none(), union.head.status == 200);
}

fuzz_target!(|input: Input<'_>| {
    let policy = Policy::private();
    let times = Times { request: at(0), response: at(0) };
    let etag = input.etag.and_then(|tag| HeaderValue::from_bytes(tag).ok());
    let mut request = Request::get(HeaderMap::new());
    insert(&mut request.headers, "range", input.range.value());
    insert(
        &mut request.headers,
        "if-range",
        input.if_range.and_then(|value| HeaderValue::from_bytes(value).ok()),
    );
    let plain = Request::get(HeaderMap::new());

    let mut fields = HeaderMap::new();
    fields.insert("cache-control", HeaderValue::from_static("max-age=60"));
    insert(&mut fields, "etag", etag);
    fields.insert("content-length", HeaderValue::from(input.length));
    let whole = plain
        .with_info(|info| engine::storable(&policy, info, &key(), &response(200, fields.clone()), times));
    let whole = [stored(whole.expect("fresh for a minute"))];
    let length = u64::from(input.length);
    let Reuse::Serve(serve) = request.with_info(|info| engine::reuse(&policy, info, &whole, at(0))) else {
        panic!("fresh, and not served");
    };
    match serve.answer {
        Answer::Range { first, last, complete_len } => {
            assert!(first <= last && last < complete_len && complete_len == length);
        }
        Answer::Unsatisfiable { complete_len } => assert_eq!(complete_len, length),
        Answer::Full => {}
        other => panic!("{other:?} for a range"),
    }
    if let (Some(expected), false) = (naive(&input.range, length), request.headers.contains_key("if-range")) {
        let expected = match expected {
            Some((first, last)) => Answer::Range { first, last, complete_len: length },
            None => Answer::Unsatisfiable { complete_len: length },
        };
        assert_eq!(serve.answer, expected);
    }

    fields.remove("content-length");
    insert(&mut fields, "content-range", input.content_range.value());
    let mut ranged = Request::get(HeaderMap::new());
    ranged.headers.insert("range", HeaderValue::from_static("bytes=0-"));
    let part = ranged
        .with_info(|info| engine::storable(&policy, info, &key(), &response(206, fields.clone()), times));
    let Ok(part) = part else { return };
    let Some(range) = part.range else {
        assert_eq!(part.status, 200, "all of the representation is no part");
        return;
    };
    let end = range.first.checked_add(part.body_len()).expect("ends before the largest number");
    assert!(range.complete_len.is_none_or(|length| end <= length));
    if let Some(second) = second_part(&policy, &fields, &input.missing, times) {
        check_combined([stored(part.clone()), stored(second)], &policy);
    }
    let part = [stored(part)];
    for request in [&request, &plain] {
        match request.with_info(|info| engine::reuse(&policy, info, &part, at(0))) {
            Reuse::Serve(serve) => match serve.answer {
                Answer::Range { first, last, complete_len } => {
                    assert!(first >= range.first && first <= last && last < end && last < complete_len);
                }
                other => panic!("{other:?} from a part"),
            },
            Reuse::Validate(validation) => {
                let mut sent = request.headers.clone();
                engine::preconditions(&mut sent, &validation, &part);
                let mut fields = part[0].head.headers.clone();
                insert(&mut fields, "content-range", input.missing.value());
                let status = if input.confirmed { 206 } else { 200 };
                let answer = response(status, fields);
                let judged = request
                    .with_info(|info| engine::validated(&policy, info, &part, &validation, &answer, times));
                if let Validated::Completed { head, .. } = judged {
                    assert!(
                        status == 206 && head.range.is_none() && head.body_len() >= part[0].head.body_len()
                    );
                }
            }
            Reuse::Forward(_) | Reuse::GatewayTimeout => {}
        }
    }
});
