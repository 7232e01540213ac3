//! Request content in the key: QUERY (RFC 10008), POST on request, GET with content.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use larder::status::Fwd;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, KeyedBody, Policy};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{BoxError, Origin, OriginBody, Seen, ask, get, response};

const FIELDS: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];
const SEARCH: &str = "http://example.com/search";

fn with_content(method: &str, kind: &str, content: &'static str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(SEARCH).header("content-type", kind);
    request.body(Full::from(content)).unwrap()
}

/// Answers with the content it got.
fn echo() -> impl tower::Service<
    Request<KeyedBody<Full<Bytes>>>,
    Response = http::Response<OriginBody>,
    Error = BoxError,
    Future: Send,
> + Clone
+ Send
+ 'static {
    tower::service_fn(|request: Request<KeyedBody<Full<Bytes>>>| async move {
        let content = request.into_body().collect().await.unwrap().to_bytes();
        let text: &'static str = Box::leak(String::from_utf8(content.to_vec()).unwrap().into_boxed_str());
        Ok::<_, BoxError>(response(200, FIELDS, text))
    })
}

async fn through(cache: &CacheLayer, request: Request<Full<Bytes>>) -> Seen {
    let stack =
        ServiceBuilder::new().layer(cache.key_content().limit(16)).layer(cache.clone()).service(echo());
    ask(&stack, request).await
}

#[tokio::test]
async fn query_is_answered_from_the_store_for_the_same_content_only() {
    let cache = CacheLayer::new(MemoryStorage::new());
    let first = through(&cache, with_content("QUERY", "text/plain", "kettle")).await;
    assert_eq!((first.text(), first.cache().fwd()), ("kettle", Some(Fwd::UriMiss)));
    let again = through(&cache, with_content("QUERY", "text/plain", "kettle")).await;
    assert_eq!((again.text(), again.is_hit()), ("kettle", true));
    for (method, kind, content) in [
        ("QUERY", "text/plain", "teapot"),
        ("QUERY", "application/sql", "kettle"),
        ("QUERY", "text/plain", ""),
        ("GET", "text/plain", "kettle"),
    ] {
        let other = through(&cache, with_content(method, kind, content)).await;
        assert_eq!((other.text(), other.is_hit()), (content, false), "{method} {kind} {content}");
    }
}

#[tokio::test]
async fn more_content_than_the_limit_passes_through_uncached() {
    let cache = CacheLayer::new(MemoryStorage::new());
    for (content, stored) in [("0123456789abcdef", true), ("0123456789abcdefg", false)] {
        for number in 0..2 {
            let seen = through(&cache, with_content("QUERY", "text/plain", content)).await;
            assert_eq!((seen.text(), seen.is_hit()), (content, stored && number == 1));
            assert!(stored || seen.cache().fwd() == Some(Fwd::Bypass));
        }
    }
}

#[tokio::test]
async fn without_the_layer_query_is_not_cached() {
    let origin = Origin::always(FIELDS, "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    for _ in 0..2 {
        assert!(!ask(&cache, with_content("QUERY", "text/plain", "kettle")).await.is_hit());
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn get_with_content_never_answers_for_one_without() {
    let cache = CacheLayer::new(MemoryStorage::new());
    let planted = with_content("GET", "text/plain", "evil");
    assert_eq!(through(&cache, planted).await.text(), "evil");
    let plain = through(&cache, get(SEARCH)).await;
    assert_eq!((plain.text(), plain.is_hit()), ("", false));

    // Nor without the layer that looks at content, where a field announces some.
    let origin = Origin::always(FIELDS, "hello");
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let mut planted = get(SEARCH);
    planted.headers_mut().insert("content-length", "4".parse().unwrap());
    assert_eq!(ask(&cache, planted).await.cache().fwd(), Some(Fwd::Bypass));
    assert!(!ask(&cache, get(SEARCH)).await.is_hit());
}

#[tokio::test]
async fn post_is_reused_only_where_the_settings_say_so() {
    for (settings, reused) in [(Policy::private(), false), (Policy::private().methods([Method::POST]), true)]
    {
        let cache = CacheLayer::new(MemoryStorage::new()).policy(settings);
        through(&cache, with_content("POST", "text/plain", "kettle")).await;
        let again = through(&cache, with_content("POST", "text/plain", "kettle")).await;
        assert_eq!((again.text(), again.is_hit()), ("kettle", reused));
        assert!(!through(&cache, with_content("POST", "text/plain", "teapot")).await.is_hit());
    }
}

#[tokio::test]
async fn an_unsafe_request_invalidates_what_was_stored_for_query() {
    let cache = CacheLayer::new(MemoryStorage::new());
    let query = || with_content("QUERY", "text/plain", "kettle");
    through(&cache, query()).await;
    assert!(through(&cache, query()).await.is_hit());
    through(&cache, with_content("POST", "text/plain", "")).await;
    assert!(!through(&cache, query()).await.is_hit());
}

#[tokio::test]
async fn content_that_breaks_off_reaches_the_origin_as_it_came() {
    let cache = CacheLayer::new(MemoryStorage::new());
    let stack = ServiceBuilder::new().layer(cache.key_content()).layer(cache).service_fn(
        |request: Request<KeyedBody<OriginBody>>| async move {
            assert!(request.into_body().collect().await.is_err());
            Ok::<_, BoxError>(response(400, &[], ""))
        },
    );
    let body = crate::support::Frames::of(&["ket"]).then_error().boxed();
    let request = Request::builder().method("QUERY").uri(SEARCH).body(body).unwrap();
    assert_eq!(stack.oneshot(request).await.unwrap().status(), 400);
}

/// Answers with the content it got, without a layer that looks at it before.
fn plain_echo<B>()
-> impl tower::Service<Request<B>, Response = http::Response<OriginBody>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ 'static
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    tower::service_fn(|request: Request<B>| async move {
        let content = request.into_body().collect().await.unwrap().to_bytes();
        let text: &'static str = Box::leak(String::from_utf8(content.to_vec()).unwrap().into_boxed_str());
        Ok::<_, BoxError>(response(200, FIELDS, text))
    })
}

#[tokio::test]
async fn the_body_says_whether_a_request_has_content_and_not_only_its_fields() {
    let cache = CacheLayer::new(MemoryStorage::new()).layer(plain_echo());
    for content in ["one", "other", "", "third"] {
        // No client in this process writes Content-Length into the request's fields.
        let request = Request::get(SEARCH).body(Full::from(content)).unwrap();
        let seen = ask(&cache, request).await;
        let bypassed = (!content.is_empty()).then_some(Fwd::Bypass);
        assert_eq!((seen.text(), seen.cache().fwd()), (content, bypassed.or(Some(Fwd::UriMiss))));
    }
    let hit = ask(&cache, get(SEARCH)).await;
    assert_eq!((hit.text(), hit.is_hit()), ("", true));
}

/// A body that is not at its end and says nothing of its length.
#[derive(Default)]
struct Unannounced(Option<&'static str>);

impl http_body::Body for Unannounced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        let data = self.0.take().map(|text| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes()))));
        std::task::Poll::Ready(data)
    }
}

#[tokio::test]
async fn a_request_body_of_unknown_length_is_content() {
    let cache = CacheLayer::new(MemoryStorage::new()).layer(plain_echo());
    for content in ["one", "other"] {
        let request = Request::get(SEARCH).body(Unannounced(Some(content))).unwrap();
        let response = cache.clone().oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), content);
    }
}

#[tokio::test]
async fn head_with_content_says_nothing_of_what_is_stored_for_get() {
    let origin = Origin::new(|parts, _| {
        let tag = if parts.method == Method::HEAD { "\"b\"" } else { "\"a\"" };
        Ok(response(200, &[("cache-control", "max-age=60"), ("etag", tag)], ""))
    });
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    ask(&cache, get(SEARCH)).await;
    ask(&cache, with_content("HEAD", "text/plain", "kettle")).await;
    assert!(ask(&cache, get(SEARCH)).await.is_hit());
    // One without content does say that there is something newer.
    ask(&cache, crate::support::request("HEAD", SEARCH, &[("cache-control", "no-cache")])).await;
    assert!(!ask(&cache, get(SEARCH)).await.is_hit());
}

#[tokio::test]
async fn known_content_counts_only_for_the_request_that_it_belongs_to() {
    use larder::key::RequestContent;

    let cache = CacheLayer::new(MemoryStorage::new()).layer(plain_echo());
    let with = |method: &str, known: RequestContent, content: &'static str| {
        let mut request = with_content(method, "text/plain", content);
        request.extensions_mut().insert(known);
        request
    };
    let query = Method::from_bytes(b"QUERY").unwrap();
    let fields = with_content("QUERY", "text/plain", "").headers().clone();
    let known = RequestContent::new(&query, &fields, b"kettle");
    for number in 0..2 {
        let seen = ask(&cache, with("QUERY", known.clone(), "kettle")).await;
        assert_eq!((seen.text(), seen.is_hit()), ("kettle", number == 1));
    }
    // Content of another length, none at all, other metadata, another method.
    let mut sql = with("QUERY", known.clone(), "kettle");
    sql.headers_mut().insert("content-type", "application/sql".parse().unwrap());
    let longer = with("QUERY", known.clone(), "kettles");
    for request in [longer, with("QUERY", known.clone(), ""), sql, with("GET", known.clone(), "kettle")] {
        let what = format!("{request:?}");
        assert_eq!(ask(&cache, request).await.cache().fwd(), Some(Fwd::Bypass), "{what}");
    }
    // What a redirect leaves behind of a GET with content is a GET without.
    let known = RequestContent::new(&Method::GET, &fields, b"kettle");
    assert_eq!(ask(&cache, with("GET", known, "")).await.text(), "");
    assert!(ask(&cache, with_content("GET", "text/plain", "")).await.is_hit());
}

#[tokio::test]
async fn a_key_without_the_content_does_not_tell_requests_with_content_apart() {
    use larder::key::{CacheKey, RequestHead};

    let by_path =
        |request: &RequestHead<'_>| Some(CacheKey::builder().part(CacheKey::URI, request.uri.path()).build());
    let cache = CacheLayer::new(MemoryStorage::new()).make_key(by_path);
    for content in ["kettle", "teapot", "kettle"] {
        let seen = through(&cache, with_content("QUERY", "text/plain", content)).await;
        assert_eq!((seen.text(), seen.cache().fwd()), (content, Some(Fwd::Bypass)));
    }
}
