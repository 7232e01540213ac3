//! From a request to its key.

use std::fmt;
use std::sync::Arc;

use http::uri::Authority;
use http::{Extensions, HeaderMap, Method, Uri, header};

use super::normalize::{self, normal_pieces};
use super::unkeyed::Unkeyed;
use super::{CacheKey, CacheKeyBuilder, part_len};

/// Label of the empty part that marks a key whose authority came from `Host`: its scheme is only assumed.
const ORIGIN_FORM: &str = "f";

/// What of a request decides about its key and its reuse: everything but the body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target URI, absolute.
    pub uri: &'a Uri,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
    /// Digest of the body and its metadata, where the method's content belongs to the key.
    pub body_digest: Option<&'a [u8; 32]>,
}

impl<'a> RequestHead<'a> {
    /// The head of a request without content.
    #[must_use]
    pub fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap, extensions: &'a Extensions) -> Self {
        Self { method, uri, headers, extensions, body_digest: None }
    }

    /// Adds the digest of the body and its metadata.
    #[must_use]
    pub fn with_body_digest(mut self, digest: &'a [u8; 32]) -> Self {
        self.body_digest = Some(digest);
        self
    }
}

impl<'a, B> From<&'a http::Request<B>> for RequestHead<'a> {
    fn from(request: &'a http::Request<B>) -> Self {
        Self::new(request.method(), request.uri(), request.headers(), request.extensions())
    }
}

impl<'a> From<&'a http::request::Parts> for RequestHead<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers, &parts.extensions)
    }
}

/// Makes the key of a request.
///
/// Implemented for closures:
///
/// ```
/// use larder::key::{CacheKey, MakeKey, RequestHead};
///
/// let by_path = |request: &RequestHead<'_>| {
///     Some(CacheKey::builder().part(CacheKey::URI, request.uri.path()).build())
/// };
/// let request = http::Request::get("https://example.com/a?b").body(())?;
/// assert!(by_path.make_key(&RequestHead::from(&request)).is_some());
/// # Ok::<(), http::Error>(())
/// ```
pub trait MakeKey: Send + Sync + 'static {
    /// The key of this request, or `None` to let it pass the cache by.
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey>;
}

impl<F> MakeKey for F
where
    F: Fn(&RequestHead<'_>) -> Option<CacheKey> + Send + Sync + 'static,
{
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey> {
        self(request)
    }
}

type PartitionBy = dyn Fn(&RequestHead<'_>) -> Option<Vec<u8>> + Send + Sync;

/// The key of RFC 9111 section 2: method class and normalised target URI, with a partition if one is set.
///
/// GET and HEAD share a class. Fields that some origins let change what a request means (`X-Forwarded-Host`,
/// `X-Original-URL`, `X-HTTP-Method-Override` and their like, a `Host` that differs from the URI) are part of the key
/// where a request has them, so that nobody can plant an answer under another request's key. A request without an
/// authority, in its URI or in `Host`, has no key and passes the cache by.
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
    sort_query: bool,
    ignored: Vec<String>,
    partition_by: Option<Arc<PartitionBy>>,
}

impl DefaultKey {
    /// No sorting, no ignored parameters, no partitions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the order of differently named query parameters means nothing. Off unless set: to some origins it does.
    pub fn sort_query(mut self, sort: bool) -> Self {
        self.sort_query = sort;
        self
    }

    /// Query parameters that change nothing about the response: exact names, as they stand in the URI.
    pub fn ignore_query_parameters<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.ignored.extend(names.into_iter().map(|name| normalize::percent(name.as_ref()).into_owned()));
        self
    }

    /// Separates principals (users, tenants, API tokens): requests with different partitions never share a stored
    /// response, whatever the origin says about `Vary`. `None` is a partition of its own.
    ///
    /// Only a hash of the partition is kept.
    ///
    /// ```
    /// use http::header::AUTHORIZATION;
    /// use larder::key::DefaultKey;
    ///
    /// let keys = DefaultKey::new()
    ///     .partition_by(|request| Some(request.headers.get(AUTHORIZATION)?.as_bytes().to_vec()));
    /// ```
    pub fn partition_by<F, P>(mut self, partition: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<P> + Send + Sync + 'static,
        P: Into<Vec<u8>>,
    {
        self.partition_by = Some(Arc::new(move |request| partition(request).map(Into::into)));
        self
    }

    fn keeps_query(&self, uri: &Uri) -> bool {
        uri.query().is_none() || (!self.sort_query && self.ignored.is_empty())
    }

    fn normalized(&self, uri: &Uri) -> Option<String> {
        let mut normalized = normalize::origin(uri)?;
        normalized.push_str(&normalize::path(uri.path()));
        let query = uri.query().and_then(|query| normalize::query(query, self.sort_query, &self.ignored));
        if let Some(query) = query {
            normalized.push('?');
            normalized.push_str(&query);
        }
        Some(normalized)
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
        let normalized;
        let pieces = match normal_pieces(uri).filter(|_| self.keeps_query(uri)) {
            Some(pieces) => pieces,
            None => {
                normalized = self.normalized(uri)?;
                [normalized.as_str(), "", "", "", "", ""]
            }
        };
        let class = class(request.method);
        let partition = self.partition_by.as_ref().and_then(|partition_by| partition_by(request));
        let partition = partition.map(|partition| *blake3::hash(&partition).as_bytes());

        // A buffer of exactly the right size becomes the key without another allocation.
        let room = part_len(CacheKey::METHOD, class.len())
            + part_len(CacheKey::URI, pieces.iter().map(|piece| piece.len()).sum())
            + partition.map_or(0, |partition| part_len(CacheKey::PARTITION, partition.len()))
            + request.body_digest.map_or(0, |digest| part_len(CacheKey::BODY, digest.len()));
        let mut key = CacheKeyBuilder::with_room(room);
        if let Some(partition) = partition {
            key = key.part(CacheKey::PARTITION, partition);
        }
        key = key.part(CacheKey::METHOD, class).part_of(CacheKey::URI, &pieces);
        if let Some(digest) = request.body_digest {
            key = key.part(CacheKey::BODY, digest);
        }
        if request.uri.authority().is_none() {
            key = key.part(ORIGIN_FORM, "");
        }
        Some(Unkeyed::of(request.headers, uri).add_to(key, request.headers).build())
    }
}

impl fmt::Debug for DefaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultKey")
            .field("sort_query", &self.sort_query)
            .field("ignored", &self.ignored)
            .field("partitioned", &self.partition_by.is_some())
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
