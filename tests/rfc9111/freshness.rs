//! Section 4.2.1: the freshness lifetime from Cache-Control.

use larder::policy::Policy;

use crate::model::{Fields, reused_after};

#[test]
fn lifetime_is_what_cache_control_says() {
    let (private, shared) = (Policy::private(), Policy::shared());
    let cases: &[(&Policy, Fields<'_>, bool)] = &[
        (&private, &[], false),
        (&private, &[("cache-control", "max-age=3600")], true),
        (&private, &[("cache-control", "max-age=0")], false),
        (&private, &[("cache-control", "max-age=2147483647")], true),
        (&private, &[("cache-control", "max-age=2147483648")], true),
        (&private, &[("cache-control", "max-age=99999999999")], true),
        (&private, &[("cache-control", "max-age=1000000000000000000000000000000")], true),
        (&private, &[("date", "@0"), ("cache-control", "max-age=3600"), ("age", "7200")], false),
        (&private, &[("date", "@-7200"), ("cache-control", "max-age=3600")], false),
        (&private, &[("cache-control", "max-age=3600"), ("expires", "@-7200"), ("date", "@0")], true),
        (&private, &[("cache-control", "max-age=3600"), ("expires", "0"), ("date", "@0")], true),
        (&private, &[("cache-control", "max-age=0"), ("expires", "@3600"), ("date", "@0")], false),
        (&private, &[("cache-control", "foobar, max-age=3600")], true),
        (&private, &[("cache-control", "MaX-aGe=3600")], true),
        (&private, &[("cache-control", "max-age=-3600")], false),
        (&private, &[("cache-control", "s-maxage=3600, max-age=1")], false),
        (&private, &[("cache-control", "s-maxage=3600"), ("cache-control", "max-age=1")], false),
        (&shared, &[("cache-control", "s-maxage=3600")], true),
        (&shared, &[("cache-control", "max-age=3600, s-maxage=1")], false),
        (&shared, &[("cache-control", "s-maxage=1, max-age=3600")], false),
        (&shared, &[("cache-control", "max-age=3600"), ("cache-control", "s-maxage=1")], false),
        (&shared, &[("cache-control", "max-age=1, s-maxage=3600")], true),
        (&shared, &[("expires", "@-10"), ("cache-control", "max-age=0, s-maxage=3600")], true),
    ];
    for (policy, fields, expected) in cases {
        assert_eq!(reused_after(policy, 200, fields, 3), *expected, "{fields:?}");
    }
}

#[test]
fn fresh_ends_when_age_reaches_the_lifetime() {
    let fields = &[("cache-control", "max-age=10")];
    assert!(reused_after(&Policy::private(), 200, fields, 9));
    assert!(!reused_after(&Policy::private(), 200, fields, 10));
}
