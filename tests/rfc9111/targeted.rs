//! RFC 9213: targeted cache control.

use http::HeaderName;
use larder::policy::Policy;
use larder::policy::engine::NotStored;

use crate::model::{Model, reused_after};

fn cdn() -> Policy {
    Policy::shared().targets([
        HeaderName::from_static("example-cache-control"),
        HeaderName::from_static("cdn-cache-control"),
    ])
}

#[test]
fn the_first_valid_target_decides_in_place_of_cache_control_and_expires() {
    let name = "cdn-cache-control";
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[(name, "max-age=3600")], true),
        (&[(name, "max-age=2147483648")], true),
        (&[(name, "max-age=99999999999")], true),
        (&[("date", "@0"), (name, "max-age=3600"), ("age", "7200")], false),
        (&[("cache-control", "max-age=1"), (name, "max-age =100")], false),
        (&[("cache-control", "max-age=1"), (name, "max-age= 100")], false),
        (&[(name, "max-age=0")], false),
        (&[(name, "foobar, max-age=3600")], true),
        (&[(name, "max-age=3600"), ("expires", "@-10000"), ("date", "@0")], true),
        (&[(name, "max-age=3600"), ("expires", "0")], true),
        (&[(name, "max-age=0"), ("expires", "@10000")], false),
        (&[(name, "foobar"), ("expires", "@10000")], false),
        (&[("cache-control", "max-age=1"), (name, "max-age=3600")], true),
        (&[("cache-control", "max-age=3600"), (name, "max-age=1")], false),
        (&[("cache-control", "max-age=3600"), (name, "private")], false),
        (&[("cache-control", "max-age=3600"), (name, "no-cache")], false),
        (&[("cache-control", "max-age=3600"), (name, "no-store")], false),
        (&[("cache-control", "no-store"), (name, "max-age=3600")], true),
        (&[("cache-control", "no-store"), (name, "max-age=3600, no-store=?0")], true),
        (&[("cache-control", "no-store"), (name, "max-age=10000, &&&&&")], false),
        (&[("cache-control", "no-store"), (name, "max-age=\"10000\"")], false),
        (&[("cache-control", "no-store"), (name, "max-age=10000.5")], false),
        (&[("cache-control", "max-age=60"), (name, "")], true),
        (&[(name, "max-age=1"), (name, "max-age=60")], true),
        (&[(name, "max-age=1"), ("example-cache-control", "max-age=60")], true),
        (&[(name, "max-age=60"), ("example-cache-control", "")], true),
        (&[("other-cache-control", "max-age=60")], false),
    ];
    for (fields, expected) in cases {
        assert_eq!(reused_after(&cdn(), 200, fields, 3), *expected, "{fields:?}");
    }
}

#[test]
fn without_targets_such_fields_mean_nothing() {
    let fields = [("cdn-cache-control", "max-age=3600")];
    assert_eq!(Model::shared().get(200, &fields).err(), Some(NotStored::Useless));
}

#[test]
fn a_target_added_later_judges_what_is_stored_anew() {
    let mut model = Model::shared();
    model.get(200, &[("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")]).unwrap();
    assert!(crate::model::is_hit(&model.ask(&[])));
    model.policy = cdn();
    assert!(!crate::model::is_hit(&model.ask(&[])));
}
