//! Who asks, and how.

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Uri};
use http_body_util::Full;
use larder::CacheOverride;
use larder::key::CacheKey;

use crate::world::pick;

/// The number of one call; in the request's extensions, so that the origin knows for whom it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId(pub(crate) usize);

/// What a user's code puts into the extensions of requests, and key functions make partitions of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenant(pub(crate) &'static str);

/// What a request is sent with that tells its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) authorization: Option<String>,
    pub(crate) proxy_authorization: Option<String>,
    pub(crate) userinfo: Option<String>,
    pub(crate) cookie: Option<String>,
}

impl Credentials {
    /// RFC 9111 section 3.5, with RFC 9110 section 4.2.4.
    pub(crate) fn authorized(&self) -> bool {
        self.authorization.is_some() || self.userinfo.is_some()
    }

    pub(crate) fn of(parts: &http::request::Parts) -> Self {
        let field = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        Self {
            authorization: field("authorization"),
            proxy_authorization: field("proxy-authorization"),
            userinfo: userinfo(&parts.uri),
            cookie: field("cookie"),
        }
    }
}

pub(crate) fn userinfo(uri: &Uri) -> Option<String> {
    Some(uri.authority()?.as_str().rsplit_once('@')?.0.to_owned())
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) uri: Uri,
    pub(crate) credentials: Credentials,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) wishes: Option<CacheOverride>,
    fields: Vec<(&'static str, &'static str)>,
}

impl Call {
    pub(crate) fn draw(random: &mut Rng) -> Self {
        let who =
            |random: &mut Rng| pick(random, &[None, None, None, Some("a"), Some("b")]).map(str::to_owned);
        let credentials = Credentials {
            authorization: who(random),
            proxy_authorization: if random.u8(..4) == 0 { who(random) } else { None },
            userinfo: if random.u8(..3) == 0 { who(random) } else { None },
            cookie: who(random),
        };
        let host = pick(random, &["one.example", "one.example", "ONE.example:80", "two.example"]);
        let path = pick(
            random,
            &["/0", "/1", "/2", "/3", "/4", "/5", "/x/../3", "/%33", "/./4", "/X/../x/%2e%2e/5"],
        );
        let query = pick(random, &["", "", "?q=1", "?q=2", "?r=1"]);
        let at = credentials.userinfo.as_ref().map(|userinfo| format!("{userinfo}@")).unwrap_or_default();
        let wishes = match random.u8(..16) {
            0 => Some(CacheOverride::reload()),
            1 => Some(CacheOverride::revalidate()),
            2 => Some(CacheOverride::only_if_cached()),
            3 => Some(CacheOverride::new().with_no_store()),
            4 => Some(CacheOverride::new().with_lifetime(std::time::Duration::from_secs(60))),
            5 => Some(CacheOverride::bypass()),
            6..=8 => {
                let name = pick(random, &["mine", "yours"]);
                Some(CacheOverride::new().with_key(CacheKey::builder().part("named", name).build()))
            }
            _ => None,
        };
        let fields = match random.u8(..12) {
            0 => vec![("cache-control", "no-cache")],
            1 => vec![("range", "bytes=0-0")],
            2 => vec![("cache-control", "max-stale")],
            3 => vec![("if-none-match", "\"of nothing\"")],
            _ => Vec::new(),
        };
        Self {
            method: pick(
                random,
                &[
                    "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET",
                    "HEAD", "HEAD", "POST",
                ],
            ),
            uri: format!("http://{at}{host}{path}{query}").parse().unwrap(),
            credentials,
            tenant: pick(random, &[None, Some("red"), Some("blue")]).map(Tenant),
            wishes,
            fields,
        }
    }

    pub(crate) fn request(&self, id: CallId) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(self.uri.clone()).extension(id);
        let Credentials { authorization, proxy_authorization, cookie, userinfo: _ } = &self.credentials;
        let own = [
            ("authorization", authorization),
            ("proxy-authorization", proxy_authorization),
            ("cookie", cookie),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        for (name, value) in &self.fields {
            request = request.header(*name, *value);
        }
        if let Some(tenant) = self.tenant {
            request = request.extension(tenant);
        }
        if let Some(wishes) = &self.wishes {
            request = request.extension(wishes.clone());
        }
        request.body(Full::default()).unwrap()
    }

    /// The same question of somebody else.
    pub(crate) fn by_another(&self, random: &mut Rng) -> Self {
        let other = Self::draw(random);
        let mut call = Self { credentials: other.credentials, tenant: other.tenant, ..self.clone() };
        call.aim_at(&self.uri);
        call
    }

    /// Asks for this URI, as whoever it is.
    pub(crate) fn aim_at(&mut self, uri: &Uri) {
        let host = uri.authority().unwrap().as_str();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let at =
            self.credentials.userinfo.as_ref().map(|userinfo| format!("{userinfo}@")).unwrap_or_default();
        self.uri = format!("http://{at}{host}{}", uri.path_and_query().unwrap()).parse().unwrap();
    }

    pub(crate) fn names_its_key(&self) -> bool {
        self.wishes.as_ref().is_some_and(|wishes| wishes.key.is_some())
    }
}
