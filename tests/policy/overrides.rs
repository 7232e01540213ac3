//! What one request's `CacheOverride` asks for.

use std::time::Duration;

use larder::overrides::CacheMode;
use larder::policy::Policy;
use larder::policy::engine::NotStored;
use larder::status::Fwd;

use crate::model::{Model, Outcome, is_hit, outcome};

fn stored() -> Model {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=10"), ("etag", "\"a\"")]).unwrap();
    model
}

#[test]
fn modes_ask_the_origin_or_never() {
    let mut model = stored();
    for (mode, fresh, stale) in [
        (CacheMode::Default, Outcome::Hit, Outcome::Validate(Fwd::Stale)),
        (CacheMode::Reload, Outcome::Forward(Fwd::Request), Outcome::Forward(Fwd::Stale)),
        (CacheMode::Revalidate, Outcome::Validate(Fwd::Request), Outcome::Validate(Fwd::Stale)),
        (CacheMode::OnlyIfCached, Outcome::Hit, Outcome::Timeout),
    ] {
        let mut request = model.request("GET", &[]);
        request.overrides.mode = mode;
        assert_eq!(outcome(&model.reuse(&request)), fresh, "{mode:?}");
        model.wait(10);
        assert_eq!(outcome(&model.reuse(&request)), stale, "{mode:?}");
        model.wait(-10);
    }
}

#[test]
fn no_store_stores_nothing() {
    let mut model = Model::private();
    let mut request = model.request("GET", &[]);
    request.overrides.no_store = true;
    let fields = [("cache-control", "max-age=10")];
    assert_eq!(model.exchange(&request, 200, &fields).err(), Some(NotStored::RequestNoStore));
}

#[test]
fn a_lifetime_wins_and_outlives_other_settings() {
    let mut model = Model::private();
    let mut request = model.request("GET", &[]);
    request.overrides.lifetime = Some(Duration::from_secs(100));
    model.exchange(&request, 200, &[("cache-control", "max-age=10")]).unwrap();
    model.wait(99);
    assert!(is_hit(&model.ask(&[])));
    model.policy = Policy::private().default_lifetime(Duration::from_secs(5));
    assert!(is_hit(&model.ask(&[])));
    model.wait(1);
    assert!(!is_hit(&model.ask(&[])));
}
