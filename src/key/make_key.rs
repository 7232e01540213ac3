//! From a request to its key.

use std::fmt;

use http::{Extensions, HeaderMap, Method, Uri};

use super::CacheKey;

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

/// Makes the key of a request.
///
/// Implemented for closures.
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

/// The key of RFC 9111 section 2: method class and normalised target URI, with a partition if one is set.
#[derive(Clone, Default)]
pub struct DefaultKey {}

impl fmt::Debug for DefaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultKey").finish_non_exhaustive()
    }
}
