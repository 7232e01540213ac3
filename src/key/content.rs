//! Request content as a part of the key (RFC 10008 section 2.7).

use std::fmt;

use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body::Body;

/// What the cache knows about a request's content. It is in the request's extensions.
///
/// [`KeyContentLayer`](crate::KeyContentLayer) puts it there, or your own code if it has the content in memory.
/// A request whose content is not part of its key is never answered from the store.
///
/// ```
/// use larder::key::RequestContent;
///
/// let (content, method) = (r#"{"name":"kettle"}"#, http::Method::POST);
/// let mut request = http::Request::post("https://example.com/search").body(content)?;
/// let known = RequestContent::new(&method, request.headers(), content.as_bytes());
/// request.extensions_mut().insert(known);
/// # Ok::<(), http::Error>(())
/// ```
///
/// The cache compares it with its request. It ignores one that was made for another method, for content of another length
/// or for other metadata.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestContent {
    /// Following a redirect can turn a request into one without content but with the same extensions.
    method: Method,
    known: Option<Known>,
}

#[derive(Clone, PartialEq, Eq)]
struct Known {
    len: u64,
    /// Of the fields that say what the content is.
    metadata: [u8; 32],
    /// Of the metadata and the content.
    digest: [u8; 32],
}

impl RequestContent {
    /// This content is known. "The cache key for a QUERY request MUST incorporate the request content and related metadata":
    /// it includes the fields that describe the content.
    #[must_use]
    pub fn new(method: &Method, headers: &HeaderMap, content: &[u8]) -> Self {
        let metadata = metadata(headers);
        let digest = blake3::Hasher::new().update(&metadata).update(content).finalize();
        let known = Known { len: content.len() as u64, metadata, digest: *digest.as_bytes() };
        Self { method: method.clone(), known: Some(known) }
    }

    /// The content is not known: it is too long, or the cache does not read the content of this method.
    #[must_use]
    pub fn unknown(method: &Method) -> Self {
        Self { method: method.clone(), known: None }
    }

    /// The digest of the content and its metadata, if known.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.known.as_ref().map(|known| &known.digest)
    }

    /// The digest for keys. Without the secret, a reader of the store cannot check guesses of the content against it.
    pub(crate) fn keyed_digest(digest: &[u8; 32], hash_key: &[u8; 32]) -> [u8; 32] {
        *blake3::keyed_hash(hash_key, digest).as_bytes()
    }

    /// What the extensions tell of a request with this method.
    pub(crate) fn of<'a>(method: &Method, extensions: &'a http::Extensions) -> Option<&'a Self> {
        extensions.get::<Self>().filter(|content| content.method == *method)
    }

    /// Makes the extensions tell the truth about this body.
    ///
    /// The body is asked, because a client in this process sends one without any field that announces it.
    pub(crate) fn verify<B: Body>(parts: &mut Parts, body: &B) {
        let told = Self::of(&parts.method, &parts.extensions);
        if told.is_some_and(|told| told.describes(&parts.headers, body)) {
            return;
        }
        let usually_without = matches!(parts.method, Method::GET | Method::HEAD);
        if has_content(body) || told.is_some() && !usually_without {
            Self::forget(parts);
        } else {
            parts.extensions.remove::<Self>();
        }
    }

    /// Takes the content for unknown, because the key does not tell it from other content.
    pub(crate) fn forget(parts: &mut Parts) {
        parts.extensions.insert(Self::unknown(&parts.method));
    }

    fn describes<B: Body>(&self, headers: &HeaderMap, body: &B) -> bool {
        let Some(known) = &self.known else { return true };
        let hint = body.size_hint();
        let ended = body.is_end_stream() && known.len > 0;
        let fits = hint.lower() <= known.len && hint.upper().is_none_or(|upper| known.len <= upper);
        fits && !ended && known.metadata == metadata(headers)
    }
}

/// Whether a request with this body has content (RFC 9110 section 6.4), as far as can be told before it is sent: a body
/// that is not at its end may have some.
pub(crate) fn has_content<B: Body>(body: &B) -> bool {
    !body.is_end_stream() || body.size_hint().lower() > 0
}

fn metadata(headers: &HeaderMap) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
        let lines = headers.get_all(&name);
        hasher.update(&(lines.iter().count() as u64).to_le_bytes());
        for line in lines {
            hasher.update(&(line.len() as u64).to_le_bytes()).update(line.as_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

impl fmt::Debug for RequestContent {
    /// Short content could be guessed from its digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContent")
            .field("method", &self.method)
            .field("known", &self.digest().is_some())
            .finish()
    }
}
