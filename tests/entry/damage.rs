//! What is not what was encoded is refused: every flipped bit, garbage, impossible lengths.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use larder::entry::codec::{
    DecodeError, MAX_FIELDS, MAX_HEAD_LEN, VERSION, decode, decode_alias, decode_with_body, encode,
    encode_alias, encode_with_body,
};
use larder::entry::{Alias, StoredBody, StoredHead, StoredResponse};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::heads::{key, ordinary};

fn ordinary_alias() -> Vec<u8> {
    let head = Arc::new(ordinary());
    let body = StoredBody::Inline("moved".into());
    let response = StoredResponse { head, body, invalidated: false };
    encode_alias(&Alias { response, target: key("https://example.com/target") }).unwrap()
}

/// FAULTS 11: each bit of a small entry.
fn every_flipped_bit_is_found<T>(encoded: &[u8], decode: impl Fn(&Bytes) -> Result<T, DecodeError>) {
    assert!(decode(&Bytes::copy_from_slice(encoded)).is_ok());
    for bit in 0..encoded.len() * 8 {
        let mut damaged = encoded.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&damaged.into()).is_err(), "bit {bit}");
    }
}

fn every_truncation_is_found<T>(encoded: &[u8], decode: impl Fn(&Bytes) -> Result<T, DecodeError>) {
    let encoded = Bytes::copy_from_slice(encoded);
    for len in 0..encoded.len() {
        assert!(decode(&encoded.slice(..len)).is_err(), "first {len} bytes");
    }
    let longer = [&encoded[..], b"\0"].concat().into();
    assert!(decode(&longer).is_err());
}

#[test]
fn every_flipped_bit_of_a_head_is_found() {
    every_flipped_bit_is_found(&encode(&ordinary()), decode);
}

#[test]
fn every_flipped_bit_of_a_head_with_a_body_is_found() {
    every_flipped_bit_is_found(&encode_with_body(&ordinary(), b"hello"), decode_with_body);
}

#[test]
fn every_flipped_bit_of_an_alias_is_found() {
    every_flipped_bit_is_found(&ordinary_alias(), decode_alias);
}

#[test]
fn every_truncation_and_extension_is_found() {
    every_truncation_is_found(&encode(&ordinary()), decode);
    every_truncation_is_found(&encode_with_body(&ordinary(), b"hello"), decode_with_body);
    every_truncation_is_found(&ordinary_alias(), decode_alias);
}

#[test]
fn another_version_is_told_from_garbage() {
    let mut encoded = encode(&ordinary());
    encoded[3] = VERSION + 1;
    assert_eq!(decode(&encoded.into()).unwrap_err(), DecodeError::Version(VERSION + 1));
    assert_eq!(decode(&Bytes::new()).unwrap_err(), DecodeError::Corrupt);
    assert_eq!(decode_with_body(&encode(&ordinary()).into()).unwrap_err(), DecodeError::Corrupt);
}

#[test]
fn the_body_of_another_entry_is_refused() {
    let mut encoded = encode_with_body(&ordinary(), b"hello");
    let at = encoded.len() - 5;
    encoded[at..].copy_from_slice(b"other");
    assert_eq!(decode_with_body(&encoded.into()).unwrap_err(), DecodeError::Corrupt);
}

/// Someone who can write to the storage can also write the right checksum.
fn with_checksum(mut encoded: Vec<u8>) -> Bytes {
    let checksum = xxh3_64(&encoded[12..]);
    encoded[4..12].copy_from_slice(&checksum.to_le_bytes());
    encoded.into()
}

/// What is taken is a head like any other: it can be written again, and says the same then.
fn is_refused_or_a_head(forged: Vec<u8>) {
    if let Ok(head) = decode(&with_checksum(forged)) {
        assert_eq!(decode(&encode(&head).into()).as_ref(), Ok(&head));
    }
}

#[test]
fn a_forged_value_never_panics() {
    let encoded = encode(&ordinary());
    for at in 12..encoded.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n'] {
            let mut forged = encoded.clone();
            forged[at] = byte;
            is_refused_or_a_head(forged);
        }
    }
}

#[test]
fn huge_lengths_are_refused_before_anything_is_allocated() {
    let encoded = encode(&StoredHead::new(key("http://a/"), StatusCode::OK));
    let huge: [&[u8]; 3] =
        [&[0xff; 9], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[0xff, 0xff, 3]];
    for at in 12..encoded.len() {
        for length in huge {
            let mut forged = encoded[..at].to_vec();
            forged.extend_from_slice(length);
            forged.extend_from_slice(&encoded[at + 1..]);
            is_refused_or_a_head(forged);
        }
    }
    assert!(decode_with_body(&Bytes::from_static(b"\xff\xff\xff\xff")).is_err());
    assert!(decode(&vec![0; MAX_HEAD_LEN + 1].into()).is_err());
}

#[test]
fn line_breaks_in_forged_fields_are_refused() {
    let mut head = StoredHead::new(key("http://a/"), StatusCode::OK);
    head.headers.append(HeaderName::from_static("x-marked"), HeaderValue::from_static("marked-value"));
    let encoded = encode(&head);
    for mark in [&b"marked-value"[..], b"x-marked"] {
        let at = encoded.windows(mark.len()).position(|window| window == mark).unwrap();
        for byte in [b'\r', b'\n', 0] {
            let mut forged = encoded.clone();
            forged[at + 2] = byte;
            assert_eq!(decode(&with_checksum(forged)).unwrap_err(), DecodeError::Corrupt);
        }
    }
}

#[test]
fn more_fields_than_the_limit_are_refused() {
    let mut head = StoredHead::new(key("http://a/"), StatusCode::OK);
    for _ in 0..MAX_FIELDS {
        head.headers.append("x", HeaderValue::from_static(""));
    }
    assert!(decode(&encode(&head).into()).is_ok());
    head.headers.append("x", HeaderValue::from_static(""));
    assert_eq!(decode(&encode(&head).into()).unwrap_err(), DecodeError::Corrupt);
}

proptest! {
    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        prop_assert!(decode(&bytes).is_err());
        prop_assert!(decode_with_body(&bytes).is_err());
        prop_assert!(decode_alias(&bytes).is_err());
    }

    #[test]
    fn garbage_behind_a_right_checksum_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut forged = vec![b'l', b'd', b'h', VERSION, 0, 0, 0, 0, 0, 0, 0, 0];
        forged.extend(bytes);
        is_refused_or_a_head(forged);
    }
}
