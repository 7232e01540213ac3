//! Nobody is given another's response, and what is keyed is what is sent.

use larder::key::{CacheKey, Credentials, DefaultKey};
use larder::redirect::{AnsweredBy, RedirectHistory};
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride, Policy};
use tower::Layer;

use crate::support::{Origin, ask, get, request, response};

const ME: &str = "http://api.example/me";

/// Answers with the principal and the target it was asked by.
fn origin(cache_control: &'static str) -> Origin {
    Origin::new(move |parts, _| {
        let field =
            |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        let userinfo = authority.rsplit_once('@').map_or("", |(userinfo, _)| userinfo);
        let said =
            [&field("authorization"), &field("proxy-authorization"), userinfo, parts.uri.path()].join("|");
        Ok(response(200, &[("cache-control", cache_control)], said.leak()))
    })
}

fn uri_of(principal: &str) -> String {
    format!("http://{principal}@api.example/me")
}

#[tokio::test]
async fn by_default_responses_of_other_credentials_are_never_served() {
    let origin = origin("max-age=60");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let asked = || {
        [
            request("GET", ME, &[("authorization", "a")]),
            request("GET", ME, &[("authorization", "b")]),
            request("GET", ME, &[("proxy-authorization", "a")]),
            request("GET", &uri_of("a:1"), &[]),
            request("GET", &uri_of("b:2"), &[]),
            get(ME),
        ]
    };
    let mut answers = Vec::new();
    for request in asked() {
        let seen = ask(&cache, request).await;
        assert!(!seen.is_hit() && seen.cache().stored);
        answers.push(seen.text().to_owned());
    }
    for (request, answer) in asked().into_iter().zip(answers) {
        let seen = ask(&cache, request).await;
        assert_eq!((seen.is_hit(), seen.text()), (true, answer.as_str()));
    }
}

#[tokio::test]
async fn a_key_named_for_a_request_separates_credentials_all_the_same() {
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin("max-age=60"));
    let mine = CacheOverride::new().with_key(CacheKey::builder().part("mine", "1").build());
    for (credentials, is_hit) in [("a", false), ("b", false), ("a", true), ("b", true)] {
        let mut request = request("GET", ME, &[("authorization", credentials)]);
        request.extensions_mut().insert(mine.clone());
        let seen = ask(&cache, request).await;
        assert_eq!((seen.is_hit(), seen.text().split('|').next()), (is_hit, Some(credentials)));
    }
}

#[tokio::test]
async fn credentials_share_where_the_user_says_so() {
    let keys = DefaultKey::new().credentials(Credentials::Shared);
    let cache = CacheLayer::new(MemoryStorage::new()).make_key(keys).layer(origin("max-age=60"));
    ask(&cache, request("GET", ME, &[("authorization", "a")])).await;
    assert!(ask(&cache, request("GET", ME, &[("authorization", "b")])).await.is_hit());
    assert!(ask(&cache, get(&uri_of("b:2"))).await.is_hit());
}

/// RFC 9111 section 3.5; RFC 9110 section 4.2.4 for userinfo.
#[tokio::test]
async fn a_shared_cache_stores_an_authorized_response_only_with_its_leave() {
    for (cache_control, leave) in [("max-age=60", false), ("max-age=60, public", true), ("s-maxage=60", true)]
    {
        let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared());
        let by_field = |credentials| request("GET", ME, &[("authorization", credentials)]);
        for asked in [[by_field("a"), by_field("b")], ["a:1", "b:2"].map(|userinfo| get(&uri_of(userinfo)))] {
            let cache = layer.layer(origin(cache_control));
            layer.storage().clear(None).await.unwrap();
            let [first, second] = asked;
            assert_eq!(ask(&cache, first).await.cache().stored, leave, "{cache_control}");
            assert_eq!(ask(&cache, second).await.is_hit(), leave, "{cache_control}");
        }
    }
}

/// RFC 9111 section 3.1: the field is for the proxy, and says nothing about the origin's response.
#[tokio::test]
async fn proxy_authorization_needs_no_leave_in_a_shared_cache() {
    let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::shared());
    let cache = layer.layer(origin("max-age=60"));
    assert!(ask(&cache, request("GET", ME, &[("proxy-authorization", "a")])).await.cache().stored);
    assert!(ask(&cache, get(ME)).await.is_hit());
}

#[tokio::test]
async fn two_clients_of_one_store_are_kept_apart_by_the_names_of_their_partitions() {
    let storage = MemoryStorage::new();
    let client = |name: &str, answer: &'static str| {
        let layer = CacheLayer::new(storage.clone()).make_key(DefaultKey::new().partition(name));
        layer.layer(Origin::always(&[("cache-control", "max-age=60")], answer))
    };
    let (one, other) = (client("one", "account of one"), client("other", "account of other"));
    for is_hit in [false, true] {
        for (cache, answer) in [(&one, "account of one"), (&other, "account of other")] {
            let seen = ask(cache, get(ME)).await;
            assert_eq!((seen.is_hit(), seen.text()), (is_hit, answer));
        }
    }
}

#[tokio::test]
async fn the_history_of_redirects_shows_no_query() {
    let origin = Origin::new(|parts, _| {
        let location = [("location", "/end?token=s3cret")];
        Ok(if parts.uri.path() == "/end" { response(200, &[], "end") } else { response(302, &location, "") })
    });
    let cache = CacheLayer::new(MemoryStorage::new()).follow_redirects(3).layer(origin);
    let seen = ask(&cache, get("http://me:s3cret@example.com/start?token=s3cret")).await;
    let history: &RedirectHistory = seen.extensions.get().unwrap();
    assert!(history.hops()[0].uri.to_string().contains("s3cret"));
    let shown = format!("{history:?} {:?}", seen.extensions.get::<AnsweredBy>().unwrap());
    assert!(shown.contains("http://example.com/end?..") && !shown.contains("s3cret"), "{shown}");
}

/// `GET /x/../b` must not plant its answer under `/b`: origins tell them apart.
#[tokio::test]
async fn a_target_is_sent_and_keyed_byte_for_byte() {
    let origin = origin("max-age=60");
    let layer = CacheLayer::new(MemoryStorage::new());
    let cache = layer.layer(origin.clone());
    for target in ["/x/../b", "/b", "/x/%2e%2e/b", "/%62", "/./b"] {
        let seen = ask(&cache, get(&format!("http://example.com{target}"))).await;
        assert_eq!((seen.is_hit(), seen.text()), (false, format!("|||{target}").as_str()));
        assert_eq!(origin.last().uri.path(), target);
    }
    let page = layer.storage().responses(None, 10).await.unwrap();
    let mut uris: Vec<_> = page.items.iter().map(|head| head.uri.as_str()).collect();
    uris.sort_unstable();
    let expected =
        ["/%62", "/./b", "/b", "/x/%2e%2e/b", "/x/../b"].map(|target| format!("http://example.com{target}"));
    assert_eq!(uris, expected);
}

#[tokio::test]
async fn a_normalized_target_is_what_the_origin_is_asked() {
    let origin = origin("max-age=60");
    let keys = DefaultKey::new().normalize_target(true);
    let cache = CacheLayer::new(MemoryStorage::new()).make_key(keys).layer(origin.clone());
    for (target, is_hit) in [("/x/../b", false), ("/b", true), ("/x/%2E%2e/b", true), ("/%62", true)] {
        let seen = ask(&cache, get(&format!("http://example.com{target}"))).await;
        assert_eq!((seen.is_hit(), seen.text()), (is_hit, "|||/b"));
        assert_eq!(origin.last().uri.path(), "/b");
    }
}

#[tokio::test]
async fn a_bypassing_request_is_sent_as_it_is() {
    let origin = origin("max-age=60");
    let keys = DefaultKey::new().normalize_target(true);
    let cache = CacheLayer::new(MemoryStorage::new()).make_key(keys).layer(origin.clone());
    let mut request = get("http://example.com/x/../b");
    request.extensions_mut().insert(CacheOverride::bypass());
    ask(&cache, request).await;
    assert_eq!(origin.last().uri.path(), "/x/../b");
}

/// RFC 9110 section 9.3.3: "a Content-Location field that has the same value as the POST's target URI".
#[tokio::test]
async fn an_equivalent_content_location_is_not_the_targets_own() {
    for (target, location, stored) in
        [("/b", "/b", true), ("/%62", "/b", false), ("/b", "http://Example.com:80/b", true)]
    {
        let fields = [("cache-control", "max-age=60"), ("content-location", location)];
        let origin = Origin::new(move |_, _| Ok(response(200, &fields, "posted")));
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        let uri = format!("http://example.com{target}");
        ask(&cache, request("POST", &uri, &[])).await;
        assert_eq!(ask(&cache, get(&uri)).await.is_hit(), stored, "{target} {location}");
    }
}
