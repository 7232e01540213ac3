//! What parent and child share: the stores, the origin, and how one starts the other.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use larder::status::{CacheStatus, Outcome};
use larder::storage::filesystem::{FileStorage, Format};
use larder::storage::{DynStorage, SqliteStorage};
use larder::{BodyError, Cache, CacheLayer};
use tower::{Layer, ServiceExt};

use crate::support::{Frames, Origin, request, with_body};

const PLACE: &str = "LARDER_DURABILITY_PLACE";
const BACKEND: &str = "LARDER_DURABILITY_BACKEND";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Files,
    Json,
}

impl Backend {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Files, Self::Json];

    /// Without limits: what is missing afterwards was lost, and not evicted.
    pub(crate) fn open(self, place: &Path) -> Arc<dyn DynStorage> {
        let files = |format| {
            let files = FileStorage::builder().format(format).max_bytes(u64::MAX).max_entries(u64::MAX);
            Arc::new(files.open(place.join("files")).unwrap())
        };
        match self {
            Self::Sqlite => {
                let sqlite = SqliteStorage::builder().max_bytes(None).max_entries(None);
                Arc::new(sqlite.open(place.join("cache.db")).unwrap())
            }
            Self::Files => files(Format::Compact),
            Self::Json => files(Format::Json),
        }
    }

    /// Starts this test binary again, to run one of its tests with this store.
    pub(crate) fn child(self, test: &str, place: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--ignored"])
            .env(PLACE, place)
            .env(BACKEND, format!("{self:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    /// The child's: the store it was told to use. None where nobody told it.
    pub(crate) fn of_child() -> Option<Arc<dyn DynStorage>> {
        let place = std::env::var_os(PLACE)?;
        let named = std::env::var(BACKEND).unwrap();
        let backend = Self::ALL.into_iter().find(|backend| format!("{backend:?}") == named).unwrap();
        Some(backend.open(Path::new(&place)))
    }
}

/// The bytes of a version of a resource, as many as the end of its path says. Any two differ nearly everywhere.
pub(crate) fn content(path: &str, version: u64) -> Bytes {
    let len: usize = path.rsplit('/').next().unwrap().parse().unwrap();
    let seed = path.bytes().fold(version, |seed, byte| seed.wrapping_mul(131) + u64::from(byte));
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(len).collect()
}

/// An origin that has every path, in the version that was last asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versions(Arc<Mutex<HashMap<String, u64>>>);

impl Versions {
    pub(crate) fn set(&self, path: &str, version: u64) {
        self.0.lock().unwrap().insert(path.to_owned(), version);
    }

    fn origin(&self) -> Origin {
        let versions = Arc::clone(&self.0);
        Origin::new(move |parts, _| {
            let path = parts.uri.path();
            if parts.method == "POST" {
                return Ok(with_body(200, &[("cache-control", "no-store")], Frames::of(&[]).boxed_unsync()));
            }
            let version = versions.lock().unwrap().get(path).copied().unwrap_or_default();
            let content = content(path, version);
            let tag = format!("\"{version}\"");
            if parts.headers.get("if-none-match").is_some_and(|own| own == tag.as_str()) {
                return Ok(with_body(304, &[("etag", &tag)], Frames::of(&[]).boxed_unsync()));
            }
            let (tag, len) = (tag, content.len().to_string());
            let fields = [("cache-control", "max-age=31536000"), ("etag", &tag), ("content-length", &len)];
            let frames =
                content.chunks(30_000).map(|piece| Ok(Frame::data(content.slice_ref(piece)))).collect();
            Ok(with_body(200, &fields, Frames { frames }.boxed_unsync()))
        })
    }
}

/// A client of that origin, through the cache.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) cache: Cache<Origin>,
    pub(crate) versions: Versions,
}

/// What a request was answered with.
pub(crate) struct Got {
    pub(crate) version: u64,
    pub(crate) is_hit: bool,
    /// It is from the store, and the origin had to be asked whether it still holds.
    pub(crate) is_validated: bool,
}

impl Client {
    pub(crate) fn over(storage: Arc<dyn DynStorage>) -> Self {
        let versions = Versions::default();
        let patient = std::time::Duration::from_secs(20);
        let layer = CacheLayer::new(storage).storage_deadline(patient).storage_patience(patient);
        Self { cache: layer.layer(versions.origin()), versions }
    }

    /// Every answer is one of the versions of the resource, to the byte. None: it is not in the store, and nothing
    /// else was wanted.
    pub(crate) async fn get(&self, path: &str, only_if_cached: bool) -> Option<Got> {
        self.try_get(path, only_if_cached).await.expect("a whole body")
    }

    /// The same; an error where the store failed in the middle of a body that was a hit.
    pub(crate) async fn try_get(&self, path: &str, only_if_cached: bool) -> Result<Option<Got>, BodyError> {
        let fields = [("cache-control", "only-if-cached")];
        let fields = if only_if_cached { &fields[..] } else { &[] };
        let asked = request("GET", &format!("http://example.com{path}"), fields);
        let (parts, body) = self.cache.clone().oneshot(asked).await.unwrap().into_parts();
        if parts.status == 504 && only_if_cached {
            return Ok(None);
        }
        assert_eq!(parts.status, 200);
        let status = parts.extensions.get::<CacheStatus>().unwrap();
        let is_hit = status.outcome == Outcome::Hit;
        let is_validated = status.fwd_status.is_some_and(|status| status == 304);
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                assert!(
                    (is_hit || is_validated) && error.is_storage(),
                    "a miss has nothing to do with the store: {error:?}"
                );
                return Err(error);
            }
        };
        let version = parts.headers["etag"].to_str().unwrap().trim_matches('"').parse().unwrap();
        assert!(body == content(path, version), "{path}: {} bytes that were never sent", body.len());
        Ok(Some(Got { version, is_hit, is_validated }))
    }

    pub(crate) async fn post(&self, path: &str) {
        let asked = request("POST", &format!("http://example.com{path}"), &[]);
        assert_eq!(self.cache.clone().oneshot(asked).await.unwrap().status(), 200);
    }
}
