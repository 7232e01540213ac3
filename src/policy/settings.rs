//! What the user sets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{Method, StatusCode};

use crate::key::principal_hash_key;
use crate::policy::seconds::seconds;

/// How the cache decides: as a private or as a shared cache, and the user's settings beside the RFC.
///
/// ```
/// use larder::policy::Policy;
/// use std::time::Duration;
///
/// let policy = Policy::private().default_lifetime(Duration::from_secs(60));
/// assert!(!policy.is_shared());
/// ```
#[derive(Clone)]
#[must_use]
pub struct Policy {
    shared: bool,
    default_lifetime: Option<u32>,
    status_lifetimes: Vec<(StatusCode, u32)>,
    override_lifetime: Option<u32>,
    heuristic_fraction: f64,
    heuristic_limit: u32,
    methods: Vec<Method>,
    stale_while_revalidate: u32,
    stale_if_error: u32,
    stale_when_disconnected: bool,
    retention: u32,
    targets: Vec<HeaderName>,
    set_cookie: SetCookie,
    no_vary_search: bool,
    secret: Arc<[u8]>,
    /// Derived from `secret`, once.
    principal_hash_key: [u8; 32],
    fingerprint: u64,
}

/// What a cache does with a response that has `Set-Cookie`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetCookie {
    /// Stores it unchanged, with its cookies (RFC 9111 section 7.3). The default of a private cache.
    Store,
    /// Stores the response without its cookies, so that no user gets the cookies of another. The default of a shared
    /// cache.
    Strip,
    /// Does not store the response.
    Refuse,
}

impl Policy {
    /// A private cache: for one user. The default.
    ///
    /// One process often has the credentials of many users. So a keyed hash of the request's credentials is part of every
    /// key: requests with different credentials never share a stored response.
    /// [`DefaultKey::credentials`](crate::key::DefaultKey::credentials) turns that off. Cookies and API keys in their own
    /// fields (`X-Api-Key`) do not count as credentials. If they identify users and the origin does not name them in
    /// `Vary`, use [`partition_by_cookie`](crate::key::DefaultKey::partition_by_cookie) or
    /// [`partition_by`](crate::key::DefaultKey::partition_by).
    ///
    /// The cache cannot see what is added to the request below it (a client's default headers, a cookie jar, an
    /// authentication layer): [`CacheLayer`](crate::CacheLayer#whose-responses) says what to do then.
    pub fn private() -> Self {
        Self {
            shared: false,
            default_lifetime: None,
            status_lifetimes: Vec::new(),
            override_lifetime: None,
            heuristic_fraction: 0.1,
            heuristic_limit: 24 * 60 * 60,
            methods: Vec::new(),
            stale_while_revalidate: 0,
            stale_if_error: 0,
            stale_when_disconnected: true,
            retention: 30 * 24 * 60 * 60,
            targets: Vec::new(),
            set_cookie: SetCookie::Store,
            no_vary_search: true,
            secret: Arc::from([]),
            principal_hash_key: principal_hash_key(&[]),
            fingerprint: 0,
        }
        .fingerprinted()
    }

    /// A shared cache: for several users, with the stricter rules of RFC 9111 for shared caches.
    ///
    /// Credentials are not part of the key. The response to a request with `Authorization`, or with userinfo in its URI,
    /// is stored only if the response allows it (`public`, `s-maxage`, `must-revalidate`; section 3.5).
    /// `Proxy-Authorization` does not count: it is for a proxy on the way, not for the origin.
    ///
    /// The cache cannot see credentials that are added to the request below it (a client's default headers, a cookie jar,
    /// an authentication layer). It would give the responses to such requests to all users:
    /// [`CacheLayer`](crate::CacheLayer#whose-responses) says what to do then.
    pub fn shared() -> Self {
        Self { shared: true, set_cookie: SetCookie::Strip, ..Self::private() }.fingerprinted()
    }

    /// Freshness lifetime of responses whose origin states none. It is used in place of the heuristic.
    /// It applies to the statuses that may be cached heuristically (200, 203, 204, 206, 300, 301, 308, 404, 405,
    /// 410, 414, 501). Default: none.
    pub fn default_lifetime(mut self, lifetime: Duration) -> Self {
        self.default_lifetime = Some(seconds(lifetime));
        self.fingerprinted()
    }

    /// Freshness lifetime of responses with this status whose origin states none. With it, responses with any status can
    /// be stored. RFC 6585 forbids storing 428, 429, 431 and 511: they are only stored if a lifetime is set for them here.
    /// Default: none.
    pub fn status_lifetime(mut self, status: StatusCode, lifetime: Duration) -> Self {
        self.status_lifetimes.retain(|(other, _)| *other != status);
        self.status_lifetimes.push((status, seconds(lifetime)));
        self.status_lifetimes.sort();
        self.fingerprinted()
    }

    /// Freshness lifetime of every stored response, in place of the origin's. Only the lifetime changes: a response that
    /// the origin forbids storing is not stored. Neither is one without explicit lifetime whose status may not be cached
    /// heuristically (302, 400, 403, 500, 503), unless [`status_lifetime`](Self::status_lifetime) names that status.
    /// `no-cache` and `must-revalidate` stay in force.
    /// Default: none.
    pub fn override_lifetime(mut self, lifetime: Duration) -> Self {
        self.override_lifetime = Some(seconds(lifetime));
        self.fingerprinted()
    }

    /// The heuristic freshness lifetime (RFC 9111 section 4.2.2) of a response without explicit lifetime: this fraction of
    /// the time between `Last-Modified` and `Date`, at most `limit`. Default: 0.1 and one day. 0 switches it off.
    pub fn heuristic(mut self, fraction: f64, limit: Duration) -> Self {
        self.heuristic_fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        self.heuristic_limit = seconds(limit);
        self.fingerprinted()
    }

    /// Methods whose responses are stored, in addition to GET and QUERY. As with QUERY, their content must be part of the
    /// key: see [`CacheLayer::key_content`](crate::CacheLayer::key_content). Otherwise the request goes to the
    /// origin. Default: none.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().filter(|method| method != Method::HEAD).collect();
        self
    }

    /// `stale-while-revalidate` (RFC 5861) for responses that do not state it. Default: zero.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = seconds(window);
        self.fingerprinted()
    }

    /// `stale-if-error` (RFC 5861) for responses that do not state it. Default: zero.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = seconds(window);
        self.fingerprinted()
    }

    /// Whether a stale response may answer when the origin cannot be reached at all (RFC 9111 section 4.2.4).
    /// Default: yes.
    pub fn stale_when_disconnected(mut self, allowed: bool) -> Self {
        self.stale_when_disconnected = allowed;
        self
    }

    /// How long a stale response is kept, for validation and for use when the origin fails. Default: 30 days.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = seconds(retention);
        self
    }

    /// The targeted fields (RFC 9213) this cache obeys, the most specific first: `CDN-Cache-Control`, ...
    /// The first that is present and valid decides instead of `Cache-Control` and `Expires`. Default: none.
    pub fn targets(mut self, targets: impl IntoIterator<Item = HeaderName>) -> Self {
        self.targets = targets.into_iter().collect();
        self.fingerprinted()
    }

    /// What to do with responses that set cookies. Default: [`SetCookie::Store`] in a private cache,
    /// [`SetCookie::Strip`] in a shared one.
    pub fn set_cookie(mut self, set_cookie: SetCookie) -> Self {
        self.set_cookie = set_cookie;
        self.fingerprinted()
    }

    /// Whether `No-Vary-Search` is obeyed: a response then also answers for URIs that differ only in the query parameters
    /// that this field excludes. It costs one more lookup on a miss. Default: yes.
    pub fn no_vary_search(mut self, regarded: bool) -> Self {
        self.no_vary_search = regarded;
        self
    }

    /// Key of the hashes that replace secrets in a store: secret selecting fields (a `Vary` on Authorization, Cookie,
    /// ...), and the credentials, partitions and request content in keys. All layers on one storage must have the same
    /// secret. Default: empty. The hashes are then salted but not keyed, and anyone who reads the store can check
    /// guesses against them.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Arc::from(secret.as_ref());
        self.principal_hash_key = principal_hash_key(&self.secret);
        self
    }

    /// Whether this is a shared cache.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// A hash of every setting that influences [`Freshness`](crate::entry::Freshness). The cache computes the
    /// freshness of a response again if it was stored under another fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Whether responses to this method may be stored and reused, provided that its content is part of the key.
    #[must_use]
    pub fn handles(&self, method: &Method) -> bool {
        // RFC 10008 section 2.7: "The response to a QUERY method is cacheable".
        matches!(*method, Method::GET | Method::HEAD)
            || method.as_str() == "QUERY"
            || self.methods.contains(method)
    }

    pub(crate) fn regards_no_vary_search(&self) -> bool {
        self.no_vary_search
    }

    pub(crate) fn secret_bytes(&self) -> &[u8] {
        &self.secret
    }

    pub(crate) fn principal_hash_key(&self) -> &[u8; 32] {
        &self.principal_hash_key
    }

    pub(crate) fn target_fields(&self) -> &[HeaderName] {
        &self.targets
    }

    pub(crate) fn on_set_cookie(&self) -> SetCookie {
        self.set_cookie
    }

    pub(crate) fn overriding(&self) -> Option<u32> {
        self.override_lifetime
    }

    pub(crate) fn for_status(&self, status: StatusCode) -> Option<u32> {
        self.status_lifetimes.iter().find(|(other, _)| *other == status).map(|(_, lifetime)| *lifetime)
    }

    pub(crate) fn by_default(&self) -> Option<u32> {
        self.default_lifetime
    }

    pub(crate) fn guess(&self, unmodified_millis: i64) -> u32 {
        let seconds = (unmodified_millis.max(0) / 1000) as f64 * self.heuristic_fraction;
        // A float becomes an integer by saturating, and it is not negative.
        (seconds as u32).min(self.heuristic_limit)
    }

    pub(crate) fn revalidate_window(&self) -> u32 {
        self.stale_while_revalidate
    }

    pub(crate) fn error_window(&self) -> u32 {
        self.stale_if_error
    }

    pub(crate) fn serves_disconnected(&self) -> bool {
        self.stale_when_disconnected
    }

    pub(crate) fn retained_seconds(&self) -> u32 {
        self.retention
    }

    fn fingerprinted(mut self) -> Self {
        let settings = format!(
            "{:?}",
            (
                self.shared,
                self.default_lifetime,
                &self.status_lifetimes,
                self.override_lifetime,
                self.heuristic_fraction.to_bits(),
                self.heuristic_limit,
                self.stale_while_revalidate,
                self.stale_if_error,
                &self.targets,
                self.set_cookie,
            )
        );
        self.fingerprint = xxhash_rust::xxh3::xxh3_64(settings.as_bytes());
        self
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::private()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("shared", &self.shared)
            .field("default_lifetime", &self.default_lifetime)
            .field("override_lifetime", &self.override_lifetime)
            .field("targets", &self.targets)
            .field("set_cookie", &self.set_cookie)
            .finish_non_exhaustive()
    }
}
