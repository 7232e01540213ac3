//! What `Debug` shows: logs are read by more people than stores.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use larder::entry::{Alias, BodyEnd, StoredBody, StoredHead, StoredResponse};
use larder::key::{CacheKey, DefaultKey, MakeKey, RequestContent, RequestHead, Selecting};
use larder::policy::engine::RequestInfo;
use larder::redirect::AnsweredBy;
use larder::{CacheLayer, CacheOverride, Policy};

const URI: &str = "https://me:s3cret@example.com/path?token=s3cret";

fn fields(names: &[&'static str]) -> HeaderMap {
    let fields = names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("s3cret")));
    let mut fields: HeaderMap = fields.collect();
    fields.insert("cache-control", HeaderValue::from_static("max-age=60"));
    fields
}

fn request() -> Request<()> {
    let mut request = Request::get(URI).extension("s3cret").body(()).unwrap();
    *request.headers_mut() =
        fields(&["authorization", "cookie", "referer", "x-tenant", "proxy-authorization"]);
    request
}

fn head() -> StoredHead {
    let request = request();
    let key = DefaultKey::new().make_key(&RequestHead::from(&request)).unwrap();
    let mut head = StoredHead::new(key.clone(), StatusCode::FOUND);
    head.uri = URI.to_owned();
    head.headers =
        fields(&["location", "content-location", "link", "refresh", "set-cookie", "x-own", "x-api-key"]);
    head.trailers = Some(fields(&["x-own"]));
    let vary = HeaderMap::from_iter(
        [("vary", "cookie, referer, x-tenant, accept")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    );
    head.selecting = Selecting::new(&vary, request.headers(), &key, b"s3cret");
    head
}

/// What of it is there is shown, and no more.
fn tells(what: &impl Debug, expected: &[&str]) {
    for shown in [format!("{what:?}"), format!("{what:#?}")] {
        assert!(!shown.contains("s3cret") && !shown.contains("token"), "{shown}");
        for expected in expected {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }
}

#[test]
fn debug_shows_no_query_no_userinfo_and_no_secret_value() {
    let head = head();
    tells(&head, &["https://example.com/path?..", "max-age=60", "location", "x-tenant", "302"]);
    let body = StoredBody::Inline(Bytes::from_static(b"s3cret"));
    let response = StoredResponse { head: Arc::new(head.clone()), body, invalidated: false };
    tells(&response, &["Inline(6 bytes)", "max-age=60"]);
    let body = StoredBody::Shared([Bytes::from_static(b"s3cret")].into());
    tells(&body, &["Shared(6 bytes)"]);
    tells(&Alias { response, target: head.key.clone() }, &["https://example.com/path?.."]);
    tells(&BodyEnd { trailers: Some(fields(&["x-own"])), range: None }, &["x-own"]);

    let request = request();
    let asked = RequestHead::from(&request);
    tells(&asked, &["https://example.com/path?..", "authorization", "max-age=60"]);
    let overrides = CacheOverride::new().with_key(head.key.clone());
    tells(
        &RequestInfo::new(&asked, &overrides),
        &["https://example.com/path?..", "authorization", "max-age=60"],
    );
    tells(&overrides, &[]);
    tells(&RequestContent::new(&Method::POST, request.headers(), b"s3cret"), &["POST"]);
    tells(&CacheKey::builder().part("mine", "s3cret"), &["CacheKeyBuilder"]);

    tells(&AnsweredBy(URI.parse().unwrap()), &["https://example.com/path?.."]);

    let policy = Policy::private().secret("s3cret");
    let keys = DefaultKey::new().partition("s3cret");
    let layer = CacheLayer::new(larder::storage::MemoryStorage::new()).policy(policy).make_key(keys.clone());
    tells(&keys, &["partitioned: true"]);
    tells(&layer.key_of(&request), &["https://example.com/path?.."]);
    tells(&layer, &["Policy"]);
}
