//! Section 4.1: variants.

use larder::policy::engine::{NotStored, Reuse, Validated};
use larder::status::Fwd;

use crate::model::{Model, Outcome, outcome};

const FRESH: [(&str, &str); 2] = [("cache-control", "max-age=5000"), ("vary", "Foo")];

#[test]
fn a_variant_answers_the_requests_that_select_it() {
    let mut model = Model::private();
    model.get_with(&[("foo", "1"), ("other", "2")], 200, &FRESH).unwrap();
    assert_eq!(outcome(&model.ask(&[("foo", "1"), ("other", "3")])), Outcome::Hit);
    assert_eq!(outcome(&model.ask(&[("foo", "2")])), Outcome::Forward(Fwd::VaryMiss));
    assert_eq!(outcome(&model.ask(&[])), Outcome::Forward(Fwd::VaryMiss));
}

#[test]
fn absent_matches_only_absent() {
    let mut model = Model::private();
    model.get(200, &FRESH).unwrap();
    assert_eq!(outcome(&model.ask(&[])), Outcome::Hit);
    assert_eq!(outcome(&model.ask(&[("foo", "1")])), Outcome::Forward(Fwd::VaryMiss));
}

#[test]
fn vary_star_is_not_stored_wherever_the_star_stands() {
    for vary in [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"]] {
        let mut fields = vec![("cache-control", "max-age=5000")];
        fields.extend(vary.iter().map(|vary| ("vary", *vary)));
        assert_eq!(Model::private().get(200, &fields).err(), Some(NotStored::VaryStar), "{vary:?}");
    }
}

#[test]
fn a_vary_miss_asks_with_every_variants_tag_and_serves_the_one_confirmed() {
    let mut model = Model::private();
    for (foo, tag) in [("1", "\"one\""), ("2", "\"two\"")] {
        let fields = [FRESH[0], FRESH[1], ("etag", tag)];
        model.get_with(&[("foo", foo)], 200, &fields).unwrap();
    }
    let asked = [("foo", "3")];
    let Reuse::Validate(validation) = model.ask(&asked) else { panic!() };
    assert_eq!((validation.fwd, validation.selected), (Fwd::VaryMiss, None));
    let headers = model.preconditions(&validation, &asked);
    assert_eq!(headers["if-none-match"], "\"two\", \"one\"");
    let validated = model.validate(&asked, 304, &[("etag", "\"one\""), ("vary", "foo")]);
    let Validated::Freshened { updates, serve: 1 } = validated else { panic!("{validated:?}") };
    assert_eq!(updates.len(), 1);
    assert_eq!(outcome(&model.ask(&[("foo", "1")])), Outcome::Hit, "it still answers who selected it");
    assert_eq!(model.validate(&asked, 304, &[("etag", "\"three\"")]), Validated::AskAgain);
    assert_eq!(model.validate(&asked, 304, &[]), Validated::AskAgain);
}

#[test]
fn of_several_that_match_the_most_recent_answers() {
    let mut model = Model::private();
    model.get_with(&[("foo", "1")], 200, &[FRESH[0], FRESH[1], ("date", "@0")]).unwrap();
    model.get_with(&[("bar", "1")], 200, &[FRESH[0], ("vary", "Bar"), ("date", "@-60")]).unwrap();
    let Reuse::Serve(serve) = model.ask(&[("foo", "1"), ("bar", "1")]) else { panic!() };
    assert_eq!(serve.index, 1, "by Date, not by when it was stored");
}

#[test]
fn one_with_vary_goes_before_one_without() {
    let mut model = Model::private();
    model.get_with(&[("foo", "1")], 200, &[FRESH[0], FRESH[1], ("date", "@-60")]).unwrap();
    model.get(200, &[FRESH[0], ("date", "@0")]).unwrap();
    let Reuse::Serve(serve) = model.ask(&[("foo", "1")]) else { panic!() };
    assert_eq!(serve.index, 1);
    let Reuse::Serve(serve) = model.ask(&[("foo", "2")]) else { panic!() };
    assert_eq!(serve.index, 0);
}
