//! When two values of a request field mean the same (RFC 9111 section 4.1): "normalizing both header field values in
//! a way that is known to have identical semantics, according to the header field's specification".

use std::borrow::Cow;

use http::header::{self, HeaderName};

/// What is known of a field's syntax.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    /// A list of members in any order, case-insensitive: `Accept-Encoding`, `Accept-Language`, `Accept-Charset`.
    Words,
    /// The same of media ranges, whose parameter values keep their case: `Accept`.
    MediaRanges,
    /// One opaque value, in which commas mean nothing: `Cookie`, `Authorization`.
    Opaque,
    /// Unknown; taken for a list in which only white space around the commas means nothing.
    Unknown,
}

fn syntax(name: &HeaderName) -> Syntax {
    if *name == header::ACCEPT_ENCODING || *name == header::ACCEPT_LANGUAGE || *name == header::ACCEPT_CHARSET
    {
        Syntax::Words
    } else if *name == header::ACCEPT {
        Syntax::MediaRanges
    } else if *name == header::COOKIE
        || *name == header::AUTHORIZATION
        || *name == header::PROXY_AUTHORIZATION
    {
        Syntax::Opaque
    } else {
        Syntax::Unknown
    }
}

/// Whether two values of this field have the same canonical form.
pub(super) fn same_value(name: &HeaderName, one: &[u8], other: &[u8]) -> bool {
    one == other || canonical(name, one) == canonical(name, other)
}

/// The one form of all values that mean the same.
pub(super) fn canonical<'a>(name: &HeaderName, value: &'a [u8]) -> Cow<'a, [u8]> {
    let value = value.trim_ascii();
    let syntax = syntax(name);
    if syntax == Syntax::Opaque {
        return Cow::Borrowed(value);
    }
    let members = members(value);
    let members: Vec<Cow<'_, [u8]>> = match syntax {
        // Quoted strings are rare in media ranges and can hold anything, so such a value keeps its order and case.
        Syntax::Words | Syntax::MediaRanges if !value.contains(&b'"') => {
            let mut members: Vec<_> = members
                .filter(|member| !member.is_empty())
                .map(|member| preference(member, syntax))
                .collect();
            members.sort_unstable();
            members.dedup();
            members
        }
        _ => members.map(Cow::Borrowed).collect(),
    };
    Cow::Owned(members.join(&b','))
}

/// Splits at commas outside of quoted strings, and trims.
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value
        .split(move |byte| {
            if escaped {
                escaped = false;
                return false;
            }
            match byte {
                b'"' => quoted = !quoted,
                b'\\' if quoted => escaped = true,
                b',' => return !quoted,
                _ => {}
            }
            false
        })
        .map(<[u8]>::trim_ascii)
}

/// One member with its parameters, without optional white space, `q` in its shortest form.
fn preference(member: &[u8], syntax: Syntax) -> Cow<'_, [u8]> {
    let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut canonical = parts.next().unwrap_or_default().to_ascii_lowercase();
    for part in parts {
        let (name, value) = match part.iter().position(|byte| *byte == b'=') {
            Some(equals) => (part.get(..equals).unwrap_or_default(), part.get(equals + 1..)),
            None => (part, None),
        };
        if name.eq_ignore_ascii_case(b"q") {
            // RFC 9110 section 12.4.2: "If no "q" parameter is present, the default weight is 1."
            match value.map(shortest_weight) {
                Some(b"1") => continue,
                Some(weight) => {
                    canonical.extend_from_slice(b";q=");
                    canonical.extend_from_slice(weight);
                }
                None => canonical.extend_from_slice(b";q"),
            }
            continue;
        }
        canonical.push(b';');
        canonical.extend(name.to_ascii_lowercase());
        if let Some(value) = value {
            canonical.push(b'=');
            match syntax {
                Syntax::Words => canonical.extend(value.to_ascii_lowercase()),
                _ => canonical.extend_from_slice(value),
            }
        }
    }
    Cow::Owned(canonical)
}

/// A weight without the zeros at its end: `0.50` is `0.5`, `1.000` is `1`.
fn shortest_weight(weight: &[u8]) -> &[u8] {
    if !weight.contains(&b'.') {
        return weight;
    }
    let end = weight.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    let weight = weight.get(..end).unwrap_or_default();
    weight.strip_suffix(b".").unwrap_or(weight)
}
