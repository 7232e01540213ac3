//! Section 4.2.2: heuristic freshness.

use larder::policy::Policy;

use crate::model::reused_after;

#[test]
fn only_some_statuses_are_heuristically_fresh() {
    let fields = [("last-modified", "@-86400"), ("date", "@0")];
    for (status, expected) in [
        (200, true),
        (203, true),
        (204, true),
        (300, true),
        (301, true),
        (308, true),
        (404, true),
        (405, true),
        (410, true),
        (414, true),
        (501, true),
        (201, false),
        (202, false),
        (302, false),
        (307, false),
        (403, false),
        (502, false),
        (503, false),
        (504, false),
        (599, false),
    ] {
        assert_eq!(reused_after(&Policy::private(), status, &fields, 0), expected, "{status}");
    }
}

#[test]
fn public_makes_any_status_heuristically_fresh() {
    let fields = [("last-modified", "@-86400"), ("date", "@0"), ("cache-control", "public")];
    assert!(reused_after(&Policy::shared(), 599, &fields, 0));
}

#[test]
fn a_tenth_of_the_time_since_last_modified_at_most_a_day() {
    let fields = [("last-modified", "@-1000"), ("date", "@0")];
    assert!(reused_after(&Policy::private(), 200, &fields, 99));
    assert!(!reused_after(&Policy::private(), 200, &fields, 100));
    let ancient = [("last-modified", "@-500000000"), ("date", "@0")];
    assert!(reused_after(&Policy::private(), 200, &ancient, 86_399));
    assert!(!reused_after(&Policy::private(), 200, &ancient, 86_400));
}

#[test]
fn no_heuristics_beside_explicit_expiry() {
    for explicit in [("cache-control", "max-age=0"), ("expires", "0"), ("cache-control", "max-age=x")] {
        let fields = [("last-modified", "@-86400"), ("date", "@0"), explicit];
        assert!(!reused_after(&Policy::private(), 200, &fields, 0), "{explicit:?}");
    }
}

#[test]
fn a_last_modified_in_the_future_or_invalid_makes_nothing_fresh() {
    for modified in ["@1000", "yesterday", "0"] {
        let fields = [("last-modified", modified), ("date", "@0")];
        assert!(!reused_after(&Policy::private(), 200, &fields, 0), "{modified}");
    }
}
