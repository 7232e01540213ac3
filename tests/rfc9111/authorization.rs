//! Section 3.5: responses to requests with Authorization.

use larder::policy::Policy;
use larder::policy::engine::NotStored;

use crate::model::{Model, is_hit};

#[test]
fn a_shared_cache_needs_the_responses_leave() {
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[("expires", "@2592000"), ("date", "@0")], false),
        (&[("cache-control", "max-age=3600")], false),
        (&[("cache-control", "max-age=3600, public")], true),
        (&[("cache-control", "max-age=3600, must-revalidate")], true),
        (&[("cache-control", "s-maxage=3600"), ("etag", "\"a\"")], true),
        (&[("cache-control", "s-maxage=x, max-age=60")], false),
        (&[("cache-control", "max-age=3600, proxy-revalidate")], false),
    ];
    for (fields, expected) in cases {
        let mut model = Model::shared();
        let stored = model.get_with(&[("authorization", "FOO")], 200, fields);
        assert_eq!(stored.is_ok(), *expected, "{fields:?}");
        assert!(Model::private().get_with(&[("authorization", "FOO")], 200, fields).is_ok(), "{fields:?}");
    }
}

#[test]
fn what_a_private_cache_stored_is_no_use_to_a_shared_one_without_leave() {
    let private = [("cache-control", "private, max-age=3600")];
    let authorized = [("cache-control", "max-age=3600")];
    for (asked, fields) in [(&[][..], &private), (&[("authorization", "FOO")][..], &authorized)] {
        let mut model = Model::private();
        model.get_with(asked, 200, fields).unwrap();
        assert!(is_hit(&model.ask(&[])));
        model.policy = Policy::shared();
        assert!(!is_hit(&model.ask(&[])), "{fields:?}");
        assert_eq!(model.without_origin(&[]), None);
    }
}

#[test]
fn reason_is_authorization() {
    let mut model = Model::shared();
    let stored = model.get_with(&[("authorization", "FOO")], 200, &[("cache-control", "max-age=60")]);
    assert_eq!(stored.err(), Some(NotStored::Authorization));
}
