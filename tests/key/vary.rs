//! RFC 9111 section 4.1.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use larder::key::{CacheKey, MAX_SELECTING_FIELDS, Selecting, SelectingValue};
use proptest::prelude::*;

const SECRET: &[u8] = b"secret";

fn fields(fields: &[(&str, &str)]) -> HeaderMap {
    let parse = |(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) {
        (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().map(parse) {
        map.append(name, value);
    }
    map
}

fn key(uri: &str) -> CacheKey {
    CacheKey::builder().part(CacheKey::URI, uri).build()
}

fn selecting(vary: &[&str], request: &[(&str, &str)]) -> Selecting {
    let vary: Vec<_> = vary.iter().map(|line| ("vary", *line)).collect();
    Selecting::new(&fields(&vary), &fields(request), &key("http://a/"), SECRET)
}

fn matches(selecting: &Selecting, request: &[(&str, &str)]) -> bool {
    selecting.matches(&fields(request), &key("http://a/"), SECRET)
}

#[test]
fn without_vary_every_request_matches() {
    let selecting = selecting(&[], &[("accept", "a")]);
    assert_eq!(selecting, Selecting::default());
    assert!(matches(&selecting, &[("accept", "b")]));
}

/// FAULTS 38.
#[test]
fn a_star_or_an_unreadable_vary_never_matches() {
    for vary in [
        &["*"][..],
        &["*, foo"],
        &["foo, *"],
        &["foo", "*"],
        &["*", "foo"],
        &[",*"],
        &["", "*"],
        &["* , *"],
        &["foo bar"],
        &["foo, b@r"],
        &["\"foo\""],
        &["f\u{e9}"],
        &[""],
        &[" , "],
        &["foo;q=1"],
        &["foo\tbar"],
    ] {
        let selecting = selecting(vary, &[("foo", "1")]);
        assert!(selecting.any, "{vary:?}");
        assert!(!matches(&selecting, &[("foo", "1")]), "{vary:?}");
    }
}

#[test]
fn names_are_sorted_and_unique_ignoring_case() {
    let selecting = selecting(&["Foo, bar,,\t", "BAR , foo,Accept"], &[]);
    assert!(selecting.names().eq(["accept", "bar", "foo"]));
    assert!(!selecting.any);
}

#[test]
fn every_field_must_match() {
    let selecting = selecting(&["foo, bar"], &[("foo", "1"), ("bar", "2")]);
    assert!(matches(&selecting, &[("bar", "2"), ("foo", "1"), ("baz", "3")]));
    assert!(!matches(&selecting, &[("foo", "1"), ("bar", "3")]));
    assert!(!matches(&selecting, &[("foo", "1")]));
    assert!(!matches(&selecting, &[]));
}

#[test]
fn absent_matches_only_absent() {
    let absent = selecting(&["foo"], &[]);
    assert!(matches(&absent, &[]));
    assert!(!matches(&absent, &[("foo", "")]));
    let empty = selecting(&["foo"], &[("foo", "")]);
    assert!(!matches(&empty, &[]));
    assert!(matches(&empty, &[("foo", "")]));
    assert_ne!(absent, empty);
}

#[test]
fn what_the_syntax_leaves_open_does_not_matter() {
    for (name, one, same, different) in [
        ("foo", "1, 2", " 1,  2 ", "2, 1"),
        ("foo", "1,2", "1, 2", "1,,2"),
        ("foo", "a", " a", "A"),
        ("foo", "\"a, b\", c", "\"a, b\",c", "\"a,b\",c"),
        ("foo", "\"a\\\", b\"", " \"a\\\", b\"", "\"a\\\",b\""),
        ("accept-language", "en, de", "DE,en", "de"),
        ("accept-language", "en;q=0.5, de", "de, en; Q=0.50", "en, de"),
        ("accept-language", "en;q=1.0", "en", "en;q=0.9"),
        ("accept-language", "en;q=0.000", "en;q=0", "en"),
        ("accept-encoding", "gzip, br", "br , GZIP", "gzip, br, zstd"),
        ("accept-encoding", "gzip, br", "gzip,,br,", "gzip;q=0, br"),
        ("accept-encoding", "gzip", "gzip, gzip", "x-gzip"),
        ("accept-charset", "utf-8", "UTF-8", "utf-16"),
        ("accept", "text/html, */*;q=0.8", "*/*; q=0.80, TEXT/HTML", "text/html, */*"),
        ("accept", "text/html;level=1", "text/html; Level=1", "text/html;level=2"),
        ("accept", "a/b;profile=X", "A/B; profile=X", "a/b;profile=x"),
        ("accept", "a/b;x=\"1, 2\", c/d", " a/b;x=\"1, 2\",c/d", "c/d, a/b;x=\"1,2\""),
        ("cookie", "a=1; b=2", " a=1; b=2", "b=2; a=1"),
        ("authorization", "Bearer x", " Bearer x ", "Bearer X"),
    ] {
        let selecting = selecting(&[name], &[(name, one)]);
        assert!(matches(&selecting, &[(name, one)]), "{name}: {one}");
        assert!(matches(&selecting, &[(name, same)]), "{name}: {one} = {same}");
        assert!(!matches(&selecting, &[(name, different)]), "{name}: {one} != {different}");
    }
}

#[test]
fn repeated_lines_are_combined() {
    let selecting = selecting(&["foo"], &[("foo", "1"), ("foo", "2")]);
    assert!(matches(&selecting, &[("foo", "1, 2")]));
    assert!(matches(&selecting, &[("foo", "1"), ("foo", "2")]));
    assert!(!matches(&selecting, &[("foo", "2"), ("foo", "1")]));
    assert!(!matches(&selecting, &[("foo", "1")]));
}

#[test]
fn a_cookie_split_by_http2_is_put_together() {
    let selecting = selecting(&["cookie"], &[("cookie", "a=1; b=2")]);
    assert!(matches(&selecting, &[("cookie", "a=1"), ("cookie", "b=2")]));
}

/// FAULTS 37: values that let someone in are kept as keyed hashes.
#[test]
fn secrets_are_kept_as_keyed_hashes() {
    for name in [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "x-apikey",
        "apikey",
        "ocp-apim-subscription-key",
        "x-functions-key",
        "x-access-key",
        "x-goog-api-key",
        "x-auth-token",
        "x-access-token",
        "x-vault-token",
        "private-token",
        "x-amz-security-token",
        "x-csrf",
        "x-csrf-token",
        "x-csrftoken",
        "x-xsrf-token",
        "x-session-id",
        "x-sess",
        "x-sid",
        "x-client-secret",
        "x-hub-signature-256",
        "x-password",
        "x-passwd",
        "remote-user",
        "x-remote-user",
        "x-forwarded-user",
        "x-webauth-user",
        "x-ms-client-principal",
        "x-amzn-oidc-data",
        "x-client-cert",
        "cf-access-jwt-assertion",
    ] {
        let request = fields(&[(name, "hidden-value")]);
        let make = |uri, secret| Selecting::new(&fields(&[("vary", name)]), &request, &key(uri), secret);
        let selecting = make("http://a/", SECRET);
        assert!(matches!(selecting.fields[0].value, SelectingValue::Hashed(_)), "{name}");
        assert!(!format!("{selecting:?}").contains("hidden-value"));
        assert_eq!(selecting, make("http://a/", SECRET), "one fill replaces the other");
        assert_ne!(selecting, make("http://b/", SECRET), "a hash tells nothing about other keys");
        assert_ne!(selecting, make("http://a/", b"other"), "without the secret it cannot be guessed");
        assert!(matches(&selecting, &[(name, "hidden-value")]));
        assert!(!matches(&selecting, &[(name, "other-value")]));
        assert!(!matches(&selecting, &[]));
    }
}

#[test]
fn what_is_negotiated_is_kept_as_it_is() {
    for name in
        ["accept", "accept-encoding", "accept-language", "accept-charset", "origin", "user-agent", "x-tenant"]
    {
        let selecting = selecting(&[name], &[(name, "value")]);
        assert!(matches!(selecting.fields[0].value, SelectingValue::Plain(_)), "{name}");
    }
}

#[test]
fn values_marked_as_sensitive_and_very_long_ones_are_hashed() {
    let mut value = HeaderValue::from_static("hidden");
    value.set_sensitive(true);
    let request = HeaderMap::from_iter([(HeaderName::from_static("foo"), value)]);
    let marked = Selecting::new(&fields(&[("vary", "foo")]), &request, &key("http://a/"), SECRET);
    assert!(matches!(marked.fields[0].value, SelectingValue::Hashed(_)));
    assert!(matches(&marked, &[("foo", "hidden")]));

    let long = "x".repeat(100_000);
    let selecting = selecting(&["foo"], &[("foo", &long)]);
    assert!(matches!(selecting.fields[0].value, SelectingValue::Hashed(_)));
    assert!(matches(&selecting, &[("foo", &long)]));
}

#[test]
fn too_many_nominated_fields_never_match() {
    let names = |count| (0..count).map(|number| format!("f{number}")).collect::<Vec<_>>().join(",");
    assert!(!selecting(&[&names(MAX_SELECTING_FIELDS)], &[]).any);
    assert!(selecting(&[&names(MAX_SELECTING_FIELDS + 1)], &[]).any);
}

#[test]
fn equality_and_digest_follow_the_meaning() {
    let one = selecting(&["accept-language, foo"], &[("accept-language", "en, de")]);
    let same = selecting(&["foo", "accept-language"], &[("accept-language", "DE,en")]);
    let different = [
        selecting(&["accept-language"], &[("accept-language", "en, de")]),
        selecting(&["accept-language, foo"], &[("accept-language", "en")]),
        selecting(&["accept-language, foo"], &[("accept-language", "en, de"), ("foo", "")]),
        selecting(&["*"], &[]),
        Selecting::default(),
    ];
    assert_eq!(one, same);
    assert_eq!(one.digest(), same.digest());
    for other in different {
        assert_ne!(one, other);
        assert_ne!(one.digest(), other.digest());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_request_that_was_answered_matches(vary in "[a-c, *]{0,6}", values in proptest::collection::vec(("[a-c]", "[ -~]{0,8}"), 0..4)) {
        let request: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let selecting = selecting(&[&vary], &request);
        prop_assert_eq!(matches(&selecting, &request), !selecting.any);
        prop_assert!(!vary.split(',').any(|member| member.trim() == "*") || selecting.any);
    }

    #[test]
    fn equal_means_equal_digests(
        name in prop_oneof![Just("accept"), Just("accept-encoding"), Just("foo"), Just("cookie")],
        one in "[ab,;=q\" .1]{0,6}",
        other in "[ab,;=q\" .1]{0,6}",
    ) {
        let [one_fields, other_fields] = [&one, &other].map(|value| selecting(&[name], &[(name, value)]));
        prop_assert_eq!(one_fields == other_fields, one_fields.digest() == other_fields.digest());
        prop_assert_eq!(one_fields == other_fields, matches(&one_fields, &[(name, &other)]));
    }
}
