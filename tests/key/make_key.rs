//! From a request to its key.

use http::{Request, Uri, Version};
use larder::CacheLayer;
use larder::key::{CacheKey, DefaultKey, MakeKey, RequestHead, same_origin};
use larder::storage::MemoryStorage;
use proptest::prelude::*;

fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<()> {
    let builder = Request::builder().method(method).uri(uri).version(Version::HTTP_11);
    fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
}

fn key_by(keys: &DefaultKey, method: &str, uri: &str, fields: &[(&str, &str)]) -> Option<CacheKey> {
    keys.make_key(&RequestHead::from(&request(method, uri, fields)))
}

fn key(method: &str, uri: &str, fields: &[(&str, &str)]) -> Option<CacheKey> {
    key_by(&DefaultKey::new(), method, uri, fields)
}

fn get(uri: &str) -> CacheKey {
    key("GET", uri, &[]).unwrap()
}

#[test]
fn the_key_has_method_class_and_uri() {
    let key = get("https://example.com/a?b=c");
    assert_eq!(&key.canonical()[..], b"m:3:GET,u:25:https://example.com/a?b=c,");
    assert_eq!(key.uri(), Some("https://example.com/a?b=c"));
}

#[test]
fn head_shares_the_key_of_get_and_others_do_not() {
    let uri = "https://example.com/";
    assert_eq!(key("HEAD", uri, &[]), key("GET", uri, &[]));
    for method in ["POST", "QUERY", "get", "OPTIONS", "HEADS"] {
        assert_ne!(key(method, uri, &[]), key("GET", uri, &[]), "{method}");
    }
}

#[test]
fn scheme_and_host_in_any_case_the_default_port_and_no_path_share_a_key() {
    for (one, other) in [
        ("http://example.com", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("HTTP://EXAMPLE.com/", "http://example.com/"),
        ("http://example.com?a", "http://example.com/?a"),
    ] {
        assert_eq!(get(one), get(other), "{one} {other}");
    }
}

#[test]
fn different_uris_have_different_keys() {
    let uris = [
        "http://example.com/",
        "https://example.com/",
        "http://example.com:443/",
        "https://example.com:80/",
        "http://example.com/?",
        "http://example.com/?c=",
        "http://example.com/?c",
        "http://example.com/?c=&c=",
        "http://example.com//",
        "http://example.com/A",
        "http://example.com/a",
        "http://example.com/%2F",
        "http://example.com/?a=1&b=2",
        "http://example.com/?b=2&a=1",
        "http://example.com/%20",
        "http://example.com/+",
        "http://example.com./",
        "http://example.com/.",
        "http://example.com/..",
        "http://example.com/x/../a",
        "http://example.com/x/%2e%2e/a",
        "http://example.com/x/%2E%2E/a",
        "http://example.com/x/./a",
        "http://example.com/x/a",
        "http://example.com/%61",
        "http://example.com/%7Ea",
        "http://example.com/%7ea",
        "http://example.com/~a",
        "http://example.com/%2f",
        "http://example.com/?%61=1&b=2",
        "http://example.com/?x/../a",
    ];
    for (index, one) in uris.iter().enumerate() {
        for other in &uris[index + 1..] {
            assert_ne!(get(one), get(other), "{one} {other}");
        }
    }
}

#[test]
fn a_normalized_target_is_keyed_as_it_is_sent() {
    let keys = DefaultKey::new().normalize_target(true);
    for (uri, sent) in [
        ("http://example.com/a/./b/../c", "http://example.com/a/c"),
        ("http://u@Example.com:80/a/%2e%2E/b", "http://u@Example.com:80/b"),
        ("http://example.com/%7Ea?%61=%c3", "http://example.com/~a?a=%C3"),
        ("http://example.com/.//b", "http://example.com//b"),
        ("/a/../%41?%41", "/A?A"),
    ] {
        let fields = [("host", "example.com")];
        let [uri, sent]: [Uri; 2] = [uri, sent].map(|uri| uri.parse().unwrap());
        assert_eq!(keys.rewrite(&uri), Some(sent.clone()));
        assert_eq!(keys.rewrite(&sent), None, "{sent}");
        let [key, of_sent] = [uri, sent].map(|uri| key_by(&keys, "GET", &uri.to_string(), &fields));
        assert_eq!(key, of_sent);
        assert!(key.is_some());
    }
    for uri in ["http://example.com/a?b=/../c", "http://example.com/a/../%zz", "*", "example.com:443"] {
        assert_eq!(keys.rewrite(&uri.parse().unwrap()), None, "{uri} is sent as it is");
    }
    assert_eq!(DefaultKey::new().rewrite(&Uri::from_static("http://example.com/a/../b")), None);
}

#[test]
fn a_sorted_query_keeps_the_order_of_repeats() {
    let keys = DefaultKey::new().sort_query(true);
    let get = |uri| key_by(&keys, "GET", uri, &[]).unwrap();
    assert_eq!(get("http://a/?b=2&a=1"), get("http://a/?a=1&b=2"));
    assert_ne!(get("http://a/?%62=2&a=1"), get("http://a/?a=1&b=2"));
    assert_ne!(get("http://a/?a=1&a=2"), get("http://a/?a=2&a=1"));
    assert_ne!(get("http://a/?"), get("http://a/"));
    assert_ne!(get("http://a/?c="), get("http://a/?c"));
}

#[test]
fn ignored_parameters_are_exact_names() {
    let keys = DefaultKey::new().ignore_query_parameters(["utm_source", "t"]);
    let get = |uri| key_by(&keys, "GET", uri, &[]).unwrap();
    assert_eq!(get("http://a/?utm_source=x&b=1&t"), get("http://a/?b=1"));
    assert_eq!(get("http://a/?b=1&t=1&c=2&t=2"), get("http://a/?b=1&c=2"));
    assert_eq!(get("http://a/?t"), get("http://a/"));
    assert_ne!(get("http://a/?T=1"), get("http://a/"));
    assert_ne!(get("http://a/?tt=1"), get("http://a/"));
    assert_ne!(get("http://a/?"), get("http://a/"));
    assert_ne!(get("http://a/?%74=1"), get("http://a/"));
    assert_ne!(get("http://a/?b=%31&t"), get("http://a/?b=1"), "the rest is keyed as it is sent");
}

#[test]
fn names_of_ignored_parameters_are_normalized_with_the_target() {
    let keys =
        DefaultKey::new().normalize_target(true).sort_query(true).ignore_query_parameters(["%74", "%c3"]);
    let get = |uri| key_by(&keys, "GET", uri, &[]).unwrap();
    assert_eq!(get("http://a/?%62=2&a=1&t=1&%C3"), get("http://a/?a=1&b=2"));
}

/// FAULTS 39: what origins let override the request is in the key.
#[test]
fn fields_that_may_change_the_meaning_are_in_the_key() {
    let uri = "https://example.com/";
    for field in [
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-host",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-url",
        "x-rewrite-url",
    ] {
        let with = |value| key("GET", uri, &[("accept", "*/*"), (field, value)]);
        assert_ne!(with("evil"), key("GET", uri, &[]), "{field}");
        assert_ne!(with("evil"), with("other"), "{field}");
        assert_eq!(with("evil"), with("evil"), "{field}");
    }
}

#[test]
fn the_order_of_such_fields_does_not_matter_but_their_names_do() {
    let uri = "https://example.com/";
    let one = key("GET", uri, &[("x-host", "a"), ("x-original-url", "b")]);
    assert_eq!(one, key("GET", uri, &[("x-original-url", "b"), ("x-host", "a")]));
    assert_ne!(one, key("GET", uri, &[("x-original-url", "a"), ("x-host", "b")]));
}

#[test]
fn of_forwarded_only_the_target_counts() {
    let uri = "https://example.com/";
    let with = |value| key("GET", uri, &[("forwarded", value)]);
    assert_eq!(with("for=192.0.2.1"), key("GET", uri, &[]));
    assert_eq!(with("for=192.0.2.1;host=a, for=192.0.2.2"), with("for=192.0.2.9;host=a"));
    assert_ne!(with("for=a;Host=evil"), key("GET", uri, &[]));
    assert_ne!(with("host=\"a,b\""), with("host=\"a,c\""));
}

#[test]
fn ordinary_fields_are_not_in_the_key() {
    let uri = "https://example.com/";
    let fields = [("accept", "*/*"), ("x-forwarded-for", "192.0.2.1"), ("user-agent", "x"), ("x-own", "1")];
    assert_eq!(key("GET", uri, &fields), key("GET", uri, &[]));
}

#[test]
fn a_host_that_differs_from_the_uri_is_in_the_key() {
    let uri = "https://example.com/";
    for same in ["example.com", "EXAMPLE.com", "example.com:443"] {
        assert_eq!(key("GET", uri, &[("host", same)]), key("GET", uri, &[]), "{same}");
    }
    for other in ["evil.example", "example.com:80", "", "user@example.com"] {
        assert_ne!(key("GET", uri, &[("host", other)]), key("GET", uri, &[]), "{other}");
    }
    let twice = [("host", "example.com"), ("host", "evil.example")];
    assert_ne!(key("GET", uri, &twice), key("GET", uri, &[]));
}

#[test]
fn an_origin_form_request_takes_its_host_and_never_shares_with_absolute_ones() {
    let with_host = key("GET", "/a", &[("host", "Example.com:80")]).unwrap();
    assert_eq!(with_host.uri(), Some("http://example.com/a"));
    assert_ne!(with_host, get("http://example.com/a"));
    assert_eq!(key("GET", "/a", &[]), None);
    assert_eq!(key("GET", "/a", &[("host", "a b")]), None);
    assert_eq!(key("GET", "/a", &[("host", "u@a")]), None);
    assert_eq!(key("GET", "/a", &[("host", "a"), ("host", "b")]), None);
}

#[test]
fn requests_without_a_resource_have_no_key() {
    assert_eq!(key("OPTIONS", "*", &[("host", "example.com")]), None);
    assert_eq!(key("CONNECT", "example.com:443", &[]), None);
}

#[test]
fn the_body_digest_is_in_the_key() {
    let request = request("QUERY", "https://example.com/", &[]);
    let head = RequestHead::from(&request);
    let keys = DefaultKey::new();
    let one = keys.make_key(&head.with_body_digest(&[1; 32]));
    assert_ne!(one, keys.make_key(&head));
    assert_ne!(one, keys.make_key(&head.with_body_digest(&[2; 32])));
}

#[test]
fn a_closure_makes_keys() {
    let keys = |request: &RequestHead<'_>| Some(CacheKey::builder().part("path", request.uri.path()).build());
    let made = keys.make_key(&RequestHead::from(&request("GET", "https://example.com/a", &[])));
    assert_eq!(made.unwrap().part("path"), Some(&b"/a"[..]));
}

/// Partition, method, path and query, body digest, a field of the key, credentials.
type Parts = (Option<Vec<u8>>, String, String, Option<[u8; 1]>, Option<String>, Option<String>);

/// The parts of a request, of few and awkward letters.
fn parts() -> impl Strategy<Value = Parts> {
    let path = "/([ab:,|{}./]|%2F|%2f|%2e|%00){0,4}(\\?([ab:,=&]|%61){0,3})?";
    let partition = proptest::option::of("[ab:,]{0,3}".prop_map(String::into_bytes));
    let digest = proptest::option::of(prop_oneof![Just([1]), Just([2])]);
    (
        partition,
        "[AG:]{1,2}|GET".prop_filter("methods have no colon", |m| !m.contains(':')),
        path,
        digest,
        proptest::option::of("[ab:,]{0,3}"),
        proptest::option::of("[ab:,]{0,3}"),
    )
}

fn targets() -> impl Strategy<Value = String> {
    let authority = "[aA](:0?80|:)?";
    let path = "(/([aA.]|%2[eE]|%41|%2f|%2F|%[zZ]|%){0,3}){0,4}";
    let query = "(\\?([a.&=/]|%41|%2f|%2F|%z){0,4})?";
    ("http|HTTP|https", authority, path, query)
        .prop_map(|(scheme, authority, path, query)| format!("{scheme}://{authority}{path}{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// FAULTS 40: distinct (partition, method, URI, body digest, field, credentials) have distinct keys.
    #[test]
    fn the_key_is_injective(one in parts(), other in parts()) {
        let make = |(partition, method, path, digest, field, credentials): &Parts| {
            let partition = partition.clone();
            let keys = DefaultKey::new().partition_by(move |_| partition.clone());
            let layer = CacheLayer::new(MemoryStorage::new()).make_key(keys);
            let fields = [("x-host", field), ("authorization", credentials)];
            let fields: Vec<_> = fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            let request = request(method, &format!("http://a{path}"), &fields);
            let digest = digest.map(|[byte]| [byte; 32]);
            let head = RequestHead::from(&request);
            layer.key_of(digest.as_ref().map_or(head, |digest| head.with_body_digest(digest))).unwrap()
        };
        prop_assert_eq!(one == other, make(&one) == make(&other));
    }

    /// What is keyed is what is sent, byte for byte: to one origin, two targets share a key where they are one.
    #[test]
    fn different_targets_never_share_a_key(one in targets(), other in targets()) {
        let sent = |uri: &Uri| uri.path_and_query().unwrap().to_string();
        if let (Ok(one), Ok(other)) = (one.parse::<Uri>(), other.parse::<Uri>()) {
            let same = same_origin(&one, &other) && sent(&one) == sent(&other);
            prop_assert_eq!(same, get(&one.to_string()) == get(&other.to_string()));
        }
    }

    /// And where the key function equates targets, the origin is sent one.
    #[test]
    fn targets_that_share_a_normalized_key_are_sent_alike(one in targets(), other in targets()) {
        let keys = DefaultKey::new().normalize_target(true);
        let sent = |uri: &Uri| keys.rewrite(uri).unwrap_or_else(|| uri.clone()).path_and_query().unwrap().to_string();
        if let (Ok(one), Ok(other)) = (one.parse::<Uri>(), other.parse::<Uri>()) {
            let [key, other_key] = [&one, &other].map(|uri| key_by(&keys, "GET", &uri.to_string(), &[]));
            prop_assert_eq!(key == other_key, same_origin(&one, &other) && sent(&one) == sent(&other));
        }
    }
}
