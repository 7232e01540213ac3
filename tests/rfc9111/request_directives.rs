//! Sections 5.2.1 and 5.4: what the client says.

use larder::policy::engine::NotStored;
use larder::status::Fwd;

use crate::model::{Model, Outcome, outcome};

fn asked_with(stored: &[(&str, &str)], wait: i64, cache_control: &str) -> Outcome {
    let mut model = Model::private();
    model.get(200, stored).unwrap();
    model.wait(wait);
    outcome(&model.ask(&[("cache-control", cache_control)]))
}

#[test]
fn requests_narrow_or_widen_what_answers() {
    let fresh = &[("cache-control", "max-age=1500"), ("etag", "\"a\"")][..];
    let aged = &[("cache-control", "max-age=1500"), ("age", "1000"), ("etag", "\"a\"")][..];
    let old = &[("cache-control", "max-age=1500"), ("age", "2000"), ("etag", "\"a\"")][..];
    let (request, stale) = (Outcome::Validate(Fwd::Request), Outcome::Validate(Fwd::Stale));
    let cases = [
        (fresh, 3, "max-age=0", request),
        (fresh, 3, "max-age=1", request),
        (fresh, 3, "max-age=3", Outcome::Hit),
        (aged, 0, "max-age=600", request),
        (fresh, 0, "max-age=nonsense", request),
        (fresh, 0, "max-age=99999999999999", Outcome::Hit),
        (fresh, 0, "min-fresh=2000", request),
        (aged, 0, "min-fresh=1000", request),
        (aged, 0, "min-fresh=500", Outcome::Hit),
        (fresh, 0, "min-fresh=-1", request),
        (old, 0, "max-stale=1000", Outcome::Hit),
        (old, 0, "max-stale=400", stale),
        (old, 0, "max-stale", Outcome::Hit),
        (old, 0, "max-stale=", stale),
        (old, 0, "max-stale=nonsense", stale),
        (old, 0, "max-stale, max-age=10", stale),
        (old, 0, "max-stale, max-age=3000", Outcome::Hit),
        (fresh, 0, "no-cache", request),
        (old, 0, "no-cache", stale),
        (fresh, 0, "nothing-to-see-here", Outcome::Hit),
        (fresh, 0, "only-if-cached", Outcome::Hit),
        (old, 0, "only-if-cached", Outcome::Timeout),
        (old, 0, "only-if-cached, max-stale", Outcome::Hit),
        (fresh, 0, "only-if-cached, no-cache", Outcome::Timeout),
        (fresh, 0, "no-store", Outcome::Hit),
    ];
    for (stored, wait, cache_control, expected) in cases {
        assert_eq!(asked_with(stored, wait, cache_control), expected, "{stored:?} {wait} {cache_control}");
    }
}

#[test]
fn only_if_cached_and_nothing_stored_is_a_gateway_timeout() {
    assert_eq!(outcome(&Model::private().ask(&[("cache-control", "only-if-cached")])), Outcome::Timeout);
}

#[test]
fn no_store_stores_nothing() {
    let mut model = Model::private();
    let stored = model.get_with(&[("cache-control", "no-store")], 200, &[("cache-control", "max-age=60")]);
    assert_eq!(stored.err(), Some(NotStored::RequestNoStore));
}

#[test]
fn pragma_no_cache_counts_only_without_cache_control() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=60")]).unwrap();
    let validate = Outcome::Validate(Fwd::Request);
    assert_eq!(outcome(&model.ask(&[("pragma", "no-cache")])), validate);
    assert_eq!(outcome(&model.ask(&[("pragma", "foo")])), Outcome::Hit);
    assert_eq!(outcome(&model.ask(&[("pragma", "no-cache"), ("cache-control", "x")])), Outcome::Hit);
}
