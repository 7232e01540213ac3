//! The policy as a whole: any sequence of exchanges, settings, overrides and jumps of the clock. Nothing panics; what
//! may not be stored is not; what may not be served stale is not; ages stay in bounds.
#![no_main]

mod support;

use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use larder::clock::Timestamp;
use larder::entry::StoredResponse;
use larder::policy::engine::{
    self, Answer, HeadUpdate, Reuse, Serve, Times, Update, UpdateAction, Validated, Validation,
};
use larder::policy::{Policy, SetCookie};
use larder::{CacheMode, CacheOverride};
use libfuzzer_sys::fuzz_target;
use support::{Field, Request, headers, key, mentions, response, says, stored};

const LARGEST: u64 = 1 << 31;
const TARGET: &str = "cdn-cache-control";

#[derive(Arbitrary, Debug)]
struct Settings {
    shared: bool,
    default_lifetime: Option<u16>,
    override_lifetime: Option<u16>,
    not_found_lifetime: Option<u32>,
    heuristic: (f64, u32),
    stale_while_revalidate: u16,
    stale_if_error: u16,
    disconnected: bool,
    targeted: bool,
    set_cookie: u8,
    post: bool,
}

impl Settings {
    fn policy(&self) -> Policy {
        let seconds = |n: u32| Duration::from_secs(u64::from(n));
        let mut policy = if self.shared { Policy::shared() } else { Policy::private() };
        if let Some(lifetime) = self.default_lifetime {
            policy = policy.default_lifetime(seconds(lifetime.into()));
        }
        if let Some(lifetime) = self.override_lifetime {
            policy = policy.override_lifetime(seconds(lifetime.into()));
        }
        if let Some(lifetime) = self.not_found_lifetime {
            policy = policy.status_lifetime(StatusCode::NOT_FOUND, seconds(lifetime));
        }
        if self.targeted {
            policy = policy.targets([HeaderName::from_static(TARGET)]);
        }
        if self.post {
            policy = policy.methods([Method::POST]);
        }
        policy
            .heuristic(self.heuristic.0, seconds(self.heuristic.1))
            .stale_while_revalidate(seconds(self.stale_while_revalidate.into()))
            .stale_if_error(seconds(self.stale_if_error.into()))
            .stale_when_disconnected(self.disconnected)
            .set_cookie(match self.set_cookie % 3 {
                0 => SetCookie::Store,
                1 => SetCookie::Strip,
                _ => SetCookie::Refuse,
            })
    }
}

#[derive(Arbitrary, Debug)]
struct Step<'a> {
    method: u8,
    mode: u8,
    no_store: bool,
    lifetime: Option<u32>,
    request: Vec<Field<'a>>,
    status: u16,
    response: Vec<Field<'a>>,
    wait: Wait,
    delay: Wait,
    invalidate: bool,
    reset: bool,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Wait {
    Millis(i32),
    Seconds(u16),
    Any(i64),
}

impl Wait {
    fn millis(self) -> i64 {
        match self {
            Self::Millis(millis) => millis.into(),
            Self::Seconds(seconds) => i64::from(seconds) * 1000,
            Self::Any(millis) => millis,
        }
    }
}

impl Step<'_> {
    fn request(&self) -> Request {
        let method = match self.method % 8 {
            0 => Method::HEAD,
            1 => Method::POST,
            2 => Method::DELETE,
            _ => Method::GET,
        };
        let mut overrides = CacheOverride::new();
        overrides.mode = match self.mode % 12 {
            0 => CacheMode::Reload,
            1 => CacheMode::Revalidate,
            2 => CacheMode::OnlyIfCached,
            _ => CacheMode::Default,
        };
        overrides.no_store = self.no_store && self.mode > 128;
        overrides.lifetime = self.lifetime.filter(|_| self.mode > 192).map(|n| Duration::from_secs(n.into()));
        Request { method, overrides, ..Request::get(headers(&self.request)) }
    }

    fn status(&self) -> u16 {
        match self.status % 16 {
            0..8 => 200,
            8 => 206,
            9 | 10 => 304,
            11 => 404,
            12 => 503,
            13 => 416,
            _ => 100 + self.status % 900,
        }
    }
}

struct World {
    policy: Policy,
    targeted: bool,
    post: bool,
    now: Timestamp,
    stored: Vec<StoredResponse>,
}

impl World {
    /// `Cache-Control` decides, and not a targeted field.
    fn plain(&self, headers: &HeaderMap) -> bool {
        !self.targeted || !headers.contains_key(TARGET)
    }

    fn check(&self, serve: &Serve, request: &Request, confirmed: bool) {
        assert!(u64::from(serve.age) <= LARGEST);
        let one = &self.stored[serve.index];
        let head = &one.head;
        if !confirmed {
            assert!(!one.invalidated, "invalidated and not validated");
            if self.plain(&head.headers) {
                assert!(!says(&head.headers, "no-cache"), "no-cache, and not validated");
                let strict = says(&head.headers, "must-revalidate")
                    || self.policy.is_shared()
                        && (says(&head.headers, "proxy-revalidate") || says(&head.headers, "s-maxage="));
                assert!(!strict || serve.ttl >= 0, "stale against must-revalidate");
                assert!(
                    !self.policy.is_shared() || !says(&head.headers, "private"),
                    "another's private response"
                );
                assert!(!says(&head.headers, "no-store") || mentions(&head.headers, "must-understand"));
            }
            assert!(self.now < head.usable_until);
        }
        let resident = self.now.millis_since(head.response_time).max(0) as u64 / 1000;
        assert!(u64::from(serve.age) >= resident.min(LARGEST), "younger than its stay here");
        match serve.answer {
            Answer::Range { first, last, complete_len } => {
                let held_from = head.range.map_or(0, |range| range.first);
                assert!(first <= last && last < complete_len);
                assert!(first >= held_from && last < held_from + head.body_len());
                assert!(request.headers.contains_key("range") && request.method == Method::GET);
            }
            Answer::Full => assert!(head.range.is_none(), "a part is never a whole"),
            Answer::Head => assert_eq!(request.method, Method::HEAD),
            Answer::NotModified | Answer::Unsatisfiable { .. } => {}
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        let request = step.request();
        let answer = response(step.status(), headers(&step.response));
        let reuse = request.with_info(|info| engine::reuse(&self.policy, info, &self.stored, self.now));
        let validation = match reuse {
            Reuse::Serve(serve) => {
                assert!(!says(&request.headers, "no-cache"), "served against the request's no-cache");
                return self.check(&serve, &request, false);
            }
            Reuse::Validate(validation) => validation,
            Reuse::GatewayTimeout => {
                let only = request.overrides.mode == CacheMode::OnlyIfCached;
                assert!(only || mentions(&request.headers, "only-if-cached"));
                return;
            }
            Reuse::Forward(_) => return self.keep(&request, &answer, step),
        };
        let mut sent = request.headers.clone();
        engine::preconditions(&mut sent, &validation, &self.stored);
        if let Some(serve) =
            request.with_info(|info| engine::without_origin(&self.policy, info, &self.stored, self.now))
        {
            self.check(&serve, &request, false);
        }
        self.validated(&request, &validation, &answer, step);
    }

    fn times(&self, step: &Step<'_>) -> Times {
        Times { request: self.now.plus_millis(step.delay.millis().saturating_neg()), response: self.now }
    }

    fn validated(
        &mut self,
        request: &Request,
        validation: &Validation,
        answer: &http::response::Parts,
        step: &Step<'_>,
    ) {
        let times = self.times(step);
        let validated = request
            .with_info(|info| engine::validated(&self.policy, info, &self.stored, validation, answer, times));
        match validated {
            Validated::Freshened { updates, serve } => {
                assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
                let removed =
                    updates.iter().any(|one| one.index == serve && one.action == UpdateAction::Remove);
                for Update { index, head, .. } in updates {
                    let old = &mut self.stored[index];
                    assert_eq!(
                        (head.id, head.body, head.range),
                        (old.head.id, old.head.body, old.head.range)
                    );
                    for kept in ["content-length", "content-encoding", "content-range", "etag"] {
                        assert_eq!(head.headers.get(kept), old.head.headers.get(kept));
                    }
                    old.head = Arc::new(head);
                    old.invalidated = false;
                }
                let answered = request.with_info(|info| engine::serve(info, &self.stored, serve, self.now));
                self.check(&answered, request, true);
                if removed {
                    self.stored.remove(serve);
                }
            }
            Validated::Stale(serve) => self.check(&serve, request, false),
            Validated::Completed { head, .. } => {
                assert!(head.range.is_none() && head.status == StatusCode::OK);
                self.insert(stored(*head));
            }
            Validated::PassOn | Validated::AskAgain => {}
            Validated::Replaced => self.keep(request, answer, step),
        }
    }

    fn keep(&mut self, request: &Request, answer: &http::response::Parts, step: &Step<'_>) {
        let times = self.times(step);
        let updates = request
            .with_info(|info| engine::updated_by_head(&self.policy, info, &self.stored, answer, times));
        for update in updates {
            let (HeadUpdate::Freshen(index, head) | HeadUpdate::Outdated(index, head)) = update;
            assert_eq!(head.id, self.stored[index].head.id);
            self.stored[index].head = Arc::new(head);
        }
        let groups =
            request.with_info(|info| engine::invalidated_groups(&larder::Policy::private(), info, answer));
        let uris = request.with_info(|info| engine::invalidated(info, answer));
        if matches!(request.method, Method::GET | Method::HEAD) {
            assert!(groups.is_empty() && uris.is_empty(), "a safe method invalidates nothing");
        }
        assert!(uris.iter().all(|uri| uri.host() == Some("example.com")));
        let Ok(head) = request.with_info(|info| engine::storable(&self.policy, info, &key(), answer, times))
        else {
            return;
        };
        assert!(!says(&request.headers, "no-store") && !request.overrides.no_store);
        assert!(answer.status.as_u16() >= 200 && answer.status != StatusCode::NOT_MODIFIED);
        assert!(request.method == Method::GET || request.method == Method::POST);
        assert!(self.post || head.method == Method::GET);
        if self.plain(&answer.headers) {
            let understood = mentions(&answer.headers, "must-understand");
            assert!(!says(&answer.headers, "no-store") || understood, "no-store, and stored");
            if self.policy.is_shared() {
                assert!(!says(&answer.headers, "private"), "private, and stored in a shared cache");
                let leave = ["public", "must-revalidate", "s-maxage"];
                let leave = leave.iter().any(|leave| mentions(&answer.headers, leave));
                assert!(leave || !request.headers.contains_key("authorization"), "no leave to store it");
            }
        }
        assert!(u64::from(head.freshness.lifetime) <= LARGEST);
        assert!(head.freshness.initial_age <= LARGEST * 1000);
        assert!(head.usable_until >= head.response_time);
        assert!(!head.headers.contains_key("connection"));
        self.insert(stored(head));
    }

    fn insert(&mut self, new: StoredResponse) {
        self.stored
            .retain(|old| old.head.selecting != new.head.selecting || old.head.range != new.head.range);
        self.stored.insert(0, new);
        self.stored.truncate(6);
    }
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    settings: Settings,
    later: Option<Settings>,
    steps: Vec<Step<'a>>,
}

fuzz_target!(|input: Input<'_>| {
    let Settings { targeted, post, .. } = input.settings;
    let mut world =
        World { policy: input.settings.policy(), targeted, post, now: support::at(0), stored: Vec::new() };
    for (number, step) in input.steps.iter().take(12).enumerate() {
        if let (1.., Some(later)) = (number, &input.later) {
            world.policy = later.policy();
            (world.targeted, world.post) = (later.targeted, later.post);
        }
        world.now = if step.reset { support::at(0) } else { world.now.plus_millis(step.wait.millis()) };
        if step.invalidate && step.mode > 224 {
            world.stored.iter_mut().for_each(|one| one.invalidated = true);
        }
        world.step(step);
    }
});
