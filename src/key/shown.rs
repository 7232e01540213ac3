//! What `Debug` may show of requests and responses: logs are read by more people than stores.

use std::fmt;

use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// A URI without userinfo and query, in which tokens and signatures often are.
pub(crate) struct ShownUri<'a>(pub(crate) &'a str);

impl<'a> ShownUri<'a> {
    fn shown(&self) -> (&'a str, &'a str, bool) {
        let (before, query) = self.0.split_once('?').map_or((self.0, false), |(before, _)| (before, true));
        // Userinfo ends at the last `@` of the authority, which ends at the first slash after its own two.
        let Some((scheme, rest)) = before.split_once("://") else { return ("", before, query) };
        let authority = rest.split('/').next().unwrap_or_default();
        let userinfo = authority.rfind('@').map_or(0, |at| at + 1);
        let scheme = before.get(..scheme.len() + 3).unwrap_or_default();
        (scheme, rest.get(userinfo..).unwrap_or_default(), query)
    }
}

impl fmt::Debug for ShownUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest, query) = self.shown();
        write!(f, "\"{}{}{}\"", scheme.escape_debug(), rest.escape_debug(), if query { "?.." } else { "" })
    }
}

/// The same of a parsed URI.
pub(crate) fn shown_uri(uri: &Uri) -> impl fmt::Debug + '_ {
    ShownParsedUri(uri)
}

struct ShownParsedUri<'a>(&'a Uri);

impl fmt::Debug for ShownParsedUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&ShownUri(&self.0.to_string()), f)
    }
}

/// Fields with the values of those that speak of nothing but caching, representation and negotiation. Any other value
/// can be a secret, or a URI with one.
pub(crate) struct ShownFields<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for ShownFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, ShownValue(name, value)))).finish()
    }
}

struct ShownValue<'a>(&'a HeaderName, &'a HeaderValue);

impl fmt::Debug for ShownValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `HeaderValue` that is marked as sensitive hides itself.
        if is_shown(self.0) { fmt::Debug::fmt(self.1, f) } else { f.write_str("..") }
    }
}

/// Whether values of this field may be shown.
pub(crate) fn is_shown(name: &HeaderName) -> bool {
    const SHOWN: [HeaderName; 22] = [
        header::ACCEPT,
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::ACCEPT_RANGES,
        header::AGE,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::LAST_MODIFIED,
        header::PRAGMA,
        header::RANGE,
        header::TRANSFER_ENCODING,
        header::VARY,
    ];
    SHOWN.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_userinfo_nor_query_is_shown() {
        for (uri, expected) in [
            ("http://a/b", "\"http://a/b\""),
            ("http://me:s3cret@a/b?s3cret@", "\"http://a/b?..\""),
            ("http://me@s3cret@a", "\"http://a\""),
            ("http://a/b@c?", "\"http://a/b@c?..\""),
            ("/b?s3cret=http://x@y", "\"/b?..\""),
            ("\u{1b}[2J\"", "\"\\u{1b}[2J\\\"\""),
            ("", "\"\""),
        ] {
            assert_eq!(format!("{:?}", ShownUri(uri)), expected, "{uri:?}");
        }
    }
}
