//! The user's settings beside the RFC.

use std::time::Duration;

use http::StatusCode;
use larder::policy::{NotStored, Policy};

use crate::model::{Model, is_hit, reused_after};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn default_lifetime_is_for_responses_that_say_nothing() {
    let policy = Policy::private().default_lifetime(MINUTE);
    assert!(reused_after(&policy, 200, &[], 59));
    assert!(!reused_after(&policy, 200, &[], 60));
    assert!(!reused_after(&policy, 200, &[("cache-control", "max-age=0")], 0));
    assert!(!reused_after(&policy, 200, &[("expires", "0")], 0));
    assert!(!reused_after(&policy, 302, &[], 0));
}

#[test]
fn status_lifetime_makes_a_status_storable() {
    let policy = Policy::private().status_lifetime(StatusCode::FOUND, MINUTE);
    assert!(reused_after(&policy, 302, &[], 59));
    assert!(!reused_after(&policy, 200, &[], 0));
}

#[test]
fn override_lifetime_wins_but_unlocks_nothing() {
    let policy = Policy::private().override_lifetime(MINUTE);
    assert!(reused_after(&policy, 200, &[("cache-control", "max-age=0")], 59));
    assert!(reused_after(&policy, 302, &[], 59));
    assert!(!reused_after(&policy, 200, &[("cache-control", "max-age=9999")], 60));
    assert!(!reused_after(&policy, 200, &[("cache-control", "no-cache")], 0));
    let mut model = Model::new(policy);
    assert_eq!(model.get(200, &[("cache-control", "no-store")]).err(), Some(NotStored::NoStore));
}

#[test]
fn heuristics_can_be_switched_off_or_widened() {
    let fields = [("last-modified", "@-1000"), ("date", "@0")];
    assert!(!reused_after(&Policy::private().heuristic(0.0, MINUTE), 200, &fields, 0));
    assert!(!reused_after(&Policy::private().heuristic(f64::NAN, MINUTE), 200, &fields, 0));
    assert!(!reused_after(&Policy::private().heuristic(1.0, MINUTE), 200, &fields, 60));
    assert!(reused_after(&Policy::private().heuristic(1.0, MINUTE), 200, &fields, 59));
}

#[test]
fn other_settings_judge_what_is_stored_anew() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=600")]).unwrap();
    model.wait(100);
    assert!(is_hit(&model.ask(&[])));
    model.policy = Policy::private().override_lifetime(MINUTE);
    assert!(!is_hit(&model.ask(&[])));
    model.policy = Policy::private().override_lifetime(2 * MINUTE);
    assert!(is_hit(&model.ask(&[])));
}

#[test]
fn the_fingerprint_follows_what_influences_freshness() {
    let plain = Policy::private().fingerprint();
    assert_eq!(plain, Policy::private().secret("s").retention(MINUTE).fingerprint());
    for other in [
        Policy::shared(),
        Policy::private().default_lifetime(MINUTE),
        Policy::private().override_lifetime(MINUTE),
        Policy::private().status_lifetime(StatusCode::OK, MINUTE),
        Policy::private().heuristic(0.2, MINUTE),
        Policy::private().stale_if_error(MINUTE),
        Policy::private().stale_while_revalidate(MINUTE),
    ] {
        assert_ne!(plain, other.fingerprint(), "{other:?}");
    }
}

#[test]
fn the_secret_is_not_shown() {
    assert!(!format!("{:?}", Policy::private().secret("hush")).contains("hush"));
}
