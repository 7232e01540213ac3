//! Targeted cache control (RFC 9213): `CDN-Cache-Control` and similar fields.

use http::HeaderMap;
use http::header::HeaderName;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::policy::cache_control::{Argument, Directive};
use crate::policy::fields::joined;

/// Every directive of one targeted field. `false` when it is absent, empty or no Structured Fields Dictionary: then the
/// cache must act as if the field were absent.
pub(crate) fn each(headers: &HeaderMap, target: &HeaderName, visit: &mut dyn FnMut(&Directive<'_>)) -> bool {
    let Some(field) = joined(headers, target) else { return false };
    let Ok(members) = Parser::new(&field).parse::<Dictionary>() else { return false };
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
        visit(&Directive { name, argument, clean: argument != Argument::Malformed });
    }
    !members.is_empty()
}
