//! What a request to another origin carries.

use http::header::{HOST, HeaderName, HeaderValue, ORIGIN, REFERER};
use http::{Extensions, HeaderMap, Uri};

use crate::key::{is_secret_name, names_another_target, origin};
use crate::overrides::CacheOverride;

/// What the user allows to be sent to another origin, in addition to what is always sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing {
    fields: Vec<HeaderName>,
    extensions: Vec<fn(&Extensions, &mut Extensions)>,
}

impl Crossing {
    pub(crate) fn carry_field(&mut self, name: HeaderName) {
        self.fields.push(name);
    }

    pub(crate) fn carry_extension<T: Clone + Send + Sync + 'static>(&mut self) {
        self.extensions.push(copy::<T>);
    }

    /// Removes the fields that were meant for the origin `left`, and for no other.
    ///
    /// RFC 9110 section 15.4 has a user agent leave behind what is specific to the origin (`Host`) and to the resource
    /// (`Referer`, `Origin`, `Authorization`, `Cookie`), and consider the same for all with security implications.
    pub(super) fn leave_fields(&self, headers: &mut HeaderMap, left: &Uri) {
        let stay: Vec<_> = headers.keys().filter(|name| self.stays(name, headers)).cloned().collect();
        for name in stay {
            headers.remove(name);
        }
        // What a browser does: only a request that came from the origin it leaves still says where it came from.
        if let Some(from) = headers.get(ORIGIN)
            && origin(left).is_none_or(|left| from.as_bytes() != left.as_bytes())
            && !self.fields.contains(&ORIGIN)
        {
            headers.insert(ORIGIN, HeaderValue::from_static("null"));
        }
    }

    fn stays(&self, name: &HeaderName, headers: &HeaderMap) -> bool {
        if *name == HOST {
            return true;
        }
        let meant_for_one = *name == REFERER || is_secret_name(name) || names_another_target(name);
        let secret = || headers.get_all(name).iter().any(HeaderValue::is_sensitive);
        (meant_for_one || secret()) && !self.fields.contains(name)
    }

    /// The extensions that the next request keeps: the overrides for the cache, and what the user named.
    pub(super) fn extensions(&self, of: &Extensions) -> Extensions {
        let mut along = Extensions::new();
        copy::<CacheOverride>(of, &mut along);
        for carry in &self.extensions {
            carry(of, &mut along);
        }
        along
    }
}

pub(super) fn copy<T: Clone + Send + Sync + 'static>(of: &Extensions, to: &mut Extensions) {
    if let Some(value) = of.get::<T>() {
        to.insert(value.clone());
    }
}
