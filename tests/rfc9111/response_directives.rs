//! Section 5.2.2: what the origin says.

use larder::policy::engine::{NotStored, Reuse};
use larder::status::Fwd;

use crate::model::{Model, Outcome, outcome};

#[test]
fn no_cache_is_stored_and_validated_before_every_use() {
    for fields in [
        &[("cache-control", "no-cache"), ("etag", "\"abcd\"")][..],
        &[("cache-control", "max-age=10000, no-cache"), ("expires", "@10000"), ("etag", "\"abcd\"")],
    ] {
        let mut model = Model::private();
        model.get(200, fields).unwrap();
        assert_eq!(outcome(&model.ask(&[])), Outcome::Validate(Fwd::Stale));
        assert_eq!(outcome(&model.ask(&[("cache-control", "max-stale")])), Outcome::Validate(Fwd::Stale));
        assert_eq!(model.without_origin(&[]), None);
    }
}

#[test]
fn qualified_no_cache_leaves_out_the_listed_fields() {
    let mut model = Model::private();
    let fields = [
        ("cache-control", "no-cache=\"a, b\""),
        ("cache-control", "max-age=3600"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
    ];
    let head = model.get(200, &fields).unwrap();
    assert!(!head.headers.contains_key("a") && !head.headers.contains_key("b"));
    assert_eq!(head.headers["c"], "3");
    assert_eq!(outcome(&model.ask(&[])), Outcome::Hit);
}

#[test]
fn qualified_private_leaves_out_the_listed_fields_in_a_shared_cache_only() {
    let fields = [("cache-control", "private=\"x-user\", max-age=60"), ("x-user", "me")];
    assert!(!Model::shared().get(200, &fields).unwrap().headers.contains_key("x-user"));
    assert!(Model::private().get(200, &fields).unwrap().headers.contains_key("x-user"));
}

/// On one line, and spread over several.
#[test]
fn a_directive_that_names_more_fields_than_the_limit_means_the_whole_response() {
    let names = |from: usize, to: usize| (from..to).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(", ");
    for (lines, listed) in [
        (vec![names(0, 64)], true),
        (vec![names(0, 65)], false),
        (vec![names(0, 32), names(32, 64)], true),
        (vec![names(0, 32), names(32, 65)], false),
    ] {
        let fields = |directive: &str| -> Vec<(&str, String)> {
            let named = lines.iter().map(|names| ("cache-control", format!("{directive}=\"{names}\"")));
            named.chain([("cache-control", "max-age=60".to_owned()), ("x-0", "me".to_owned())]).collect()
        };
        let private = fields("private");
        let private: Vec<_> = private.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match Model::shared().get(200, &private) {
            Ok(head) => assert!(listed && !head.headers.contains_key("x-0"), "{lines:?}"),
            Err(reason) => assert!(!listed && reason == NotStored::Private, "{lines:?}: {reason:?}"),
        }
        let no_cache = fields("no-cache");
        let no_cache: Vec<_> = no_cache.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut model = Model::private();
        model.get(200, &[&no_cache[..], &[("etag", "\"a\"")]].concat()).unwrap();
        let expected = if listed { Outcome::Hit } else { Outcome::Validate(Fwd::Stale) };
        assert_eq!(outcome(&model.ask(&[])), expected, "{lines:?}");
    }
}

#[test]
fn private_is_for_private_caches() {
    let fields = [("cache-control", "private, max-age=3600")];
    assert!(Model::private().get(200, &fields).is_ok());
    assert_eq!(Model::shared().get(200, &fields).err(), Some(NotStored::Private));
}

#[test]
fn must_understand_overrides_no_store_for_known_statuses_only() {
    let fields = [("cache-control", "max-age=3600, no-store, must-understand")];
    assert!(Model::shared().get(200, &fields).is_ok());
    assert_eq!(Model::shared().get(599, &fields).err(), Some(NotStored::NotUnderstood));
    let without = [("cache-control", "max-age=3600, must-understand")];
    assert_eq!(Model::shared().get(599, &without).err(), Some(NotStored::NotUnderstood));
}

#[test]
fn must_revalidate_changes_nothing_while_fresh() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=2, must-revalidate"), ("etag", "\"abcd\"")]).unwrap();
    assert_eq!(outcome(&model.ask(&[])), Outcome::Hit);
    model.wait(3);
    assert_eq!(outcome(&model.ask(&[("cache-control", "max-stale")])), Outcome::Validate(Fwd::Stale));
}

#[test]
fn immutable_needs_no_reload_while_fresh() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=60, immutable"), ("etag", "\"a\"")]).unwrap();
    model.wait(1);
    assert_eq!(outcome(&model.ask(&[("cache-control", "max-age=0")])), Outcome::Hit);
    assert_eq!(outcome(&model.ask(&[("cache-control", "no-cache")])), Outcome::Validate(Fwd::Request));
    model.wait(60);
    assert_eq!(outcome(&model.ask(&[("cache-control", "max-age=0")])), Outcome::Validate(Fwd::Stale));
}

#[test]
fn pragma_in_a_response_means_nothing() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=3600"), ("pragma", "no-cache")]).unwrap();
    assert!(matches!(model.ask(&[]), Reuse::Serve(_)));
}
