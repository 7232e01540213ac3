//! The user's settings beside the RFC.

use std::time::Duration;

use http::StatusCode;
use larder::policy::Policy;
use larder::policy::engine::NotStored;

use crate::model::{Fields, Model, is_hit, reused_after};

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
    assert!(reused_after(&policy, 302, &[("cache-control", "max-age=1")], 59));
    assert!(!reused_after(&policy, 200, &[("cache-control", "max-age=9999")], 60));
    assert!(!reused_after(&policy, 200, &[("cache-control", "no-cache")], 0));
    let mut model = Model::new(policy);
    assert_eq!(model.get(200, &[("cache-control", "no-store")]).err(), Some(NotStored::NoStore));
}

/// Section 3: whether a response may be stored comes first, and its lifetime after that.
#[test]
fn no_lifetime_of_the_users_makes_a_bare_error_or_redirect_storable() {
    let plain = Model::private();
    let overriding = Model::new(Policy::private().override_lifetime(MINUTE).default_lifetime(MINUTE));
    let mut overridden = plain.request("GET", &[]);
    overridden.overrides.lifetime = Some(MINUTE);
    let validators = [("etag", "\"a\""), ("last-modified", "@-1000")];
    for status in [201, 202, 302, 303, 307, 400, 401, 403, 500, 502, 503, 504] {
        for (model, request) in
            [(&plain, &overridden), (&overriding, &plain.request("GET", &[])), (&overriding, &overridden)]
        {
            let of = |fields: Fields<'_>| model.storable(request, &model.response(status, fields));
            assert_eq!(of(&validators).err(), Some(NotStored::NotCacheable), "{status}");
            // With leave of the origin the user's lifetime counts.
            for leave in ["public", "private", "max-age=1"] {
                let head = of(&[("cache-control", leave)]).unwrap();
                assert_eq!(head.freshness.lifetime, 60, "{status} {leave}");
            }
            assert_eq!(of(&[("expires", "@5")]).unwrap().freshness.lifetime, 60);
        }
        // With leave of the user for this status too.
        let mut named =
            Model::new(Policy::private().status_lifetime(plain.response(status, &[]).status, MINUTE));
        assert_eq!(named.get(status, &[]).unwrap().freshness.lifetime, 60);
        assert_eq!(named.exchange(&overridden, status, &[]).unwrap().freshness.lifetime, 60);
    }
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert_eq!(
            overriding.storable(&overridden, &overriding.response(status, &[])).unwrap().freshness.lifetime,
            60
        );
    }
    // For a shared cache, `private` is no leave.
    let shared = Model::new(Policy::shared().override_lifetime(MINUTE));
    let answer = shared.response(403, &[("cache-control", "private=\"set-cookie\"")]);
    assert_eq!(shared.storable(&overridden, &answer).err(), Some(NotStored::NotCacheable));
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
