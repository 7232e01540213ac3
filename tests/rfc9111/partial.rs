//! Sections 3.3 and 3.4, RFC 9110 section 14: ranges and partial content.

use larder::entry::{BodyEnd, BodySummary, StoredRange};
use larder::policy::engine::{self, Answer, NotStored, Reuse, Validated};
use larder::status::Fwd;

use crate::model::{Model, Outcome, answer, outcome};

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");

fn complete() -> Model {
    let mut model = Model::private();
    let fields =
        [FRESH, ("content-length", "10"), ("etag", "\"a\""), ("last-modified", "@-100"), ("date", "@0")];
    model.get(200, &fields).unwrap();
    model
}

fn part(first: u64, last: u64) -> Answer {
    Answer::Range { first, last, complete_len: 10 }
}

#[test]
fn a_range_of_a_complete_response_is_answered() {
    let model = complete();
    let none = Answer::Unsatisfiable { complete_len: 10 };
    let cases = [
        ("bytes=0-1", part(0, 1)),
        ("BYTES=0-1", part(0, 1)),
        ("bytes=1-", part(1, 9)),
        ("bytes=-1", part(9, 9)),
        ("bytes=-99", part(0, 9)),
        ("bytes=5-99", part(5, 9)),
        ("bytes=9-9", part(9, 9)),
        ("bytes=10-", none),
        ("bytes=99-100", none),
        ("bytes=-0", none),
        ("bytes=5-4", Answer::Full),
        ("bytes=a-b", Answer::Full),
        ("bytes=-", Answer::Full),
        ("bytes=", Answer::Full),
        ("bytes=0-1,3-4", Answer::Full),
        ("pages=0-1", Answer::Full),
        ("bytes=99999999999999999999999-", Answer::Full),
        ("bytes=0-18446744073709551615", part(0, 9)),
    ];
    for (range, expected) in cases {
        assert_eq!(answer(&model.ask(&[("range", range)])), Some(expected), "{range}");
    }
    assert_eq!(answer(&model.reuse(&model.request("HEAD", &[("range", "bytes=0-1")]))), Some(Answer::Head));
}

#[test]
fn if_range_is_compared_strongly() {
    let model = complete();
    let modified = crate::model::date(model.now, -100);
    let cases = [
        ("\"a\"", part(0, 1)),
        ("\"b\"", Answer::Full),
        ("W/\"a\"", Answer::Full),
        (&modified, part(0, 1)),
        ("@-99", Answer::Full),
    ];
    for (condition, expected) in cases {
        let asked = [("range", "bytes=0-1"), ("if-range", condition)];
        assert_eq!(answer(&model.ask(&asked)), Some(expected), "{condition}");
    }
}

#[test]
fn preconditions_come_before_ranges() {
    let asked = [("range", "bytes=0-1"), ("if-none-match", "\"a\"")];
    assert_eq!(answer(&complete().ask(&asked)), Some(Answer::NotModified));
}

/// Bytes `first-last` of ten, stored.
fn partial(first: u64, last: u64) -> Model {
    let mut model = Model::private();
    let content_range = format!("bytes {first}-{last}/10");
    let fields = [FRESH, ("content-range", &content_range), ("etag", "\"a\"")];
    model.get_with(&[("range", "bytes=0-1")], 206, &fields).unwrap();
    model
}

#[test]
fn a_range_inside_a_stored_part_is_answered_and_nothing_more() {
    let model = partial(4, 9);
    assert_eq!(model.stored[0].head.range, Some(StoredRange { first: 4, complete_len: Some(10) }));
    for (range, expected) in [
        ("bytes=6-8", Some(part(6, 8))),
        ("bytes=6-", Some(part(6, 9))),
        ("bytes=-1", Some(part(9, 9))),
        ("bytes=-6", Some(part(4, 9))),
        ("bytes=-7", None),
        ("bytes=3-5", None),
        ("bytes=0-", None),
    ] {
        assert_eq!(answer(&model.ask(&[("range", range)])), expected, "{range}");
    }
    assert_eq!(outcome(&model.ask(&[("range", "bytes=0-1")])), Outcome::Forward(Fwd::Partial));
    assert_eq!(outcome(&model.reuse(&model.request("HEAD", &[]))), Outcome::Forward(Fwd::Partial));
    assert_eq!(model.without_origin(&[]), None);
}

#[test]
fn an_invalid_or_multiple_part_is_not_stored() {
    for fields in [
        &[FRESH, ("content-range", "bytes 4-9/*x")][..],
        &[FRESH, ("content-range", "bytes 9-4/10")],
        &[FRESH, ("content-range", "bytes 4-10/10")],
        &[FRESH, ("content-range", "pages 4-9/10")],
        &[FRESH, ("content-range", "bytes */10")],
        &[FRESH, ("content-range", "bytes 4-9/10"), ("content-length", "5")],
        &[FRESH, ("content-range", "bytes 4-9/10"), ("content-range", "bytes 4-9/10")],
        &[FRESH, ("content-range", "bytes 4-9/10"), ("content-length", "6"), ("content-length", "7")],
        &[FRESH, ("content-range", "bytes 4-9/10"), ("content-length", "+6")],
        &[FRESH, ("content-type", "multipart/byteranges; boundary=x")],
        &[FRESH, ("content-type", "Multipart/ByteRanges; boundary=x"), ("content-range", "bytes 4-9/10")],
    ] {
        let stored = Model::private().get_with(&[("range", "bytes=4-9")], 206, fields).map(|_| ()).err();
        assert_eq!(stored, Some(NotStored::Partial), "{fields:?}");
    }
}

#[test]
fn a_part_is_made_whole_by_asking_for_what_is_missing() {
    for (first, last, range, got) in [(0, 4, "bytes=5-", "bytes 5-9/10"), (4, 9, "bytes=0-3", "bytes 0-3/10")]
    {
        let mut model = partial(first, last);
        let Reuse::Validate(validation) = model.ask(&[]) else { panic!() };
        assert_eq!(validation.fwd, Fwd::Partial);
        let sent = model.preconditions(&validation, &[]);
        assert_eq!((&sent["range"], &sent["if-range"]), (&range.parse().unwrap(), &"\"a\"".parse().unwrap()));
        let fields = [FRESH, ("content-range", got), ("etag", "\"a\""), ("new", "1")];
        let Validated::Completed { head } = model.validate(&[], 206, &fields) else { panic!() };
        assert_eq!((head.status.as_u16(), head.range, head.body_len()), (200, None, 10));
        assert_eq!(head.headers["content-length"], "10");
        assert_eq!(head.headers["new"], "1");
        assert!(!head.headers.contains_key("content-range"));
        assert_ne!(head.id, model.stored[0].head.id);
    }
}

#[test]
fn parts_of_different_representations_are_never_combined() {
    let right = [("content-range", "bytes 5-9/10"), ("etag", "\"a\"")];
    for wrong in [
        [right[0], ("etag", "\"b\"")],
        [right[0], ("etag", "W/\"a\"")],
        [("content-range", "bytes 6-9/10"), right[1]],
        [("content-range", "bytes 5-8/10"), right[1]],
        [("content-range", "bytes 5-10/11"), right[1]],
    ] {
        assert_eq!(partial(0, 4).validate(&[], 206, &wrong), Validated::AskAgain, "{wrong:?}");
    }
    assert_eq!(partial(0, 4).validate(&[], 416, &[]), Validated::AskAgain);
    assert_eq!(partial(0, 4).validate(&[], 200, &[("etag", "\"b\"")]), Validated::Replaced);
}

#[test]
fn parts_of_different_content_codings_are_never_combined() {
    let part = [FRESH, ("etag", "\"a\""), ("content-range", "bytes 0-4/10"), ("content-encoding", "gzip")];
    let rest = [("etag", "\"a\""), ("content-range", "bytes 5-9/10")];
    for (coding, same) in [(Some("br"), false), (Some("gzip"), true), (None, true)] {
        let mut model = Model::private();
        model.get_with(&[("range", "bytes=0-4")], 206, &part).unwrap();
        let mut fields = rest.to_vec();
        fields.extend(coding.map(|coding| ("content-encoding", coding)));
        let validated = model.validate(&[], 206, &fields);
        assert_eq!(matches!(validated, Validated::Completed { .. }), same, "{coding:?}: {validated:?}");
    }
}

#[test]
fn without_a_strong_validator_a_part_is_not_completed() {
    for validators in [
        &[("x", "y")][..],
        &[("etag", "W/\"a\"")],
        // RFC 9110 section 8.8.2.2: too close to the Date to be sure that nothing changed since.
        &[("date", "@0"), ("last-modified", "@-59")],
        // 13.1.5: a date is for those who have no entity tag.
        &[("date", "@0"), ("last-modified", "@-3600"), ("etag", "W/\"a\"")],
    ] {
        let mut model = Model::private();
        let mut fields = vec![FRESH, ("content-range", "bytes 0-4/10")];
        fields.extend(validators);
        model.get_with(&[("range", "bytes=0-4")], 206, &fields).unwrap();
        assert_eq!(outcome(&model.ask(&[])), Outcome::Forward(Fwd::Partial), "{validators:?}");
    }
}

#[test]
fn a_last_modified_well_before_the_date_is_a_strong_validator() {
    let mut model = Model::private();
    let modified = crate::model::date(model.now, -60);
    let fields = [FRESH, ("content-range", "bytes 0-4/10"), ("date", "@0"), ("last-modified", &modified)];
    model.get_with(&[("range", "bytes=0-4")], 206, &fields).unwrap();
    let Reuse::Validate(validation) = model.ask(&[]) else { panic!() };
    let sent = model.preconditions(&validation, &[]);
    assert_eq!(
        (&sent["range"], &sent["if-range"]),
        (&"bytes=5-".parse().unwrap(), &modified.parse().unwrap())
    );
    let rest = ("content-range", "bytes 5-9/10");
    for wrong in [
        &[rest, ("last-modified", "@-61")][..],
        &[rest, ("last-modified", &modified), ("etag", "\"a\"")],
        &[rest],
    ] {
        assert_eq!(model.validate(&[], 206, wrong), Validated::AskAgain, "{wrong:?}");
    }
    let validated = model.validate(&[], 206, &[FRESH, rest, ("last-modified", &modified)]);
    assert!(matches!(validated, Validated::Completed { .. }), "{validated:?}");
}

#[test]
fn a_response_that_broke_off_is_kept_as_the_part_it_is() {
    let model = Model::private();
    let head = |tag| {
        let fields = [FRESH, ("content-length", "10"), ("etag", tag)];
        model.storable(&model.request("GET", &[]), &model.response(200, &fields)).unwrap()
    };
    assert_eq!(engine::resumable(&head("W/\"a\""), &[]), None);
    let mut cut = head("\"a\"");
    assert_eq!(engine::resumable(&cut, &[]), Some(0));
    let range = Some(StoredRange { first: 0, complete_len: Some(10) });
    cut.finish(BodySummary { len: 4, checksum: 0 }, BodyEnd { trailers: None, range });
    let mut model = Model::private();
    model.keep(cut);
    assert_eq!(engine::resumable(&head("\"a\""), &model.stored), Some(4), "what is held is not cut shorter");
    assert_eq!(engine::resumable(&head("\"b\""), &model.stored), Some(0));
    assert_eq!(outcome(&model.ask(&[])), Outcome::Validate(Fwd::Partial));
    assert_eq!(answer(&model.ask(&[("range", "bytes=1-3")])), Some(part(1, 3)));
}

#[test]
fn validating_for_a_range_keeps_the_range() {
    let mut model = complete();
    model.wait(4000);
    let asked = [("range", "bytes=0-1")];
    let Reuse::Validate(validation) = model.ask(&asked) else { panic!() };
    let sent = model.preconditions(&validation, &asked);
    assert_eq!(
        (&sent["range"], &sent["if-none-match"]),
        (&"bytes=0-1".parse().unwrap(), &"\"a\"".parse().unwrap())
    );
}
