//! Cache groups (RFC 9875) through the layer.

use std::time::Duration;

use larder::clock::ManualClock;
use larder::storage::{FileStorage, MemoryStorage, SqliteStorage, Storage};
use larder::{CacheLayer, CacheOverride};
use tower::Layer;

use crate::support::{Origin, ask, clock, get, request, response};

/// Members of groups by path, a 304 for whoever asks for one, and an unsafe resource that invalidates a group.
fn origin() -> Origin {
    Origin::new(|asked, _| {
        if asked.uri.path() == "/spoil" {
            return Ok(response(200, &[("cache-group-invalidation", "\"scripts\"")], ""));
        }
        let status = if asked.headers.contains_key("if-none-match") { 304 } else { 200 };
        let groups = if asked.uri.path() == "/one" { "\"scripts\";x, \"other\"" } else { "\"other\"" };
        let fields = [("cache-control", "max-age=600"), ("etag", "\"a\""), ("cache-groups", groups)];
        Ok(response(status, &fields, if status == 304 { "" } else { "hello" }))
    })
}

async fn groups_in(storage: impl Storage, clock: ManualClock) {
    let origin = origin();
    let cache = CacheLayer::new(storage).clock(clock.clone()).layer(origin.clone());
    let wishing = || {
        let mut wishing = get("http://example.com/two");
        wishing.extensions_mut().insert(CacheOverride::new().with_groups(["scripts"]));
        wishing
    };
    let (one, elsewhere) = ("http://example.com/one", "http://example.org/one");
    for request in [get(one), wishing(), get("http://example.com/three"), get(elsewhere)] {
        ask(&cache, request).await;
    }
    clock.advance(Duration::from_secs(1));

    // "MUST be ignored on responses to requests that have a safe method"
    ask(&cache, get("http://example.com/spoil")).await;
    assert!(ask(&cache, get(one)).await.is_hit());

    ask(&cache, request("POST", "http://example.com/spoil", &[])).await;
    assert!(ask(&cache, get("http://example.com/three")).await.is_hit(), "of another group");
    assert!(ask(&cache, get(elsewhere)).await.is_hit(), "of another origin");
    let asked = origin.count();
    for uri in [one, "http://example.com/two"] {
        clock.advance(Duration::from_secs(1));
        let validated = ask(&cache, get(uri)).await;
        assert!(!validated.is_hit(), "{uri}");
        assert_eq!(validated.text(), "hello");
        assert!(ask(&cache, get(uri)).await.is_hit(), "confirmed by the 304: {uri}");
    }
    assert_eq!(origin.count(), asked + 2);
}

#[tokio::test]
async fn invalidating_a_group_has_its_members_validated() {
    let dir = tempfile::tempdir().unwrap();
    groups_in(MemoryStorage::new(), clock()).await;
    groups_in(SqliteStorage::open(dir.path().join("cache.db")).unwrap(), clock()).await;
    groups_in(FileStorage::open(dir.path().join("files")).unwrap(), clock()).await;
}
