//! An origin that answers everybody differently, and remembers for whom it made which response.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use http::Uri;

use crate::client::{CallId, Credentials, Tenant};
use crate::support::{Origin, response};
use crate::world::pick;

/// What a page of the origin is like, whoever asks.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) control: &'static str,
    pub(crate) varies_on_cookie: bool,
    pub(crate) no_vary_search: bool,
    pub(crate) location: Option<&'static str>,
    pub(crate) content_location: bool,
}

impl Page {
    pub(crate) fn draw(random: &mut Rng) -> Self {
        const CONTROLS: [&str; 10] = [
            "max-age=60",
            "max-age=60",
            "public, max-age=60",
            "public, max-age=60",
            "s-maxage=60",
            "private, max-age=60",
            "max-age=60, must-revalidate",
            "no-store",
            "no-cache",
            "max-age=1, stale-while-revalidate=100",
        ];
        const LOCATIONS: [&str; 8] = [
            "/3",
            "4",
            "../5?q=1",
            "http://one.example/3",
            "http://two.example/4",
            "http://two.example/0",
            "http://b@one.example/5",
            "//two.example/x/../5",
        ];
        Self {
            control: pick(random, &CONTROLS),
            varies_on_cookie: random.bool(),
            no_vary_search: random.u8(..4) == 0,
            location: (random.u8(..3) == 0).then(|| pick(random, &LOCATIONS)),
            content_location: random.u8(..3) == 0,
        }
    }

    /// RFC 9111 section 3.5: what lets a shared cache reuse the response to an authorized request.
    pub(crate) fn gives_leave(&self) -> bool {
        ["public", "s-maxage", "must-revalidate"].iter().any(|leave| self.control.contains(leave))
    }

    pub(crate) fn says(&self, directive: &str) -> bool {
        self.control.split(", ").any(|said| said == directive)
    }
}

/// A response that the origin made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) call: CallId,
    pub(crate) sent: Credentials,
    pub(crate) uri: Uri,
    pub(crate) page: Page,
}

/// All responses that were made, by number.
pub(crate) type Log = Arc<Mutex<Vec<Made>>>;

/// The origin of these pages: the first digit of a path tells which.
pub(crate) fn origin(pages: Vec<Page>, log: Log) -> Origin {
    Origin::new(move |parts, _| {
        let page = page_of(&pages, &parts.uri).clone();
        let call = *parts.extensions.get::<CallId>().expect("the call goes along");
        let sent = Credentials::of(parts);
        // A tenant is told by what is added below the cache.
        let tenant = parts.extensions.get::<Tenant>().copied();
        let tag = tag(&format!("{:?}", (&sent, tenant, &parts.uri)));
        let mut log = log.lock().unwrap();
        let number: &'static str = log.len().to_string().leak();
        log.push(Made { call, sent, uri: parts.uri.clone(), page: page.clone() });
        let mut fields = vec![("cache-control", page.control), ("etag", tag.as_str()), ("x-made", number)];
        if page.varies_on_cookie {
            fields.push(("vary", "cookie"));
        }
        if page.no_vary_search {
            fields.push(("no-vary-search", "params=(\"q\")"));
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if page.content_location {
            fields.push(("content-location", path));
        }
        let asked = parts.headers.get("if-none-match").map_or("", |tags| tags.to_str().unwrap());
        if asked.contains(tag.as_str()) {
            return Ok(response(304, &fields, ""));
        }
        if let Some(location) = page.location {
            fields.push(("location", location));
            return Ok(response(302, &fields, number));
        }
        Ok(response(200, &fields, if parts.method == "HEAD" { "" } else { number }))
    })
}

pub(crate) fn page_of<'a>(pages: &'a [Page], uri: &Uri) -> &'a Page {
    let digit = uri.path().bytes().rfind(u8::is_ascii_digit).unwrap_or(b'0');
    &pages[usize::from(digit - b'0') % pages.len()]
}

/// One tag for each representation.
fn tag(of: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(of.as_bytes());
    format!("\"{:016x}\"", hasher.finish())
}
