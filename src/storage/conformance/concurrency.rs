//! Many at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Fixture;
use super::sample::{
    SampleBody, alias, body_of, check, freshen, head, key, lookup, only, put_alias, store_at, try_check,
    try_store,
};
use crate::storage::{DynStorage, StorageErrorKind};

const TASKS: u64 = 50;

/// Reads everything under a key. A body may have gone meanwhile, but what is read is whole.
async fn read_all(storage: &dyn DynStorage, name: &str) {
    for response in lookup(storage, &key(name)).await.responses {
        if let Err(error) = try_check(storage, &response).await {
            assert_eq!(error.kind(), StorageErrorKind::Missing, "{error}");
        }
    }
}

/// Writers, readers, removers and freshening on few keys: any mix of two bodies would be noticed.
pub async fn fifty_tasks_on_overlapping_keys_never_see_a_mixed_body(fixture: Fixture) {
    let handles = match fixture.second().await {
        Some(second) => vec![Arc::clone(&fixture.storage), second],
        None => vec![Arc::clone(&fixture.storage)],
    };
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let storage = Arc::clone(&handles[task as usize % handles.len()]);
        tasks.spawn(async move {
            let mut random = fastrand::Rng::with_seed(task);
            for step in 0..12 {
                let name = format!("busy-{}", random.u8(..5));
                match random.u8(..10) {
                    0..4 => {
                        let len = [0, 90, 5_000, 70_000, 300_000][random.usize(..5)];
                        let _ = try_store(
                            &*storage,
                            head(&key(&name), SampleBody { seed: task * 100 + step, len }),
                        )
                        .await
                        .expect("store");
                    }
                    4..7 => read_all(&*storage, &name).await,
                    7 => {
                        if let Some(found) = lookup(&*storage, &key(&name)).await.responses.first() {
                            let mut fresh = (*found.head).clone();
                            fresh.response_time = fresh.response_time.plus_millis(1);
                            freshen(&*storage, fresh).await;
                        }
                    }
                    8 => {
                        storage.remove(&key(&name)).await.expect("remove");
                    }
                    _ => {
                        let fence = lookup(&*storage, &key(&name)).await.fence;
                        let alias = alias(&key(&name), &key("target"), "moved");
                        let _ = storage.put_alias(alias, fence).await.expect("put_alias");
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let storage = &*fixture.storage;
    for number in 0..5 {
        let found = lookup(storage, &key(&format!("busy-{number}"))).await.responses;
        assert!(found.len() <= 1, "equal selecting fields replace");
        for response in &found {
            check(storage, response).await;
        }
    }
}

/// When the dust settles there is one response, and it is whole.
pub async fn fifty_writers_of_one_key_leave_one_whole_response(fixture: Fixture) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let storage = Arc::clone(&fixture.storage);
        tasks.spawn(async move {
            let body = SampleBody { seed: task, len: 3_000 * task as usize };
            try_store(&*storage, head(&key("one"), body)).await.expect("store")
        });
    }
    for published in tasks.join_all().await {
        assert_eq!(published, crate::storage::Published::Stored, "nothing was removed");
    }
    let found = only(&*fixture.storage, &key("one")).await;
    assert!(body_of(&found.head).seed < TASKS);
    check(&*fixture.storage, &found).await;
    assert_eq!(fixture.storage.usage().await.expect("usage").responses, 1);
}

/// A reader that comes at any moment finds the old response or the new one.
pub async fn lookups_while_everything_is_replaced_see_whole_responses(fixture: Fixture) {
    let storage = Arc::clone(&fixture.storage);
    store_at(&*storage, &key("always"), 0, 50_000).await;
    put_alias(&*storage, alias(&key("always"), &key("target"), "moved")).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let storage = Arc::clone(&storage);
        tasks.spawn(async move {
            for step in 0..15 {
                if task == 0 {
                    store_at(&*storage, &key("always"), step, 50_000 + 10_000 * step as usize).await;
                } else {
                    let found = lookup(&*storage, &key("always")).await;
                    assert_eq!(found.responses.len(), 1, "there is never none and never two");
                    assert!(found.alias.is_some());
                    read_all(&*storage, "always").await;
                }
            }
        });
    }
    tasks.join_all().await;
}
