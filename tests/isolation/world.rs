//! A policy, a key function, an origin, and the calls that are made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use larder::key::{CacheKey, Credentials as Sharing, DefaultKey, MakeKey, RequestHead};
use larder::storage::DynStorage;
use larder::{CacheBody, CacheLayer, Policy};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt};

use crate::client::{Call, CallId, Tenant};
use crate::origin::{Log, Page, origin};
use crate::support::{BoxError, OriginBody, ask, clock};
use crate::verdict::{Tally, judge};

type Client = BoxCloneService<Request<Full<Bytes>>, Response<CacheBody<OriginBody>>, BoxError>;

pub(crate) fn pick<T: Clone>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(..of.len())].clone()
}

/// How keys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    Default,
    Normalizing,
    SharingCredentials,
    ByTenant,
    ByCookie,
    /// A function of the user's own that looks at nothing but the path.
    ByPath,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) shared: bool,
    pub(crate) keys: Keys,
    pub(crate) follows: bool,
    pub(crate) pages: Vec<Page>,
    batches: Vec<(u64, Vec<Call>)>,
}

impl World {
    pub(crate) fn draw(seed: u64) -> Self {
        let random = &mut Rng::with_seed(seed);
        const KEYS: [Keys; 6] = [
            Keys::Default,
            Keys::Normalizing,
            Keys::SharingCredentials,
            Keys::ByTenant,
            Keys::ByCookie,
            Keys::ByPath,
        ];
        // Few ask for few things, again and again; now and then comes anybody.
        let regulars: Vec<_> = (0..4).map(|_| Call::draw(random)).collect();
        let anybody = |random: &mut Rng| match random.u8(..4) {
            0 => Call::draw(random),
            1 => pick(random, &regulars).by_another(random),
            _ => pick(random, &regulars),
        };
        let batch = |random: &mut Rng| {
            let seconds = pick(random, &[0, 0, 0, 0, 0, 0, 1, 30, 100]);
            // Now and then several at a time, of one mind or not.
            let mut calls: Vec<_> = (0..pick(random, &[1, 1, 1, 2, 4])).map(|_| anybody(random)).collect();
            if random.bool() {
                let uri = calls[0].uri.clone();
                for call in &mut calls {
                    call.aim_at(&uri);
                }
            }
            (seconds, calls)
        };
        Self {
            seed,
            shared: random.bool(),
            keys: pick(random, &KEYS),
            follows: random.bool(),
            pages: (0..6).map(|_| Page::draw(random)).collect(),
            batches: (0..30).map(|_| batch(random)).collect(),
        }
    }

    /// Makes all calls, and judges every response.
    pub(crate) async fn live(self, storage: Arc<dyn DynStorage>, tally: &mut Tally) {
        let (log, clock) = (Log::default(), clock());
        let policy = if self.shared { Policy::shared() } else { Policy::private() };
        let layer = CacheLayer::new(storage)
            .policy(policy.secret(self.seed.to_le_bytes()))
            .clock(clock.clone())
            .storage_deadline(Duration::from_secs(20));
        let layer = self.keyed(layer);
        let origin = origin(self.pages.clone(), log.clone());
        let client: Client = if self.follows {
            layer.follow_redirects(6).carry_extension::<CallId>().layer(origin).boxed_clone()
        } else {
            layer.layer(origin).boxed_clone()
        };
        let mut calls: Vec<Call> = Vec::new();
        for (seconds, batch) in &self.batches {
            clock.advance(Duration::from_secs(*seconds));
            let first = calls.len();
            calls.extend(batch.iter().cloned());
            let asked = batch.iter().enumerate().map(|(index, call)| {
                let id = CallId(first + index);
                ask(&client, call.request(id))
            });
            let seen = join_all(asked).await;
            let log = log.lock().unwrap().clone();
            for (index, seen) in seen.iter().enumerate() {
                judge(&self, &calls, CallId(first + index), seen, &log, tally);
            }
        }
    }

    fn keyed(&self, layer: CacheLayer) -> CacheLayer {
        let by_tenant = |request: &RequestHead<'_>| request.extensions.get::<Tenant>().map(|tenant| tenant.0);
        let keys = DefaultKey::new();
        match self.keys {
            Keys::Default => layer,
            Keys::Normalizing => layer.make_key(keys.normalize_target(true)),
            Keys::SharingCredentials => layer.make_key(keys.credentials(Sharing::Shared)),
            Keys::ByTenant => layer.make_key(keys.partition_by(by_tenant)),
            Keys::ByCookie => layer.make_key(keys.partition_by_cookie()),
            Keys::ByPath => layer.make_key(by_path()),
        }
    }
}

fn by_path() -> impl MakeKey {
    |request: &RequestHead<'_>| {
        let key = CacheKey::builder().part("method", request.method.as_str().replace("HEAD", "GET"));
        Some(key.part("path", request.uri.path()).build())
    }
}
