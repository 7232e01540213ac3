//! Variants through the layer (RFC 9111 section 4.1).

use larder::CacheLayer;
use larder::status::{Fwd, Outcome};
use larder::storage::{MemoryStorage, Storage};
use tower::Layer;

use crate::support::{Origin, ask, request, response};

const PAGE: &str = "http://example.com/page";

#[tokio::test]
async fn values_that_mean_the_same_select_the_same_variant() {
    type Lines = &'static [&'static str];
    let cases: [(&str, Lines, Lines, bool); 14] = [
        ("accept", &["text/html, text/plain"], &["Text/Plain,text/html"], true),
        ("accept", &["text/html;q=0.5, */*"], &["*/*;q=1.0 , text/html ; q=0.50"], true),
        ("accept", &["text/html;level=A"], &["text/html;level=a"], false),
        ("accept", &["text/html"], &["text/plain"], false),
        ("accept-encoding", &["gzip, br"], &["BR,gzip"], true),
        ("accept-encoding", &["gzip, br"], &["br", "gzip"], true),
        ("accept-encoding", &["gzip;q=0.8"], &["gzip"], false),
        ("accept-language", &["en, de"], &["DE , EN"], true),
        ("accept-language", &["en, de"], &["de, en;q=0.9"], false),
        ("accept-language", &["en"], &[], false),
        ("x-unknown", &["1,2"], &["1, 2"], true),
        ("x-unknown", &["1,2"], &["1", "2"], true),
        ("x-unknown", &["1,2"], &["2,1"], false),
        ("x-unknown", &["a"], &["A"], false),
    ];
    for (name, stored, asked, expected) in cases {
        let origin = Origin::new(|_, _| {
            let vary = "accept, accept-encoding, accept-language, x-unknown";
            Ok(response(200, &[("cache-control", "max-age=60"), ("vary", vary)], "x"))
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
        let with = |lines: &[&str]| {
            request("GET", PAGE, &lines.iter().map(|line| (name, *line)).collect::<Vec<_>>())
        };
        ask(&cache, with(stored)).await;
        assert_eq!(ask(&cache, with(asked)).await.is_hit(), expected, "{name}: {stored:?} {asked:?}");
    }
}

/// Answers in the language asked for, and any other with a 304 for the English page.
fn origin() -> Origin {
    let fields = |tag| [("cache-control", "max-age=60"), ("vary", "accept-language"), ("etag", tag)];
    Origin::new(move |parts, _| {
        Ok(match parts.headers["accept-language"].to_str().unwrap() {
            "en" => response(200, &fields("\"en\""), "hello"),
            "de" => response(200, &fields("\"de\""), "hallo"),
            _ if parts.headers.contains_key("if-none-match") => response(304, &fields("\"en\""), ""),
            _ => response(200, &fields("\"en\""), "hello"),
        })
    })
}

#[tokio::test]
async fn a_vary_miss_names_every_variants_tag_and_serves_the_origins_pick() {
    let origin = origin();
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let speaking = |language| request("GET", PAGE, &[("accept-language", language)]);
    for language in ["en", "de"] {
        ask(&cache, speaking(language)).await;
    }
    let picked = ask(&cache, speaking("fr")).await;
    assert_eq!((picked.status.as_u16(), picked.text()), (200, "hello"));
    assert_eq!(picked.cache().outcome, Outcome::Forwarded(Fwd::VaryMiss));
    let sent = origin.last().headers["if-none-match"].to_str().unwrap().to_owned();
    assert!(sent.contains("\"en\"") && sent.contains("\"de\""), "{sent}");
    for (language, text) in [("en", "hello"), ("de", "hallo")] {
        let hit = ask(&cache, speaking(language)).await;
        assert!(hit.is_hit(), "{language}");
        assert_eq!(hit.text(), text);
    }
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn a_field_with_many_values_does_not_fill_the_store() {
    let fields = [("cache-control", "max-age=60"), ("vary", "x-who")];
    let origin = Origin::new(move |_, _| Ok(response(200, &fields, "x")));
    let storage = MemoryStorage::new();
    let cache = CacheLayer::new(storage.clone()).layer(origin.clone());
    for who in 0..100 {
        ask(&cache, request("GET", PAGE, &[("x-who", &who.to_string())])).await;
    }
    let kept = storage.usage().await.unwrap().responses;
    assert!((2..=32).contains(&kept), "{kept}");
    for who in ["98", "99"] {
        assert!(ask(&cache, request("GET", PAGE, &[("x-who", who)])).await.is_hit(), "{who}");
    }
}
