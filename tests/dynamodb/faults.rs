//! What a real server does on a bad day, done by the proxy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use larder::entry::{BodyEnd, Group, GroupId, StoredBody};
use larder::storage::{BodyWriter, Published, Storage, StorageErrorKind};

use crate::layered;
use crate::proxy::{Fault, Proxy};
use crate::samples::{body, head, is_whole, key, only, read, store, try_store};
use crate::server::{self, builder, client, table};
use crate::wire::Wire;

const LARGE: usize = 3_000_000;

#[tokio::test]
async fn throttling_is_unavailable_and_passes() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    store(&storage, &head("a"), &body(LARGE)).await;
    for code in [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
    ] {
        proxy.rule(move |_| Fault::Error(code));
        let error = storage.lookup(&key("a")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
        assert!(proxy.seen().len() > 1, "the driver tries again");
        let error = storage.remove(&key("a")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
        proxy.heal();
        is_whole(&storage, "a", &body(LARGE)).await;
    }
    let mut calls = 0;
    proxy.rule(move |_| {
        calls += 1;
        if calls % 2 == 1 { Fault::Error("ThrottlingException") } else { Fault::Pass }
    });
    store(&storage, &head("b"), &body(LARGE)).await;
    is_whole(&storage, "b", &body(LARGE)).await;
}

#[tokio::test]
async fn a_throttled_transaction_is_unavailable_and_publishes_nothing() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    proxy.rule(|call| match call {
        "TransactWriteItems" => Fault::Cancel("ThrottlingError"),
        _ => Fault::Pass,
    });
    for len in [10, LARGE] {
        let error = try_store(&storage, &head("a"), &body(len)).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
        assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty());
    }
}

#[tokio::test]
async fn what_is_left_unprocessed_is_sent_again() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    proxy.rule(|call| match call {
        "BatchWriteItem" | "BatchGetItem" => Fault::Only(2),
        _ => Fault::Pass,
    });
    let mut member = head("a");
    let groups =
        (0..7).map(|number| Group { origin: "https://a.example".to_owned(), name: number.to_string() });
    member.groups = groups.collect();
    store(&storage, &member, &body(LARGE)).await;
    is_whole(&storage, "a", &body(LARGE)).await;
    assert!(proxy.seen().iter().filter(|call| *call == "BatchWriteItem").count() >= 6, "{:?}", proxy.seen());
    storage.invalidate(&[GroupId::of(&member.groups[6])]).await.unwrap();
    assert!(only(&storage, "a").await.invalidated, "every group is asked for");
    storage.clear(None).await.unwrap();
    assert_eq!(storage.usage().await.unwrap().bytes, 0);
}

#[tokio::test]
async fn what_stays_unprocessed_is_not_published() {
    let Some(url) = server::server() else { return };
    let (proxy, direct, table) = (Proxy::start(&url).await, client(&url), table());
    let storage = builder(&client(&proxy.url), &table).connect().await.unwrap();
    proxy.rule(|call| match call {
        "BatchWriteItem" => Fault::Only(0),
        _ => Fault::Pass,
    });
    let error = try_store(&storage, &head("a"), &body(LARGE)).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    assert!(server::items(&direct, &table, &head("a")).await.is_empty());
}

#[tokio::test]
async fn publications_in_each_others_way_are_tried_again() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    let mut left = 3;
    proxy.rule(move |call| match call {
        "TransactWriteItems" if left > 0 => {
            left -= 1;
            Fault::Cancel("TransactionConflict")
        }
        _ => Fault::Pass,
    });
    store(&storage, &head("a"), &body(10)).await;
    proxy.rule(|call| match call {
        "TransactWriteItems" => Fault::Cancel("TransactionConflict"),
        _ => Fault::Pass,
    });
    let error = try_store(&storage, &head("a"), &body(20)).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    is_whole(&storage, "a", &body(10)).await;
}

#[tokio::test]
async fn a_publication_whose_answer_is_lost_is_not_made_twice() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    for (name, len) in [("small", 10), ("large", LARGE)] {
        let mut lost = false;
        proxy.rule(move |call| match call {
            "TransactWriteItems" if !lost => {
                lost = true;
                Fault::Cut
            }
            _ => Fault::Pass,
        });
        store(&storage, &head(name), &body(len)).await;
        is_whole(&storage, name, &body(len)).await;
    }
}

/// What becomes of it is not known: then it is not visible, or it is whole.
#[tokio::test]
async fn a_publication_that_no_answer_comes_to_is_withdrawn() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    for (name, len) in [("small", 10), ("large", LARGE)] {
        proxy.rule(|call| if call == "TransactWriteItems" { Fault::Cut } else { Fault::Pass });
        let stored = try_store(&storage, &head(name), &body(len)).await;
        proxy.heal();
        match stored {
            Ok(_) => is_whole(&storage, name, &body(len)).await,
            Err(error) => {
                assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
                assert!(storage.lookup(&key(name)).await.unwrap().responses.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_body_is_an_error_and_never_short() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    let (whole, name) = (body(LARGE), "a");
    store(&storage, &head(name), &whole).await;
    let found = only(&storage, name).await;
    assert!(matches!(found.body, StoredBody::Streamed));
    let mut queries = 0;
    proxy.rule(move |_| {
        queries += 1;
        if queries == 1 { Fault::Pass } else { Fault::Cut }
    });
    let (bytes, error) = read(&storage, &found).await;
    let error = error.expect("the body cannot be read to its end");
    assert!(matches!(error.kind(), StorageErrorKind::Unavailable | StorageErrorKind::Timeout), "{error}");
    assert!(!bytes.is_empty() && whole.starts_with(&bytes), "what was handed out is right");
    proxy.heal();
    is_whole(&storage, name, &whole).await;
}

#[tokio::test]
async fn a_hit_cut_within_its_body_is_an_error_to_the_caller() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    let (cut, heal) = (|| proxy.rule(|_| Fault::Cut), || proxy.heal());
    layered::a_hit_cut_within_its_body_is_an_error(Arc::new(storage), cut, heal).await;
}

#[tokio::test]
async fn callers_of_a_slow_or_throttling_server_are_answered_by_the_origin() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    proxy.rule(|_| Fault::Delay(Duration::from_secs(30)));
    layered::is_no_use_and_no_harm(Arc::new(storage.clone()), &["timeout"]).await;
    proxy.rule(|_| Fault::Error("ThrottlingException"));
    layered::is_no_use_and_no_harm(Arc::new(storage), &["unavailable", "timeout"]).await;
}

#[tokio::test]
async fn connections_lost_in_silence_are_made_anew() {
    let Some(url) = server::server().filter(|url| url.starts_with("http://")) else { return };
    let wire = Wire::to(url.trim_start_matches("http://").trim_end_matches('/')).await;
    let client = client(&format!("http://{}", wire.address));
    let storage = builder(&client, &table()).connect().await.unwrap();
    layered::lost_connections_are_made_anew(Arc::new(storage), || wire.lose_connections()).await;
}

#[tokio::test]
async fn what_the_service_refuses_to_write_has_its_kind() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    for (code, kind) in [
        ("ItemCollectionSizeLimitExceededException", StorageErrorKind::Full),
        ("LimitExceededException", StorageErrorKind::Unavailable),
        ("AccessDeniedException", StorageErrorKind::Denied),
        ("ThrottlingException", StorageErrorKind::Unavailable),
    ] {
        proxy.rule(move |call| match call {
            "TransactWriteItems" | "BatchWriteItem" | "PutItem" | "UpdateItem" => Fault::Error(code),
            _ => Fault::Pass,
        });
        for len in [10, 700_000] {
            let error = try_store(&storage, &head("a"), &body(len)).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty());
        }
        layered::callers_never_notice_that_nothing_is_stored(Arc::new(storage.clone())).await;
    }
}

#[tokio::test]
async fn a_slow_server_is_a_timeout() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_millis(300)).build();
    let config = client(&proxy.url).config().to_builder().timeout_config(timeouts).build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let storage = builder(&client, &table()).connect().await.unwrap();
    store(&storage, &head("a"), &body(10)).await;
    proxy.rule(|_| Fault::Delay(Duration::from_secs(30)));
    let start = Instant::now();
    let error = storage.lookup(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Timeout, "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    proxy.heal();
    is_whole(&storage, "a", &body(10)).await;
}

#[tokio::test]
async fn a_fill_between_fence_and_deletion_of_a_removal_is_refused() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    let fence = storage.lookup(&key("a")).await.unwrap().fence;
    let mut writer = storage.begin(head("a"), fence).await.unwrap();
    writer.write(body(10)).await.unwrap();
    // The removal gets no further than its fence.
    proxy.rule(|call| if call == "Query" { Fault::Error("AccessDeniedException") } else { Fault::Pass });
    storage.remove(&key("a")).await.unwrap_err();
    proxy.heal();
    assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);
    assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty());
}

/// Not a goal in itself, but what is documented: a hit on a small entry is one call, and so on.
#[tokio::test]
async fn requests_cost_what_is_documented() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    let storage = builder(&client(&proxy.url), &table()).connect().await.unwrap();
    store(&storage, &head("small"), &body(10)).await;
    store(&storage, &head("large"), &body(LARGE)).await;
    proxy.heal();
    only(&storage, "small").await;
    // The slot of the target is read at the same time.
    let seen = || {
        let mut seen = proxy.seen();
        seen.sort_unstable();
        seen
    };
    assert_eq!(seen(), ["BatchGetItem", "Query"]);
    proxy.heal();
    let found = only(&storage, "large").await;
    read(&storage, &found).await;
    assert_eq!(
        seen(),
        ["BatchGetItem", "Query", "Query", "Query", "Query"],
        "the head, and three pages of a megabyte"
    );
    proxy.heal();
    store(&storage, &head("small"), &body(20)).await;
    assert_eq!(seen(), ["BatchGetItem", "Query", "Query", "TransactWriteItems"]);
    let found = storage.lookup(&key("small")).await.unwrap();
    proxy.heal();
    assert!(storage.freshen((*found.responses[0].head).clone(), found.fence).await.unwrap());
    assert_eq!(seen(), ["Query", "UpdateItem"]);
    proxy.heal();
    let groups: Vec<_> = (0..300).map(|n| GroupId::of_target(&format!("https://a.example/{n}"))).collect();
    storage.invalidate(&groups).await.unwrap();
    assert!(proxy.seen().iter().all(|call| *call == "UpdateItem"));
    assert!(proxy.seen().len() <= 301, "the count, and each slot");
}

/// Dynalite has no transactions: reads work, stores fail plainly.
#[tokio::test]
async fn without_transactions_nothing_is_stored() {
    let Some(url) = server::named("DYNALITE_URL") else { return };
    let storage = builder(&client(&url), &table()).connect().await.unwrap();
    assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty());
    let error = try_store(&storage, &head("a"), &body(LARGE)).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
    assert!(!storage.remove(&key("a")).await.unwrap());
    storage.clear(None).await.unwrap();
}
