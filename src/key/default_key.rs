//! The key of RFC 9111 section 2, and what the user may change about it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Method, Uri, header};

use super::unkeyed::Unkeyed;
use super::{CacheKey, CacheKeyBuilder, Credentials, MakeKey, RequestHead, normalize, part_len};

/// Label of the empty part that marks a key whose authority came from `Host`: its scheme is only assumed.
const ORIGIN_FORM: &str = "f";

type PartitionBy = dyn Fn(&RequestHead<'_>) -> Option<Vec<u8>> + Send + Sync;

/// The key of RFC 9111 section 2: method class and target URI.
///
/// The key contains what is sent, byte for byte: path and query are the same in the key as in the request, with dot
/// segments and percent-encoding. Only the case of scheme and host, the scheme's default port and an empty path (`/` is
/// sent) make no difference. Two targets that an origin can tell apart never share a key, unless an option
/// says that the origin does not tell them apart.
///
/// GET and HEAD share a class. Some fields change the meaning of a request for some origins (`X-Forwarded-Host`,
/// `X-Original-URL`, `X-HTTP-Method-Override` and similar ones, a `Host` that differs from the URI). They are part of the
/// key if a request has them. So a client cannot plant an answer under the key of another request. A request without
/// an authority, in its URI or in `Host`, has no key and bypasses the cache.
///
/// # Principals
///
/// A private cache adds a keyed hash of `Authorization`, `Proxy-Authorization` and of userinfo in the URI, so that
/// requests with different credentials never share a stored response; [`credentials`](Self::credentials) lets them
/// share. A shared cache follows RFC 9111 section 3.5 instead. In both,
/// [`partition_by`](Self::partition_by), [`partition_by_cookie`](Self::partition_by_cookie) and
/// [`partition`](Self::partition) separate principals by anything else.
///
/// ```
/// use larder::key::{DefaultKey, MakeKey, RequestHead};
///
/// let keys = DefaultKey::new().sort_query(true).ignore_query_parameters(["utm_source"]);
/// let one = http::Request::get("https://example.com/?b=2&a=1&utm_source=mail").body(())?;
/// let other = http::Request::get("https://EXAMPLE.com:443/?a=1&b=2").body(())?;
/// assert_eq!(keys.make_key(&RequestHead::from(&one)), keys.make_key(&RequestHead::from(&other)));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct DefaultKey {
    normalize_target: bool,
    sort_query: bool,
    ignored: Vec<String>,
    partition_by: Option<Arc<PartitionBy>>,
    credentials: Credentials,
}

impl DefaultKey {
    /// The target as it is sent, no partitions, credentials apart.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether targets that RFC 3986 section 6.2.2 calls equivalent share a key: those that differ in dot segments, in
    /// the case of percent-encodings, or in the percent-encoding of characters that need none.
    ///
    /// Some origins tell such targets apart, so the request is sent with the normalised target as well. A target with
    /// a `%` that is no percent-encoding is keyed and sent as it is. Default: no.
    ///
    /// ```
    /// use larder::key::{DefaultKey, MakeKey};
    ///
    /// let keys = DefaultKey::new().normalize_target(true);
    /// let sent = keys.rewrite(&"https://example.com/a/../%7euser".parse()?);
    /// assert_eq!(sent, Some("https://example.com/~user".parse()?));
    /// # Ok::<(), http::uri::InvalidUri>(())
    /// ```
    pub fn normalize_target(mut self, normalize: bool) -> Self {
        self.normalize_target = normalize;
        self
    }

    /// Whether to ignore the order of differently named query parameters. Default: no, because the order matters to some
    /// origins.
    ///
    /// Set this only if the origin ignores the order. The query is sent unchanged.
    pub fn sort_query(mut self, sort: bool) -> Self {
        self.sort_query = sort;
        self
    }

    /// Query parameters that are not part of the key: exact names, as in the URI.
    ///
    /// Set this only if the parameters do not change the response. The query is sent unchanged, with these parameters.
    pub fn ignore_query_parameters<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.ignored.extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }

    /// Separates principals (users, tenants): requests with different partitions never share a stored response,
    /// even if the origin sends no `Vary`. `None` is a separate partition.
    ///
    /// Only a hash of the partition is stored, keyed with [`Policy::secret`](crate::Policy::secret). The cache
    /// determines the partition once for a request, and uses it for all redirects that it follows. The last call of this
    /// method counts.
    ///
    /// ```
    /// use larder::key::DefaultKey;
    ///
    /// #[derive(Clone)]
    /// struct Tenant(String);
    ///
    /// let keys = DefaultKey::new()
    ///     .partition_by(|request| request.extensions.get::<Tenant>().map(|tenant| tenant.0.clone()));
    /// ```
    pub fn partition_by<F, P>(mut self, partition: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<P> + Send + Sync + 'static,
        P: Into<Vec<u8>>,
    {
        self.partition_by = Some(Arc::new(move |request| partition(request).map(Into::into)));
        self
    }

    /// Separates requests with different `Cookie` fields: [`partition_by`](Self::partition_by) with all lines of the field.
    pub fn partition_by_cookie(self) -> Self {
        self.partition_by(|request| {
            let lines: Vec<_> =
                request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
            // HTTP/2 may split the field at its own separator (RFC 9113 section 8.2.3).
            (!lines.is_empty()).then(|| lines.join(&b"; "[..]))
        })
    }

    /// Puts all requests into one partition of this name. It is for a client that always acts for the same principal,
    /// shares its store with others, and whose credentials the cache does not see (a client's default headers, an
    /// authentication layer below the cache, a client certificate).
    ///
    /// ```
    /// use larder::key::DefaultKey;
    ///
    /// let keys = DefaultKey::new().partition("account-4711");
    /// ```
    pub fn partition(self, name: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        self.partition_by(move |_| Some(name.clone()))
    }

    /// Whether requests with different credentials share stored responses in a private cache.
    /// Default: [`Credentials::Separate`].
    ///
    /// ```
    /// use larder::key::{Credentials, DefaultKey};
    ///
    /// // One user, whose token changes every hour.
    /// let keys = DefaultKey::new().credentials(Credentials::Shared);
    /// ```
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The query in the key; `None` if there is none, or all its parameters are ignored.
    fn query<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        if !self.sort_query && self.ignored.is_empty() {
            return Some(Cow::Borrowed(query));
        }
        let ignored = |name: &str| {
            self.ignored.iter().any(|ignored| {
                *ignored == name || self.normalize_target && normalize::percent(ignored) == name
            })
        };
        normalize::query(query, self.sort_query, ignored).map(Cow::Owned)
    }
}

impl MakeKey for DefaultKey {
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey> {
        let from_host;
        let uri = match (request.uri.scheme(), request.uri.authority()) {
            (Some(_), Some(_)) => request.uri,
            (None, None) => {
                from_host = with_host(request)?;
                &from_host
            }
            _ => return None,
        };
        // The key is made of the target that `rewrite` sends, also if `rewrite` was not called before.
        let rewritten = self.rewrite(uri);
        let uri = rewritten.as_ref().unwrap_or(uri);
        let origin;
        let [scheme, separator, authority] = match normalize::plain_origin(uri) {
            Some(pieces) => pieces,
            None => {
                origin = normalize::origin(uri)?;
                [origin.as_str(), "", ""]
            }
        };
        let query = uri.query().and_then(|query| self.query(query));
        let mark = if query.is_some() { "?" } else { "" };
        let pieces = [scheme, separator, authority, uri.path(), mark, query.as_deref().unwrap_or_default()];
        let class = class(request.method);

        // A buffer of exactly the right size becomes the key without another allocation.
        let room = part_len(CacheKey::METHOD, class.len())
            + part_len(CacheKey::URI, pieces.iter().map(|piece| piece.len()).sum())
            + request.body_digest.map_or(0, |digest| part_len(CacheKey::BODY, digest.len()));
        let mut key = CacheKeyBuilder::with_room(room);
        key = key.part(CacheKey::METHOD, class).part_of(CacheKey::URI, &pieces);
        if let Some(digest) = request.body_digest {
            key = key.part(CacheKey::BODY, digest);
        }
        if request.uri.authority().is_none() {
            key = key.part(ORIGIN_FORM, "");
        }
        Some(Unkeyed::of(request.headers, uri).add_to(key, request.headers).build())
    }

    fn partition(&self, request: &RequestHead<'_>) -> Option<Vec<u8>> {
        self.partition_by.as_ref().and_then(|partition_by| partition_by(request))
    }

    fn credentials(&self) -> Credentials {
        self.credentials
    }

    fn rewrite(&self, uri: &Uri) -> Option<Uri> {
        if self.normalize_target { normalize::with_normal_target(uri) } else { None }
    }
}

impl fmt::Debug for DefaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultKey")
            .field("normalize_target", &self.normalize_target)
            .field("sort_query", &self.sort_query)
            .field("ignored", &self.ignored)
            .field("partitioned", &self.partition_by.is_some())
            .field("credentials", &self.credentials)
            .finish()
    }
}

/// RFC 9111 section 4: a response to GET can answer HEAD.
fn class(method: &Method) -> &str {
    if *method == Method::HEAD { "GET" } else { method.as_str() }
}

/// The URI of a request in origin-form, completed by its one valid `Host`.
fn with_host(request: &RequestHead<'_>) -> Option<Uri> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    let authority = Authority::try_from(host.as_bytes()).ok()?;
    let path_and_query = request.uri.path_and_query()?.clone();
    // `*` names no resource, and userinfo does not belong into Host.
    if !path_and_query.path().starts_with('/') || authority.as_str().contains('@') {
        return None;
    }
    Uri::builder().scheme("http").authority(authority).path_and_query(path_and_query).build().ok()
}
