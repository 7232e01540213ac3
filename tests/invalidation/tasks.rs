//! Callers who read and change at the same time, and know what they have seen.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use larder::clock::ManualClock;
use larder::key::CacheKey;
use larder::status::Outcome;
use larder::storage::DynStorage;
use larder::{Cache, CacheLayer, CacheOverride, CacheStatus};
use tower::{Layer, ServiceExt};

use crate::Tally;
use crate::moody::{MOODS, Mood, Moody};
use crate::origin::{MEMBER, Origin, RESOURCES, pause};
use crate::support::clock;

/// Callers at the same time, and what each does one after the other.
const CALLERS: usize = 6;
const STEPS: usize = 14;

pub(crate) struct World {
    shared: Arc<Shared>,
    moody: Option<Moody>,
}

struct Shared {
    seed: u64,
    caches: Vec<(Cache<Origin>, ManualClock)>,
    origin: Origin,
    /// The version of each resource that somebody has seen to be stored by an unsafe response.
    floors: Mutex<[u64; RESOURCES.len()]>,
    tally: Arc<Tally>,
}

impl World {
    /// One layer for each handle, each with a clock of its own.
    pub(crate) fn draw(seed: u64, storages: Vec<Arc<dyn DynStorage>>, tally: &Arc<Tally>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let origin = Origin::new(random.fork());
        let caches = storages.into_iter().map(|storage| {
            let clock = clock();
            clock.advance(Duration::from_secs(random.u64(..100_000)));
            (CacheLayer::new(storage).clock(clock.clone()).layer(origin.clone()), clock)
        });
        let shared = Shared {
            seed,
            caches: caches.collect(),
            origin,
            floors: Mutex::default(),
            tally: Arc::clone(tally),
        };
        Self { shared: Arc::new(shared), moody: None }
    }

    /// The storage changes its mood from time to time.
    pub(crate) fn moody(self, storage: Moody) -> Self {
        Self { moody: Some(storage), ..self }
    }

    pub(crate) async fn live(self) {
        tokio::task::LocalSet::new().run_until(self.live_here()).await;
    }

    async fn live_here(self) {
        let mut random = fastrand::Rng::with_seed(self.shared.seed ^ 0x5eed);
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn_local(Caller { shared: Arc::clone(&self.shared), random: random.fork() }.live());
        }
        let moods = self.moody.map(|storage| {
            tokio::spawn(async move {
                loop {
                    storage.set(if random.bool() { Mood::Fine } else { MOODS[random.usize(..MOODS.len())] });
                    tokio::time::sleep(Duration::from_millis(random.u64(1..40))).await;
                }
            })
        });
        while let Some(caller) = callers.join_next().await {
            caller.unwrap_or_else(|error| panic!("world {}: {error}", self.shared.seed));
        }
        moods.inspect(tokio::task::JoinHandle::abort);
    }
}

/// Few do.
async fn give_up_after(times: usize) {
    if times < 20 {
        pause(times).await;
    } else {
        std::future::pending::<()>().await;
    }
}

struct Caller {
    shared: Arc<Shared>,
    random: fastrand::Rng,
}

impl Caller {
    async fn live(mut self) {
        for _ in 0..STEPS {
            match self.random.usize(..10) {
                0..=5 => self.read().await,
                6..=7 => self.change().await,
                8 => self.shared.origin.set_failing(self.random.bool()),
                _ => self.wait().await,
            }
        }
    }

    async fn wait(&mut self) {
        let (_, clock) = &self.shared.caches[self.random.usize(..self.shared.caches.len())];
        clock.advance(Duration::from_millis(self.random.u64(..3000)));
        if self.random.u8(..4) == 0 {
            tokio::time::sleep(Duration::from_millis(self.random.u64(..20))).await;
        }
        pause(self.random.usize(..10)).await;
    }

    async fn read(&mut self) {
        let resource = self.random.usize(..RESOURCES.len());
        let uris = RESOURCES[resource];
        let method = if self.random.u8(..8) == 0 { "HEAD" } else { "GET" };
        let uri = uris[self.random.usize(..uris.len())];
        let request = self.request(method, uri);
        let floor = self.shared.floors.lock().unwrap()[resource];
        let cache = self.cache();
        let patience = self.random.usize(..200);
        let asking = async {
            let response = cache.oneshot(request).await.ok()?;
            let hit = response
                .extensions()
                .get::<CacheStatus>()
                .is_some_and(|status| status.outcome == Outcome::Hit);
            Some((hit, response.status(), response.into_body().collect().await.ok()?.to_bytes()))
        };
        // Some go away before the answer has come.
        let seen = tokio::select! {
            biased;
            seen = asking => seen,
            () = give_up_after(patience) => None,
        };
        let Some((hit, status, body)) = seen.filter(|(_, status, _)| status.is_success() && method == "GET")
        else {
            return;
        };
        let text = String::from_utf8(body.to_vec()).unwrap();
        let (of, version) = text.split_once(' ').unwrap_or_else(|| panic!("{status} {text:?}"));
        assert_eq!(of, resource.to_string());
        let version: u64 = version.parse().unwrap();
        let seed = self.shared.seed;
        assert!(
            version >= floor,
            "world {seed}: {uris:?} has version {floor}, and {version} came back (hit: {hit})"
        );
        let tally = &self.shared.tally;
        tally.reads.fetch_add(1, Ordering::Relaxed);
        tally.hits.fetch_add(u64::from(hit), Ordering::Relaxed);
        tally.after_changes.fetch_add(u64::from(floor > 0), Ordering::Relaxed);
    }

    async fn change(&mut self) {
        let resource = self.random.usize(..RESOURCES.len());
        let method = ["POST", "PUT", "DELETE", "PATCH", "BREW"][self.random.usize(..5)];
        let uri = RESOURCES[resource][self.random.usize(..RESOURCES[resource].len())];
        // The plain spelling: who changes another URI of the same resource than the one that is stored, and has not said
        // that they are the same, tells the cache nothing.
        let request = match self.random.u8(..4) {
            0 if resource != 2 && resource != 3 => {
                let mut request = self.request(method, "http://h.example/elsewhere");
                request.headers_mut().insert("x-change", resource.to_string().parse().unwrap());
                request
            }
            _ if resource == MEMBER => {
                let mut request = self.request(method, "http://h.example/elsewhere");
                request.headers_mut().insert("x-change", MEMBER.to_string().parse().unwrap());
                request
            }
            _ => self.request(method, uri),
        };
        let before = self.shared.origin.version(resource);
        let cache = self.cache();
        let Ok(response) = cache.oneshot(request).await else { return };
        assert!(response.status().is_success() || response.status().is_redirection());
        // At least one change has been made since; what others have made meanwhile, they have not seen yet.
        let floors = &mut self.shared.floors.lock().unwrap();
        floors[resource] = floors[resource].max(before + 1);
        self.shared.tally.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn cache(&mut self) -> Cache<Origin> {
        self.shared.caches[self.random.usize(..self.shared.caches.len())].0.clone()
    }

    /// A request for a URI, in one of the ways that can lead to keys of their own.
    fn request(&mut self, method: &str, uri: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(uri).body(Full::default()).unwrap();
        let languages = ["en", "de"];
        request.headers_mut().insert("accept-language", languages[self.random.usize(..2)].parse().unwrap());
        match self.random.usize(..12) {
            0 => {
                let parsed: Uri = uri.parse().unwrap();
                *request.uri_mut() = parsed.path_and_query().unwrap().as_str().parse().unwrap();
                request.headers_mut().insert("host", "h.example".parse().unwrap());
            }
            1 => drop(request.headers_mut().insert("x-forwarded-host", "elsewhere.example".parse().unwrap())),
            2 => drop(request.headers_mut().insert("authorization", "Bearer a".parse().unwrap())),
            3 => drop(request.headers_mut().insert("authorization", "Bearer b".parse().unwrap())),
            4 => {
                let key = CacheKey::builder().part("named", uri).build();
                request.extensions_mut().insert(CacheOverride::new().with_key(key));
            }
            5 if method != "GET" => drop(request.extensions_mut().insert(CacheOverride::bypass())),
            6 if method != "GET" => {
                drop(request.extensions_mut().insert(CacheOverride::new().with_no_store()));
            }
            7 if method == "GET" => {
                drop(request.headers_mut().insert("cache-control", "max-stale".parse().unwrap()));
            }
            _ => {}
        }
        request
    }
}
