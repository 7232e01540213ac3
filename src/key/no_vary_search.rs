//! Which parts of a query do not change the response: `No-Vary-Search` (draft-ietf-httpbis-no-vary-search-10).

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use super::CacheKey;

/// The field's name.
pub(crate) const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// The `No-Vary-Search` field of a response: the query parameters that do not change the response.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use larder::key::NoVarySearch;
///
/// let mut fields = HeaderMap::new();
/// fields.insert("no-vary-search", HeaderValue::from_static(r#"key-order, params=("utm_source")"#));
/// let config = NoVarySearch::of(&fields).ok_or("no config")?;
/// assert!(config.equivalent("https://example.com/?a=1&b=2", "https://example.com/?b=2&utm_source=mail&a=1"));
/// assert!(!config.equivalent("https://example.com/?a=1", "https://example.com/?a=2"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoVarySearch {
    params: Params,
    varies_on_order: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Params {
    /// These change nothing.
    Ignored(Names),
    /// Only these change anything.
    Kept(Names),
}

/// Sorted and without duplicates, so a search stays cheap with many names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names(Vec<String>);

impl Names {
    fn contain(&self, name: &str) -> bool {
        self.0.binary_search_by(|own| own.as_str().cmp(name)).is_ok()
    }
}

/// A longer field is ignored.
const LONGEST_FIELD: usize = 8 * 1024;
/// A field with more names in a list is ignored.
const MOST_NAMES: usize = 256;
/// A URI with more parameters is equivalent only to itself.
const MOST_PARAMETERS: usize = 1024;

impl NoVarySearch {
    /// Reads the field. Returns `None` if it is absent, invalid, or excludes no parameter: two URIs are then equivalent
    /// only if they are equal. A field of more than 8 KiB, or with more than 256 names in a list, is
    /// ignored.
    ///
    /// `params` as a boolean, which browsers understand and earlier drafts had, means the same as `except=()`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(NO_VARY_SEARCH).iter().map(HeaderValue::as_bytes).collect();
        let len: usize = lines.iter().map(|line| line.len()).sum();
        if lines.is_empty() || len + 2 * lines.len() > LONGEST_FIELD {
            return None;
        }
        let members = Parser::new(&lines.join(&b", "[..])).parse::<Dictionary>().ok()?;
        let varies_on_order = match members.get("key-order") {
            None => true,
            Some(member) => !boolean(member)?,
        };
        let params = match (members.get("params"), members.get("except")) {
            (None, None) => Params::Ignored(Names::default()),
            (Some(ListEntry::InnerList(names)), None) => Params::Ignored(decoded(names)?),
            (Some(member), None) => match boolean(member)? {
                true => Params::Kept(Names::default()),
                false => Params::Ignored(Names::default()),
            },
            (params, Some(ListEntry::InnerList(names)))
                if params.is_none_or(|member| boolean(member) == Some(true)) =>
            {
                Params::Kept(decoded(names)?)
            }
            _ => return None,
        };
        let config = Self { params, varies_on_order };
        (config != Self { params: Params::Ignored(Names::default()), varies_on_order: true })
            .then_some(config)
    }

    /// Whether a response for one URI may answer for the other: everything except the query is equal, and the queries are
    /// equivalent. A URI with more than 1024 parameters is equivalent only to itself.
    #[must_use]
    pub fn equivalent(&self, one: &str, other: &str) -> bool {
        one == other || self.normalized(one) == self.normalized(other)
    }

    /// One form for all equivalent URIs: only the parameters that matter, in one order and one encoding. A URI with more
    /// than 1024 parameters is left as it is.
    #[must_use]
    pub fn normalized(&self, uri: &str) -> String {
        let (before, query) = uri.split_once('?').unwrap_or((uri, ""));
        if query.bytes().filter(|byte| *byte == b'&').count() >= MOST_PARAMETERS {
            return uri.to_owned();
        }
        let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        pairs.retain(|(name, _)| match &self.params {
            Params::Ignored(names) => !names.contain(name),
            Params::Kept(names) => names.contain(name),
        });
        if !self.varies_on_order {
            // Stable: parameters of the same name keep their order.
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        let mut normalized = String::with_capacity(uri.len());
        normalized.push_str(before);
        for (separator, (name, value)) in std::iter::once('?').chain(std::iter::repeat('&')).zip(&pairs) {
            normalized.push(separator);
            encode(name, &mut normalized);
            normalized.push('=');
            encode(value, &mut normalized);
        }
        normalized
    }

    /// The key of the alias that leads to a response for this key or an equivalent one.
    pub(crate) fn key(&self, key: &CacheKey) -> Option<CacheKey> {
        Some(key.elsewhere(&self.normalized(key.uri()?), EQUIVALENT))
    }
}

/// Labels of the parts that keep keys made here apart from those of requests and from each other.
const PATH: &str = "nvs-path";
const EQUIVALENT: &str = "nvs";

/// The key of the alias that holds the field of the latest response for the path.
pub(crate) fn path_key(key: &CacheKey) -> Option<CacheKey> {
    let uri = key.uri()?;
    Some(key.elsewhere(uri.split('?').next().unwrap_or(uri), PATH))
}

fn boolean(member: &ListEntry) -> Option<bool> {
    match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::Boolean(value) => Some(value),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

/// The names in a list, decoded like those in a query.
fn decoded(list: &InnerList) -> Option<Names> {
    if list.items.len() > MOST_NAMES {
        return None;
    }
    let name = |item: &sfv::Item| match &item.bare_item {
        BareItem::String(name) => Some(decode(name.as_str())),
        _ => None,
    };
    let mut names: Vec<_> = list.items.iter().map(name).collect::<Option<_>>()?;
    names.sort_unstable();
    names.dedup();
    Some(Names(names))
}

/// One name and value of `application/x-www-form-urlencoded`.
fn pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(name), decode(value))
}

/// `+` is a space, `%` escapes a byte where two digits follow, and invalid UTF-8 becomes U+FFFD.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (first, escaped(after)) {
            (b'+', _) => b' ',
            (b'%', Some(byte)) => {
                rest = after.get(2..).unwrap_or_default();
                byte
            }
            _ => *first,
        });
    }
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match digits {
        [high, low, ..] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            const DIGITS: [char; 16] =
                ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
