//! `Cache-Status` (RFC 9211).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use http::header::{HeaderMap, HeaderValue};
use http::{StatusCode, header};
use larder::status::{CacheName, CacheStatus, Fwd};
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};

#[test]
fn every_parameter_is_written_as_the_rfc_says() {
    let table = [
        (CacheStatus::hit(30), "larder; hit; ttl=30"),
        (CacheStatus::hit(-412), "larder; hit; ttl=-412"),
        (CacheStatus::hit(i64::MIN), "larder; hit; ttl=-999999999999999"),
        (CacheStatus::hit(i64::MAX), "larder; hit; ttl=999999999999999"),
        (CacheStatus::forwarded(Fwd::Bypass), "larder; fwd=bypass"),
        (CacheStatus::forwarded(Fwd::Method), "larder; fwd=method"),
        (CacheStatus::forwarded(Fwd::UriMiss).with_stored(true), "larder; fwd=uri-miss; stored"),
        (CacheStatus::forwarded(Fwd::VaryMiss).with_collapsed(true), "larder; fwd=vary-miss; collapsed"),
        (CacheStatus::forwarded(Fwd::Stale).with_collapsed(false), "larder; fwd=stale; collapsed=?0"),
        (CacheStatus::forwarded(Fwd::Miss), "larder; fwd=miss"),
        (CacheStatus::forwarded(Fwd::Request), "larder; fwd=request"),
        (
            CacheStatus::forwarded(Fwd::Stale).with_fwd_status(StatusCode::NOT_MODIFIED).with_ttl(60),
            "larder; fwd=stale; fwd-status=304; ttl=60",
        ),
        (CacheStatus::forwarded(Fwd::Partial), "larder; fwd=partial"),
        (
            CacheStatus::hit(1).with_key("GET https://a/\"\\").with_detail("memory"),
            r#"larder; hit; ttl=1; key="GET https://a/\"\\"; detail=memory"#,
        ),
        (CacheStatus::hit(1).with_detail("no \u{e9}\r\n"), r#"larder; hit; ttl=1; detail="no %c3%a9%0d%0a""#),
        (CacheStatus::hit(1).with_detail(""), r#"larder; hit; ttl=1; detail="""#),
    ];
    for (status, expected) in table {
        assert_eq!(status.to_string(), expected);
    }
}

#[test]
fn a_name_is_a_token_or_a_string() {
    let table = [
        ("larder", "larder"),
        ("api.example.com:8080/x", "api.example.com:8080/x"),
        ("1st", r#""1st""#),
        ("my cache", r#""my cache""#),
        ("a,b", r#""a,b""#),
        ("", r#""""#),
    ];
    for (name, expected) in table {
        assert_eq!(CacheName::new(name).as_str(), expected);
    }
    assert_eq!(CacheName::default().as_str(), "larder");
}

#[test]
fn our_member_comes_last() {
    let mut headers = HeaderMap::new();
    headers.append(header::CACHE_STATUS, HeaderValue::from_static("origin-cache; hit, cdn; fwd=stale"));
    headers.append(header::CACHE_STATUS, HeaderValue::from_static("edge; hit"));
    CacheStatus::forwarded(Fwd::UriMiss).append_to(&mut headers);
    let lines: Vec<_> = headers.get_all(header::CACHE_STATUS).iter().collect();
    assert_eq!(lines, ["origin-cache; hit, cdn; fwd=stale", "edge; hit", "larder; fwd=uri-miss"]);
}

#[test]
fn hit_and_fwd_exclude_each_other() {
    assert!(CacheStatus::hit(1).is_hit());
    assert_eq!(CacheStatus::hit(1).fwd(), None);
    let forwarded = CacheStatus::forwarded(Fwd::Stale);
    assert!(!forwarded.is_hit());
    assert_eq!(forwarded.fwd(), Some(Fwd::Stale));
}

proptest! {
    #[test]
    fn the_field_is_one_well_formed_member_for_any_text(
        name in ".*",
        key in proptest::option::of(".*"),
        detail in proptest::option::of(".*"),
        ttl in any::<i64>(),
    ) {
        let mut status = CacheStatus::hit(ttl);
        status.key = key.clone();
        status.detail = detail.clone().map(Into::into);
        let mut headers = HeaderMap::new();
        status.append_as(&CacheName::new(&name), &mut headers);
        let field = headers.get(header::CACHE_STATUS).unwrap();
        let list: List = Parser::new(field.as_bytes()).parse().unwrap();
        prop_assert_eq!(list.len(), 1);
        let ListEntry::Item(item) = &list[0] else { panic!("not an item") };
        prop_assert_eq!(item.params.get("hit"), Some(&BareItem::Boolean(true)));
        prop_assert_eq!(item.params.contains_key("key"), key.is_some());
        prop_assert_eq!(item.params.contains_key("detail"), detail.is_some());
        if let (Some(key), Some(BareItem::String(found))) = (key, item.params.get("key"))
            && key.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        {
            prop_assert_eq!(found.as_str(), key);
        }
    }
}
