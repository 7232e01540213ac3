//! What is encoded comes back.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, header};
use larder::entry::codec::{
    self, decode, decode_alias, decode_with_body, encode, encode_alias, encode_with_body,
};
use larder::entry::{Alias, BodySummary, StoredBody, StoredHead, StoredResponse};
use larder::key::CacheKey;
use proptest::prelude::*;

use crate::heads::{any_head, key, ordinary};

proptest! {
    #[test]
    fn every_head_comes_back_as_it_was(head in any_head()) {
        let decoded = decode(&encode(&head).into()).unwrap();
        prop_assert_eq!(all_fields(&decoded.headers), all_fields(&head.headers));
        prop_assert_eq!(format!("{decoded:?}"), format!("{head:?}"));
        prop_assert_eq!(decoded, head);
    }

    #[test]
    fn a_head_and_its_body_come_back(head in any_head(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let value = encode_with_body(&head, &body).into();
        let (decoded, found) = decode_with_body(&value).unwrap();
        prop_assert_eq!(decoded.body, Some(BodySummary::of(&body)));
        prop_assert_eq!(decoded, with_summary(head, &body));
        prop_assert_eq!(&found, &body);
        let (encoded_head, unverified) = codec::split_body(&value).unwrap();
        prop_assert!(decode(&encoded_head).is_ok());
        prop_assert_eq!(unverified, body);
    }

    #[test]
    fn an_alias_comes_back(head in any_head(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let target = key("https://example.com/target");
        let alias = alias(head.clone(), StoredBody::Inline(body.clone().into()), target.clone());
        let decoded = decode_alias(&encode_alias(&alias).unwrap().into()).unwrap();
        prop_assert_eq!(decoded.target, target);
        prop_assert_eq!(&*decoded.response.head, &with_summary(head, &body));
        prop_assert!(matches!(decoded.response.body, StoredBody::Inline(found) if found == body));
    }
}

fn with_summary(mut head: StoredHead, body: &[u8]) -> StoredHead {
    head.body = Some(BodySummary::of(body));
    head
}

fn all_fields(fields: &HeaderMap) -> Vec<(&str, &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

fn alias(head: StoredHead, body: StoredBody, target: CacheKey) -> Alias {
    Alias { response: StoredResponse { head: Arc::new(head), body, invalidated: false }, target }
}

#[test]
fn repeats_order_and_bytes_beyond_utf8_survive() {
    let mut head = ordinary();
    head.headers.append(header::SET_COOKIE, HeaderValue::from_static("b=2"));
    head.headers.append(header::SET_COOKIE, HeaderValue::from_static("a=1"));
    head.headers.append(header::WARNING, HeaderValue::from_static(""));
    head.headers.append(header::SET_COOKIE, HeaderValue::from_bytes(b"c=\xff\xfe").unwrap());
    let decoded = decode(&encode(&head).into()).unwrap();
    assert_eq!(all_fields(&decoded.headers), all_fields(&head.headers));
    let cookies: Vec<_> = decoded.headers.get_all("set-cookie").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(cookies, [&b"b=2"[..], b"a=1", b"c=\xff\xfe"]);
}

#[test]
fn sensitive_values_stay_hidden() {
    let mut head = ordinary();
    let mut value = HeaderValue::from_static("hidden");
    value.set_sensitive(true);
    head.headers.append(HeaderName::from_static("x-own"), value);
    let decoded = decode(&encode(&head).into()).unwrap();
    assert!(decoded.headers["x-own"].is_sensitive());
    assert!(!decoded.headers["etag"].is_sensitive());
}

#[test]
fn values_share_the_memory_of_what_was_read() {
    let bytes = Bytes::from(encode_with_body(&ordinary(), b"hello"));
    let (head, body) = decode_with_body(&bytes).unwrap();
    let within = |slice: &[u8]| bytes.as_ptr_range().contains(&slice.as_ptr());
    assert!(head.headers.values().all(|value| within(value.as_bytes())));
    assert!(within(&body));
}

#[test]
fn an_ordinary_head_is_small() {
    let head = ordinary();
    let fields: usize = head.headers.iter().map(|(_, value)| value.len() + 3).sum();
    assert!(encode(&head).len() < fields + 180, "{}", encode(&head).len());
}

#[test]
fn a_body_in_pieces_is_encoded_as_one() {
    let pieces: Arc<[Bytes]> =
        Arc::new([Bytes::from_static(b"hel"), Bytes::new(), Bytes::from_static(b"lo")]);
    let head = StoredHead::new(key("http://a/"), StatusCode::FOUND);
    let encoded = encode_alias(&alias(head.clone(), StoredBody::Shared(pieces), key("http://b/"))).unwrap();
    let decoded = decode_alias(&encoded.into()).unwrap();
    assert!(matches!(decoded.response.body, StoredBody::Inline(body) if body == "hello"));
    assert!(encode_alias(&alias(head, StoredBody::Streamed, key("http://b/"))).is_none());
}
