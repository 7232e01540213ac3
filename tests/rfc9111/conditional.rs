//! Sections 4.3.1 and 4.3.2: validation requests, and the client's own conditions.

use larder::policy::engine::{Answer, Reuse};
use larder::status::Fwd;

use crate::model::{Model, Outcome, answer, outcome};

fn fresh_with(fields: &[(&str, &str)]) -> Model {
    let mut model = Model::private();
    let mut all = vec![("cache-control", "max-age=100000"), ("date", "@0")];
    all.extend(fields);
    model.get(200, &all).unwrap();
    model.wait(1);
    model
}

#[test]
fn if_none_match_is_answered_from_a_fresh_response() {
    let cases = [
        ("\"abcdef\"", "\"abcdef\"", true),
        ("\"abcdef\"", "W/\"abcdef\"", true),
        ("W/\"abcdef\"", "W/\"abcdef\"", true),
        ("W/\"abcdef\"", "\"abcdef\"", true),
        ("\"abcdef\u{fc}\"", "\"abcdef\u{fc}\"", true),
        ("abcdef", "abcdef", true),
        ("\"abcdef\"", "\"abcdef\", \"1234\", \"5678\"", true),
        ("\"abcdef\"", "\"1234\", \"abcdef\", \"5678\"", true),
        ("\"abcdef\"", "\"1234\",\"5678\"  , \"abcdef\"", true),
        ("\"a,b\"", "\"x\", \"a,b\"", true),
        ("\"abcdef\"", "*", true),
        ("\"abcdef\"", "\"abc\"", false),
        ("\"b\"", "\"a,b\"", false),
        ("\"abcdef\"", "", false),
    ];
    for (stored, asked, expected) in cases {
        let model = fresh_with(&[("etag", stored)]);
        let expected = if expected { Answer::NotModified } else { Answer::Full };
        assert_eq!(answer(&model.ask(&[("if-none-match", asked)])), Some(expected), "{stored} {asked}");
    }
}

#[test]
fn if_modified_since_is_answered_from_a_fresh_response() {
    let with = fresh_with(&[("last-modified", "@-3000")]);
    let without = fresh_with(&[]);
    for (model, since, expected) in [
        (&with, "@-3001", Answer::NotModified),
        (&with, "@-2000", Answer::NotModified),
        (&with, "@-4000", Answer::Full),
        (&with, "nonsense", Answer::Full),
        (&without, "@-1", Answer::NotModified),
        (&without, "@-3000", Answer::Full),
    ] {
        assert_eq!(answer(&model.ask(&[("if-modified-since", since)])), Some(expected), "{since}");
    }
}

#[test]
fn if_none_match_wins_over_if_modified_since() {
    let model = fresh_with(&[("etag", "\"a\""), ("last-modified", "@-5000")]);
    let asked = [("if-none-match", "\"a\""), ("if-modified-since", "@-90000")];
    assert_eq!(answer(&model.ask(&asked)), Some(Answer::NotModified));
    let asked = [("if-none-match", "\"b\""), ("if-modified-since", "@0")];
    assert_eq!(answer(&model.ask(&asked)), Some(Answer::Full));
}

#[test]
fn conditions_apply_to_stored_200s_only() {
    let mut model = Model::private();
    model.get(404, &[("cache-control", "max-age=60"), ("etag", "\"a\"")]).unwrap();
    assert_eq!(answer(&model.ask(&[("if-none-match", "\"a\"")])), Some(Answer::Full));
}

#[test]
fn if_match_and_if_unmodified_since_are_the_origins_business() {
    let model = fresh_with(&[("etag", "\"a\"")]);
    for condition in [("if-match", "\"a\""), ("if-unmodified-since", "@0")] {
        assert_eq!(outcome(&model.ask(&[condition])), Outcome::Forward(Fwd::Request), "{condition:?}");
        assert_eq!(model.without_origin(&[condition]), None);
    }
}

fn sent(fields: &[(&str, &str)], asked: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let mut model = Model::private();
    let mut all = vec![("cache-control", "max-age=1"), ("date", "Fri, 15 Jan 2027 08:00:00 GMT")];
    all.extend(fields);
    model.get(200, &all).unwrap();
    model.wait(3);
    let Reuse::Validate(validation) = model.ask(asked) else { panic!("{:?}", model.ask(asked)) };
    let headers = model.preconditions(&validation, asked);
    let text = |name| {
        let all: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        (!all.is_empty()).then(|| all.join("|"))
    };
    (text("if-none-match"), text("if-modified-since"))
}

#[test]
fn validation_sends_the_stored_validators_as_they_are() {
    let modified = "Wed, 01 Jan 2020 00:00:00 GMT";
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(sent(&[("etag", "\"a\"")], &[]), (some("\"a\""), None));
    assert_eq!(sent(&[("etag", "W/\"a\"")], &[]), (some("W/\"a\""), None));
    assert_eq!(sent(&[("etag", "AIQY")], &[]), (some("AIQY"), None));
    assert_eq!(sent(&[("last-modified", modified)], &[]), (None, some(modified)));
    let both = [("etag", "\"a\""), ("last-modified", modified)];
    assert_eq!(sent(&both, &[]), (some("\"a\""), some(modified)));
}

#[test]
fn the_clients_tags_are_sent_along_and_its_date_is_not() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        sent(&[("etag", "\"a\"")], &[("if-none-match", "\"b\", \"a\"")]),
        (some("\"a\", \"b\""), None)
    );
    assert_eq!(sent(&[("etag", "\"a\"")], &[("if-none-match", "*")]), (some("\"a\""), None));
    assert_eq!(sent(&[("etag", "\"a\"")], &[("if-modified-since", "@0")]), (some("\"a\""), None));
}

#[test]
fn without_a_stored_validator_the_request_is_the_clients_own() {
    assert_eq!(sent(&[], &[("if-none-match", "\"b\"")]), (Some("\"b\"".into()), None));
}
