//! The URL of a storage, and the options in its query.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::contract::Storage;
use super::dynamic::DynStorage;
use super::error::{StorageError, StorageErrorKind};

/// How a backend is named in URLs, and what opens it. Every backend has one, `SCHEMES` in its `options.rs`, which
/// [`open`](fn@super::open) knows.
pub(crate) struct Schemes {
    /// Each scheme with an example of a URL for error messages; an empty example is not shown.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// Opens the storage that a URL with one of these schemes names.
    pub(crate) open: for<'a> fn(Url<'a>) -> Opening<'a>,
}

pub(crate) type Opening<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<dyn DynStorage>, StorageError>> + Send + 'a>>;

/// A URL, split as far as it is the same for all backends. It may carry a password.
#[derive(Clone, Copy)]
pub(crate) struct Url<'a> {
    #[allow(dead_code, reason = "for the networked backends; not every set of features has one")]
    pub(crate) whole: &'a str,
    pub(crate) scheme: &'a str,
    /// The text between the scheme's colon and the query, as it was written.
    pub(crate) place: &'a str,
    query: &'a str,
}

impl<'a> Url<'a> {
    /// `None` where there is no scheme.
    pub(crate) fn split(whole: &'a str) -> Option<Self> {
        let (scheme, rest) = whole.split_once(':')?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        Some(Self { whole, scheme, place, query })
    }

    /// # Errors
    ///
    /// When the query is not well-formed.
    pub(crate) fn options(self, backend: &'static str) -> Result<Options, StorageError> {
        Options::parse(backend, self.query)
    }

    /// The place as a path: `dir/x`, `/dir/x` and `///dir/x` as in `file:` URLs.
    ///
    /// # Errors
    ///
    /// When it is not well-formed.
    #[allow(dead_code, reason = "for the backends that live in files; not every set of features has one")]
    pub(crate) fn path(self, backend: &'static str) -> Result<PathBuf, StorageError> {
        path(backend, self.scheme, self.place)
    }
}

/// A storage as [`open`](fn@super::open) returns it.
///
/// # Errors
///
/// As it was opened.
pub(crate) fn opened<S: Storage>(
    storage: Result<S, StorageError>,
) -> Result<Arc<dyn DynStorage>, StorageError> {
    Ok(Arc::new(storage?))
}

/// Opens a storage on a thread for blocking work: opening files may wait for the disk.
#[allow(dead_code, reason = "for the backends that live in files; not every set of features has one")]
pub(crate) async fn open_blocking<S: Storage>(
    backend: &'static str,
    open: impl FnOnce() -> Result<S, StorageError> + Send + 'static,
) -> Result<Arc<dyn DynStorage>, StorageError> {
    match tokio::task::spawn_blocking(open).await {
        Ok(storage) => opened(storage),
        Err(error) => {
            Err(StorageError::new(StorageErrorKind::Other, backend, "opening the storage").with_source(error))
        }
    }
}

/// The options of a URL. A backend takes them one by one.
///
/// A backend sets what its builder knows and then calls [`finish`](Self::finish), before it opens anything.
///
/// No error quotes the query, not even a name: a password that is not percent-encoded can be any part of a query.
pub(crate) struct Options {
    backend: &'static str,
    given: Vec<Given>,
    known: Vec<&'static str>,
}

struct Given {
    /// Its place in the query, from 1.
    number: usize,
    name: String,
    value: String,
    /// The pair as it was written.
    pair: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("backend", &self.backend)
            .field("given", &self.given.len())
            .field("known", &self.known)
            .finish()
    }
}

impl Options {
    /// # Errors
    ///
    /// When the query is not well-formed.
    pub(crate) fn parse(backend: &'static str, query: &str) -> Result<Self, StorageError> {
        let mut given = Vec::new();
        for (number, pair) in (1..).zip(query.split('&').filter(|pair| !pair.is_empty())) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let decoded = decode(name).zip(decode(value));
            let Some((name, value)) = decoded else {
                let what = "is not well-formed: `%` stands before two hexadecimal digits";
                return Err(invalid(backend, format!("option {number} of the URL {what}")));
            };
            given.push(Given { number, name, value, pair: pair.to_owned() });
        }
        Ok(Self { backend, given, known: Vec::new() })
    }

    /// The value of an option, if it was given. Of several, the last one counts.
    ///
    /// # Errors
    ///
    /// When the value makes no sense.
    pub(crate) fn take<T: OptionValue>(&mut self, name: &'static str) -> Result<Option<T>, StorageError> {
        self.known.push(name);
        let mut last = None;
        self.given.retain(|given| {
            if given.name == name {
                last = Some(given.value.clone());
            }
            given.name != name
        });
        last.map(|value| {
            let wrong = || format!("the value of the option `{name}` is not {}", T::EXPECTED);
            T::parse(&value).ok_or_else(|| invalid(self.backend, wrong()))
        })
        .transpose()
    }

    /// Passes an option to the builder's method of the same name, if it is present.
    ///
    /// # Errors
    ///
    /// When the value makes no sense.
    pub(crate) fn set<B, T: OptionValue>(
        &mut self,
        builder: B,
        name: &'static str,
        method: impl FnOnce(B, T) -> B,
    ) -> Result<B, StorageError> {
        Ok(match self.take(name)? {
            Some(value) => method(builder, value),
            None => builder,
        })
    }

    /// An option of a driver, as it was written, if it was given.
    #[cfg(feature = "redis")]
    pub(crate) fn take_raw(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.given.iter().position(|given| given.name == name)?;
        Some(self.given.remove(at).pair)
    }

    /// All options that were not taken, as they were written: for a driver that has options of its own in its URL.
    #[allow(dead_code, reason = "for the drivers that take a URL; not every set of features has one")]
    pub(crate) fn rest(&mut self) -> String {
        let rest: Vec<_> = self.given.drain(..).map(|given| given.pair).collect();
        rest.join("&")
    }

    /// # Errors
    ///
    /// When an option is unknown.
    pub(crate) fn finish(self) -> Result<(), StorageError> {
        let Some(Given { number, .. }) = self.given.first() else { return Ok(()) };
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        Err(invalid(self.backend, format!("option {number} of the URL is unknown; possible are {known}")))
    }
}

fn invalid(backend: &'static str, action: String) -> StorageError {
    StorageError::new(StorageErrorKind::Invalid, backend, action)
}

fn path(backend: &'static str, scheme: &str, place: &str) -> Result<PathBuf, StorageError> {
    let local = match place.strip_prefix("//") {
        None => Some(place),
        // What follows `//` is a host, and only this one has files for us (RFC 8089 section 2).
        Some(rest) => {
            Some(rest.strip_prefix("localhost").unwrap_or(rest)).filter(|path| path.starts_with('/'))
        }
    };
    let place = local.ok_or_else(|| {
        let what = "the URL has a host in place of a path";
        let instead =
            format!("write `{scheme}:PATH` for a relative path, `{scheme}:///PATH` for an absolute one");
        invalid(backend, format!("{what}: {instead}"))
    })?;
    let decoded = decode(place).ok_or_else(|| {
        let what = "the path of the URL is not well-formed: `%` stands before two hexadecimal digits";
        invalid(backend, what.to_owned())
    })?;
    Ok(PathBuf::from(decoded))
}

/// Refuses a URL whose password ends too early: its rest would be taken for a path or for options, and shown as such.
///
/// # Errors
///
/// When an `@` comes after the end of the authority.
#[allow(dead_code, reason = "for the backends with passwords; not every set of features has one")]
pub(crate) fn check_credentials(backend: &'static str, url: &str) -> Result<(), StorageError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A socket's URL has no authority, and can have a password among its options.
    if authority.is_empty() || !behind.contains('@') {
        return Ok(());
    }
    let what = "an `@` stands behind the host; `/`, `?`, `#`, `@` and `%` in user and password, and `@` elsewhere, are \
                to be percent-encoded";
    Err(invalid(backend, format!("reading the URL: {what}")))
}

/// Percent-decoding; `None` where it is malformed or not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { digit(bytes.next()?)? * 16 + digit(bytes.next()?)? } else { byte });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What can be the value of an option.
pub(crate) trait OptionValue: Sized {
    /// What is expected, for the error message.
    const EXPECTED: &'static str;
    fn parse(text: &str) -> Option<Self>;
}

impl OptionValue for String {
    const EXPECTED: &'static str = "text";
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl OptionValue for bool {
    const EXPECTED: &'static str = "`true` or `false`";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl OptionValue for u64 {
    const EXPECTED: &'static str = "a number, with or without KiB, MiB or GiB";
    fn parse(text: &str) -> Option<Self> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
        let unit = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
        let (digits, shift) = unit.unwrap_or((text, 0));
        digits.parse::<Self>().ok()?.checked_mul(1 << shift)
    }
}

impl OptionValue for usize {
    const EXPECTED: &'static str = u64::EXPECTED;
    fn parse(text: &str) -> Option<Self> {
        u64::parse(text)?.try_into().ok()
    }
}

impl OptionValue for u32 {
    const EXPECTED: &'static str = u64::EXPECTED;
    fn parse(text: &str) -> Option<Self> {
        u64::parse(text)?.try_into().ok()
    }
}

impl OptionValue for Duration {
    const EXPECTED: &'static str = "a duration such as `500ms`, `5s`, `10m`, `2h` or `7d`";
    fn parse(text: &str) -> Option<Self> {
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let (digits, millis) =
            units.into_iter().find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
        digits.parse::<u64>().ok()?.checked_mul(millis).map(Self::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, OptionValue, Options, path};

    #[test]
    fn sizes_and_durations() {
        for (text, value) in
            [("7", Some(7)), ("2KiB", Some(2048)), ("1GiB", Some(1 << 30)), ("1kb", None), ("", None)]
        {
            assert_eq!(u64::parse(text), value, "{text}");
        }
        assert_eq!(u64::parse("99999999999GiB"), None, "no overflow");
        for (text, millis) in [("5ms", Some(5)), ("5s", Some(5000)), ("2h", Some(7_200_000)), ("5", None)] {
            assert_eq!(Duration::parse(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn paths_are_decoded() -> Result<(), super::StorageError> {
        for (place, expected) in [
            ("a/b", "a/b"),
            ("/a", "/a"),
            ("///a", "/a"),
            ("//localhost/a", "/a"),
            ("a%20b%3F", "a b?"),
            ("", ""),
        ] {
            assert_eq!(path("x", "x", place)?.to_str(), Some(expected), "{place}");
        }
        assert!(["%zz", "%4", "%ff"].iter().all(|place| path("x", "x", place).is_err()));
        Ok(())
    }

    #[test]
    fn what_is_not_known_is_told() -> Result<(), super::StorageError> {
        let mut options = Options::parse("x", "a=1&b=%2E&a=3&c")?;
        assert_eq!(options.take::<u64>("a")?, Some(3));
        assert_eq!(options.take::<String>("b")?, Some(".".to_owned()));
        assert_eq!(options.take::<bool>("d")?, None);
        let error = options.finish().err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("x storage: option 4 of the URL is unknown; possible are a, b, d (invalid)")
        );
        let mut options = Options::parse("x", "a=one&replicaSet=rs%200")?;
        assert!(options.take::<u64>("a").is_err());
        assert_eq!(options.rest(), "replicaSet=rs%200");
        options.finish()
    }
}
