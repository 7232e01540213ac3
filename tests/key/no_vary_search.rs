//! `No-Vary-Search`: the examples of draft-ietf-httpbis-no-vary-search.

use http::{HeaderMap, HeaderValue};
use larder::key::NoVarySearch;

fn config(field: &str) -> Option<NoVarySearch> {
    let mut headers = HeaderMap::new();
    headers.insert("no-vary-search", HeaderValue::from_bytes(field.as_bytes()).unwrap());
    NoVarySearch::of(&headers)
}

#[test]
fn what_is_invalid_or_says_nothing_is_as_if_it_were_absent() {
    let table = [
        "unknown-key",
        "key-order=\"not a boolean\"",
        "params=\"not a boolean or inner list\"",
        "params=(not-a-string)",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "params, except=(not-a-string)",
        "params, except=\"not an inner list\"",
        "params, except=?1",
        "params=?0",
        "params=()",
        "key-order=?0",
        "",
        "params=(\"a\"",
    ];
    for field in table {
        assert_eq!(config(field), None, "{field}");
    }
    assert_eq!(NoVarySearch::of(&HeaderMap::new()), None);
}

#[test]
fn unconventional_forms_mean_the_same() {
    let table = [
        ("params=?1", "params"),
        ("params", "except=()"),
        ("params, except=(\"x\")", "except=(\"x\")"),
        ("key-order=?1", "key-order"),
        ("params, key-order, except=(\"x\")", "key-order, params, except=(\"x\")"),
        ("params=(\"a\"), future=1", "params=(\"a\")"),
        ("params=(\"a\";p);q", "params=(\"a\")"),
    ];
    for (one, other) in table {
        assert!(config(one).is_some(), "{one}");
        assert_eq!(config(one), config(other), "{one}");
    }
}

#[test]
fn equivalent_uris() {
    let table = [
        ("key-order", "", "?"),
        ("key-order", "?a=x", "?%61=%78"),
        ("key-order", "?a=\u{e9}", "?a=%C3%A9"),
        ("key-order", "?a=%f6", "?a=%ef%bf%bd"),
        ("key-order", "?a=x&&&&", "?a=x"),
        ("key-order", "?a=", "?a"),
        ("key-order", "?a=%20", "?a=+"),
        ("key-order", "?a=1&b=2", "?b=2&a=1"),
        ("params=(\"utm_source\" \"utm_medium\")", "?id=1", "?utm_medium=x&id=1&utm_source=y"),
        ("params=(\"%C3%A9+%E6%B0%97\")", "?\u{e9} \u{6c17}=1", "?%C3%A9+%E6%B0%97=4"),
        ("params", "?a=1", "?b=2"),
        ("except=(\"id\")", "?id=1&a=1", "?b=2&id=1"),
        ("key-order, except=(\"a\" \"b\")", "?a=1&b=2&c=3", "?d=4&b=2&a=1"),
    ];
    for (field, one, other) in table {
        let (one, other) = (format!("https://example.com/{one}"), format!("https://example.com/{other}"));
        let config = config(field).unwrap();
        assert!(config.equivalent(&one, &other), "{field}: {one} {other}");
        assert_eq!(config.normalized(&one), config.normalized(&other));
    }
}

#[test]
fn what_still_differs() {
    let table = [
        ("key-order", "/?a=1&a=2", "/?a=2&a=1"),
        ("params=(\"a\")", "/?b=1&c=2", "/?c=2&b=1"),
        ("params=(\"a\")", "/?b=1", "/?b=2"),
        ("params=(\"a\")", "/?A=1", "/?A=2"),
        ("except=(\"id\")", "/?id=1", "/?id=2"),
        ("except=(\"id\")", "/?id=1", "/"),
        ("params", "/a", "/b"),
        ("key-order", "/?a=1%26b=2", "/?a=1&b=2"),
        ("key-order", "/?a=%zz", "/?a=zz"),
    ];
    for (field, one, other) in table {
        let (one, other) = (format!("https://example.com{one}"), format!("https://example.com{other}"));
        assert!(!config(field).unwrap().equivalent(&one, &other), "{field}: {one} {other}");
    }
    assert!(!config("params").unwrap().equivalent("https://example.com/", "http://example.com/"));
}

#[test]
fn what_is_longer_than_the_limits_varies_on_everything() {
    let names = |count: usize| (0..count).map(|name| format!("\"n{name}\"")).collect::<Vec<_>>().join(" ");
    for list in ["params", "params, except"] {
        assert!(config(&format!("{list}=({})", names(256))).is_some(), "{list}");
        assert!(config(&format!("{list}=({})", names(257))).is_none(), "{list}");
    }
    let long = |len: usize| format!("params=(\"{}\")", "n".repeat(len - "params=(\"\")".len()));
    assert!(config(&long(8 * 1024 - 2)).is_some());
    assert!(config(&long(8 * 1024 - 1)).is_none());
    let mut lines = HeaderMap::new();
    for _ in 0..5000 {
        lines.append("no-vary-search", HeaderValue::from_static(""));
    }
    assert!(NoVarySearch::of(&lines).is_none());

    let order = config("key-order").unwrap();
    let uri = |count: usize| format!("https://example.com/?{}", vec!["a=1"; count].join("&"));
    let other = |count: usize| format!("https://example.com/?{}", vec!["%61=1"; count].join("&"));
    assert!(order.equivalent(&uri(1024), &other(1024)));
    assert!(!order.equivalent(&uri(1025), &other(1025)));
    assert!(order.equivalent(&uri(1025), &uri(1025)), "equal is equivalent");
    assert_eq!(order.normalized(&other(1025)), other(1025));
}

#[test]
fn the_order_and_repetition_of_names_in_a_list_mean_nothing() {
    let (one, other) = (config("params=(\"b\" \"a\" \"b\")"), config("params=(\"a\" \"b\")"));
    assert_eq!(one, other);
    assert!(one.unwrap().equivalent("http://a/?a=1&b=2&c=3", "http://a/?c=3&b"));
}
