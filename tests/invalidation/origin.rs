//! An origin whose resources have a version, which unsafe requests raise.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::Service;

use crate::support::{BoxError, OriginBody, with_body};

/// The resources: a name, and the URIs that mean it.
pub(crate) const RESOURCES: [&[&str]; 5] = [
    &["http://h.example/plain", "http://h.example/pl%61in", "http://H.example:80/./plain"],
    &["http://h.example/other"],
    &[
        "http://h.example/search?q=1",
        "http://h.example/search?q=1&utm=a",
        "http://h.example/search?utm=b&q=1",
    ],
    &["http://h.example/search?q=2", "http://h.example/search?q=2&utm=c"],
    &["http://h.example/member"],
];
/// Is in a group.
pub(crate) const MEMBER: usize = 4;

#[derive(Clone, Default)]
pub(crate) struct Origin {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    versions: [u64; RESOURCES.len()],
    random: fastrand::Rng,
    fails: bool,
}

impl Origin {
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        let state = State { random, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn version(&self, resource: usize) -> u64 {
        self.state.lock().unwrap().versions[resource]
    }

    pub(crate) fn set_failing(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
    }
}

impl State {
    fn answer(&mut self, request: &Request<Full<Bytes>>) -> Result<Response<OriginBody>, BoxError> {
        if self.fails && self.random.bool() {
            return Err("unreachable".into());
        }
        if request.method() != "GET" && request.method() != "HEAD" {
            return Ok(self.change(request));
        }
        let resource = resource_of(&path_and_query(request)).expect("a resource");
        let version = self.versions[resource];
        let tag = format!("\"{version}\"");
        let age = [
            "max-age=600",
            "max-age=2, stale-while-revalidate=600",
            "max-age=0, stale-if-error=600",
            "max-age=1",
        ][self.random.usize(..4)];
        let mut fields = vec![("cache-control", age), ("etag", &tag), ("vary", "accept-language")];
        if (2..=3).contains(&resource) {
            fields.push(("no-vary-search", "params=(\"utm\"), key-order"));
        }
        if resource == MEMBER {
            fields.push(("cache-groups", "\"g\""));
        }
        let holds = request
            .headers()
            .get_all("if-none-match")
            .iter()
            .any(|tags| tags.to_str().unwrap().split(", ").any(|listed| listed == tag));
        let (status, body) =
            if holds { (304, String::new()) } else { (200, format!("{resource} {version}")) };
        let body = if request.method() == "HEAD" { String::new() } else { body };
        Ok(with_body(status, &fields, body_of(body)))
    }

    /// What is changed is named by the path, a field (`Location`) or a group.
    fn change(&mut self, request: &Request<Full<Bytes>>) -> Response<OriginBody> {
        let mut fields = HashMap::new();
        match request.headers().get("x-change").map(|value| value.to_str().unwrap().parse::<usize>().unwrap())
        {
            None => {
                let resource = resource_of(&path_and_query(request)).expect("a resource");
                self.versions[resource] += 1;
            }
            Some(MEMBER) => {
                self.versions[MEMBER] += 1;
                fields.insert("cache-group-invalidation", "\"g\"");
            }
            Some(resource) => {
                self.versions[resource] += 1;
                let name = if self.random.bool() { "location" } else { "content-location" };
                fields.insert(name, RESOURCES[resource][0]);
            }
        }
        let fields: Vec<_> = fields.into_iter().collect();
        with_body([200, 201, 204, 303][self.random.usize(..4)], &fields, body_of(String::new()))
    }
}

fn body_of(text: String) -> OriginBody {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

fn path_and_query(request: &Request<Full<Bytes>>) -> String {
    request.uri().path_and_query().unwrap().to_string()
}

fn resource_of(path: &str) -> Option<usize> {
    RESOURCES.iter().position(|uris| {
        uris.iter()
            .any(|uri| uri.splitn(4, '/').nth(3).is_some_and(|rest| path.strip_prefix('/') == Some(rest)))
    })
}

impl Service<Request<Full<Bytes>>> for Origin {
    type Response = Response<OriginBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<OriginBody>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            let (before, after) = {
                let random = &mut state.lock().unwrap().random;
                (random.usize(..6), random.usize(..6))
            };
            pause(before).await;
            // What the origin says is of this moment, however long it takes to arrive.
            let answer = state.lock().unwrap().answer(&request);
            pause(after).await;
            answer
        })
    }
}

/// Lets others go first, so often.
pub(crate) async fn pause(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}
