//! From a request to its key.

use std::fmt;

use http::{Extensions, HeaderMap, Method, Uri};

use super::{CacheKey, Credentials, RequestContent, ShownFields, shown_uri};

/// The parts of a request that decide about its key and the reuse of responses: everything except the body.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target URI, absolute.
    pub uri: &'a Uri,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The extensions. For each redirect that is followed, a [`MakeKey`] gets the extensions of the caller's own request,
    /// although most of them are not sent to another origin.
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

    /// Adds the digest of the [`RequestContent`] in the extensions.
    fn with_known_content(mut self) -> Self {
        self.body_digest = RequestContent::of(self.method, self.extensions).and_then(RequestContent::digest);
        self
    }
}

impl fmt::Debug for RequestHead<'_> {
    /// Leaves out what must not be logged: the query, extensions, and the values of most fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.method)
            .field("uri", &shown_uri(self.uri))
            .field("headers", &ShownFields(self.headers))
            .finish_non_exhaustive()
    }
}

impl<'a, B> From<&'a http::Request<B>> for RequestHead<'a> {
    fn from(request: &'a http::Request<B>) -> Self {
        let head = Self::new(request.method(), request.uri(), request.headers(), request.extensions());
        head.with_known_content()
    }
}

impl<'a> From<&'a http::request::Parts> for RequestHead<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers, &parts.extensions).with_known_content()
    }
}

/// Makes the key of a request.
///
/// The key says what is requested. The cache adds the principal to every key: see [`partition`](Self::partition) and
/// [`credentials`](Self::credentials). [`CacheLayer::key_of`](crate::CacheLayer::key_of) returns the whole key.
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
    /// The key of this request, or `None` if the request bypasses the cache.
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey>;

    /// The partition of this request: requests of different partitions never share a stored response. `None` is a
    /// separate partition.
    ///
    /// The cache calls this once for each request, before it follows any redirect, and adds a keyed hash of the result to
    /// the keys of all hops. Default: no partitions.
    fn partition(&self, request: &RequestHead<'_>) -> Option<Vec<u8>> {
        let _ = request;
        None
    }

    /// Whether requests with different credentials share stored responses in a private cache.
    /// Default: [`Credentials::Separate`].
    fn credentials(&self) -> Credentials {
        Credentials::Separate
    }

    /// The URI to send in place of this one; `None` to send it as it is.
    ///
    /// The key must match what is sent. If `make_key` gives one key to several targets that an origin can distinguish, this
    /// method must make the targets equal. Otherwise the response for one of them is served for the other. Default: `None`.
    fn rewrite(&self, uri: &Uri) -> Option<Uri> {
        let _ = uri;
        None
    }
}

impl<F> MakeKey for F
where
    F: Fn(&RequestHead<'_>) -> Option<CacheKey> + Send + Sync + 'static,
{
    fn make_key(&self, request: &RequestHead<'_>) -> Option<CacheKey> {
        self(request)
    }
}
