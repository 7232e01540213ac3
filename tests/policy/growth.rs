//! What an origin and a client say costs time in proportion to its length, and no more.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use larder::key::NoVarySearch;
use larder::policy::engine::{self, ResponseDirectives};

use crate::model::Model;

/// The least time of several runs, which other work on the machine disturbs the least.
fn least(mut run: impl FnMut()) -> Duration {
    let runs = (0..7).map(|_| {
        let began = Instant::now();
        run();
        began.elapsed()
    });
    runs.min().unwrap()
}

fn field(names: usize) -> HeaderMap {
    let names: Vec<String> = (0..names).map(|name| format!("\"n{name}\"")).collect();
    let value = format!("key-order, params=({})", names.join(" "));
    HeaderMap::from_iter([("no-vary-search".parse().unwrap(), HeaderValue::try_from(value).unwrap())])
}

fn uri(parameters: usize) -> String {
    let parameters: Vec<String> = (0..parameters).map(|number| format!("p{number}=1")).collect();
    format!("https://example.com/?{}", parameters.join("&"))
}

/// By how much more is to be read the second time. Linear work grows as much, quadratic work by its square, and between
/// the two is room for a machine that has other things to do.
const MORE: usize = 64;

fn is_linear(what: &str, small: Duration, large: Duration) {
    println!("{what}: {large:?} after {small:?}");
    assert!(large < 10 * MORE as u32 * small, "{what}: {large:?} after {small:?}");
}

fn grows_linearly(names: usize, parameters: usize) {
    let cost = |names, parameters| {
        let (field, uri, other) = (field(names), uri(parameters), uri(parameters + 1));
        least(|| {
            for _ in 0..20 {
                if let Some(config) = NoVarySearch::of(&field) {
                    std::hint::black_box(config.equivalent(&uri, &other));
                }
            }
        })
    };
    let what = format!("{names} names, {parameters} parameters");
    is_linear(&what, cost(names / MORE, parameters / MORE), cost(names, parameters));
}

#[test]
fn names_and_parameters_of_no_vary_search_below_the_limits() {
    grows_linearly(256, 1024);
}

#[test]
fn as_many_names_of_no_vary_search_and_parameters_as_a_field_and_a_uri_can_have() {
    for (names, parameters) in [(8000, 7000), (256, 7000), (8000, 1024)] {
        grows_linearly(names, parameters);
    }
}

#[test]
fn directives_with_all_kinds_of_quotes() {
    for piece in
        ["\"", "\",", "x,\\\"", "x \\\",", "\"\\\",", "a=\"b\",", ",", "private=\"x\",", "\\", "\"\\"]
    {
        // The first quote is never closed, or the last one is not.
        for first in ["", "\""] {
            let cost = |count: usize| {
                let line = format!("{first}{}", piece.repeat(count));
                let field = HeaderMap::from_iter([(
                    http::header::CACHE_CONTROL,
                    HeaderValue::try_from(line).unwrap(),
                )]);
                least(|| {
                    std::hint::black_box(ResponseDirectives::parse(&field, &[]));
                })
            };
            is_linear(&format!("{first}{piece}"), cost(256), cost(256 * MORE));
        }
    }
}

#[test]
fn tags_that_a_client_lists() {
    let mut model = Model::private();
    model.get(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")]).unwrap();
    let engine::Reuse::Validate(validation) = model.ask(&[]) else { panic!("it is stale") };
    let cost = |count: usize| {
        let tags: Vec<String> = (0..count).map(|tag| format!("\"{tag}\"")).collect();
        let field = HeaderMap::from_iter([(
            http::header::IF_NONE_MATCH,
            HeaderValue::try_from(tags.join(",")).unwrap(),
        )]);
        least(|| {
            let mut sent = field.clone();
            engine::preconditions(&mut sent, &validation, &model.stored);
            std::hint::black_box(sent);
        })
    };
    is_linear("tags", cost(125), cost(125 * MORE));
}
