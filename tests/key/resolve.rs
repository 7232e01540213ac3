//! RFC 3986 section 5.

use http::Uri;
use larder::key::resolve;
use proptest::prelude::*;

fn resolved(base: &str, reference: &str) -> Option<String> {
    resolve(&base.parse().unwrap(), reference).map(|uri| uri.to_string())
}

/// Sections 5.4.1 and 5.4.2, without the fragments.
#[test]
fn the_rfcs_examples() {
    for (reference, expected) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        ("g?y#s", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("../../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("https://h", "https://h/"),
        ("HTTPS://h/../i", "https://h/i"),
    ] {
        assert_eq!(resolved("http://a/b/c/d;p?q", reference).as_deref(), Some(expected), "{reference}");
    }
}

#[test]
fn locations_as_origins_write_them() {
    for (reference, expected) in [
        ("/a b", "http://h/a%20b"),
        ("/\u{e9}?\u{e9}", "http://h/%C3%A9?%C3%A9"),
        ("  /a\t", "http://h/a"),
        ("/%20", "http://h/%20"),
        ("?", "http://h/?"),
        ("//other:8080/x", "http://other:8080/x"),
    ] {
        assert_eq!(resolved("http://h", reference).as_deref(), Some(expected), "{reference}");
    }
}

#[test]
fn the_bases_own_dot_segments_go_too() {
    for (reference, expected) in [("", "http://a/c?d"), ("?e", "http://a/c?e"), ("f", "http://a/f")] {
        assert_eq!(resolved("http://a/b/../c?d", reference).as_deref(), Some(expected), "{reference}");
    }
}

#[test]
fn what_leads_nowhere_is_refused() {
    for reference in
        ["mailto:a@b", "http:", "http:g", "http://", "///a", "//", "/\r\nx", "/\0", "urn:a:b", "data:,x"]
    {
        assert_eq!(resolved("http://a/b", reference), None, "{reference:?}");
    }
    assert_eq!(resolved("http://a/b", &"x".repeat(70_000)), None);
    assert_eq!(resolved("http://a/b", &" x".repeat(32_000)), None);
    assert_eq!(resolved("/only/a/path", "g"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_target_is_absolute_and_has_no_dot_segments(reference in "(.|[/.:?#%a]){0,12}") {
        if let Some(target) = resolve(&Uri::from_static("https://h/a/b"), &reference) {
            prop_assert!(target.scheme().is_some() && target.authority().is_some());
            prop_assert!(!target.path().split('/').any(|segment| segment == "." || segment == ".."));
            prop_assert_eq!(resolve(&target, ""), Some(target));
        }
    }
}
