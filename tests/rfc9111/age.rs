//! Sections 4.2.3 and 5.1: age, read and computed.

use larder::policy::Policy;
use larder::policy::engine::Reuse;

use crate::model::{Model, reused_after};

#[test]
fn first_member_of_age_counts_and_invalid_ones_are_ignored() {
    let cases: &[(&[&str], bool)] = &[
        (&["abc"], true),
        (&["-7200"], true),
        (&["7200.0"], true),
        (&["+7200"], true),
        (&[""], true),
        (&["2147483647"], false),
        (&["2147483648"], false),
        (&["99999999999999999999999"], false),
        (&["7200, 0"], false),
        (&["7200,0"], false),
        (&["0, 7200"], true),
        (&["7200", "0"], false),
        (&["0", "7200"], true),
        (&["0, 0"], true),
        (&["3600", "3600"], false),
    ];
    for (ages, expected) in cases {
        let mut fields = vec![("date", "@0"), ("cache-control", "max-age=3600")];
        fields.extend(ages.iter().map(|age| ("age", *age)));
        assert_eq!(reused_after(&Policy::private(), 200, &fields, 3), *expected, "{ages:?}");
    }
}

fn age_of(reuse: &Reuse) -> (u32, i64) {
    match reuse {
        Reuse::Serve(serve) => (serve.age, serve.ttl),
        other => panic!("{other:?}"),
    }
}

#[test]
fn age_counts_what_came_with_the_response_its_delay_and_its_residence() {
    let mut model = Model::private();
    model.delay_millis = 2_000;
    model.get(200, &[("date", "@0"), ("cache-control", "max-age=600"), ("age", "30")]).unwrap();
    model.wait(3);
    assert_eq!(age_of(&model.ask(&[])), (35, 565));
}

#[test]
fn apparent_age_counts_when_it_is_the_larger_one() {
    let mut model = Model::private();
    model.get(200, &[("date", "@-100"), ("cache-control", "max-age=600"), ("age", "30")]).unwrap();
    assert_eq!(age_of(&model.ask(&[])), (100, 500));
}

#[test]
fn a_date_in_the_future_makes_no_negative_age() {
    let mut model = Model::private();
    model.get(200, &[("date", "@5000"), ("cache-control", "max-age=600")]).unwrap();
    assert_eq!(age_of(&model.ask(&[])), (0, 600));
}

#[test]
fn age_saturates_and_what_is_that_old_is_stale() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=99999999999"), ("age", "99999999999")]).unwrap();
    assert!(matches!(model.ask(&[]), Reuse::Validate(_)));
    let Reuse::Serve(serve) = model.ask(&[("cache-control", "max-stale")]) else { panic!() };
    assert_eq!((serve.age, serve.ttl), (1 << 31, 0));
}

#[test]
fn every_stored_response_has_a_place_for_age() {
    let mut model = Model::private();
    let head = model.get(200, &[("cache-control", "max-age=60"), ("age", "7")]).unwrap();
    assert_eq!(head.headers["age"], "7");
    assert_eq!(head.headers.get_all("age").iter().count(), 1);
}

#[test]
fn a_clock_stepped_back_keeps_nothing_fresh_without_end() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=60")]).unwrap();
    model.wait(-30);
    assert_eq!(age_of(&model.ask(&[])).0, 0, "a little skew is forgiven");
    model.wait(-86_400);
    assert!(matches!(model.ask(&[]), Reuse::Validate(_)), "a day is not");
    model.wait(10 * 365 * 86_400);
    assert!(!matches!(model.ask(&[]), Reuse::Serve(_)), "ten years later it is stale");
}
