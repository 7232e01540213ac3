//! "Keys are compared whole."

use std::collections::HashMap;

use super::Fixture;
use super::sample::{alias, assert_nothing, check_only, key, lookup, put_alias, store_at};
use crate::key::CacheKey;
use crate::storage::DynStorage;

/// All keys coexist, each with its own response and alias. Removing one leaves the others.
async fn are_kept_apart(storage: &dyn DynStorage, keys: &[CacheKey]) {
    let mut heads = Vec::new();
    for (seed, key) in (1..).zip(keys) {
        assert_nothing(storage, key).await;
        heads.push(store_at(storage, key, seed, 50).await);
        put_alias(storage, alias(key, key, "moved")).await;
    }
    for (key, head) in keys.iter().zip(&heads) {
        check_only(storage, head).await;
        assert_eq!(&lookup(storage, key).await.alias.expect("the alias").target, key);
    }
    assert_eq!(storage.usage().await.expect("usage").responses, keys.len() as u64);
    for (number, key) in keys.iter().enumerate() {
        assert!(storage.remove(key).await.expect("remove"));
        assert_nothing(storage, key).await;
        if let Some(next) = heads.get(number + 1) {
            check_only(storage, next).await;
        }
    }
}

fn labelled(label: &str, value: impl AsRef<[u8]>) -> CacheKey {
    CacheKey::builder().part(label, value).build()
}

/// Quotes, controls, patterns, paths and bytes that are no text are bytes like others.
pub async fn hostile_bytes_are_only_bytes(fixture: Fixture) {
    let values: &[&[u8]] = &[
        b"",
        b"'; DROP TABLE responses; --",
        b"\"quoted\"",
        b"a\0b",
        b"a\0",
        b"line\nline\r\nGET key\r\n",
        b"{\"$gt\": \"\"}",
        b"{hash}tag",
        b"$where",
        b"a*",
        b"a?",
        b"a[b]",
        b"../../etc/passwd",
        b"/etc/passwd",
        b"C:\\CON",
        b".",
        b"%00%2e%2e%2f",
        b"\xff\xfe\xc3\x28",
        "caf\u{e9}".as_bytes(),
        "cafe\u{301}".as_bytes(),
        b"UPPER",
        b"upper",
        b":len:3:abc,",
        b"p:1:x,",
    ];
    let mut keys: Vec<_> = values.iter().map(|value| labelled(CacheKey::URI, value)).collect();
    keys.push(CacheKey::builder().build());
    keys.push(CacheKey::builder().part("'", "\"").part("../", "\n").build());
    are_kept_apart(&*fixture.storage, &keys).await;
}

/// ("ab", "c") is not ("a", "bc").
pub async fn the_boundary_between_parts_counts(fixture: Fixture) {
    let parts = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")];
    let keys: Vec<_> =
        parts.iter().map(|(a, b)| CacheKey::builder().part("x", a).part("x", b).build()).collect();
    are_kept_apart(&*fixture.storage, &keys).await;
}

/// "A lookup never returns an entry of another canonical key, even if the hashes are equal": keys that agree in 32 bits of
/// a hash stand side by side. (Longer agreement cannot be found by trying; a storage that indexes by less than the
/// whole key should test that itself with a hash that always agrees.)
pub async fn look_alike_hashes_are_told_apart(fixture: Fixture) {
    let parts: [fn(&CacheKey) -> u32; 4] = [
        |key| key.hash128() as u32,
        |key| (key.hash128() >> 32) as u32,
        |key| (key.hash128() >> 96) as u32,
        |key| u32::from_be_bytes(*key.digest().first_chunk().expect("32 bytes")),
    ];
    for part in parts {
        let mut seen = HashMap::new();
        let pair = (0_u32..).find_map(|number| {
            let key = key(&number.to_string());
            seen.insert(part(&key), key.clone()).map(|other| [other, key])
        });
        are_kept_apart(&*fixture.storage, &pair.expect("two of 2^32")).await;
    }
}

/// Nothing limits a key but memory.
pub async fn a_very_long_key_works(fixture: Fixture) {
    let long = "x".repeat(60_000);
    let keys = [
        labelled(CacheKey::URI, format!("https://conformance.example/{long}a")),
        labelled(CacheKey::URI, format!("https://conformance.example/{long}b")),
    ];
    are_kept_apart(&*fixture.storage, &keys).await;
}

/// What a listing shows can be looked up and removed.
pub async fn listing_gives_keys_back_unchanged(fixture: Fixture) {
    let storage = &*fixture.storage;
    let keys = [
        CacheKey::builder()
            .part(CacheKey::PARTITION, b"\0\xff")
            .part(CacheKey::URI, "https://a.example/")
            .build(),
        labelled("own", b"\n'"),
    ];
    for key in &keys {
        store_at(storage, key, 1, 10).await;
        put_alias(storage, alias(key, &keys[0], "moved")).await;
    }
    for head in storage.responses(None, 100).await.expect("responses").items {
        assert!(keys.contains(&head.key));
        check_only(storage, &head).await;
    }
    for alias in storage.aliases(None, 100).await.expect("aliases").items {
        assert!(keys.contains(&alias.response.head.key));
        assert_eq!(alias.target, keys[0]);
        assert!(storage.remove(&alias.response.head.key).await.expect("remove"));
    }
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (0, 0));
}
