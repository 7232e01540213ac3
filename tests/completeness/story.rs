//! The client, and what must hold after each step.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::response::Parts;
use http_body_util::BodyExt;
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::entry::{StoredBody, StoredHead};
use larder::status::{CacheStatus, Fwd, Outcome};
use larder::storage::DynStorage;
use larder::{Cache, CacheBody, CacheLayer};
use tower::{Layer, ServiceExt};

use crate::site::{CALL, Exchange, Representation, Site};
use crate::step::{Asking, Condition, Reading, Setting, Step, Wanted, scaled};
use crate::support::{Origin, OriginBody, request};

const PAGE: &str = "http://example.com/page";

/// How much of what was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) steps: u64,
    pub(crate) hits: u64,
    pub(crate) completed: u64,
    pub(crate) errors: u64,
}

pub(crate) struct Story {
    collapses: bool,
    site: Arc<Mutex<Site>>,
    cache: Cache<Origin>,
    storage: Arc<dyn DynStorage>,
    clock: ManualClock,
    calls: usize,
    open: Vec<Answer>,
    seen: Seen,
}

/// A response that is being read.
struct Answer {
    call: String,
    asking: Asking,
    parts: Parts,
    body: Pin<Box<CacheBody<OriginBody>>>,
    got: Vec<u8>,
    /// Other steps came between.
    interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Clean,
    Broken,
    Open,
}

impl Story {
    pub(crate) fn over(storage: Arc<dyn DynStorage>, setting: &Setting) -> Self {
        let clock = ManualClock::at(SystemClock.now());
        let site = Site::new(setting.len, setting.store_close_delimited, clock.clone());
        let site = Arc::new(Mutex::new(site));
        let answering = Arc::clone(&site);
        let origin = Origin::new(move |parts, _| answering.lock().unwrap().answer(parts));
        let cache = CacheLayer::new(Arc::clone(&storage))
            .clock(clock.clone())
            .store_close_delimited(setting.store_close_delimited)
            .storage_deadline(Duration::from_secs(20))
            .storage_patience(Duration::from_secs(20))
            .collapse(if setting.collapses { Duration::from_secs(20) } else { Duration::ZERO })
            .layer(origin);
        let collapses = setting.collapses;
        Self { collapses, site, cache, storage, clock, calls: 0, open: Vec::new(), seen: Seen::default() }
    }

    pub(crate) async fn play(mut self, steps: &[Step]) -> Seen {
        for step in steps {
            self.seen.steps += 1;
            match step {
                Step::Ask(asking) => self.ask(asking.clone()).await,
                Step::ReadOn(one, len) if !self.open.is_empty() => {
                    let one = usize::from(*one) % self.open.len();
                    let answer = self.open.swap_remove(one);
                    self.read(answer, len.map_or(Reading::All, Reading::Later)).await;
                }
                Step::ReadOn(..) => {}
                Step::Change(change) => self.site().change(change),
                Step::Back(version) => self.site().back(*version),
                Step::Wait(seconds) => self.clock.advance(Duration::from_secs((*seconds).into())),
                Step::Post => self.post().await,
            }
            self.check_stored().await;
        }
        self.recover().await;
        self.seen
    }

    /// Whatever happened: the next requests are answered as they should be, and the second one from the store.
    async fn recover(&mut self) {
        self.open.clear();
        self.post().await;
        for second in [false, true] {
            let response = self.cache.clone().oneshot(request("GET", PAGE, &[])).await.unwrap();
            let status = response.extensions().get::<CacheStatus>().unwrap().clone();
            // A refresh that was under way may have brought it already.
            let served = response.status() == 200 && (!second || status.outcome == Outcome::Hit);
            assert!(served, "{} {status:?}", response.status());
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, self.site().current().content[..]);
        }
        self.check_stored().await;
    }

    async fn post(&mut self) {
        self.site().answers.clear();
        let response = self.cache.clone().oneshot(request("POST", PAGE, &[])).await.unwrap();
        assert_eq!(response.status(), 200);
    }

    fn site(&self) -> std::sync::MutexGuard<'_, Site> {
        self.site.lock().unwrap()
    }

    /// One request, or two of the same at once.
    async fn ask(&mut self, asking: Asking) {
        self.site().answers = asking.answers.iter().cloned().collect();
        let (one, other) = (self.call(&asking), asking.twice.then(|| self.call(&asking)));
        match other {
            None => self.settle(one.await).await,
            Some(other) => {
                let (one, other) = futures_util::join!(one, other);
                self.settle(one).await;
                self.settle(other).await;
            }
        }
    }

    /// Sends a request. Of two at once, and where others may wait for this one, the body is read at the same time.
    fn call(
        &mut self,
        asking: &Asking,
    ) -> impl Future<Output = Result<(Answer, Option<Ended>), String>> + use<> {
        self.calls += 1;
        let call = self.calls.to_string();
        let fields = self.fields(asking, &call);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = request(if asking.head { "HEAD" } else { "GET" }, PAGE, &fields);
        let (cache, asking, at_once) = (self.cache.clone(), asking.clone(), asking.twice || self.collapses);
        let len = self.site().current().content.len();
        async move {
            let response = cache.oneshot(request).await.map_err(|_| call.clone())?;
            let (parts, body) = response.into_parts();
            let mut answer =
                Answer { call, asking, parts, body: Box::pin(body), got: Vec::new(), interrupted: false };
            let ended = match answer.asking.reading {
                _ if !at_once => None,
                Reading::Abort(most) => Some(answer.read(Some(scaled(most, len))).await),
                Reading::All | Reading::Later(_) => Some(answer.read(None).await),
            };
            Ok((answer, ended))
        }
    }

    async fn settle(&mut self, called: Result<(Answer, Option<Ended>), String>) {
        match called {
            Ok((answer, ended)) => {
                self.check_head(&answer);
                match ended {
                    Some(ended) => self.check_body(&answer, ended),
                    None => {
                        let reading = answer.asking.reading;
                        self.read(answer, reading).await;
                    }
                }
            }
            Err(call) => {
                let gone = self.exchanges(&call).iter().any(|one| one.status == 0);
                assert!(gone, "an error although the origin answered");
            }
        }
    }

    fn fields(&self, asking: &Asking, call: &str) -> Vec<(&'static str, String)> {
        let site = self.site();
        let mut fields = vec![(CALL, call.to_owned())];
        fields.extend(asking.directive.map(|directive| ("cache-control", directive.to_owned())));
        let current = site.current();
        let range = asking.range.as_ref().map(|range| ("range", range.header(current.content.len())));
        match asking.condition {
            Condition::None => {}
            Condition::NoneMatch(version) => {
                let one = &site.had[usize::from(version) % site.had.len()];
                fields.extend(one.tag.clone().map(|tag| ("if-none-match", tag)));
            }
            Condition::ModifiedSince => {
                fields.extend(current.modified.clone().map(|date| ("if-modified-since", date)));
            }
            Condition::IfRange if range.is_some() => {
                let strong = current.tag.clone().filter(|tag| !tag.starts_with("W/"));
                fields.extend(strong.or(current.modified.clone()).map(|validator| ("if-range", validator)));
            }
            Condition::IfRange => {}
        }
        fields.extend(range);
        fields
    }

    fn exchanges(&self, call: &str) -> Vec<Exchange> {
        self.site().exchanges.iter().filter(|one| one.call == call).cloned().collect()
    }

    fn check_head(&mut self, answer: &Answer) {
        let (status, asking) = (answer.parts.status.as_u16(), &answer.asking);
        let exchanges = self.exchanges(&answer.call);
        let sent = |status: u16| exchanges.iter().any(|one| one.status == status);
        let conditional = matches!(asking.condition, Condition::NoneMatch(_) | Condition::ModifiedSince);
        let allowed = match status {
            200 => true,
            206 | 416 => asking.range.is_some() || sent(status),
            304 => conditional || sent(304),
            503 => sent(503),
            504 => asking.directive == Some("only-if-cached") && exchanges.is_empty(),
            _ => false,
        };
        assert!(allowed, "{status}: {:?}", answer.parts);
        self.seen.hits += u64::from(answer.outcome() == Outcome::Hit);
        let partial = answer.outcome() == Outcome::Forwarded(Fwd::Partial);
        self.seen.completed += u64::from(partial && status == 200 && sent(206));
    }

    async fn read(&mut self, mut answer: Answer, reading: Reading) {
        let len = self.site().current().content.len();
        let most = match reading {
            Reading::All => None,
            Reading::Abort(most) | Reading::Later(most) => Some(answer.got.len() + scaled(most, len)),
        };
        let ended = answer.read(most).await;
        self.check_body(&answer, ended);
        if ended == Ended::Open && matches!(reading, Reading::Later(_)) && self.open.len() < 3 {
            answer.interrupted = true;
            self.open.push(answer);
        }
    }

    /// What arrived is a copy of something that the origin had; or what the origin sent to this very request.
    fn check_body(&mut self, answer: &Answer, ended: Ended) {
        let exchanges = self.exchanges(&answer.call);
        let complete = |expected: &[u8]| match ended {
            Ended::Clean => answer.got == expected,
            Ended::Broken | Ended::Open => expected.starts_with(&answer.got),
        };
        let right = self.site().had.iter().any(|one| answer.expected(one).is_some_and(complete));
        let forwarded = matches!(answer.outcome(), Outcome::Forwarded(_));
        let passed_on = forwarded
            && exchanges.iter().any(|one| {
                let same = one.status == answer.parts.status.as_u16() && complete(&one.sent);
                same && (one.clean || ended != Ended::Clean)
            });
        assert!(
            right || passed_on,
            "neither what the origin had nor what it sent: {ended:?} after {} bytes, {:?}",
            answer.got.len(),
            answer.parts
        );
        let says = answer.parts.headers.get("content-length").map(|len| len.to_str().unwrap().parse());
        if let (Some(Ok(len)), Ended::Clean, false) = (says, ended, answer.is_without_content()) {
            let len: usize = len;
            assert!(passed_on || len == answer.got.len(), "{len} bytes said and {} sent", answer.got.len());
        }
        if ended == Ended::Broken {
            self.seen.errors += 1;
            let due = answer.interrupted || exchanges.iter().any(|one| one.faulty);
            assert!(due, "broken off although the origin's was not: {:?}", answer.parts);
        }
    }

    /// Nothing that is stored mixes representations, or says that it is more than it is.
    async fn check_stored(&self) {
        let page = self.storage.responses(None, 100).await.unwrap();
        let Some(head) = page.items.first() else { return };
        for stored in self.storage.lookup(&head.key).await.unwrap().responses {
            let body = match &stored.body {
                StoredBody::Inline(body) => body.to_vec(),
                StoredBody::Shared(pieces) => pieces.concat(),
                _ => match self.read_stored(&stored.head).await {
                    Some(body) => body,
                    // What is being replaced at this moment may be gone already.
                    None => continue,
                },
            };
            let is_right = |one: &Representation| {
                is_of(one, &stored.head.headers)
                    && match stored.head.range {
                        None => stored.head.status == 200 && body == *one.content,
                        Some(range) => {
                            let first = usize::try_from(range.first).unwrap();
                            let agrees = range.complete_len.is_none_or(|len| len == one.content.len() as u64);
                            agrees && one.content.get(first..first + body.len()) == Some(&body[..])
                        }
                    }
            };
            assert!(self.site().had.iter().any(is_right), "{} bytes stored as {:?}", body.len(), stored.head);
        }
    }

    async fn read_stored(&self, head: &StoredHead) -> Option<Vec<u8>> {
        let mut reader = self.storage.open(head).await.ok()?;
        let mut body = Vec::new();
        while let Some(piece) = reader.next().await.ok()? {
            body.extend_from_slice(&piece);
        }
        Some(body)
    }
}

impl Answer {
    /// Reads on, to so many bytes in all at least.
    async fn read(&mut self, most: Option<usize>) -> Ended {
        loop {
            if most.is_some_and(|most| self.got.len() >= most) {
                return Ended::Open;
            }
            match self.body.as_mut().frame().await {
                Some(Ok(frame)) => self.got.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return Ended::Broken,
                None => return Ended::Clean,
            }
        }
    }

    fn outcome(&self) -> Outcome {
        self.parts.extensions.get::<CacheStatus>().unwrap().outcome
    }

    fn is_without_content(&self) -> bool {
        self.asking.head || self.parts.status == 304
    }

    /// What the body has to be if the response is of this representation.
    fn expected<'a>(&self, one: &'a Representation) -> Option<&'a [u8]> {
        if self.is_without_content() || matches!(self.parts.status.as_u16(), 416 | 503 | 504) {
            return Some(&[]);
        }
        if !is_of(one, &self.parts.headers) {
            return None;
        }
        if self.parts.status != 206 {
            return Some(&one.content);
        }
        let said = self.parts.headers.get("content-range")?.to_str().unwrap().strip_prefix("bytes ")?;
        let (place, len) = said.split_once('/')?;
        let (first, last) = place.split_once('-')?;
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        let agrees = len == "*" || len.parse() == Ok(one.content.len());
        one.content.get(first..=last).filter(|_| agrees)
    }
}

/// Whether a response with these fields can be of this representation.
fn is_of(one: &Representation, headers: &http::HeaderMap) -> bool {
    let tag = headers.get("etag").map(|tag| tag.to_str().unwrap());
    tag.is_none_or(|tag| tag.starts_with("W/") || one.tag.as_deref() == Some(tag))
}

impl Wanted {
    fn header(&self, len: usize) -> String {
        match self {
            Self::Between(one, other) => {
                let (one, other) = (scaled(*one, len), scaled(*other, len));
                format!("bytes={}-{}", one.min(other), one.max(other))
            }
            Self::From(first) => format!("bytes={}-", scaled(*first, len)),
            Self::Last(length) => format!("bytes=-{}", scaled(*length, len).max(1)),
        }
    }
}
