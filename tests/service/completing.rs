//! Completing stored parts counts what the origin brings (RFC 9111 section 3.4, RFC 9110 section 14.4).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use larder::storage::filesystem::FileStorage;
use larder::storage::{DynStorage, MemoryStorage, Storage};
use larder::{Cache, CacheLayer};
use tower::{Layer, ServiceExt};

use crate::support::{Frames, Origin, OriginBody, ask, get, request, with_body};

const PAGE: &str = "http://example.com/page";
const WHOLE: &str = "0123456789ABCDE";
const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const TAG: (&str, &str) = ("etag", "\"a\"");
const MIDDLE: (&str, &str) = ("content-range", "bytes 5-9/15");
const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

type Make = dyn Fn() -> Response<OriginBody> + Send + Sync;

/// A cache over an origin that answers ranges as they should be, but for the completion of `0-4` and `10-14`.
struct Setting {
    cache: Cache<Origin>,
    storage: Arc<dyn DynStorage>,
    completion: Arc<Mutex<Arc<Make>>>,
    _directory: Option<tempfile::TempDir>,
}

fn part(range: &str, frames: Frames, fields: &[(&str, &str)]) -> Response<OriginBody> {
    let fields = [&[FRESH, TAG, ("content-range", range)], fields].concat();
    with_body(206, &fields, frames.boxed())
}

impl Setting {
    fn over(
        storage: impl Storage,
        directory: Option<tempfile::TempDir>,
        store_close_delimited: bool,
    ) -> Self {
        let completion: Arc<Mutex<Arc<Make>>> =
            Arc::new(Mutex::new(Arc::new(|| part("bytes 5-9/15", Frames::of(&["56789"]), &[CHUNKED]))));
        let completing = Arc::clone(&completion);
        let origin = Origin::new(move |parts, _| {
            let range = parts.headers.get("range").map(|range| range.to_str().unwrap());
            Ok(match range {
                Some("bytes=0-4") => part("bytes 0-4/15", Frames::of(&["01234"]), &[CHUNKED]),
                Some("bytes=10-14") => part("bytes 10-14/15", Frames::of(&["ABCDE"]), &[CHUNKED]),
                // The middle; or a tail, should a longer part have been kept.
                Some("bytes=5-9") => completing.lock().unwrap()(),
                Some(other) => {
                    let (first, last) = other["bytes=".len()..].split_once('-').unwrap();
                    let first: usize = first.parse().unwrap();
                    let last: usize = last.parse().unwrap_or(14);
                    let body = Frames::of(&[&WHOLE[first..=last]]);
                    part(&format!("bytes {first}-{last}/15"), body, &[CHUNKED])
                }
                None => {
                    let fields = [FRESH, TAG, ("content-length", "15")];
                    with_body(200, &fields, Frames::of(&[WHOLE]).boxed())
                }
            })
        });
        let storage: Arc<dyn DynStorage> = Arc::new(storage);
        let cache = CacheLayer::new(Arc::clone(&storage))
            .storage_deadline(Duration::from_secs(20))
            .storage_patience(Duration::from_secs(20))
            .store_close_delimited(store_close_delimited)
            .layer(origin);
        Self { cache, storage, completion, _directory: directory }
    }

    async fn with_parts(self) -> Self {
        for range in ["bytes=0-4", "bytes=10-14"] {
            let seen = ask(&self.cache, request("GET", PAGE, &[("range", range)])).await;
            assert_eq!(seen.status, 206);
        }
        self
    }

    /// What the caller gets: the bytes until the end or until an error, and which of the two it was.
    async fn get(&self) -> (String, bool) {
        let response = self.cache.clone().oneshot(get(PAGE)).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut got = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => got.extend(frame.into_data().unwrap_or_default()),
                Err(_) => {
                    assert!(body.frame().await.is_none(), "nothing follows the error");
                    return (String::from_utf8(got).unwrap(), false);
                }
            }
        }
        (String::from_utf8(got).unwrap(), true)
    }

    /// What is stored: `first-last` of each part, or `whole`; every byte of it the right one.
    async fn stored(&self) -> Vec<String> {
        let mut spans = Vec::new();
        for head in self.storage.responses(None, 100).await.unwrap().items {
            let first = head.range.map_or(0, |range| usize::try_from(range.first).unwrap());
            let len = usize::try_from(head.body_len()).unwrap();
            let mut body = Vec::new();
            let lookup = self.storage.lookup(&head.key).await.unwrap();
            let Some(stored) = lookup.responses.iter().find(|one| one.head.id == head.id) else { continue };
            match &stored.body {
                larder::entry::StoredBody::Inline(inline) => body.extend_from_slice(inline),
                larder::entry::StoredBody::Shared(pieces) => body.extend_from_slice(&pieces.concat()),
                _ => {
                    let mut reader = self.storage.open(&head).await.unwrap();
                    while let Some(piece) = reader.next().await.unwrap() {
                        body.extend_from_slice(&piece);
                    }
                }
            }
            assert_eq!(body, WHOLE.as_bytes()[first..first + len]);
            spans.push(match head.range {
                Some(_) => format!("{first}-{}", first + len - 1),
                None => "whole".to_owned(),
            });
        }
        spans.sort();
        spans
    }

    /// Whatever happened before: in the end the caller gets the whole, and then a hit that is the same.
    async fn recovers(&self) {
        *self.completion.lock().unwrap() =
            Arc::new(|| part("bytes 5-9/15", Frames::of(&["56", "789"]), &[CHUNKED]));
        assert_eq!(self.get().await, (WHOLE.to_owned(), true));
        let hit = ask(&self.cache, get(PAGE)).await;
        assert!(hit.is_hit());
        assert_eq!(hit.text(), WHOLE);
    }
}

async fn settings(store_close_delimited: bool) -> Vec<Setting> {
    let directory = tempfile::tempdir().unwrap();
    let files = FileStorage::open(directory.path().join("cache")).unwrap();
    #[allow(unused_mut, reason = "without SQLite there is nothing more")]
    let mut settings = vec![
        Setting::over(MemoryStorage::new(), None, store_close_delimited).with_parts().await,
        Setting::over(files, Some(directory), store_close_delimited).with_parts().await,
    ];
    #[cfg(feature = "sqlite")]
    {
        let sqlite = larder::storage::SqliteStorage::in_memory().unwrap();
        settings.push(Setting::over(sqlite, None, store_close_delimited).with_parts().await);
    }
    settings
}

/// The parts stay what they are, and the caller gets no more than the right bytes and an error.
async fn is_refused(completion: impl Fn() -> Response<OriginBody> + Send + Sync + 'static) {
    let completion: Arc<Make> = Arc::new(completion);
    for close_delimited in [false, true] {
        for setting in settings(close_delimited).await {
            *setting.completion.lock().unwrap() = Arc::clone(&completion);
            for _ in 0..2 {
                let (got, whole) = setting.get().await;
                assert!(!whole && WHOLE[..10].starts_with(&got), "{got}");
                assert_eq!(setting.stored().await, ["0-4", "10-14"]);
            }
            setting.recovers().await;
        }
    }
}

#[tokio::test]
async fn too_few_bytes_are_an_error_before_any_later_byte() {
    is_refused(|| part(MIDDLE.1, Frames::of(&["567"]), &[])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["567"]), &[CHUNKED])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["5", "", "67"]), &[CHUNKED])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&[]), &[CHUNKED])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["567"]).then_trailers("x-sum", "1"), &[CHUNKED])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["567"]), &[("content-length", "5")])).await;
}

#[tokio::test]
async fn too_few_bytes_by_http_2_are_an_error() {
    is_refused(|| {
        let mut response = part(MIDDLE.1, Frames::of(&["567"]), &[]);
        *response.version_mut() = http::Version::HTTP_2;
        response
    })
    .await;
}

#[tokio::test]
async fn a_body_that_knows_to_be_too_short_is_an_error() {
    is_refused(|| {
        let body = http_body_util::Full::new(Bytes::from_static(b"567")).map_err(|never| match never {});
        with_body(206, &[FRESH, TAG, MIDDLE], body.boxed_unsync())
    })
    .await;
}

#[tokio::test]
async fn too_many_bytes_are_an_error_before_the_first_of_them() {
    is_refused(|| part(MIDDLE.1, Frames::of(&["56789AB"]), &[CHUNKED])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["56789", "A"]), &[CHUNKED])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["56789", "", "A"]), &[])).await;
    is_refused(|| part(MIDDLE.1, Frames::of(&["567", "89A"]), &[CHUNKED])).await;
}

#[tokio::test]
async fn too_many_bytes_at_the_end_are_an_error_as_well() {
    for surplus in [&["56789ABCDEF"][..], &["56789ABCDE", "F"], &["56789", "ABCDE", "", "F"]] {
        let origin = Origin::new(move |parts, _| {
            Ok(match parts.headers.get("range").map(|range| range.to_str().unwrap()) {
                Some("bytes=0-4") => part("bytes 0-4/15", Frames::of(&["01234"]), &[CHUNKED]),
                Some(_) => part("bytes 5-14/15", Frames::of(surplus), &[CHUNKED]),
                None => panic!("the whole is completed"),
            })
        });
        let cache = CacheLayer::new(MemoryStorage::new()).layer(origin);
        ask(&cache, request("GET", PAGE, &[("range", "bytes=0-4")])).await;
        for _ in 0..2 {
            let response = cache.clone().oneshot(get(PAGE)).await.unwrap();
            assert!(response.into_body().collect().await.is_err());
        }
    }
}

#[tokio::test]
async fn the_part_that_arrived_before_a_break_is_kept_and_the_next_completion_goes_on() {
    for setting in settings(false).await {
        *setting.completion.lock().unwrap() =
            Arc::new(|| part(MIDDLE.1, Frames::of(&["56", "7"]).then_error(), &[CHUNKED]));
        assert_eq!(setting.get().await, ("01234567".to_owned(), false));
        // Whoever asks next waits for what is being stored.
        assert_eq!(setting.get().await, (WHOLE.to_owned(), true));
        assert!(ask(&setting.cache, get(PAGE)).await.is_hit());
    }
}

#[tokio::test]
async fn exactly_what_was_announced_makes_the_whole() {
    for pieces in [&["56789"][..], &["", "56", "", "789", ""], &["5", "6", "7", "8", "9"]] {
        for setting in settings(false).await {
            *setting.completion.lock().unwrap() =
                Arc::new(|| part(MIDDLE.1, Frames::of(pieces).then_trailers("x-sum", "1"), &[CHUNKED]));
            let whole = ask(&setting.cache, get(PAGE)).await;
            assert_eq!((whole.text(), whole.trailers.is_none()), (WHOLE, true));
            assert!(whole.cache().stored);
            let hit = ask(&setting.cache, get(PAGE)).await;
            assert_eq!((hit.is_hit(), hit.text(), hit.trailers.is_none()), (true, WHOLE, true));
            assert_eq!(setting.stored().await, ["whole"]);
        }
    }
}

#[tokio::test]
async fn a_whole_completed_by_a_body_that_ends_with_the_connection_is_stored_only_on_request() {
    for store_close_delimited in [false, true] {
        for setting in settings(store_close_delimited).await {
            *setting.completion.lock().unwrap() = Arc::new(|| part(MIDDLE.1, Frames::of(&["56789"]), &[]));
            let whole = ask(&setting.cache, get(PAGE)).await;
            assert_eq!((whole.text(), whole.cache().stored), (WHOLE, store_close_delimited));
            assert_eq!(ask(&setting.cache, get(PAGE)).await.is_hit(), store_close_delimited);
        }
    }
}

#[tokio::test]
async fn a_206_whose_framing_ends_early_is_not_kept_at_all() {
    for (fields, stored) in [(&[CHUNKED][..], vec![]), (&[], vec!["0-2"])] {
        let fields = [&[FRESH, TAG, ("content-range", "bytes 0-3/10")], fields].concat();
        let fields: &'static [_] = fields.leak();
        let origin = Origin::new(move |_, _| Ok(with_body(206, fields, Frames::of(&["012"]).boxed())));
        let storage = Arc::new(MemoryStorage::new());
        let cache = CacheLayer::new(Arc::clone(&storage) as Arc<dyn DynStorage>).layer(origin);
        let seen = ask(&cache, request("GET", PAGE, &[("range", "bytes=0-3")])).await;
        assert_eq!(seen.text(), "012", "passed on as it is");
        let page = Storage::responses(&*storage, None, 10).await.unwrap();
        let spans: Vec<_> = page.items.iter().map(|head| format!("0-{}", head.body_len() - 1)).collect();
        assert_eq!(spans, stored, "{fields:?}");
    }
}

#[tokio::test]
async fn a_206_that_goes_on_after_its_range_is_never_seen_by_others() {
    let origin = Origin::new(|_, _| Ok(part("bytes 0-3/10", Frames::of(&["0123", "4"]), &[CHUNKED])));
    let cache = CacheLayer::new(MemoryStorage::new()).layer(origin.clone());
    let asked = || request("GET", PAGE, &[("range", "bytes=0-3")]);
    let mut body = cache.clone().oneshot(asked()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "0123");
    assert!(!ask(&cache, asked()).await.is_hit(), "nobody knows yet that this was all");
    assert_eq!(origin.count(), 2);
}
