//! Targeted cache control (RFC 9213): `CDN-Cache-Control` and its like.

use http::HeaderMap;
use http::header::HeaderName;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::policy::directives::{Argument, Directive, ResponseDirectives};

/// The directives of one targeted field, or `None` when it is absent, empty or no Structured Fields Dictionary:
/// then the cache must act as if the field were absent.
pub(crate) fn directives(headers: &HeaderMap, target: &HeaderName) -> Option<ResponseDirectives> {
    let field = joined(headers, target)?;
    let members = Parser::new(&field).parse::<Dictionary>().ok().filter(|members| !members.is_empty())?;
    let mut found = ResponseDirectives { targeted: true, ..ResponseDirectives::default() };
    for (name, member) in &members {
        // Parameters are not defined for any directive and are ignored.
        let value = match member {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        let name = name.as_str().as_bytes();
        let seconds = match value {
            Some(BareItem::Integer(seconds)) => i64::from(*seconds).to_string(),
            _ => String::new(),
        };
        let argument = match value {
            Some(BareItem::Boolean(false)) => continue,
            Some(BareItem::Boolean(true)) => Argument::None,
            Some(BareItem::Integer(_)) => Argument::Token(seconds.as_bytes()),
            Some(BareItem::String(fields)) if matches!(name, b"no-cache" | b"private") => {
                Argument::Quoted(fields.as_str().as_bytes())
            }
            // "Recipients ... SHOULD NOT accept other types": a value of the wrong type permits nothing.
            _ => Argument::Malformed,
        };
        found.add(&Directive { name, argument, clean: argument != Argument::Malformed });
    }
    Some(found)
}

/// All lines of a field in one, or `None` when there is no such field.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter();
    let mut all = lines.next()?.as_bytes().to_vec();
    for line in lines {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    Some(all)
}
