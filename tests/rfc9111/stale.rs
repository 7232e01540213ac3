//! Section 4.2.4 and RFC 5861: serving stale.

use std::time::Duration;

use larder::policy::Policy;
use larder::policy::engine::Validated;
use larder::status::Fwd;

use crate::model::{Model, Outcome, outcome};

fn stored(policy: Policy, cache_control: &str, wait: i64) -> Model {
    let mut model = Model::new(policy);
    model.get(200, &[("cache-control", cache_control), ("etag", "\"a\"")]).unwrap();
    model.wait(wait);
    model
}

#[test]
fn a_disconnected_cache_serves_stale_unless_forbidden() {
    for (policy, cache_control, expected) in [
        (Policy::private(), "max-age=2", true),
        (Policy::private(), "max-age=2, proxy-revalidate", true),
        (Policy::private(), "max-age=2, s-maxage=2", true),
        (Policy::private(), "max-age=2, must-revalidate", false),
        (Policy::private(), "max-age=2, no-cache", false),
        (Policy::private(), "max-age=2, must-revalidate, stale-if-error=60", false),
        (Policy::shared(), "max-age=2", true),
        (Policy::shared(), "max-age=2, proxy-revalidate", false),
        (Policy::shared(), "max-age=2, s-maxage=2", false),
        (Policy::shared().stale_when_disconnected(false), "max-age=2", false),
        (Policy::shared().stale_when_disconnected(false), "max-age=2, stale-if-error=60", true),
    ] {
        let model = stored(policy, cache_control, 3);
        assert_eq!(model.without_origin(&[]).is_some(), expected, "{cache_control}");
    }
}

#[test]
fn a_client_that_wants_validation_gets_no_substitute() {
    let model = stored(Policy::private(), "max-age=2", 3);
    for cache_control in ["no-cache", "max-age=0", "min-fresh=1"] {
        assert_eq!(model.without_origin(&[("cache-control", cache_control)]), None, "{cache_control}");
    }
    assert!(model.without_origin(&[("cache-control", "no-cache, stale-if-error=60")]).is_some());
}

#[test]
fn stale_while_revalidate_answers_and_refreshes_within_its_window() {
    let swr = "max-age=1, stale-while-revalidate=4";
    assert_eq!(outcome(&stored(Policy::private(), swr, 0).ask(&[])), Outcome::Hit);
    assert_eq!(outcome(&stored(Policy::private(), swr, 4).ask(&[])), Outcome::Refresh);
    assert_eq!(outcome(&stored(Policy::private(), swr, 5).ask(&[])), Outcome::Validate(Fwd::Stale));
    for forbidding in ["must-revalidate", "no-cache"] {
        let model = stored(Policy::private(), &format!("{swr}, {forbidding}"), 4);
        assert_eq!(outcome(&model.ask(&[])), Outcome::Validate(Fwd::Stale), "{forbidding}");
    }
    let model = stored(Policy::private(), swr, 4);
    for asked in ["max-age=100", "no-cache", "min-fresh=1"] {
        assert_eq!(
            outcome(&model.ask(&[("cache-control", asked)])),
            Outcome::Validate(Fwd::Stale),
            "{asked}"
        );
    }
}

#[test]
fn settings_give_windows_to_responses_that_state_none() {
    let policy = Policy::private().stale_while_revalidate(Duration::from_secs(10));
    assert_eq!(outcome(&stored(policy.clone(), "max-age=1", 5).ask(&[])), Outcome::Refresh);
    let stated = stored(policy, "max-age=1, stale-while-revalidate=0", 5);
    assert_eq!(outcome(&stated.ask(&[])), Outcome::Validate(Fwd::Stale));
}

#[test]
fn stale_if_error_replaces_failures_within_its_window() {
    let window = Policy::private().stale_if_error(Duration::from_secs(60));
    for (policy, cache_control, asked, status, expected) in [
        (Policy::private(), "max-age=1, stale-if-error=60", "x", 503, true),
        (Policy::private(), "max-age=1, stale-if-error=60", "x", 500, true),
        (Policy::private(), "max-age=1, stale-if-error=60", "x", 504, true),
        (Policy::private(), "max-age=1, stale-if-error=60", "x", 501, false),
        (Policy::private(), "max-age=1, stale-if-error=60", "x", 404, false),
        (Policy::private(), "max-age=1, stale-if-error=1", "x", 503, false),
        (Policy::private(), "max-age=1, stale-if-error=60, must-revalidate", "x", 503, false),
        (Policy::private(), "max-age=1, stale-if-error=60, no-cache", "x", 503, false),
        (Policy::private(), "max-age=1", "x", 503, false),
        (Policy::private(), "max-age=1", "stale-if-error=60", 503, true),
        (window.clone(), "max-age=1", "x", 503, true),
        (window, "max-age=1, stale-if-error=0", "x", 503, false),
    ] {
        let mut model = stored(policy, cache_control, 5);
        let validated = model.validate(&[("cache-control", asked)], status, &[]);
        assert_eq!(matches!(validated, Validated::Stale(_)), expected, "{cache_control} {asked} {status}");
    }
}

#[test]
fn a_response_after_its_usable_time_is_ignored() {
    let policy = Policy::private().retention(Duration::from_secs(100));
    assert_eq!(outcome(&stored(policy.clone(), "max-age=10", 109).ask(&[])), Outcome::Validate(Fwd::Stale));
    let model = stored(policy, "max-age=10", 110);
    assert_eq!(outcome(&model.ask(&[])), Outcome::Forward(Fwd::UriMiss));
    assert_eq!(model.without_origin(&[]), None);
}

#[test]
fn what_its_group_lost_is_validated_and_never_served_stale() {
    let mut model = stored(Policy::private(), "max-age=100, stale-if-error=100", 1);
    model.stored[0].invalidated = true;
    assert_eq!(outcome(&model.ask(&[("cache-control", "max-stale")])), Outcome::Validate(Fwd::Stale));
    assert_eq!(model.without_origin(&[]), None);
}
