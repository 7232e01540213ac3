//! `Cache-Groups` and `Cache-Group-Invalidation`: a well-formed list names its strings and nothing else, whatever
//! their parameters; any other bytes name nothing.
#![no_main]

mod support;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue, Method};
use larder::Policy;
use larder::entry::{Group, GroupId};
use larder::policy::engine::{self, Times};
use libfuzzer_sys::fuzz_target;
use support::{Request, at, key, lines, response};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: Vec<&'a [u8]>,
    names: Vec<(&'a str, bool)>,
    method: u8,
}

/// The groups of a response with these lines.
fn of(raw: &[&[u8]]) -> Vec<String> {
    let mut fields = lines("cache-groups", raw);
    fields.insert("cache-control", HeaderValue::from_static("max-age=60"));
    let times = Times { request: at(0), response: at(0) };
    let request = Request::get(HeaderMap::new());
    let answer = response(200, fields);
    let head = request
        .with_info(|info| engine::storable(&Policy::private(), info, &key(), &answer, times))
        .expect("fresh for a minute");
    assert!(head.groups.is_sorted() && head.groups.len() <= 128);
    assert!(head.groups.iter().all(|group| group.origin == "https://example.com" && group.name.len() <= 256));
    head.groups.into_iter().map(|group| group.name).collect()
}

fn written(names: &[(String, bool)]) -> String {
    let quoted = |(name, parameter): &(String, bool)| {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"{}", if *parameter { ";x=1;y" } else { "" })
    };
    names.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fuzz_target!(|input: Input<'_>| {
    let raw: Vec<&[u8]> = input.raw.iter().copied().take(6).collect();
    let found = of(&raw);
    let all: Vec<&[u8]> = raw.iter().copied().filter(|line| HeaderValue::from_bytes(line).is_ok()).collect();
    if sfv::Parser::new(&all.join(&b", "[..])).parse::<sfv::List>().is_err() {
        assert!(found.is_empty());
    }

    let printable =
        |name: &str| name.chars().filter(|c| (' '..='~').contains(c)).take(200).collect::<String>();
    let names: Vec<_> =
        input.names.iter().take(128).map(|(name, parameter)| (printable(name), *parameter)).collect();
    let line = written(&names);
    let mut expected: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    expected.sort();
    expected.dedup();
    assert_eq!(of(&[line.as_bytes()]), expected);

    let method =
        [Method::GET, Method::HEAD, Method::POST, Method::DELETE][usize::from(input.method % 4)].clone();
    let safe = method == Method::GET || method == Method::HEAD;
    let request = Request { method, ..Request::get(HeaderMap::new()) };
    let answer = response(200, lines("cache-group-invalidation", &[line.as_bytes()]));
    let spoiled =
        request.with_info(|info| engine::invalidated_groups(&larder::Policy::private(), info, &answer));
    assert!(!safe || spoiled.is_empty());
    let id =
        |name: &String| GroupId::of(&Group { origin: "https://example.com".to_owned(), name: name.clone() });
    assert!(safe || expected.iter().all(|name| spoiled.contains(&id(name))));
});
