//! Who asks is a part of the key, whoever made the rest of it.

use std::collections::HashSet;

use http::Request;
use larder::key::{CacheKey, Credentials, DefaultKey, MakeKey, RequestContent, RequestHead};
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride, Policy};

const URI: &str = "http://a/";

fn private() -> CacheLayer {
    CacheLayer::new(MemoryStorage::new())
}

fn shared() -> CacheLayer {
    private().policy(Policy::shared())
}

fn request(uri: &str, fields: &[(&str, &str)]) -> Request<()> {
    let builder =
        fields.iter().fold(Request::get(uri), |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap()
}

fn key(layer: &CacheLayer, uri: &str, fields: &[(&str, &str)]) -> CacheKey {
    layer.key_of(&request(uri, fields)).unwrap()
}

/// Requests of as many principals as there are requests.
fn principals() -> Vec<Request<()>> {
    vec![
        request(URI, &[]),
        request(URI, &[("authorization", "")]),
        request(URI, &[("authorization", "Bearer one")]),
        request(URI, &[("authorization", "Bearer two")]),
        request(URI, &[("authorization", "Bearer one"), ("authorization", "Bearer two")]),
        request(URI, &[("authorization", "Bearer two"), ("authorization", "Bearer one")]),
        request(URI, &[("proxy-authorization", "Bearer one")]),
        request(URI, &[("proxy-authorization", "Bearer one"), ("authorization", "Bearer one")]),
        request("http://a:1@a/", &[]),
        request("http://b:2@a/", &[]),
        request("http://b@a/", &[]),
        request("http://@a/", &[]),
        request("http://b:2@a/", &[("authorization", "Bearer one")]),
    ]
}

fn different(layer: &CacheLayer) -> usize {
    principals().iter().map(|request| layer.key_of(request)).collect::<HashSet<_>>().len()
}

/// RFC 9111 has a private cache serve one user; a process with many tokens is the usual one.
#[test]
fn a_private_cache_separates_credentials_under_every_kind_of_key() {
    let by_path =
        |request: &RequestHead<'_>| Some(CacheKey::builder().part("path", request.uri.path()).build());
    for layer in [private(), private().make_key(by_path), private().policy(Policy::private().secret("s"))] {
        assert_eq!(different(&layer), principals().len());
    }
    let mine = CacheOverride::new().with_key(CacheKey::builder().part("mine", "1").build());
    let keys = principals().into_iter().map(|mut request| {
        request.extensions_mut().insert(mine.clone());
        private().key_of(&request)
    });
    assert_eq!(keys.collect::<HashSet<_>>().len(), principals().len());
}

#[test]
fn a_shared_cache_leaves_credentials_to_the_rfc() {
    assert_eq!(different(&shared()), 1);
}

#[test]
fn credentials_are_shared_where_the_user_says_so() {
    let layer = private().make_key(DefaultKey::new().credentials(Credentials::Shared));
    assert_eq!(different(&layer), 1);
}

#[test]
fn a_request_without_credentials_has_the_key_that_was_made() {
    let asked = request("https://example.com/a?b=c", &[("accept", "*/*"), ("cookie", "a=b")]);
    assert_eq!(private().key_of(&asked), DefaultKey::new().make_key(&RequestHead::from(&asked)));
}

#[test]
fn partitions_separate_in_private_and_shared_caches_under_every_kind_of_key() {
    let keys =
        DefaultKey::new().partition_by(|request| Some(request.headers.get("x-tenant")?.as_bytes().to_vec()));
    for layer in [private(), shared()].map(|layer| layer.make_key(keys.clone())) {
        let by = |fields: &[_]| {
            let mut asked = request(URI, fields);
            let computed = layer.key_of(&asked);
            let mine = CacheKey::builder().part("mine", "1").build();
            asked.extensions_mut().insert(CacheOverride::new().with_key(mine));
            [computed, layer.key_of(&asked)]
        };
        let all = [by(&[("x-tenant", "one")]), by(&[("x-tenant", "two")]), by(&[]), by(&[("x-tenant", "")])];
        assert_eq!(all.iter().flatten().collect::<HashSet<_>>().len(), 8);
        assert_eq!(by(&[("x-tenant", "one")]), all[0]);
    }
}

#[test]
fn cookies_make_partitions_for_any_split_into_lines() {
    let layer = shared().make_key(DefaultKey::new().partition_by_cookie());
    let by = |fields: &[_]| key(&layer, URI, fields);
    let keys = [by(&[]), by(&[("cookie", "")]), by(&[("cookie", "a=1")]), by(&[("cookie", "a=1; b=2")])];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 4);
    assert_eq!(by(&[("cookie", "a=1"), ("cookie", "b=2")]), keys[3], "as HTTP/2 splits them");
}

#[test]
fn a_client_that_is_always_one_principal_has_a_partition_by_name() {
    let by = |name: &str| key(&private().make_key(DefaultKey::new().partition(name)), URI, &[]);
    assert_eq!(by("one"), by("one"));
    assert_ne!(by("one"), by("two"));
    assert_ne!(by("one"), key(&private(), URI, &[]));
}

fn contains(key: &CacheKey, secret: &[u8]) -> bool {
    key.canonical().windows(secret.len()).any(|window| window == secret)
}

#[test]
fn a_key_tells_neither_credentials_nor_partitions() {
    let layer = private().make_key(DefaultKey::new().partition("tenant-s3cret"));
    let key =
        key(&layer, "http://me:s3cret@a/", &[("authorization", "s3cret"), ("proxy-authorization", "s3cret")]);
    assert!(!contains(&key, b"s3cret") && !contains(&key, b"me:"));
    for value in [&b"s3cret"[..], b"tenant-s3cret", b"me:s3cret"] {
        assert!(!contains(&key, blake3_of(value).as_bytes()), "no hash that can be looked up");
    }
    assert!(!format!("{key:?}").contains("s3cret"));
}

fn blake3_of(value: &[u8]) -> blake3::Hash {
    blake3::hash(value)
}

/// What stands in a store can be tried against guesses only by who has the secret.
#[test]
fn the_secret_keys_the_hashes() {
    let with = |secret: &str| {
        let policy = Policy::private().secret(secret);
        private().policy(policy).make_key(DefaultKey::new().partition("tenant"))
    };
    let hashes = |layer: &CacheLayer| {
        let key = key(layer, URI, &[("authorization", "pin 1234")]);
        [CacheKey::PARTITION, CacheKey::CREDENTIALS].map(|label| key.part(label).unwrap().to_vec())
    };
    let [one, other, without] = [with("one"), with("other"), with("")].map(|layer| hashes(&layer));
    for index in 0..2 {
        let all: HashSet<_> = [&one, &other, &without].into_iter().map(|hashes| &hashes[index]).collect();
        assert_eq!(all.len(), 3);
    }
    assert_ne!(one[0], one[1]);
    assert_eq!(one, hashes(&with("one")));
}

/// Nor can content be: a short question is guessed soon.
#[test]
fn the_secret_keys_the_digest_of_content() {
    let part = |policy: Policy| {
        let mut asked = Request::builder().method("QUERY").uri(URI).body(()).unwrap();
        let content = RequestContent::new(asked.method(), asked.headers(), b"pin=1234");
        let plain = *content.digest().unwrap();
        asked.extensions_mut().insert(content);
        let key = private().policy(policy).key_of(&asked).unwrap();
        (key.part(CacheKey::BODY).unwrap().to_vec(), plain.to_vec())
    };
    let ((one, plain), (other, _)) =
        (part(Policy::private().secret("one")), part(Policy::private().secret("other")));
    assert!(one != other && one != plain);
    assert_eq!(one, part(Policy::private().secret("one")).0);
}

#[test]
fn a_store_does_not_tell_which_entries_are_one_principals() {
    let layer = private().make_key(DefaultKey::new().partition("tenant"));
    let hashes = |uri: &str| {
        let key = key(&layer, uri, &[("authorization", "Bearer one")]);
        [CacheKey::PARTITION, CacheKey::CREDENTIALS].map(|label| key.part(label).unwrap().to_vec())
    };
    let [one, other] = ["http://a/one", "http://a/other"].map(hashes);
    assert!(one[0] != other[0] && one[1] != other[1]);
    assert_eq!(one, hashes("http://a/one?query"), "equivalent queries have keys that differ in nothing else");
}

/// Who asks costs a request without credentials nothing: one buffer is the whole key.
#[test]
fn a_key_without_principal_is_one_allocation() {
    let layer = private();
    let asked = request("https://example.com/a?b=c", &[("accept", "*/*"), ("cookie", "a=b")]);
    let key = || assert!(layer.key_of(&asked).is_some());
    assert_eq!(allocation_counter::measure(key).count_total, 1);
}
