//! Section 3.4 and RFC 9110 section 15.3.7.3: combining partial content, and section 4.3 for what is partial.

use larder::entry::{EntryId, StoredHead, StoredRange};
use larder::policy::engine::{self, Answer, Combination, Reuse, Slice, Validated};
use larder::status::Fwd;

use crate::model::{Fields, Model, Outcome, answer, outcome};

const FRESH: (&str, &str) = ("cache-control", "max-age=3600");
const TAG: (&str, &str) = ("etag", "\"a\"");

/// Stores bytes `first-last` of `complete_len`, without looking at what else is stored.
fn keep_part(model: &mut Model, content_range: &str, fields: Fields<'_>) -> EntryId {
    let mut all = vec![FRESH, ("content-range", content_range)];
    all.extend(fields);
    let request = model.request("GET", &[("range", "bytes=0-")]);
    let head = model.storable(&request, &model.response(206, &all)).unwrap();
    model.keep(head).id
}

fn parts(ranges: &[&str]) -> (Model, EntryId) {
    let mut model = Model::private();
    let mut newest = EntryId::random();
    for range in ranges {
        newest = keep_part(&mut model, &format!("bytes {range}"), &[TAG]);
        model.wait(1);
    }
    (model, newest)
}

/// The union's content as `first-last` in the representation, in the order of its slices; `+` before the newest part's.
fn described(model: &Model, combination: &Combination, newest: EntryId) -> Option<(u16, String)> {
    let union = combination.union.as_ref()?;
    let slices = union.slices.iter().map(|Slice { index, skip, len }| {
        let head = &model.stored[*index].head;
        let first = head.range.unwrap().first + skip;
        assert!(skip + len <= head.body_len() && *len > 0, "no more than is held");
        let mark = if head.id == newest { "+" } else { "" };
        format!("{mark}{first}-{}", first + len - 1)
    });
    Some((union.head.status.as_u16(), slices.collect::<Vec<_>>().join(" ")))
}

/// Status and slices of a union.
type Described = Option<(u16, &'static str)>;

#[test]
fn parts_that_touch_or_overlap_become_one() {
    let cases: &[(&[&str], Described)] = &[
        (&["0-3/10"], None),
        (&["0-3/10", "4-6/10"], Some((206, "0-3 +4-6"))),
        (&["4-6/10", "0-3/10"], Some((206, "+0-3 4-6"))),
        // The new bytes count.
        (&["0-5/10", "4-6/10"], Some((206, "0-3 +4-6"))),
        (&["3-6/10", "0-4/10"], Some((206, "+0-4 5-6"))),
        (&["0-8/10", "3-4/10"], Some((206, "0-2 +3-4 5-8"))),
        // A hole keeps them apart, until it is filled.
        (&["0-3/10", "5-6/10"], None),
        (&["0-3/10", "7-8/10", "4-6/10"], Some((206, "0-3 +4-6 7-8"))),
        (&["0-3/10", "7-9/10", "4-6/10"], Some((200, "0-3 +4-6 7-9"))),
        (&["1-4/10", "3-7/10", "8-9/10"], Some((206, "1-4 5-7 +8-9"))),
        // All of the representation.
        (&["0-3/10", "4-9/10"], Some((200, "0-3 +4-9"))),
        (&["5-9/10", "0-7/10"], Some((200, "+0-7 8-9"))),
        // The length is known from one of them.
        (&["0-3/10", "4-9/*"], Some((200, "0-3 +4-9"))),
        (&["0-3/*", "4-9/10"], Some((200, "0-3 +4-9"))),
        (&["0-3/*", "4-9/*"], Some((206, "0-3 +4-9"))),
        (&["0-3/10", "0-9/*"], Some((200, "+0-9"))),
        (&["0-3/10", "0-5/*"], Some((206, "+0-5"))),
        // And must be the same.
        (&["0-3/10", "4-9/11"], None),
        (&["0-9/*", "4-7/8"], None),
        (&["1-5/*", "4-11/*", "6-9/10"], Some((206, "1-5 +6-9"))),
        // As large as numbers get.
        (
            &["0-9223372036854775806/18446744073709551615", "9223372036854775807-18446744073709551614/*"],
            Some((200, "0-9223372036854775806 +9223372036854775807-18446744073709551614")),
        ),
    ];
    for (ranges, expected) in cases {
        let (model, newest) = parts(ranges);
        let combination = engine::combine(&model.policy, &model.stored, newest);
        let described = described(&model, &combination, newest);
        let described = described.as_ref().map(|(status, pieces)| (*status, pieces.as_str()));
        assert_eq!(described, *expected, "{ranges:?}");
        let Some(union) = combination.union else { continue };
        let (len, content) = (union.head.body_len(), &union.head.headers["content-length"]);
        assert_eq!(union.slices.iter().map(|slice| slice.len).sum::<u64>(), len, "{ranges:?}");
        assert_eq!(content, &len.to_string(), "{ranges:?}");
        assert_eq!(union.head.range.is_none(), union.head.status == 200, "{ranges:?}");
        assert_eq!(
            union.head.range.is_some(),
            union.head.headers.contains_key("content-range"),
            "{ranges:?}"
        );
        assert!(model.stored.iter().all(|one| one.head.id != union.head.id), "{ranges:?}");
    }
}

#[test]
fn a_part_that_covers_others_takes_their_place_as_it_is() {
    let (model, newest) = parts(&["1-2/10", "4-5/10", "0-7/10"]);
    let combination = engine::combine(&model.policy, &model.stored, newest);
    assert_eq!(combination.union, None);
    assert_eq!(superfluous(&model, &combination), ["1-2", "4-5"]);
}

fn superfluous(model: &Model, combination: &Combination) -> Vec<String> {
    let mut gone: Vec<_> =
        combination.superfluous.iter().map(|index| span(&model.stored[*index].head)).collect();
    gone.sort();
    gone
}

fn span(head: &StoredHead) -> String {
    head.range
        .map_or("whole".to_owned(), |range| format!("{}-{}", range.first, range.first + head.body_len() - 1))
}

#[test]
fn only_parts_with_the_same_strong_validator_are_combined() {
    let modified = ("last-modified", "@-3600");
    let date = ("date", "@0");
    let cases: &[(Fields<'_>, Fields<'_>, bool)] = &[
        (&[TAG], &[TAG], true),
        (&[TAG], &[("etag", "\"b\"")], false),
        (&[TAG], &[("etag", "W/\"a\"")], false),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], false),
        (&[TAG], &[], false),
        (&[], &[], false),
        (&[date, modified], &[date, modified], true),
        (&[date, modified], &[date, ("last-modified", "@-3601")], false),
        (&[date, modified], &[date, modified, TAG], false),
        // RFC 9110 section 8.8.2.2: too close to the Date.
        (&[date, ("last-modified", "@-30")], &[date, ("last-modified", "@-30")], false),
        // One tag for two codings.
        (&[TAG, ("content-encoding", "gzip")], &[TAG, ("content-encoding", "br")], false),
        (&[TAG, ("content-encoding", "gzip")], &[TAG, ("content-encoding", "gzip")], true),
    ];
    for (old, new, combined) in cases {
        let mut model = Model::private();
        keep_part(&mut model, "bytes 0-4/10", old);
        let newest = keep_part(&mut model, "bytes 5-9/10", new);
        let combination = engine::combine(&model.policy, &model.stored, newest);
        assert_eq!(combination.union.is_some(), *combined, "{old:?} {new:?}");
    }
}

#[test]
fn what_a_newer_part_shows_to_be_changed_goes() {
    let other = ("etag", "\"b\"");
    let mut model = Model::private();
    model.get(200, &[FRESH, ("content-length", "10"), TAG]).unwrap();
    keep_part(&mut model, "bytes 0-4/10", &[TAG]);
    keep_part(&mut model, "bytes 6-7/10", &[("etag", "W/\"b\"")]);
    keep_part(&mut model, "bytes 8-9/10", &[]);
    model.wait(1);
    let newest = keep_part(&mut model, "bytes 5-9/12", &[other]);
    let combination = engine::combine(&model.policy, &model.stored, newest);
    assert_eq!(combination.union, None);
    assert_eq!(superfluous(&model, &combination), ["0-4", "whole"]);
    // A late answer from before the change takes nothing away.
    model.wait(-10);
    let newest = keep_part(&mut model, "bytes 1-2/10", &[TAG]);
    let combination = engine::combine(&model.policy, &model.stored, newest);
    assert!(!superfluous(&model, &combination).contains(&"5-9".to_owned()));
}

#[test]
fn the_newest_fields_count_and_none_speak_of_other_content() {
    let mut model = Model::private();
    let older =
        [TAG, ("a", "1"), ("b", "1"), ("content-encoding", "x"), ("content-digest", "y"), ("age", "5")];
    keep_part(&mut model, "bytes 0-4/10", &older);
    model.wait(100);
    let newest = keep_part(&mut model, "bytes 5-9/10", &[TAG, ("b", "2"), ("b", "3"), ("content-md5", "z")]);
    let union = engine::combine(&model.policy, &model.stored, newest).union.unwrap();
    let fields = |name: &str| {
        union.head.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((fields("a"), fields("b"), fields("etag")), (vec!["1"], vec!["2", "3"], vec!["\"a\""]));
    assert_eq!((fields("content-encoding"), fields("content-length")), (vec!["x"], vec!["10"]));
    for gone in ["content-digest", "content-md5", "content-range"] {
        assert!(!union.head.headers.contains_key(gone), "{gone}");
    }
    let newest = &model.stored[0].head;
    assert_eq!(union.head.response_time, newest.response_time);
    assert_eq!(union.head.freshness.initial_age, newest.freshness.initial_age);
}

#[test]
fn other_variants_are_left_alone() {
    let mut model = Model::private();
    let fields = |range| [FRESH, ("content-range", range), TAG, ("vary", "accept-language")];
    let mut ids = ["de", "fr"].into_iter().zip(["bytes 0-4/10", "bytes 5-9/10"]).map(|(language, range)| {
        let asked = [("range", "bytes=0-"), ("accept-language", language)];
        model.get_with(&asked, 206, &fields(range)).unwrap().id
    });
    let newest = ids.nth(1).unwrap();
    assert_eq!(engine::combine(&model.policy, &model.stored, newest), Combination::default());
}

#[test]
fn parts_that_stay_apart_have_a_limit() {
    let ranges: Vec<String> = (0..12).map(|n| format!("{}-{}/1000", n * 10, n * 10 + 5)).collect();
    let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
    let (model, newest) = parts(&ranges);
    let combination = engine::combine(&model.policy, &model.stored, newest);
    assert_eq!(combination.union, None);
    assert_eq!(superfluous(&model, &combination), ["0-5", "10-15", "20-25", "30-35"], "the oldest");
    for (count, gone) in [(8, &[][..]), (9, &["0-5"])] {
        let (model, newest) = parts(&ranges[..count]);
        let combination = engine::combine(&model.policy, &model.stored, newest);
        assert_eq!(superfluous(&model, &combination), gone, "{count}");
    }
}

#[test]
fn a_short_part_does_not_copy_a_long_one_each_time() {
    const MIB: u64 = 1024 * 1024;
    let range = |first: u64, last: u64| format!("{}-{}/{}", first * MIB, last * MIB - 1, 100 * MIB);
    for (old, new, combined) in [
        ((0, 15), (15, 16), true),
        ((0, 50), (50, 51), false),
        ((0, 50), (50, 75), true),
        // The whole is worth it.
        ((0, 99), (99, 100), true),
    ] {
        let (model, newest) = parts(&[&range(old.0, old.1), &range(new.0, new.1)]);
        let combination = engine::combine(&model.policy, &model.stored, newest);
        assert_eq!(combination.union.is_some(), combined, "{old:?} {new:?}");
        assert!(combination.superfluous.is_empty(), "both stay");
    }
    // Side by side they complete the whole all the same.
    let (model, _) = parts(&[&range(0, 50), &range(50, 51)]);
    let Reuse::Validate(validation) = model.ask(&[]) else { panic!() };
    assert_eq!(model.preconditions(&validation, &[])["range"], format!("bytes={}-", 51 * MIB));
}

#[test]
fn one_request_asks_for_what_lies_between_parts() {
    for (ranges, sent, before, after) in [
        (&["0-3/10", "7-9/10"][..], Some("bytes=4-6"), "0-3", "7-9"),
        (&["7-9/10", "0-3/*"], Some("bytes=4-6"), "0-3", "7-9"),
        (&["0-3/10", "2-5/10", "8-9/10", "7-8/10"], Some("bytes=6-6"), "0-3 4-5", "7-7 8-9"),
        // What lies alone in the middle is fetched again.
        (&["0-1/10", "4-5/10", "8-9/10"], Some("bytes=2-7"), "0-1", "8-9"),
        (&["4-5/10"], None, "", ""),
        (&["0-3/*"], Some("bytes=4-"), "0-3", ""),
        // Stored at the same moment, and not put together yet.
        (&["0-3/10", "4-9/10"], Some("bytes=4-"), "0-3", ""),
    ] {
        let (mut model, _) = parts(ranges);
        let reuse = model.ask(&[]);
        let Reuse::Validate(validation) = &reuse else {
            assert_eq!((outcome(&reuse), sent), (Outcome::Forward(Fwd::Partial), None), "{ranges:?}");
            continue;
        };
        let headers = model.preconditions(validation, &[]);
        assert_eq!((headers["range"].to_str().ok(), &headers["if-range"]), (sent, &"\"a\"".parse().unwrap()));
        let missing = validation.missing.as_ref().unwrap();
        let places = |slices: &[Slice]| {
            let place = |slice: &Slice| {
                let first = model.stored[slice.index].head.range.unwrap().first + slice.skip;
                format!("{first}-{}", first + slice.len - 1)
            };
            slices.iter().map(place).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            (places(&missing.before).as_str(), places(&missing.after).as_str()),
            (before, after),
            "{ranges:?}"
        );
        let got = format!("bytes {}-{}/10", missing.first, missing.last.unwrap_or(9));
        let Validated::Completed { head } = model.validate(&[], 206, &[FRESH, ("content-range", &got), TAG])
        else {
            panic!("{ranges:?}")
        };
        assert_eq!((head.status.as_u16(), head.range, head.body_len()), (200, None, 10));
        for wrong in ["bytes 0-9/10", "bytes 4-5/10", "bytes 4-6/11", "bytes 4-6/*"] {
            if wrong != got {
                let fields = [FRESH, ("content-range", wrong), TAG];
                assert_eq!(model.validate(&[], 206, &fields), Validated::AskAgain, "{ranges:?} {wrong}");
            }
        }
    }
}

#[test]
fn a_206_with_everything_is_a_complete_response() {
    let mut model = Model::private();
    let fields = [FRESH, ("content-range", "bytes 0-9/10"), ("content-digest", "x")];
    let head = model.get_with(&[("range", "bytes=0-")], 206, &fields).unwrap();
    assert_eq!((head.status.as_u16(), head.range, head.body_len()), (200, None, 10));
    assert_eq!(head.headers["content-length"], "10");
    assert!(!head.headers.contains_key("content-range") && !head.headers.contains_key("content-digest"));
    assert_eq!(answer(&model.ask(&[])), Some(Answer::Full));
}

#[test]
fn a_part_of_what_is_held_already_brings_newer_fields_only() {
    let held_already = |model: &Model, content_range: &str, tag| {
        let request = model.request("GET", &[("range", "bytes=0-"), ("cache-control", "no-cache")]);
        let fields = [FRESH, ("content-range", content_range), ("etag", tag), ("b", "2")];
        let response = model.response(206, &fields);
        let part = model.storable(&request, &response).unwrap();
        request.with_info(|info| {
            engine::held_already(&model.policy, info, &model.stored, &part, &response, model.times())
        })
    };
    let mut whole = Model::private();
    whole.get(200, &[FRESH, ("content-length", "10"), TAG, ("b", "1")]).unwrap();
    let mut part = Model::private();
    keep_part(&mut part, "bytes 2-7/10", &[TAG, ("b", "1")]);
    whole.wait(100);
    part.wait(100);
    for (model, range, tag, held) in [
        (&whole, "bytes 2-4/10", "\"a\"", true),
        (&whole, "bytes 2-4/*", "\"a\"", true),
        (&whole, "bytes 2-4/11", "\"a\"", false),
        (&whole, "bytes 2-10/*", "\"a\"", false),
        (&whole, "bytes 2-4/10", "\"b\"", false),
        (&whole, "bytes 2-4/10", "W/\"a\"", false),
        (&part, "bytes 2-4/10", "\"a\"", true),
        (&part, "bytes 2-7/*", "\"a\"", true),
        (&part, "bytes 2-8/10", "\"a\"", false),
        (&part, "bytes 1-7/10", "\"a\"", false),
        (&part, "bytes 2-4/11", "\"a\"", false),
    ] {
        let found = held_already(model, range, tag);
        assert_eq!(found.is_some(), held, "{range} {tag}");
        let Some((0, head)) = found else { continue };
        let old = &model.stored[0].head;
        assert_eq!((head.id, head.status, head.range, head.body), (old.id, old.status, old.range, old.body));
        for kept in ["content-length", "content-range"] {
            assert_eq!(head.headers.get(kept), old.headers.get(kept));
        }
        assert_eq!((&head.headers["b"], head.response_time), (&"2".parse().unwrap(), model.now));
    }
}

#[test]
fn a_stale_part_that_has_the_range_is_validated_by_its_tag() {
    let (mut model, _) = parts(&["4-9/10"]);
    model.wait(4000);
    let asked = [("range", "bytes=5-6")];
    assert_eq!(outcome(&model.ask(&asked)), Outcome::Validate(Fwd::Stale));
    let Reuse::Validate(validation) = model.ask(&asked) else { panic!() };
    let sent = model.preconditions(&validation, &asked);
    assert_eq!(
        (&sent["range"], &sent["if-none-match"]),
        (&"bytes=5-6".parse().unwrap(), &TAG.1.parse().unwrap())
    );
    let partial_response = [FRESH, TAG, ("content-range", "bytes 5-6/10")];
    assert_eq!(model.validate(&asked, 206, &partial_response), Validated::Replaced);
    assert_eq!(model.validate(&asked, 200, &[FRESH, ("etag", "\"b\"")]), Validated::Replaced);
    assert_eq!(model.validate(&asked, 503, &[]), Validated::Replaced);
    let validated = model.validate(&asked, 304, &[FRESH, TAG]);
    assert!(matches!(validated, Validated::Freshened { serve: 0, .. }), "{validated:?}");
    let part = Some(Answer::Range { first: 5, last: 6, complete_len: 10 });
    assert_eq!(answer(&model.ask(&asked)), part);
    assert_eq!(model.stored[0].head.range, Some(StoredRange { first: 4, complete_len: Some(10) }));
    // What it does not have is not its to confirm.
    model.wait(4000);
    assert_eq!(outcome(&model.ask(&[("range", "bytes=3-6")])), Outcome::Forward(Fwd::Partial));
    assert_eq!(
        outcome(&model.ask(&[("range", "bytes=5-6"), ("cache-control", "no-cache")])),
        Outcome::Validate(Fwd::Stale)
    );
}

#[test]
fn a_fresh_part_is_validated_when_the_request_wants_it() {
    let (model, _) = parts(&["4-9/10"]);
    let asked = [("range", "bytes=5-6"), ("cache-control", "no-cache")];
    assert_eq!(outcome(&model.ask(&asked)), Outcome::Validate(Fwd::Request));
}

#[test]
fn without_a_strong_tag_a_stale_part_is_not_validated() {
    for validator in [("etag", "W/\"a\""), ("last-modified", "@-3600"), ("x", "y")] {
        let mut model = Model::private();
        keep_part(&mut model, "bytes 4-9/10", &[("date", "@0"), validator]);
        model.wait(4000);
        assert_eq!(
            outcome(&model.ask(&[("range", "bytes=5-6")])),
            Outcome::Forward(Fwd::Stale),
            "{validator:?}"
        );
    }
}

#[test]
fn if_range_of_the_client_goes_before_a_stale_part() {
    let mut model = Model::private();
    let modified = crate::model::date(model.now, -3600);
    keep_part(&mut model, "bytes 4-9/10", &[TAG, ("date", "@0"), ("last-modified", &modified)]);
    model.wait(4000);
    for (condition, expected) in [
        ("\"a\"", Outcome::Validate(Fwd::Stale)),
        ("\"b\"", Outcome::Forward(Fwd::Partial)),
        (&modified, Outcome::Validate(Fwd::Stale)),
        ("@-1", Outcome::Forward(Fwd::Partial)),
    ] {
        let asked = [("range", "bytes=5-6"), ("if-range", condition)];
        assert_eq!(outcome(&model.ask(&asked)), expected, "{condition}");
    }
    // The 304 may bring another Last-Modified; a part is served as a part all the same.
    let asked = [("range", "bytes=5-6"), ("if-range", &*modified)];
    model.validate(&asked, 304, &[FRESH, TAG, ("last-modified", "@-1")]);
    assert_eq!(model.serve(&asked, 0).answer, Answer::Range { first: 5, last: 6, complete_len: 10 });
}

#[test]
fn a_stale_part_is_completed_because_if_range_validates_it() {
    let (mut model, _) = parts(&["0-3/10"]);
    model.wait(4000);
    assert_eq!(outcome(&model.ask(&[])), Outcome::Validate(Fwd::Partial));
    assert_eq!(outcome(&model.ask(&[("cache-control", "no-cache")])), Outcome::Validate(Fwd::Partial));
    assert_eq!(outcome(&model.ask(&[("if-match", "\"a\"")])), Outcome::Forward(Fwd::Partial));
    assert_eq!(outcome(&model.ask(&[("cache-control", "only-if-cached")])), Outcome::Timeout);
}

#[test]
fn a_part_never_stands_in_for_the_whole() {
    let mut model = Model::private();
    let stand_in = ("cache-control", "max-age=1, stale-if-error=9999");
    model
        .get_with(&[("range", "bytes=0-3")], 206, &[stand_in, ("content-range", "bytes 0-3/10"), TAG])
        .unwrap();
    model.wait(100);
    assert_eq!(model.validate(&[], 503, &[]), Validated::Replaced);
    assert_eq!(model.without_origin(&[]), None);
    let asked = [("range", "bytes=1-2")];
    let part = Answer::Range { first: 1, last: 2, complete_len: 10 };
    let Validated::Stale(serve) = model.validate(&asked, 503, &[]) else { panic!() };
    assert_eq!(serve.answer, part);
    assert_eq!(model.without_origin(&asked).map(|serve| serve.answer), Some(part));
}
