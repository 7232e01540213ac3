//! Resolving a reference against the URI it was found at (RFC 3986 section 5.2).

use std::fmt::Write as _;

use http::Uri;

use super::normalize::without_dot_segments;

/// The longest reference that is resolved: what a [`Uri`] can hold.
const MAX_LEN: usize = 65_534;

/// The absolute URI that `reference` (a `Location`, a `Content-Location`) means at `base`, without its fragment.
///
/// Characters that a URI must not hold are escaped, as browsers do it. Returns `None` where the reference is too
/// long, has control characters, or does not lead to a URI with an authority.
///
/// ```
/// # fn main() -> Result<(), http::uri::InvalidUri> {
/// let base = "https://example.com/a/b?c".parse()?;
/// assert_eq!(larder::key::resolve(&base, "../d#e"), Some("https://example.com/d".parse()?));
/// assert_eq!(larder::key::resolve(&base, "//other.example/"), Some("https://other.example/".parse()?));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = escaped(reference.trim_matches([' ', '\t']))?;
    let reference = reference.split('#').next()?;
    let (rest, query) = split_query(reference);
    let target = match split_scheme(rest) {
        Some((scheme, rest)) => {
            let (authority, path) = split_authority(rest);
            Target { scheme, authority: authority?, path: without_dot_segments(path), query }
        }
        None => {
            let scheme = base.scheme_str()?;
            match split_authority(rest) {
                (Some(authority), path) => {
                    Target { scheme, authority, path: without_dot_segments(path), query }
                }
                (None, path) => Target { scheme, ..relative(base, path, query)? },
            }
        }
    };
    target.into_uri()
}

/// The parts of section 5.2.2's target.
struct Target<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: String,
    query: Option<&'a str>,
}

impl Target<'_> {
    fn into_uri(self) -> Option<Uri> {
        let Self { scheme, authority, path, query } = self;
        let path = if path.is_empty() { "/" } else { &path };
        let mut target = format!("{scheme}://{authority}{path}");
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        let uri: Uri = (target.len() <= MAX_LEN).then(|| target.parse().ok())??;
        (uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
    }
}

/// A reference without scheme and authority.
fn relative<'a>(base: &'a Uri, path: &str, query: Option<&'a str>) -> Option<Target<'a>> {
    let (path, query) = match path {
        "" => (without_dot_segments(base.path()), query.or(base.query())),
        absolute if absolute.starts_with('/') => (without_dot_segments(absolute), query),
        relative => {
            // Section 5.2.3: everything after the base path's last slash is replaced.
            let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
            (without_dot_segments(&format!("{directory}/{relative}")), query)
        }
    };
    Some(Target { scheme: "", authority: base.authority()?.as_str(), path, query })
}

fn split_query(reference: &str) -> (&str, Option<&str>) {
    reference.split_once('?').map_or((reference, None), |(rest, query)| (rest, Some(query)))
}

/// Section 3.1: a letter, then letters, digits, `+`, `-` and `.`, before the first colon.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let valid = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

fn split_authority(rest: &str) -> (Option<&str>, &str) {
    match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path)
        }
        None => (None, rest),
    }
}

/// Escapes blanks, quotes and everything beyond ASCII; refuses control characters.
fn escaped(reference: &str) -> Option<String> {
    if reference.len() > MAX_LEN {
        return None;
    }
    let mut escaped = String::with_capacity(reference.len());
    for byte in reference.bytes() {
        match byte {
            0..=0x1f | 0x7f => return None,
            b' ' | b'"' | b'<' | b'>' | b'`' | b'^' | b'{' | b'|' | b'}' | b'\\' | 0x80.. => {
                write!(escaped, "%{byte:02X}").ok()?;
            }
            _ => escaped.push(char::from(byte)),
        }
    }
    Some(escaped)
}
