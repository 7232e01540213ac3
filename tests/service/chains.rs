//! Random redirect chains, random callers: with the cache everybody gets what he would get without.
//!
//! The origins answer by what they see of the caller, and say so in `Vary` where HTTP asks for it. What is expected
//! comes from a walk through the model, with the rules of RFC 9110 section 15.4 written down a second time.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use larder::key::{DefaultKey, RequestHead};
use larder::redirect::{AnsweredBy, RedirectHistory};
use larder::status::Outcome;
use larder::storage::MemoryStorage;
use larder::{CacheLayer, CacheOverride, CacheStatus};
use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{BoxError, OriginBody, response};

const ORIGINS: [&str; 4] = ["http://a.test", "https://a.test", "http://b.test:8080", "http://sub.a.test"];
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "x-api-key", "proxy-authorization"];
const LIMIT: usize = 4;

/// What an origin looks at to tell callers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LooksAt {
    Nothing,
    /// `Vary: x-who`, which goes along everywhere.
    Who,
    /// `Vary: cookie`.
    Cookie,
    /// Which needs no `Vary`.
    Authorization,
    /// As a service below the cache may do.
    Extension,
}

#[derive(Clone, Debug)]
struct Node {
    origin: usize,
    looks: LooksAt,
    /// `None` answers; else the status, where it leads each of two callers, and how the reference is written.
    redirect: Option<(u16, [usize; 2], u8)>,
    control: &'static str,
}

#[derive(Clone, Debug)]
struct Call {
    node: usize,
    user: usize,
    method: &'static str,
    content: bool,
    wish: u8,
    /// Given up after so many polls.
    polls: Option<usize>,
}

#[derive(Clone, Copy)]
struct User(usize);

/// The model: all nodes, and who fetched which.
struct World {
    nodes: Vec<Node>,
    /// Whose call is under way.
    caller: usize,
    fetched: HashSet<(usize, usize)>,
    requests: usize,
}

fn uri(nodes: &[Node], node: usize) -> String {
    format!("{}/{node}/x", ORIGINS[nodes[node].origin])
}

/// One way to write where it goes.
fn reference(nodes: &[Node], from: usize, to: usize, style: u8) -> String {
    let (here, there) = (ORIGINS[nodes[from].origin], ORIGINS[nodes[to].origin]);
    let (scheme, authority) = there.split_once("://").unwrap();
    match style % 4 {
        0 if here == there => format!("../{to}/x"),
        1 if here == there => format!("/{to}/./x#fragment"),
        2 if here.starts_with(&format!("{scheme}:")) => format!("//{authority}/{to}/x"),
        3 => format!("{}://{}/{to}/x", scheme.to_uppercase(), authority.to_uppercase()),
        _ => uri(nodes, to),
    }
}

impl World {
    /// Answers a request, and looks whether it may have come.
    fn answer(&mut self, request: &Request<Full<Bytes>>) -> Response<OriginBody> {
        let parts = request.uri().path().split('/').collect::<Vec<_>>();
        let number: usize = parts[1].parse().unwrap();
        let node = &self.nodes[number];
        let origin = ORIGINS[node.origin];
        let asked =
            format!("{}://{}", request.uri().scheme_str().unwrap(), request.uri().authority().unwrap());
        assert!(asked.eq_ignore_ascii_case(origin), "{asked} for {origin}");
        for name in CREDENTIALS {
            for value in request.headers().get_all(name) {
                assert!(value.to_str().unwrap().ends_with(&format!(" for {origin}")), "{name} to {origin}");
            }
        }
        for host in request.headers().get_all("host") {
            assert!(origin.ends_with(host.to_str().unwrap()), "{host:?} to {origin}");
        }
        self.requests += 1;
        self.fetched.insert((number, self.caller));
        let seen = |name: &str| Some(usize::from(request.headers().get(name)?.as_bytes()[1] - b'0'));
        let (seen, vary) = match node.looks {
            LooksAt::Nothing => (None, None),
            LooksAt::Who => (seen("x-who"), Some("x-who")),
            LooksAt::Cookie => (seen("cookie"), Some("cookie")),
            LooksAt::Authorization => (seen("authorization"), None),
            LooksAt::Extension => (request.extensions().get::<User>().map(|user| user.0), None),
        };
        let mut fields = vec![("cache-control", node.control)];
        fields.extend(vary.map(|vary| ("vary", vary)));
        let Some((status, targets, style)) = node.redirect else {
            let text = said(number, seen, request.method());
            return response(200, &fields, Box::leak(text.into_boxed_str()));
        };
        let location = reference(&self.nodes, number, targets[seen.unwrap_or(0)], style);
        fields.push(("location", &location));
        response(status, &fields, if request.method() == Method::HEAD { "" } else { "see there" })
    }

    /// What a call must end in: status, text, and the nodes that redirected.
    fn expected(&self, call: &Call) -> (u16, String, Vec<usize>) {
        let (mut node, mut method, mut content) = (call.node, call.method, call.content);
        let (mut at_home, mut way, mut seen) = (true, Vec::new(), HashSet::new());
        loop {
            let here = &self.nodes[node];
            seen.insert((method, node));
            let by = match here.looks {
                LooksAt::Nothing => None,
                LooksAt::Who => Some(call.user),
                LooksAt::Cookie | LooksAt::Authorization | LooksAt::Extension => at_home.then_some(call.user),
            };
            let Some((status, targets, _)) = here.redirect else {
                return (200, said(node, by, &method.parse().unwrap()), way);
            };
            let target = targets[by.unwrap_or(0)];
            let next = match (status, method) {
                (303, "HEAD") => "HEAD",
                (303, _) | (301 | 302, "POST") => "GET",
                _ => method,
            };
            let kept = status != 303 && next == method;
            if (kept && content) || way.len() == LIMIT || seen.contains(&(next, target)) {
                let text = if method == "HEAD" { "" } else { "see there" };
                return (status, text.to_owned(), way);
            }
            content = false;
            method = next;
            at_home &= self.nodes[target].origin == here.origin;
            way.push(node);
            node = target;
        }
    }
}

fn said(node: usize, seen: Option<usize>, method: &Method) -> String {
    if *method == Method::HEAD { String::new() } else { format!("{node} to {seen:?} by {method}") }
}

fn request(nodes: &[Node], call: &Call) -> Request<Full<Bytes>> {
    let (origin, user) = (ORIGINS[nodes[call.node].origin], call.user);
    let mut request = Request::builder().method(call.method).uri(uri(nodes, call.node)).extension(User(user));
    for name in CREDENTIALS {
        request = request.header(name, format!("u{user} for {origin}"));
    }
    request = request.header("x-who", format!("u{user}")).header("host", origin.split_once("://").unwrap().1);
    request = match call.wish {
        0 => request.extension(CacheOverride::new().with_no_store()),
        1 => request.extension(CacheOverride::reload()),
        2 => request.extension(CacheOverride::bypass()),
        _ => request,
    };
    let body = if call.content { Full::from("content") } else { Full::default() };
    request.body(body).unwrap()
}

/// Polls a future so often, and drops it then.
fn give_up_after(polls: usize, future: impl Future) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
    }
}

async fn check(nodes: Vec<Node>, calls: Vec<Call>, partitioned: bool) {
    let world =
        Arc::new(Mutex::new(World { nodes: nodes.clone(), caller: 0, fetched: HashSet::new(), requests: 0 }));
    let asked = Arc::clone(&world);
    let origin = service_fn(move |request: Request<Full<Bytes>>| {
        let asked = Arc::clone(&asked);
        async move {
            tokio::task::yield_now().await;
            let answer = asked.lock().unwrap().answer(&request);
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(answer)
        }
    });
    let mut keys = DefaultKey::new();
    if partitioned {
        let of_user =
            |request: &RequestHead<'_>| Some([u8::try_from(request.extensions.get::<User>()?.0).ok()?]);
        keys = keys.partition_by(of_user);
    }
    let cache = CacheLayer::new(MemoryStorage::new()).make_key(keys).follow_redirects(LIMIT).layer(origin);
    for call in &calls {
        world.lock().unwrap().caller = call.user;
        let mut ready = cache.clone();
        let answered = ready.ready().await.unwrap().call(request(&nodes, call));
        if let Some(polls) = call.polls {
            give_up_after(polls, answered);
            continue;
        }
        let before = world.lock().unwrap().fetched.clone();
        let (parts, body) = answered.await.unwrap().into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let world = world.lock().unwrap();
        let (status, expected, way) = world.expected(call);
        assert_eq!(
            (parts.status.as_u16(), std::str::from_utf8(&text).unwrap()),
            (status, &*expected),
            "{call:?}"
        );
        let history: &RedirectHistory = parts.extensions.get().unwrap();
        let hops: Vec<_> = history.hops().iter().map(|hop| hop.uri.path().to_owned()).collect();
        let paths: Vec<_> = way.iter().map(|node| format!("/{node}/x")).collect();
        assert_eq!(hops, paths, "{call:?}");
        assert_eq!(parts.extensions.get::<AnsweredBy>().is_some(), !way.is_empty());
        // Who has a partition of his own sees nothing that was not fetched for him.
        for node in way.iter().filter(|_| partitioned) {
            assert!(world.fetched.contains(&(*node, call.user)), "{call:?}");
        }
        let hit = parts.extensions.get::<CacheStatus>().is_some_and(|status| status.outcome == Outcome::Hit);
        if partitioned && hit && status == 200 {
            let end: usize = text
                .split(|byte| *byte == b' ')
                .next()
                .unwrap_or_default()
                .iter()
                .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
            assert!(call.method == "HEAD" || before.contains(&(end, call.user)), "{call:?}");
        }
    }
}

fn node(count: usize) -> impl Strategy<Value = Node> {
    let looks = prop_oneof![
        2 => Just(LooksAt::Nothing),
        1 => Just(LooksAt::Who),
        1 => Just(LooksAt::Cookie),
        1 => Just(LooksAt::Authorization),
        1 => Just(LooksAt::Extension),
    ];
    let redirect = (prop::sample::select(&[301, 302, 303, 307, 308][..]), [0..count, 0..count], any::<u8>());
    let control = prop::sample::select(
        &["max-age=60", "max-age=60", "public, max-age=60", "no-store", "no-cache", ""][..],
    );
    // Two of three redirect.
    (0..ORIGINS.len(), looks, prop::option::weighted(0.67, redirect), control)
        .prop_map(|(origin, looks, redirect, control)| Node { origin, looks, redirect, control })
}

fn call(count: usize) -> impl Strategy<Value = Call> {
    let method = prop_oneof![
        8 => Just("GET"),
        1 => Just("HEAD"),
        1 => Just("POST"),
        1 => Just("PUT"),
        1 => Just("OPTIONS"),
    ];
    (
        0..count,
        0..2_usize,
        method,
        prop::bool::weighted(0.1),
        0..20_u8,
        prop::option::weighted(0.2, 1..12_usize),
    )
        .prop_map(|(node, user, method, content, wish, polls)| Call {
            node,
            user,
            method,
            content,
            wish,
            polls,
        })
}

proptest! {
    // `PROPTEST_CASES=100000` for a night.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_the_cache_everybody_gets_what_he_would_get_without(
        nodes in prop::collection::vec(node(7), 7),
        calls in prop::collection::vec(call(7), 1..16),
        partitioned in any::<bool>(),
    ) {
        let mut nodes = nodes;
        if !partitioned {
            // Nobody below the cache may look at what only a partition would keep apart.
            for node in &mut nodes {
                if node.looks == LooksAt::Extension {
                    node.looks = LooksAt::Nothing;
                }
            }
        }
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(check(nodes, calls, partitioned));
    }
}
