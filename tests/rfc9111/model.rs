//! A cache of nothing but the policy: what it says to store is stored, and time moves by hand.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, response};
use larder::clock::Timestamp;
use larder::entry::{StoredBody, StoredHead, StoredResponse};
use larder::key::{CacheKey, RequestHead};
use larder::overrides::CacheOverride;
use larder::policy::Policy;
use larder::policy::engine::{
    self, Answer, NotStored, RequestInfo, Reuse, Serve, Times, Validated, Validation,
};
use larder::status::Fwd;

/// Header fields of a test. A value `@N` is the date N seconds from now.
pub type Fields<'a> = &'a [(&'a str, &'a str)];

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub overrides: CacheOverride,
}

impl Request {
    pub fn new(method: &str) -> Self {
        Self {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            uri: Uri::from_static("https://example.com/a?b"),
            headers: HeaderMap::new(),
            overrides: CacheOverride::default(),
        }
    }

    pub fn with_info<T>(&self, with: impl FnOnce(&RequestInfo<'_>) -> T) -> T {
        let extensions = Extensions::new();
        let head = RequestHead::new(&self.method, &self.uri, &self.headers, &extensions);
        with(&RequestInfo::new(&head, &self.overrides))
    }
}

#[derive(Debug)]
pub struct Model {
    pub policy: Policy,
    pub now: Timestamp,
    pub stored: Vec<StoredResponse>,
    /// How long a response takes to arrive.
    pub delay_millis: i64,
}

impl Model {
    pub fn new(policy: Policy) -> Self {
        Self { policy, now: Timestamp::from_secs(1_800_000_000), stored: Vec::new(), delay_millis: 0 }
    }

    pub fn private() -> Self {
        Self::new(Policy::private())
    }

    pub fn shared() -> Self {
        Self::new(Policy::shared())
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now = self.now.plus_millis(seconds * 1000);
    }

    pub fn request(&self, method: &str, fields: Fields<'_>) -> Request {
        Request { headers: self.headers(fields), ..Request::new(method) }
    }

    pub fn headers(&self, fields: Fields<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let offset = value.strip_prefix('@').and_then(|offset| offset.parse().ok());
            let value = offset.map_or((*value).to_owned(), |offset| date(self.now, offset));
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        headers
    }

    pub fn response(&self, status: u16, fields: Fields<'_>) -> response::Parts {
        let mut parts = Response::new(()).into_parts().0;
        parts.status = StatusCode::from_u16(status).unwrap();
        parts.headers = self.headers(fields);
        parts
    }

    pub fn times(&self) -> Times {
        Times { request: self.now.plus_millis(-self.delay_millis), response: self.now }
    }

    pub fn storable(&self, request: &Request, response: &response::Parts) -> Result<StoredHead, NotStored> {
        let key = CacheKey::builder().part(CacheKey::URI, request.uri.to_string()).build();
        request.with_info(|info| engine::storable(&self.policy, info, &key, response, self.times()))
    }

    /// Stores the response to a plain GET, as a body of ten bytes where nothing else is said.
    pub fn get(&mut self, status: u16, fields: Fields<'_>) -> Result<&StoredHead, NotStored> {
        self.get_with(&[], status, fields)
    }

    pub fn get_with(
        &mut self,
        asked: Fields<'_>,
        status: u16,
        fields: Fields<'_>,
    ) -> Result<&StoredHead, NotStored> {
        let request = self.request("GET", asked);
        self.exchange(&request, status, fields)
    }

    pub fn exchange(
        &mut self,
        request: &Request,
        status: u16,
        fields: Fields<'_>,
    ) -> Result<&StoredHead, NotStored> {
        let head = self.storable(request, &self.response(status, fields))?;
        Ok(self.keep(head))
    }

    pub fn keep(&mut self, mut head: StoredHead) -> &StoredHead {
        let len = head.body.map_or(10, |body| body.len);
        head.body = Some(larder::entry::BodySummary { len, checksum: 0 });
        self.stored.retain(|old| old.head.selecting != head.selecting || old.head.range != head.range);
        let body = StoredBody::Inline(Bytes::new());
        self.stored.insert(0, StoredResponse { head: Arc::new(head), body, invalidated: false });
        &self.stored[0].head
    }

    pub fn reuse(&self, request: &Request) -> Reuse {
        request.with_info(|info| engine::reuse(&self.policy, info, &self.stored, self.now))
    }

    pub fn ask(&self, fields: Fields<'_>) -> Reuse {
        self.reuse(&self.request("GET", fields))
    }

    pub fn without_origin(&self, fields: Fields<'_>) -> Option<Serve> {
        let request = self.request("GET", fields);
        request.with_info(|info| engine::without_origin(&self.policy, info, &self.stored, self.now))
    }

    /// The fields that a validation sends in place of these.
    pub fn preconditions(&self, validation: &Validation, fields: Fields<'_>) -> HeaderMap {
        let mut headers = self.headers(fields);
        engine::preconditions(&mut headers, validation, &self.stored);
        headers
    }

    /// Asks, which must lead to a validation, and judges the origin's answer.
    pub fn validate(&mut self, asked: Fields<'_>, status: u16, fields: Fields<'_>) -> Validated {
        let request = self.request("GET", asked);
        let Reuse::Validate(validation) = self.reuse(&request) else {
            panic!("not validated: {:?}", self.reuse(&request));
        };
        let response = self.response(status, fields);
        let times = self.times();
        let validated = request.with_info(|info| {
            engine::validated(&self.policy, info, &self.stored, &validation, &response, times)
        });
        if let Validated::Freshened { updates, .. } = &validated {
            for update in updates {
                self.stored[update.index].head = Arc::new(update.head.clone());
            }
        }
        validated
    }

    pub fn serve(&self, fields: Fields<'_>, index: usize) -> Serve {
        let request = self.request("GET", fields);
        request.with_info(|info| engine::serve(info, &self.stored, index, self.now))
    }
}

/// What became of a request, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Hit,
    /// A stale hit, to be refreshed in the background.
    Refresh,
    Validate(Fwd),
    Forward(Fwd),
    Timeout,
}

pub fn outcome(reuse: &Reuse) -> Outcome {
    match reuse {
        Reuse::Serve(serve) if serve.refresh => Outcome::Refresh,
        Reuse::Serve(_) => Outcome::Hit,
        Reuse::Validate(validation) => Outcome::Validate(validation.fwd),
        Reuse::Forward(fwd) => Outcome::Forward(*fwd),
        Reuse::GatewayTimeout => Outcome::Timeout,
    }
}

pub fn answer(reuse: &Reuse) -> Option<Answer> {
    match reuse {
        Reuse::Serve(serve) => Some(serve.answer),
        _ => None,
    }
}

pub fn is_hit(reuse: &Reuse) -> bool {
    matches!(reuse, Reuse::Serve(_))
}

pub fn date(now: Timestamp, offset: i64) -> String {
    let seconds = u64::try_from(now.as_secs() + offset).unwrap();
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Whether a response that arrived with these fields still answers `seconds` later.
pub fn reused_after(policy: &Policy, status: u16, fields: Fields<'_>, seconds: i64) -> bool {
    let mut model = Model::new(policy.clone());
    if model.get(status, fields).is_err() {
        return false;
    }
    model.wait(seconds);
    is_hit(&model.ask(&[]))
}
