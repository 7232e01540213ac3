//! Sections 3.2, 4.3.3 and 4.3.4: freshening by a 304.

use larder::policy::engine::{Answer, UpdateAction, Validated};
use larder::status::Fwd;

use crate::model::{Fields, Model, Outcome, outcome};

/// A stale response with these fields.
fn stale_with(fields: &[(&str, &str)]) -> Model {
    let mut model = Model::private();
    let mut all = vec![("cache-control", "max-age=2"), ("date", "@0")];
    all.extend(fields);
    model.get(200, &all).unwrap();
    model.wait(3);
    model
}

fn freshened(validated: &Validated) -> (usize, bool) {
    match validated {
        Validated::Freshened { updates, .. } => {
            (updates.len(), updates.iter().any(|update| update.action == UpdateAction::Remove))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn stored_fields_that_the_304_omits_stay() {
    let modified = ("last-modified", "Wed, 01 Jan 2020 00:00:00 GMT");
    let mut model = stale_with(&[modified, ("test-header", "A")]);
    let validated = model.validate(&[], 304, &[modified, ("date", "@0")]);
    assert_eq!(freshened(&validated), (1, false));
    assert_eq!(model.stored[0].head.headers["test-header"], "A");
    assert_eq!(outcome(&model.ask(&[])), Outcome::Hit);
    model.wait(3);
    assert_eq!(outcome(&model.ask(&[])), Outcome::Validate(Fwd::Stale));
}

#[test]
fn fields_are_updated_but_those_that_describe_the_stored_bytes() {
    let cases = [
        ("test-header", true),
        ("content-foo", true),
        ("content-location", true),
        ("content-type", true),
        ("content-security-policy", true),
        ("expires", true),
        ("set-cookie", true),
        ("content-length", false),
        ("content-encoding", false),
        ("content-range", false),
        ("content-md5", false),
    ];
    for (name, updated) in cases {
        let mut model = stale_with(&[("etag", "\"a\""), (name, "10")]);
        let id = model.stored[0].head.id;
        let validated =
            model.validate(&[], 304, &[("etag", "\"a\""), ("date", "@0"), (name, "20"), ("new", "1")]);
        assert_eq!(freshened(&validated), (1, false), "{name}");
        let head = &model.stored[0].head;
        assert_eq!(head.headers[name], if updated { "20" } else { "10" }, "{name}");
        assert_eq!(head.headers["new"], "1", "new fields are added");
        assert_eq!(head.headers.get_all("date").iter().count(), 1);
        assert_eq!(head.id, id, "the body is still the same");
    }
}

#[test]
fn new_lifetime_and_age_count_from_the_304() {
    let mut model = stale_with(&[("etag", "\"a\"")]);
    let newer = [("etag", "\"a\""), ("cache-control", "max-age=100"), ("age", "40")];
    assert_eq!(freshened(&model.validate(&[], 304, &newer)).0, 1);
    let serve = model.serve(&[], 0);
    assert_eq!((serve.age, serve.ttl), (40, 60));
}

#[test]
fn a_304_updates_what_its_validator_names_and_nothing_else() {
    // The 304's fields, and whether it updates the one response that was asked about.
    let cases: &[(Fields<'_>, Fields<'_>, usize)] = &[
        (&[("etag", "\"a\"")], &[("etag", "\"a\"")], 1),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], 0),
        (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], 0),
        (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], 1),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], 1),
        (&[("etag", "\"a\"")], &[], 1),
        (&[("last-modified", "@-5000")], &[], 1),
        (&[("last-modified", "@-5000")], &[("last-modified", "@-10")], 0),
    ];
    for (stored, newer, updates) in cases {
        let mut model = stale_with(stored);
        let before = model.stored[0].head.clone();
        let validated = model.validate(&[], 304, newer);
        assert_eq!(freshened(&validated), (*updates, false), "{stored:?} {newer:?}");
        assert_eq!(*updates == 0, model.stored[0].head == before);
    }
}

#[test]
fn a_304_for_the_clients_own_tag_is_passed_on() {
    let mut model = stale_with(&[("etag", "\"a\"")]);
    let validated = model.validate(&[("if-none-match", "\"b\"")], 304, &[("etag", "\"b\"")]);
    assert_eq!(validated, Validated::PassOn);
}

#[test]
fn a_304_for_our_tag_gives_a_client_with_another_one_the_stored_response() {
    let mut model = stale_with(&[("etag", "\"a\"")]);
    let asked = [("if-none-match", "\"b\"")];
    assert_eq!(freshened(&model.validate(&asked, 304, &[("etag", "\"a\"")])), (1, false));
    assert_eq!(model.serve(&asked, 0).answer, Answer::Full);
    assert_eq!(model.serve(&[("if-none-match", "\"a\"")], 0).answer, Answer::NotModified);
}

#[test]
fn a_304_without_stored_validators_is_the_clients() {
    let mut model = stale_with(&[]);
    let validated = model.validate(&[("if-none-match", "\"b\"")], 304, &[("etag", "\"b\"")]);
    assert_eq!(validated, Validated::PassOn);
}

#[test]
fn a_304_that_forbids_storing_ends_the_stored_response() {
    for forbidding in [("cache-control", "no-store"), ("vary", "*")] {
        let mut model = stale_with(&[("etag", "\"a\"")]);
        let validated = model.validate(&[], 304, &[("etag", "\"a\""), forbidding]);
        assert_eq!(freshened(&validated), (1, true), "{forbidding:?}");
        assert_ne!(outcome(&model.ask(&[])), Outcome::Hit, "{forbidding:?}");
    }
}

#[test]
fn a_full_response_replaces() {
    let mut model = stale_with(&[("etag", "\"a\"")]);
    assert_eq!(model.validate(&[], 200, &[("etag", "\"b\"")]), Validated::Replaced);
    assert_eq!(model.validate(&[], 404, &[]), Validated::Replaced);
}

#[test]
fn what_head_outdated_is_current_again_after_a_304() {
    let mut model = stale_with(&[("etag", "\"a\"")]);
    let mut head = (*model.stored[0].head).clone();
    head.freshness.outdated = true;
    model.keep(head);
    assert_eq!(freshened(&model.validate(&[], 304, &[("etag", "\"a\"")])).0, 1);
    assert_eq!(outcome(&model.ask(&[])), Outcome::Hit);
}

#[test]
fn a_304_that_may_mean_the_clients_tag_as_well_as_ours_settles_nothing() {
    let mut model = stale_with(&[("etag", "\"a\"")]);
    assert_eq!(model.validate(&[("if-none-match", "\"b\"")], 304, &[]), Validated::AskAgain);
    let same = model.validate(&[("if-none-match", "W/\"a\"")], 304, &[]);
    assert_eq!(freshened(&same), (1, false));
}
