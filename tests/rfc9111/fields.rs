//! Section 3.1: which fields are stored.

use larder::policy::{Policy, SetCookie};

use crate::model::Model;

#[test]
fn unknown_fields_are_stored_with_their_repeats_and_raw_bytes() {
    let mut model = Model::private();
    let fields = [
        ("cache-control", "max-age=60"),
        ("x-test", "one"),
        ("x-test", "two"),
        ("x-bytes", "\u{fc}"),
        ("clear-site-data", "cache"),
        ("set-cookie", "a=b"),
    ];
    let head = model.get(200, &fields).unwrap();
    let tests: Vec<_> = head.headers.get_all("x-test").iter().collect();
    assert_eq!(tests, ["one", "two"]);
    assert_eq!(head.headers["x-bytes"].as_bytes(), "\u{fc}".as_bytes());
    assert_eq!(head.headers["set-cookie"], "a=b");
}

#[test]
fn hop_by_hop_fields_are_not_stored() {
    for name in [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ] {
        let mut model = Model::private();
        let head = model.get(200, &[("cache-control", "max-age=60"), (name, "x")]).unwrap();
        assert!(!head.headers.contains_key(name), "{name}");
    }
}

#[test]
fn fields_named_by_connection_are_not_stored_but_it_cannot_name_caching_away() {
    let mut model = Model::private();
    let fields = [
        ("connection", "a, b, cache-control"),
        ("connection", "vary"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("vary", "x"),
        ("cache-control", "max-age=60"),
    ];
    let head = model.get(200, &fields).unwrap();
    assert!(!head.headers.contains_key("a") && !head.headers.contains_key("b"));
    for kept in ["c", "vary", "cache-control"] {
        assert!(head.headers.contains_key(kept), "{kept}");
    }
}

#[test]
fn a_missing_date_is_added_and_a_present_one_kept_byte_for_byte() {
    let mut model = Model::private();
    let added = model.get(200, &[("cache-control", "max-age=60")]).unwrap().headers["date"].clone();
    assert_eq!(added, crate::model::date(model.now, 0).as_str());
    let odd = "friday, 15-jan-27 08:00:00 GMT";
    let head = model.get(200, &[("cache-control", "max-age=60"), ("date", odd)]).unwrap();
    assert_eq!(head.headers["date"], odd);
}

#[test]
fn a_shared_cache_gives_no_user_the_cookies_of_another_unless_set_to() {
    let fields = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    assert!(!Model::shared().get(200, &fields).unwrap().headers.contains_key("set-cookie"));
    let mut keeping = Model::new(Policy::shared().set_cookie(SetCookie::Store));
    assert!(keeping.get(200, &fields).unwrap().headers.contains_key("set-cookie"));
    keeping.policy = Policy::shared();
    assert!(!crate::model::is_hit(&keeping.ask(&[])), "stored with cookies, under other settings");
    let mut refusing = Model::new(Policy::shared().set_cookie(SetCookie::Refuse));
    assert!(refusing.get(200, &fields).is_err());
}

#[test]
fn the_uri_is_kept_without_userinfo() {
    let model = Model::private();
    let mut request = model.request("GET", &[]);
    request.uri = http::Uri::from_static("https://me:secret@example.com/a?b");
    let head = model.storable(&request, &model.response(200, &[("cache-control", "max-age=60")])).unwrap();
    assert_eq!(head.uri, "https://example.com/a?b");
}
