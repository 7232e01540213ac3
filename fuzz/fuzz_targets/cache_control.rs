//! `Cache-Control`, `Pragma` and targeted fields: numbers stay in bounds, more lines never permit more, and what a
//! naive reading finds is found.
#![no_main]

mod support;

use http::{HeaderMap, HeaderName};
use larder::policy::engine::{RequestDirectives, ResponseDirectives, Scope};
use libfuzzer_sys::fuzz_target;
use support::{lines, says};

const LARGEST: u32 = 1 << 31;

fn at_most(seconds: Option<u32>) {
    assert!(seconds.is_none_or(|seconds| seconds <= LARGEST));
}

/// No number is larger than before, and none has gone.
fn no_longer(before: Option<u32>, after: Option<u32>) {
    assert!(before.is_none_or(|before| after.is_some_and(|after| after <= before)));
}

fn width(scope: &Scope) -> usize {
    match scope {
        Scope::Nothing => 0,
        Scope::Fields(names) => names.len(),
        Scope::Whole => usize::MAX,
        _ => unreachable!("no other scope is known"),
    }
}

fn request(one: &HeaderMap, both: &HeaderMap) {
    let (before, after) = (RequestDirectives::parse(one), RequestDirectives::parse(both));
    for found in [&before, &after] {
        at_most(found.max_age);
        at_most(found.min_fresh);
        at_most(found.stale_if_error);
        assert!(found.max_stale.is_none_or(|seconds| seconds <= LARGEST || seconds == u32::MAX));
    }
    assert!(after.no_cache >= before.no_cache && after.no_store >= before.no_store);
    assert!(after.only_if_cached >= before.only_if_cached);
    no_longer(before.max_age, after.max_age);
    no_longer(before.max_stale, after.max_stale);
    no_longer(before.stale_if_error, after.stale_if_error);
    assert!(before.min_fresh <= after.min_fresh);
    assert!(!says(both, "no-store") || after.no_store);
    assert!(!says(both, "no-cache") || after.no_cache);
    assert!(!says(both, "only-if-cached") || after.only_if_cached);
}

fn response(one: &HeaderMap, both: &HeaderMap) {
    let (before, after) = (ResponseDirectives::parse(one, &[]), ResponseDirectives::parse(both, &[]));
    for seconds in [after.max_age, after.s_maxage, after.stale_while_revalidate, after.stale_if_error] {
        at_most(seconds);
    }
    assert!(after.no_store >= before.no_store && after.must_revalidate >= before.must_revalidate);
    assert!(after.proxy_revalidate >= before.proxy_revalidate);
    assert!(width(&after.no_cache) >= width(&before.no_cache));
    assert!(width(&after.private) >= width(&before.private));
    no_longer(before.max_age, after.max_age);
    no_longer(before.s_maxage, after.s_maxage);
    no_longer(before.stale_while_revalidate, after.stale_while_revalidate);
    no_longer(before.stale_if_error, after.stale_if_error);
    assert!(!says(both, "no-store") || after.no_store);
    assert!(!says(both, "no-cache") || after.no_cache == Scope::Whole);
    assert!(!says(both, "private") || after.private == Scope::Whole);
    assert!(!says(both, "must-revalidate") || after.must_revalidate);
    assert!(!says(both, "max-age=") || after.max_age.is_some());
    assert!(!after.targeted);
}

fn targeted(line: &[u8]) {
    let target = HeaderName::from_static("cdn-cache-control");
    let headers = lines("cdn-cache-control", &[line]);
    let found = ResponseDirectives::parse(&headers, std::slice::from_ref(&target));
    let parsed = sfv::Parser::new(line).parse::<sfv::Dictionary>();
    let valid = headers.contains_key(&target) && parsed.is_ok_and(|members| !members.is_empty());
    assert_eq!(found.targeted, valid);
    at_most(found.max_age);
    at_most(found.s_maxage);
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (one, other) = input;
    let (first, both) = (lines("cache-control", &[one]), lines("cache-control", &[one, other]));
    // A field that is not there is another matter: Pragma stands in for it.
    if first.contains_key("cache-control") {
        request(&first, &both);
    }
    response(&first, &both);
    let _ = RequestDirectives::parse(&lines("pragma", &[one, other]));
    targeted(one);
});
