//! RFC 3986 section 6.2.

use http::Uri;
use larder::key::{normalize, origin, same_origin, target_uri};
use proptest::prelude::*;

#[test]
fn the_rfcs_examples_and_the_corners() {
    for (uri, expected) in [
        ("example://a/b/c/%7Bfoo%7D", "example://a/b/c/%7Bfoo%7D"),
        ("eXAMPLE://a/./b/../b/%63/%7bfoo%7d", "example://a/b/c/%7Bfoo%7D"),
        ("http://example.com", "http://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("http://example.com:0080/", "http://example.com/"),
        ("http://example.com:8080", "http://example.com:8080/"),
        ("https://example.com:443", "https://example.com/"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]/"),
        ("http://user:pass@example.com/", "http://example.com/"),
        ("http://example.com?", "http://example.com/?"),
        ("http://example.com/..", "http://example.com/"),
        ("http://example.com/../a", "http://example.com/a"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/a/.", "http://example.com/a/"),
        ("http://example.com/a/b/..", "http://example.com/a/"),
        ("http://example.com/a//b", "http://example.com/a//b"),
        ("http://example.com/a//../b", "http://example.com/a/b"),
        ("http://example.com/.a/..b/c.", "http://example.com/.a/..b/c."),
        ("http://example.com/%2e%2E/a", "http://example.com/a"),
        ("http://example.com/a%2fb", "http://example.com/a%2Fb"),
        ("http://example.com/%41%2D%5f?%7e=%3D", "http://example.com/A-_?~=%3D"),
        ("http://example.com/?a/../b", "http://example.com/?a/../b"),
        // What is no escape stays, and so does all around it.
        ("http://example.com/%zz%41/../%2%35", "http://example.com/%zz%41/../%2%35"),
        ("http://example.com/%", "http://example.com/%"),
    ] {
        assert_eq!(normalize(&uri.parse().unwrap()).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn the_target_uri_keeps_path_and_query_byte_for_byte() {
    for (uri, expected) in [
        ("HTTP://Example.com", "http://example.com/"),
        ("http://example.com?", "http://example.com/?"),
        ("https://user:pass@[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
        (
            "http://example.com:8080/%7e/../%2e%2E/./a%2f?%7e/../%3d",
            "http://example.com:8080/%7e/../%2e%2E/./a%2f?%7e/../%3d",
        ),
    ] {
        assert_eq!(target_uri(&uri.parse().unwrap()).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn uris_without_scheme_or_host_have_no_normal_form() {
    for uri in ["/a", "*", "example.com:80", "http://:80/", "http://:/", "http://[@]e/"] {
        assert_eq!(normalize(&uri.parse().unwrap()), None, "{uri}");
        assert_eq!(target_uri(&uri.parse().unwrap()), None, "{uri}");
        assert_eq!(origin(&uri.parse().unwrap()), None, "{uri}");
    }
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    let same = |one: &str, other: &str| same_origin(&one.parse().unwrap(), &other.parse().unwrap());
    assert!(same("https://a/x", "https://A:443/y?z"));
    assert!(same("http://u@a", "http://a:80"));
    assert!(same("https://a:8443", "HTTPS://a:8443"));
    assert!(!same("https://a", "http://a"));
    assert!(!same("https://a", "https://b"));
    assert!(!same("https://a", "https://a:8443"));
    assert!(!same("https://a", "https://a.b"));
    assert!(!same("/a", "/a"));
    assert!(!same("https://a", "/a"));
    assert!(!same("a:1", "a:1"));
}

fn uris() -> impl Strategy<Value = String> {
    let authority = "([uU]@)?([aA]|\\[::A\\])(:0?[0-9]{0,3})?";
    let path = "(/([a.]|%2[eE]|%41|%2f|%[zZ]|%){0,3}){0,5}";
    let query = "(\\?([a.&=/]|%41|%2f|%z){0,5})?";
    ("http|HTTPS|other", authority, path, query)
        .prop_map(|(scheme, authority, path, query)| format!("{scheme}://{authority}{path}{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn normal_forms_parse_and_stay(uri in uris()) {
        if let Some(normal) = uri.parse().ok().and_then(|uri| normalize(&uri)) {
            let parsed: Uri = normal.parse().unwrap();
            prop_assert_eq!(normalize(&parsed), Some(normal.clone()));
            prop_assert!(normal.starts_with(&origin(&parsed).unwrap()));
        }
    }
}
