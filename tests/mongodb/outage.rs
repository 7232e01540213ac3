//! A wire to the server that is slow, or breaks, for both storages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::storage::{DynStorage, StorageErrorKind};

use crate::server::{DropsDatabase, KINDS, Scratch};
use crate::wire::{Wire, nowhere};
use crate::{head, key, layered, read, store};

async fn wired() -> Option<(Scratch, Wire, DropsDatabase)> {
    let direct = Scratch::new()?;
    let host = direct.host().to_owned();
    let wire = Wire::to(&host).await;
    let url = direct.url.replacen(&host, &wire.address, 1);
    // Dropped without the wire, which ends with the test.
    let dropped = direct.dropped_in_the_end();
    Some((Scratch { url, ..direct }, wire, dropped))
}

async fn open(scratch: &Scratch, kind: &str, options: &str) -> Arc<dyn DynStorage> {
    scratch.open(kind, &format!("{options}&directConnection=true")).await.unwrap()
}

#[tokio::test]
async fn a_slow_reply_is_a_timeout() {
    let Some((scratch, wire, _dropped)) = wired().await else { return };
    for kind in KINDS {
        let storage = open(&scratch, kind, "strict=true&timeout=300ms").await;
        wire.delay(Duration::from_secs(30));
        let started = Instant::now();
        let error = storage.lookup(&key("x")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Timeout, "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
        wire.heal();
    }
}

#[tokio::test]
async fn a_connection_cut_within_a_body_is_an_error_and_never_a_short_body() {
    let Some((scratch, wire, _dropped)) = wired().await else { return };
    let body: Vec<u8> = (0..4_000_000).map(|at| (at % 251) as u8).collect();
    for kind in KINDS {
        let storage = open(&scratch, kind, "strict=true").await;
        let _ = store(&*storage, head("a", "text/plain"), &body).await.unwrap();
        let found = storage.lookup(&key("a")).await.unwrap().responses.remove(0);
        let mut reader = storage.open(&found.head).await.unwrap();
        let mut seen = reader.next().await.unwrap().unwrap().to_vec();
        wire.cut_after(700_000);
        let error = loop {
            match reader.next().await {
                Ok(Some(chunk)) => seen.extend_from_slice(&chunk),
                Ok(None) => panic!("the body ended after {} bytes", seen.len()),
                Err(error) => break error,
            }
        };
        assert!(seen.len() < body.len() && body.starts_with(&seen), "what was handed out is right");
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
        wire.heal();
        assert!(read(&*storage, &found.head).await.unwrap() == body, "as usable as before");
    }
}

#[tokio::test]
async fn a_hit_cut_within_its_body_is_an_error_to_the_caller() {
    let Some((scratch, wire, _dropped)) = wired().await else { return };
    for kind in KINDS {
        let storage = open(&scratch, kind, "strict=true").await;
        let (cut, heal) = (|| wire.cut_after(700_000), || wire.heal());
        layered::a_hit_cut_within_its_body_is_an_error(storage, cut, heal).await;
    }
}

#[tokio::test]
async fn callers_of_a_slow_server_are_answered_by_the_origin() {
    let Some((scratch, wire, _dropped)) = wired().await else { return };
    for kind in KINDS {
        let storage = open(&scratch, kind, "strict=true").await;
        wire.delay(Duration::from_secs(30));
        layered::is_no_use_and_no_harm(storage, &["timeout"]).await;
        wire.heal();
    }
}

#[tokio::test]
async fn connections_lost_in_silence_are_made_anew() {
    let Some((scratch, wire, _dropped)) = wired().await else { return };
    for kind in KINDS {
        let storage = open(&scratch, kind, "strict=true").await;
        layered::lost_connections_are_made_anew(storage, || wire.lose_connections()).await;
    }
}

#[tokio::test]
async fn callers_of_an_absent_server_are_answered_by_the_origin() {
    let scratch = Scratch::on(format!("mongodb://{}/?serverSelectionTimeoutMS=200", nowhere()));
    for kind in KINDS {
        let storage = scratch.open(kind, "").await.unwrap();
        layered::is_no_use_and_no_harm(storage, &["unavailable"]).await;
    }
}

#[tokio::test]
async fn an_absent_server_met_with_the_usual_options_costs_the_layers_deadline() {
    let scratch = Scratch::on(format!("mongodb://{}/", nowhere()));
    for kind in KINDS {
        let storage = scratch.open(kind, "").await.unwrap();
        layered::is_no_use_and_no_harm(storage, &["timeout"]).await;
    }
}
