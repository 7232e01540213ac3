//! Request content as a part of the key (RFC 10008 section 2.7).

use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE};
use http::{HeaderMap, Method};

/// What is known of a request's content; in the request's extensions.
///
/// Put there by [`KeyContentLayer`](crate::KeyContentLayer), or by code of your own that has the content at hand.
/// A request whose content the key does not tell from others' is never answered from the store.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContent {
    /// Following a redirect can turn a request into one without content but with the same extensions.
    method: Method,
    digest: Option<[u8; 32]>,
}

impl RequestContent {
    /// This content. "The cache key for a QUERY request MUST incorporate the request content and related metadata":
    /// the fields that say what the content is are covered with it.
    #[must_use]
    pub fn new(method: &Method, headers: &HeaderMap, content: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
            let lines = headers.get_all(&name);
            hasher.update(&(lines.iter().count() as u64).to_le_bytes());
            for line in lines {
                hasher.update(&(line.len() as u64).to_le_bytes()).update(line.as_bytes());
            }
        }
        Self { method: method.clone(), digest: Some(*hasher.update(content).finalize().as_bytes()) }
    }

    /// Content that is not known: too long, or of a method whose content is not looked at.
    #[must_use]
    pub fn unknown(method: &Method) -> Self {
        Self { method: method.clone(), digest: None }
    }

    /// The digest of the content and its metadata, where it is known.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.digest.as_ref()
    }

    /// What the extensions tell of a request with this method.
    pub(crate) fn of<'a>(method: &Method, extensions: &'a http::Extensions) -> Option<&'a Self> {
        extensions.get::<Self>().filter(|content| content.method == *method)
    }
}
