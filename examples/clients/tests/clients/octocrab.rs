#[path = "../../examples/octocrab.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use larder::CacheLayer;
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::storage::MemoryStorage;

use crate::origin::Origin;

const LICENSES: &str = r#"[{"key": "mit", "name": "MIT License", "node_id": "x", "spdx_id": "MIT"}]"#;

/// The fields of GitHub's responses to requests with a token, and its way to count: a 304 is free.
#[derive(Clone, Default)]
struct GitHub {
    counted: Arc<AtomicUsize>,
    confirmed: Arc<AtomicUsize>,
}

impl GitHub {
    fn answer(&self, fields: &HeaderMap) -> Response {
        let etag = "W/\"4f53cda18c2baa0c0354bb5f9a3ecbe5\"";
        let common = [
            ("cache-control", "private, max-age=60, s-maxage=60"),
            ("etag", etag),
            ("vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With"),
            ("content-type", "application/json; charset=utf-8"),
        ];
        if fields.get("if-none-match").is_some_and(|known| known == etag) {
            self.confirmed.fetch_add(1, Ordering::Relaxed);
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        self.counted.fetch_add(1, Ordering::Relaxed);
        (common, LICENSES).into_response()
    }

    async fn start(&self) -> Origin {
        let github = self.clone();
        let licenses = move |fields: HeaderMap| async move {
            assert_eq!(fields["user-agent"], "larder-clients");
            assert!(fields["authorization"].to_str().unwrap().starts_with("Bearer "));
            github.answer(&fields)
        };
        Origin::http(Router::new().route("/licenses", get(licenses))).await
    }

    /// (what counts against the limit, what does not)
    fn counts(&self) -> (usize, usize) {
        (self.counted.load(Ordering::Relaxed), self.confirmed.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn conditional_requests_spare_the_quota() {
    let server = GitHub::default();
    let origin = server.start().await;
    let clock = ManualClock::at(SystemClock.now());
    let cache = CacheLayer::new(MemoryStorage::new()).clock(clock.clone());
    let base = || origin.url.parse().unwrap();
    let github = example::github(base(), Some("alice".into()), &cache).unwrap();
    // Fresh for a minute, then confirmed.
    for (later, counts) in [(0, (1, 0)), (0, (1, 0)), (61, (1, 1)), (61, (1, 2))] {
        clock.advance(Duration::from_secs(later));
        let licenses = github.licenses().list_commonly_used().await.unwrap();
        assert_eq!(licenses[0].key, "mit");
        assert_eq!(server.counts(), counts);
    }
    // Another token is another user.
    let other = example::github(base(), Some("bob".into()), &cache).unwrap();
    other.licenses().list_commonly_used().await.unwrap();
    assert_eq!(server.counts().0, 2);
}
