//! `No-Vary-Search`: any bytes are taken; equivalence is reflexive and symmetric, agrees with the normalised form,
//! which is its own, and never crosses a path.
#![no_main]

mod support;

use arbitrary::Arbitrary;
use larder::key::NoVarySearch;
use libfuzzer_sys::fuzz_target;
use support::lines;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: Vec<&'a [u8]>,
    form: u8,
    names: Vec<&'a str>,
    one: &'a str,
    other: &'a str,
}

const NAMES: [&str; 6] = ["a", "b", "%61", "c+d", "%C3%A9", ""];

/// A well-formed field.
fn written(form: u8, names: &[&str]) -> String {
    let quoted = |name: &&str| {
        let printable: String =
            name.chars().filter(|c| (' '..='~').contains(c) && !"\"\\".contains(*c)).collect();
        format!("\"{printable}\"")
    };
    let listed = names.iter().take(5).map(quoted).chain([format!("\"{}\"", NAMES[usize::from(form) % 6])]);
    let list = listed.collect::<Vec<_>>().join(" ");
    match form % 6 {
        0 => "key-order".into(),
        1 => format!("params=({list})"),
        2 => format!("except=({list})"),
        3 => format!("key-order, params=({list})"),
        4 => format!("params, except=({list}), key-order"),
        _ => "params".into(),
    }
}

fn check(config: &NoVarySearch, one: &str, other: &str) {
    let (first, second) = (config.normalized(one), config.normalized(other));
    assert!(config.equivalent(one, one) && config.equivalent(one, &first));
    assert_eq!(config.normalized(&first), first);
    assert_eq!(config.equivalent(one, other), config.equivalent(other, one));
    assert_eq!(config.equivalent(one, other), first == second);
    let path = |uri: &str| uri.split('?').next().map(str::to_owned);
    assert!(first != second || path(one) == path(other));
    assert!(first.is_ascii() || !one.split('?').next().is_some_and(str::is_ascii));
}

fuzz_target!(|input: Input<'_>| {
    let raw: Vec<&[u8]> = input.raw.iter().copied().take(4).collect();
    let hostile = NoVarySearch::of(&lines("no-vary-search", &raw));
    let line = written(input.form, &input.names);
    let config = NoVarySearch::of(&lines("no-vary-search", &[line.as_bytes()])).expect("well-formed");
    for config in hostile.iter().chain([&config]) {
        check(config, input.one, input.other);
        check(config, &format!("/?{}", input.one), &format!("/?{}", input.other));
    }
});
