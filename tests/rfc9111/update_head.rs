//! Section 4.3.5: freshening by a response to HEAD.

use larder::policy::engine::{self, HeadUpdate};
use larder::status::Fwd;

use crate::model::{Model, Outcome, outcome};

fn updated(model: &Model, status: u16, fields: &[(&str, &str)]) -> Vec<HeadUpdate> {
    let (request, response) = (model.request("HEAD", &[]), model.response(status, fields));
    request.with_info(|info| {
        engine::updated_by_head(&model.policy, info, &model.stored, &response, model.times())
    })
}

#[test]
fn a_200_to_head_that_agrees_freshens_the_stored_get() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=2"), ("template-a", "1"), ("template-b", "1")]).unwrap();
    model.wait(3);
    let updates = updated(&model, 200, &[("cache-control", "max-age=1000"), ("template-a", "2")]);
    let [HeadUpdate::Freshen(0, head)] = &updates[..] else { panic!("{updates:?}") };
    assert_eq!(
        (&head.headers["template-a"], &head.headers["template-b"]),
        (&"2".parse().unwrap(), &"1".parse().unwrap())
    );
    model.keep(head.clone());
    assert_eq!(outcome(&model.ask(&[])), Outcome::Hit);
}

#[test]
fn one_that_disagrees_makes_it_stale() {
    let stored = [
        ("cache-control", "max-age=1000"),
        ("etag", "\"a\""),
        ("last-modified", "@-9"),
        ("content-length", "10"),
    ];
    for differing in
        [("etag", "\"b\""), ("last-modified", "@-8"), ("content-length", "11"), ("cache-control", "no-store")]
    {
        let mut model = Model::private();
        model.get(200, &stored).unwrap();
        let updates = updated(&model, 200, &[differing]);
        let [HeadUpdate::Outdated(0, head)] = &updates[..] else { panic!("{updates:?}") };
        model.keep(head.clone());
        assert_eq!(outcome(&model.ask(&[])), Outcome::Validate(Fwd::Stale), "{differing:?}");
    }
}

#[test]
fn other_statuses_say_nothing() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=2")]).unwrap();
    assert!(updated(&model, 410, &[]).is_empty());
    assert!(updated(&model, 204, &[]).is_empty());
}
