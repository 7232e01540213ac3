//! The canonical form is injective (FAULTS 40).

use std::collections::HashSet;

use bytes::Bytes;
use larder::key::CacheKey;
use proptest::collection::vec;
use proptest::prelude::*;

type Parts = Vec<(String, Vec<u8>)>;

fn build(parts: &Parts) -> CacheKey {
    parts.iter().fold(CacheKey::builder(), |key, (label, value)| key.part(label, value)).build()
}

/// Few letters, among them all that the form itself uses, so that look-alikes are frequent.
fn parts() -> impl Strategy<Value = Parts> {
    vec(("[a1,|]{0,3}", "[a1:,|\n\0{%]{0,6}".prop_map(String::into_bytes)), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn different_parts_make_different_keys(one in parts(), other in parts()) {
        prop_assert_eq!(one == other, build(&one) == build(&other));
        prop_assert_eq!(one == other, build(&one).digest() == build(&other).digest());
    }

    #[test]
    fn parts_with_the_boundary_moved_make_different_keys(text in "[a:1,]{2,12}", cuts in any::<[prop::sample::Index; 2]>()) {
        let split = |at: usize| {
            let (one, other) = text.split_at(at);
            CacheKey::builder().part("a", one).part("b", other).build()
        };
        let [one, other] = cuts.map(|cut| cut.index(text.len()));
        prop_assert_eq!(one == other, split(one) == split(other));
    }

    #[test]
    fn the_canonical_form_is_read_back(parts in parts()) {
        let key = build(&parts);
        prop_assert_eq!(CacheKey::from_canonical(key.canonical().clone()), Some(key));
    }

    #[test]
    fn what_reads_as_a_canonical_form_is_the_only_one(bytes in "([am]:[0-3+]{1,2}:[a:,]{0,3},?){0,3}") {
        if let Some(key) = CacheKey::from_canonical(Bytes::from(bytes.clone())) {
            let mut rest = bytes.as_bytes();
            let mut rebuilt = CacheKey::builder();
            while !rest.is_empty() {
                let (label, tail) = rest.split_at(rest.iter().position(|byte| *byte == b':').unwrap());
                let tail = &tail[1..];
                let (digits, tail) = tail.split_at(tail.iter().position(|byte| *byte == b':').unwrap());
                let len: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
                rebuilt = rebuilt.part(std::str::from_utf8(label).unwrap(), &tail[1..=len]);
                rest = &tail[len + 2..];
            }
            prop_assert_eq!(rebuilt.build(), key);
        }
    }
}

#[test]
fn bytes_that_are_no_canonical_form_are_refused() {
    for bytes in [
        "a",
        "a:",
        "a:1",
        "a:1:",
        "a:1:b",
        "a:2:b,",
        "a:1:bc,",
        "a:+1:b,",
        "a:01:b,",
        "a:1:b,x",
        "a::b,",
        "a:99999999999999999999999:b,",
        "a:-1:b,",
        "\u{0}",
    ] {
        assert_eq!(CacheKey::from_canonical(Bytes::from(bytes)), None, "{bytes}");
    }
    assert_eq!(CacheKey::from_canonical(Bytes::new()), Some(CacheKey::builder().build()));
}

#[test]
fn look_alikes_of_the_form_are_told_apart() {
    let uris = ["a", "a,b:1:c", "a\n", "a\0", "a%00", "../a", "{a}", "a|b", "a:b", "", ","];
    let keys: HashSet<_> =
        uris.iter().map(|uri| CacheKey::builder().part(CacheKey::URI, uri).build().digest()).collect();
    assert_eq!(keys.len(), uris.len());
}

#[test]
fn parts_are_found_by_their_label() {
    let key =
        CacheKey::builder().part("one", "1").part(CacheKey::URI, "http://a/?secret").part("one", "2").build();
    assert_eq!(key.part("one"), Some(&b"1"[..]));
    assert_eq!(key.part("two"), None);
    assert_eq!(key.uri(), Some("http://a/?secret"));
}

#[test]
fn debug_shows_no_secrets() {
    let key = CacheKey::builder()
        .part(CacheKey::PARTITION, "hidden")
        .part(CacheKey::URI, "http://a/b?hidden")
        .build();
    let shown = format!("{key:?}");
    assert!(shown.contains("http://a/b"), "{shown}");
    assert!(!shown.contains("hidden"), "{shown}");
}
