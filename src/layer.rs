//! `CacheLayer` and its settings.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};
use tower_layer::Layer;

use crate::clock::Clock;
use crate::config::Config;
use crate::key::{CacheKey, MakeKey, RequestHead};
use crate::policy::Policy;
use crate::service::{Cache, FollowRedirects, KeyContent, Rules, name, purge};
use crate::storage::{DynStorage, IntoStorage, StorageError};
use crate::store::Counts;

/// Puts a cache in front of an HTTP service.
///
/// Clones, and all services made by one layer, share the storage and the counters.
///
/// ```
/// use larder::CacheLayer;
/// use larder::policy::Policy;
/// use larder::storage::MemoryStorage;
/// use tower::ServiceBuilder;
///
/// let layer = CacheLayer::new(MemoryStorage::new()).policy(Policy::private()).cache_status_header(true);
/// let client = ServiceBuilder::new().layer(layer).service_fn(|_request: http::Request<String>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("hello")))
/// });
/// # drop(client);
/// ```
///
/// # Whose responses
///
/// A [private](Policy::private) cache, the default, keeps a keyed hash of the request's credentials in every key:
/// requests with different `Authorization`, `Proxy-Authorization` or userinfo never share a stored response. A
/// [shared](Policy::shared) cache follows RFC 9111 section 3.5. [`DefaultKey`](crate::key::DefaultKey) has options for
/// both: to share, and to separate by anything else.
///
/// The cache sees the request as it arrives. **Credentials that are added below the cache do not separate responses**: a
/// client's default headers, its cookie jar, a client certificate, an authentication layer nearer to the origin. Put
/// the layer that adds credentials above the cache. If that is impossible and the client always acts for the same
/// principal, give it a [partition](crate::key::DefaultKey::partition) of its own. Another client with the same store
/// then does not get its responses:
///
/// ```
/// use http::{HeaderValue, header::AUTHORIZATION};
/// use larder::CacheLayer;
/// use larder::key::DefaultKey;
/// use larder::storage::MemoryStorage;
/// use tower::ServiceBuilder;
/// # fn with_token(mut request: http::Request<String>) -> http::Request<String> {
/// #     request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer 4711"));
/// #     request
/// # }
/// # async fn call(_: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> {
/// #     Ok(http::Response::new(String::new()))
/// # }
///
/// // The cache sees the token: `with_token` is above it.
/// let cache = CacheLayer::new(MemoryStorage::new());
/// let client = ServiceBuilder::new().map_request(with_token).layer(cache).service_fn(call);
///
/// // The cache does not see the token: the client adds it. The partition names the account.
/// let cache = CacheLayer::new(MemoryStorage::new()).make_key(DefaultKey::new().partition("account-4711"));
/// let client = ServiceBuilder::new().layer(cache).map_request(with_token).service_fn(call);
/// # drop(client);
/// ```
///
/// # Redirects
///
/// Follow redirects in this layer ([`follow_redirects`](Self::follow_redirects)) or above it, **never below**. A client
/// that follows them returns the last response as the response of the first URI, and the cache would store it under the
/// first URI. The cache notices that only if the response says who answered: see [`redirect`](crate::redirect).
///
/// The services need a Tokio runtime with its timer enabled.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct CacheLayer {
    config: Arc<Config>,
}

impl CacheLayer {
    /// A private cache in this storage: a [`Storage`](crate::storage::Storage), an `Arc` of one, or the object that
    /// [`storage::open`](crate::storage::open) returns for a URL.
    ///
    /// ```
    /// use larder::{CacheLayer, storage};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = CacheLayer::new(storage::open("memory:").await?);
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(storage: impl IntoStorage) -> Self {
        Self { config: Arc::new(Config::new(storage.into_storage())) }
    }

    /// How the cache decides: [`Policy::private`] or [`Policy::shared`], with their settings. Default: `Policy::private()`.
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|config| config.policy = policy)
    }

    /// Where the cache reads the time. Default: the operating system's clock.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|config| config.clock = Arc::new(clock))
    }

    /// How the cache makes keys. The principal is part of every key: see [above](Self#whose-responses).
    /// Default: [`DefaultKey`](crate::key::DefaultKey).
    pub fn make_key(self, make_key: impl MakeKey) -> Self {
        self.with(|config| config.make_key = Arc::new(make_key))
    }

    /// Whether responses have a `Cache-Status` field (RFC 9211). They have the
    /// [`CacheStatus`](crate::status::CacheStatus) extension in either case. Default: no.
    pub fn cache_status_header(self, on: bool) -> Self {
        self.with(|config| config.status_header = on)
    }

    /// Whether the cache status names the key. Keys can contain secrets. Default: no.
    pub fn cache_status_key(self, on: bool) -> Self {
        self.with(|config| config.status_key = on)
    }

    /// How long a single operation of the storage may take. A lookup that takes longer is a miss. The cache
    /// gives up a write that takes longer. Default: 2 s.
    pub fn storage_deadline(self, deadline: Duration) -> Self {
        self.with(|config| config.store.deadline = deadline)
    }

    /// How long a request waits for another one that is already at the origin and asks the same. With zero, requests do
    /// not wait. Default: 5 s.
    ///
    /// When the other response is stored, the cache looks up all requests that waited again. If the response may not
    /// answer one of them, that request goes to the origin, and for 10 seconds such requests do not wait for each other.
    pub fn collapse(self, wait: Duration) -> Self {
        self.with(|config| config.collapse = wait)
    }

    /// How long the caller of one body waits in total for a store that is more than a few chunks behind. After that time
    /// the cache stops storing the body. Bodies up to 64 KiB never wait. Default: 250 ms.
    pub fn storage_patience(self, patience: Duration) -> Self {
        self.with(|config| config.store.patience = patience)
    }

    /// How many bytes of bodies may be in memory on their way to the store, for all requests of this layer together.
    /// A response without room is not stored; [`Counts::crowded_out`] counts these. If only one response is on its way,
    /// it always has room, even with very long frames. Default: 64 MiB.
    pub fn storage_backlog(self, bytes: usize) -> Self {
        self.with(|config| config.store.backlog = bytes)
    }

    /// Whether to store HTTP/1 bodies that end with the connection. The cache cannot distinguish them from truncated ones.
    /// The same applies to a part that completes stored parts: the caller gets the whole body, or an error if the part
    /// is shorter or longer than announced, and the stored parts stay as they are. Default: no.
    pub fn store_close_delimited(self, on: bool) -> Self {
        self.with(|config| config.store_close_delimited = on)
    }

    /// The storage, for reading or clearing it while the cache runs.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn DynStorage> {
        &self.config.store.storage
    }

    /// The key under which a response to this request is stored, including the principal. `None` for a request
    /// that bypasses the cache.
    ///
    /// It is the key for [`Storage::lookup`](crate::storage::Storage::lookup) and
    /// [`Storage::remove`](crate::storage::Storage::remove). To remove everything that is stored for a URI, for all
    /// principals, use [`purge`](Self::purge).
    ///
    /// Call it on the layer as it is used: [`make_key`](Self::make_key) and [`policy`](Self::policy) decide about keys.
    #[must_use]
    pub fn key_of<'a>(&self, request: impl Into<RequestHead<'a>>) -> Option<CacheKey> {
        name::whole_key(&self.config, &request.into())
    }

    /// Removes everything that is stored for a URI: responses to all methods and contents, all variants, of all principals
    /// and partitions, and redirects from it. Returns how many responses and redirects were removed.
    ///
    /// It first invalidates everything that is stored for the URI, as after an unsafe request (RFC 9111 section 4.4). From
    /// then on, no process answers with these responses before the origin has validated them. This includes responses that
    /// are on their way to the store at this moment. Then it removes the entries. It lists the whole storage page by page,
    /// so memory is bounded, and the time depends on how much is stored.
    ///
    /// The URI is absolute, with its query. All its spellings are removed ([`normalize`](crate::key::normalize)), and all
    /// URIs with the same key, for example because of [`DefaultKey::ignore_query_parameters`]. A response that answers
    /// for several queries (`No-Vary-Search`) is removed with any query of its path.
    ///
    /// ```
    /// use larder::CacheLayer;
    /// use larder::storage::MemoryStorage;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = CacheLayer::new(MemoryStorage::new());
    /// let removed = layer.purge(&"https://example.com/news?page=1".parse()?).await?;
    /// assert_eq!(removed, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`](crate::storage::StorageErrorKind::Invalid) for a URI that is not absolute. Otherwise
    /// the storage's own error: the rest is then still stored. The layer respects an invalidation that the storage did not
    /// accept, and tries it again. [`storage_deadline`](Self::storage_deadline) applies to each operation.
    ///
    /// [`DefaultKey::ignore_query_parameters`]: crate::key::DefaultKey::ignore_query_parameters
    pub async fn purge(&self, uri: &Uri) -> Result<u64, StorageError> {
        purge::purge(&self.config, uri).await
    }

    /// The counts of what all services of this layer have done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.config.counters.snapshot()
    }

    /// Waits until everything that is under way to the store is written: responses whose bodies were read to their end,
    /// freshened heads, removals and invalidations. Call it before a program ends.
    ///
    /// With SQLite and files, a program may also return from `main` without it: their threads finish all queued writes.
    /// They cannot do that if the process ends by [`std::process::exit`] or the layer is in a `static`.
    pub async fn flush(&self) {
        self.config.store.flush().await;
    }

    /// Follows up to `limit` redirects (at most 100) inside the cache, hop by hop. The cache answers each hop from the
    /// store if RFC 9111 allows it. So it answers a stored chain in one call without the network.
    /// [`RedirectHistory`](crate::redirect::RedirectHistory) in the response's extensions lists the hops.
    ///
    /// The next request follows RFC 9110 section 15.4: POST becomes GET after 301 and 302, and all methods except HEAD
    /// become GET after 303. Content is sent once. The caller gets the redirect itself if the content would have to be
    /// sent again, after `limit` redirects, in a loop, and if the target is neither `http` nor `https`.
    ///
    /// A request to another origin (another scheme, host or port; also from `https` to `http`) gets no credentials and
    /// none of your extensions: see [`FollowLayer`].
    ///
    /// Call it last: what it returns is no longer a `CacheLayer`.
    ///
    /// ```
    /// use larder::CacheLayer;
    /// use larder::storage::MemoryStorage;
    ///
    /// let layer = CacheLayer::new(MemoryStorage::new()).follow_redirects(10);
    /// # let _ = layer;
    /// ```
    pub fn follow_redirects(self, limit: usize) -> FollowLayer {
        let rules = Rules { limit: limit.min(MOST_REDIRECTS), ..Rules::default() };
        FollowLayer { layer: self, rules: Arc::new(rules) }
    }

    /// A layer to put above this one if the content of requests belongs to their keys: QUERY, the methods of
    /// [`Policy::methods`], and GET with content. Without this layer such requests go to the origin.
    ///
    /// ```
    /// use larder::CacheLayer;
    /// use larder::storage::MemoryStorage;
    /// use tower::ServiceBuilder;
    ///
    /// let cache = CacheLayer::new(MemoryStorage::new());
    /// let stack = ServiceBuilder::new().layer(cache.key_content()).layer(cache);
    /// # let _ = stack;
    /// ```
    ///
    /// Call it after [`policy`](Self::policy).
    pub fn key_content(&self) -> KeyContentLayer {
        KeyContentLayer { policy: self.config.policy.clone(), limit: LONGEST_CONTENT }
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = Cache<S>;

    fn layer(&self, inner: S) -> Cache<S> {
        Cache::new(inner, Arc::clone(&self.config))
    }
}

/// The content layer reads no more than this ahead.
const LONGEST_CONTENT: usize = 64 * 1024;

/// Reads the content of requests before it sends them on, so that the content is a part of their keys (RFC 10008
/// section 2.7). [`CacheLayer::key_content`] makes it. Put it above that layer.
///
/// The services below get the caller's body as a [`KeyedBody`](crate::KeyedBody). A request is sent on when its
/// content has arrived. A request with more content than the [limit](Self::limit) is sent on when that much has arrived;
/// it bypasses the cache.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct KeyContentLayer {
    policy: Policy,
    limit: usize,
}

impl KeyContentLayer {
    /// The longest content, in bytes, that becomes part of a key. Default: 64 KiB.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

impl<S> Layer<S> for KeyContentLayer {
    type Service = KeyContent<S>;

    fn layer(&self, inner: S) -> KeyContent<S> {
        KeyContent::new(inner, self.policy.clone(), self.limit)
    }
}

/// The limit of [`CacheLayer::follow_redirects`] is never higher.
const MOST_REDIRECTS: usize = 100;

/// A [`CacheLayer`] whose services follow redirects. [`CacheLayer::follow_redirects`] makes it.
///
/// # What the next request carries
///
/// A request to the same origin (scheme, host and port) carries all extensions and all fields. If its content is
/// dropped, the fields about the content are dropped too.
///
/// A request to another origin does not carry the following, even if the chain later returns to the first origin:
///
/// - `Authorization`, `Proxy-Authorization`, `Cookie`, the userinfo of the URI, every field with a name like that of a
///   credential (`X-Api-Key`, `X-Session`, ...), and every value that is marked
///   [sensitive](http::HeaderValue::is_sensitive);
/// - `Host`, `Referer`, and the fields that some origins use as the target (`X-Forwarded-Host` and similar ones);
///   `Origin` becomes `null`, as in browsers, unless it names the origin that redirects;
/// - the request's extensions, except [`CacheOverride`](crate::CacheOverride).
///
/// [`carry_field`](Self::carry_field) and [`carry_extension`](Self::carry_extension) allow more.
///
/// A redirect from `https` to `http` is followed like a redirect to another origin.
///
/// # Whose responses
///
/// The cache determines the principal once, from the caller's own request. The partition of
/// [`DefaultKey::partition_by`](crate::key::DefaultKey::partition_by) is the same for all hops, even if a hop does not
/// carry the fields. Your own [`MakeKey`](crate::key::MakeKey) sees all extensions of the caller's request for each hop.
///
/// The settings of a [`CacheOverride`](crate::CacheOverride) apply to each hop, but its key applies only to the first
/// one: the redirect is stored under this key, and the response of the next hop under the key of its own URI.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct FollowLayer {
    layer: CacheLayer,
    rules: Arc<Rules>,
}

impl FollowLayer {
    /// Sends this field also to other origins, for example a credential for all of them. `Host` is never sent to another
    /// origin.
    ///
    /// ```
    /// use http::HeaderName;
    /// use larder::CacheLayer;
    /// use larder::storage::MemoryStorage;
    ///
    /// let layer = CacheLayer::new(MemoryStorage::new())
    ///     .follow_redirects(10)
    ///     .carry_field(HeaderName::from_static("x-token-budget"));
    /// # let _ = layer;
    /// ```
    pub fn carry_field(mut self, name: HeaderName) -> Self {
        Arc::make_mut(&mut self.rules).crossing.carry_field(name);
        self
    }

    /// Passes this extension also to requests to other origins.
    ///
    /// ```
    /// use larder::CacheLayer;
    /// use larder::storage::MemoryStorage;
    ///
    /// #[derive(Clone)]
    /// struct Deadline(std::time::Instant);
    ///
    /// let layer = CacheLayer::new(MemoryStorage::new()).follow_redirects(10).carry_extension::<Deadline>();
    /// # let _ = layer;
    /// ```
    pub fn carry_extension<T: Clone + Send + Sync + 'static>(mut self) -> Self {
        Arc::make_mut(&mut self.rules).crossing.carry_extension::<T>();
        self
    }
}

impl<S> Layer<S> for FollowLayer {
    type Service = FollowRedirects<S>;

    fn layer(&self, inner: S) -> FollowRedirects<S> {
        FollowRedirects::new(self.layer.layer(inner), Arc::clone(&self.rules))
    }
}
