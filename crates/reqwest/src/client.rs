//! The client.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, Entry, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use larder::redirect::AnsweredBy;
use larder::storage::Storage;
use larder::{CacheLayer, CacheOverride, CacheStatus};
use reqwest::{Body, IntoUrl, Request, Response, ResponseBuilderExt, Url};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::builder::CachedClientBuilder;
use crate::error::BuildError;
use crate::origin::RequestSettings;
use crate::request::RequestBuilder;

pub(crate) type Stack = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, reqwest::Error>;

/// A [`reqwest::Client`] with a cache. Clones share the cache and the connections.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use larder_reqwest::{CachedClient, storage::SqliteStorage};
///
/// let client = CachedClient::new(SqliteStorage::open("cache.db")?)?;
/// let text = client.get("https://www.rust-lang.org/").send().await?.error_for_status()?.text().await?;
/// # drop(text);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CachedClient {
    stack: Stack,
    client: reqwest::Client,
    layer: CacheLayer,
    default_headers: Arc<HeaderMap>,
}

impl fmt::Debug for CachedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedClient").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl CachedClient {
    /// A private cache in `storage` over a client with reqwest's defaults. It follows up to 10 redirects.
    ///
    /// # Errors
    ///
    /// [`BuildError::Reqwest`] when reqwest cannot build its client: without a TLS backend, for example.
    pub fn new(storage: impl Storage) -> Result<Self, BuildError> {
        Self::builder(CacheLayer::new(storage)).build(reqwest::Client::builder())
    }

    /// A client with the settings of `layer`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use larder_reqwest::{CacheLayer, CachedClient, Policy, reqwest, storage::MemoryStorage};
    ///
    /// let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::private());
    /// let client = reqwest::Client::builder().timeout(Duration::from_secs(10));
    /// # let _ = || -> Result<CachedClient, larder_reqwest::BuildError> {
    /// let client = CachedClient::builder(layer).redirects(5).build(client)?;
    /// # Ok(client) };
    /// ```
    pub fn builder(layer: CacheLayer) -> CachedClientBuilder {
        CachedClientBuilder::new(layer)
    }

    pub(crate) fn over(
        stack: Stack,
        client: reqwest::Client,
        layer: CacheLayer,
        default_headers: HeaderMap,
    ) -> Self {
        Self { stack, client, layer, default_headers: Arc::new(default_headers) }
    }

    /// The layer with the storage, the counters and [`flush`](CacheLayer::flush).
    pub const fn layer(&self) -> &CacheLayer {
        &self.layer
    }

    /// The client that goes to the origin, for requests that shall not know of the cache.
    pub const fn uncached(&self) -> &reqwest::Client {
        &self.client
    }

    /// A `GET` request.
    pub fn get<U: IntoUrl>(&self, url: U) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A `HEAD` request.
    pub fn head<U: IntoUrl>(&self, url: U) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// A `POST` request. A successful one invalidates what is stored for its URL (RFC 9111 section 4.4).
    pub fn post<U: IntoUrl>(&self, url: U) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// A `PUT` request; see [`post`](Self::post).
    pub fn put<U: IntoUrl>(&self, url: U) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// A `PATCH` request; see [`post`](Self::post).
    pub fn patch<U: IntoUrl>(&self, url: U) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// A `DELETE` request; see [`post`](Self::post).
    pub fn delete<U: IntoUrl>(&self, url: U) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// A request with this method.
    pub fn request<U: IntoUrl>(&self, method: Method, url: U) -> RequestBuilder {
        RequestBuilder::new(self.clone(), self.client.request(method, url))
    }

    /// Sends a request through the cache.
    ///
    /// # Errors
    ///
    /// Those of reqwest. The cache has none: a storage that fails is a miss.
    pub async fn execute(&self, request: Request) -> reqwest::Result<Response> {
        self.send(request, None).await
    }

    /// Sends a request through the cache, with overrides for this request.
    ///
    /// # Errors
    ///
    /// Those of [`execute`](Self::execute).
    pub async fn execute_with(
        &self,
        request: Request,
        overrides: CacheOverride,
    ) -> reqwest::Result<Response> {
        self.send(request, Some(overrides)).await
    }

    async fn send(
        &self,
        mut request: Request,
        overrides: Option<CacheOverride>,
    ) -> reqwest::Result<Response> {
        let url = request.url().clone();
        self.complete(request.headers_mut());
        let mut request = http::Request::<Body>::try_from(request)?;
        let settings = RequestSettings(std::mem::take(request.extensions_mut()));
        request.extensions_mut().insert(settings);
        if let Some(overrides) = overrides {
            request.extensions_mut().insert(overrides);
        }
        let response = self.stack.clone().oneshot(request).await?;
        Ok(with_url(response, url))
    }

    /// Adds what every request has.
    fn complete(&self, fields: &mut HeaderMap) {
        for name in self.default_headers.keys() {
            if let Entry::Vacant(entry) = fields.entry(name) {
                let mut values = self.default_headers.get_all(name).iter().cloned();
                if let Some(first) = values.next() {
                    let mut entry = entry.insert_entry(first);
                    values.for_each(|value| entry.append(value));
                }
            }
        }
        // A range of compressed content could not be decompressed.
        if fields.contains_key(RANGE) && !fields.contains_key(ACCEPT_ENCODING) {
            fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
}

/// The response with the URL that answered: the request's own unless redirects were followed.
fn with_url(response: http::Response<Body>, asked: Url) -> Response {
    let (parts, body) = response.into_parts();
    let answered = parts.extensions.get::<AnsweredBy>().and_then(|by| Url::parse(&by.0.to_string()).ok());
    let (mut told, ()) = match http::Response::builder().url(answered.unwrap_or(asked)).body(()) {
        Ok(response) => response.into_parts(),
        // A builder with nothing but an extension does not fail.
        Err(_) => http::Response::new(()).into_parts(),
    };
    told.status = parts.status;
    told.version = parts.version;
    told.headers = parts.headers;
    told.extensions.extend(parts.extensions);
    http::Response::from_parts(told, body).into()
}

/// What the cache did for this response: a hit, or why the origin was asked (RFC 9211).
#[must_use]
pub fn cache_status(response: &Response) -> Option<&CacheStatus> {
    response.extensions().get()
}
