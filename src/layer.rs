//! `CacheLayer`: the settings, and the way in.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tower_layer::Layer;

use crate::clock::Clock;
use crate::config::Config;
use crate::key::{CacheKey, MakeKey, RequestHead};
use crate::policy::Policy;
use crate::service::{Cache, FollowRedirects, KeyContent, Rules, name};
use crate::storage::{DynStorage, IntoStorage};
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
/// The cache sees the request as it arrives. **Credentials that are added below the cache cannot separate anything**: a
/// client's default headers, its cookie jar, a client certificate, an authentication layer nearer to the origin. Put
/// what adds credentials above the cache. Where that cannot be, and the client always is the same principal, give it a
/// [partition](crate::key::DefaultKey::partition) of its own, so that another client with the same store does not get
/// its responses:
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
/// // The cache sees the token: what adds it stands above.
/// let cache = CacheLayer::new(MemoryStorage::new());
/// let client = ServiceBuilder::new().map_request(with_token).layer(cache).service_fn(call);
///
/// // It does not: the client itself adds the token. The partition says whose it is.
/// let cache = CacheLayer::new(MemoryStorage::new()).make_key(DefaultKey::new().partition("account-4711"));
/// let client = ServiceBuilder::new().layer(cache).map_request(with_token).service_fn(call);
/// # drop(client);
/// ```
///
/// # Redirects
///
/// Redirects are followed by the layer itself ([`follow_redirects`](Self::follow_redirects)) or above it, **never
/// below**: a client that follows them by itself hands the last answer up as that of the first URI, and so it would be
/// stored. The cache sees that only where the response says who answered: see [`redirect`](crate::redirect).
///
/// A Tokio runtime with its timer on must run the services.
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

    /// How to decide: [`Policy::private`], the default, or [`Policy::shared`], with settings of their own.
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|config| config.policy = policy)
    }

    /// Where to read the time; the operating system's clock by default.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|config| config.clock = Arc::new(clock))
    }

    /// How to make keys; [`DefaultKey`](crate::key::DefaultKey) by default. The principal is part of every key: see
    /// [above](Self#whose-responses).
    pub fn make_key(self, make_key: impl MakeKey) -> Self {
        self.with(|config| config.make_key = Arc::new(make_key))
    }

    /// Whether responses carry a `Cache-Status` field (RFC 9211); off by default. The
    /// [`CacheStatus`](crate::status::CacheStatus) extension is there either way.
    pub fn cache_status_header(self, on: bool) -> Self {
        self.with(|config| config.status_header = on)
    }

    /// Whether the cache status names the key; off by default, since keys can tell secrets.
    pub fn cache_status_key(self, on: bool) -> Self {
        self.with(|config| config.status_key = on)
    }

    /// How long a single operation of the storage may take. A lookup that takes longer is a miss; a write that takes
    /// longer is given up. Default: 2 s.
    pub fn storage_deadline(self, deadline: Duration) -> Self {
        self.with(|config| config.store.deadline = deadline)
    }

    /// How long a request waits for another one that is at the origin already and asks the same. Zero: requests do not
    /// wait. Default: 5 s.
    ///
    /// When the other response is stored, all requests that waited look into the store again. One that it may not answer
    /// goes to the origin, and for 10 seconds requests of its kind do not wait for each other.
    pub fn collapse(self, wait: Duration) -> Self {
        self.with(|config| config.collapse = wait)
    }

    /// How long the caller of one body waits in all for a store that is more than a few chunks behind. After that the body
    /// is no longer stored. Bodies up to 64 KiB never wait. Default: 250 ms.
    pub fn storage_patience(self, patience: Duration) -> Self {
        self.with(|config| config.store.patience = patience)
    }

    /// How many bytes of bodies may be in memory on their way to the store, for all requests of this layer together.
    /// A response for which there is no room is not stored; [`Counts::crowded_out`] counts them. A single response that
    /// is alone always finds room, however long its frames are. Default: 64 MiB.
    pub fn storage_backlog(self, bytes: usize) -> Self {
        self.with(|config| config.store.backlog = bytes)
    }

    /// Whether to store HTTP/1 bodies that end with the connection; off by default, since they cannot be told
    /// from truncated ones. That goes for a part that makes stored parts whole as well: the caller gets the whole, or
    /// an error if the part is shorter or longer than it says, and the parts stay what they are.
    pub fn store_close_delimited(self, on: bool) -> Self {
        self.with(|config| config.store_close_delimited = on)
    }

    /// The storage, to look into it or to clear it while the cache runs.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn DynStorage> {
        &self.config.store.storage
    }

    /// The key under which a response to this request is stored, with the part for the principal. It
    /// is the key for [`Storage::remove`](crate::storage::Storage::remove). `None` for a request that bypasses the cache.
    ///
    /// Call it on the layer as it is used: [`make_key`](Self::make_key) and [`policy`](Self::policy) decide about keys.
    #[must_use]
    pub fn key<'a>(&self, request: impl Into<RequestHead<'a>>) -> Option<CacheKey> {
        name::whole_key(&self.config, &request.into())
    }

    /// What the services of this layer have done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.config.counters.snapshot()
    }

    /// Waits until everything is written that is under way to the store: responses whose bodies have been read to their
    /// end, freshened heads, removals and invalidations. Call it before a program ends.
    ///
    /// With SQLite and files a program may also just return from `main`: their threads write to the end what was handed
    /// to them, unless the process is ended by [`std::process::exit`] or the layer is in a `static`.
    pub async fn flush(&self) {
        self.config.store.flush().await;
    }

    /// Follows up to `limit` redirects (100 at the most) inside the cache, hop by hop: each hop is answered from the
    /// store where it may be, so that a chain stored once is answered in one call without the network.
    /// [`RedirectHistory`](crate::redirect::RedirectHistory) in the response's extensions tells the way.
    ///
    /// The next request is put together by RFC 9110 section 15.4: POST becomes GET after 301 and 302, everything but
    /// HEAD becomes GET after 303. Content is sent once. The redirect itself is the answer where the content would
    /// have to be sent again, past `limit`, in a loop, and where it leads to something other than `http` or `https`.
    ///
    /// To another origin (scheme, host or port differ, so also from `https` to `http`) no credentials go along, and
    /// no extensions of yours: see [`FollowLayer`].
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

    /// A layer to put above this one, where requests have content that belongs into their keys: QUERY, the methods
    /// of [`Policy::methods`], and GET with content. Without it such requests go to the origin.
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

/// More content than this is not read ahead.
const LONGEST_CONTENT: usize = 64 * 1024;

/// Reads the content of requests ahead, so that it is a part of their keys (RFC 10008 section 2.7). Made by
/// [`CacheLayer::key_content`], and put above that layer.
///
/// The services below get the caller's body as a [`KeyedBody`](crate::KeyedBody). A request is sent on when its
/// content has arrived; one with more content than the [limit](Self::limit) is sent on when that much of it has, and
/// goes to the origin uncached.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct KeyContentLayer {
    policy: Policy,
    limit: usize,
}

impl KeyContentLayer {
    /// The longest content, in bytes, that is made part of a key; 64 KiB unless set.
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

/// A [`CacheLayer`] whose services follow redirects. Made by [`CacheLayer::follow_redirects`].
///
/// # What goes along
///
/// To the same origin (scheme, host and port), everything does: all fields that are not about content that is
/// dropped, and all extensions.
///
/// To another origin, these stay behind, also if the chain comes back later:
///
/// - `Authorization`, `Proxy-Authorization`, `Cookie`, the userinfo of the URI, every field whose name looks like that
///   of a credential (`X-Api-Key`, `X-Session`, ...), and every value that is marked
///   [sensitive](http::HeaderValue::is_sensitive);
/// - `Host`, `Referer`, and the fields some origins take for the target (`X-Forwarded-Host` and its like); `Origin`
///   becomes `null` unless it names the origin that redirects, as browsers have it;
/// - the request's extensions, but for [`CacheOverride`](crate::CacheOverride).
///
/// More may go along if you say so: [`carry_field`](Self::carry_field) and [`carry_extension`](Self::carry_extension).
///
/// A redirect from `https` to `http` is followed, as one to another origin.
///
/// # Whose responses
///
/// The principal is found out once, from the caller's own request: the partition of
/// [`DefaultKey::partition_by`](crate::key::DefaultKey::partition_by) is the same for all hops, also if fields stay behind.
/// A [`MakeKey`](crate::key::MakeKey) of your own is given all extensions of the caller's request for each hop.
///
/// The settings of a [`CacheOverride`](crate::CacheOverride) hold for each hop, but its key is only that of the first:
/// the redirect is stored under it, and what it leads to under the key of its own URI.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct FollowLayer {
    layer: CacheLayer,
    rules: Arc<Rules>,
}

impl FollowLayer {
    /// Lets a field go along to other origins that would stay behind: a credential for all of them, for example.
    /// `Host` never goes.
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

    /// Lets an extension go along to other origins.
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
