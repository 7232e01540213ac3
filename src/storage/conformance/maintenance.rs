//! "Reclaims space: responses past their usable time, bodies without a head, remains of dead writers."

use std::sync::Arc;

use super::Fixture;
use super::sample::{
    SampleBody, USABLE_UNTIL, alias, assert_nothing, begin, body_of, check, check_only, head, key, lookup,
    only, put_alias, store, store_at, variant, write,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::entry::{Alias, BodyEnd, StoredResponse};
use crate::storage::Published;

/// "A storage may delete a response when its usable_until has passed", and maintaining does it.
pub async fn responses_past_their_usable_time_are_reclaimed(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (name, len) in [("small", 10), ("large", 300_000)] {
        let mut short = variant(&key(name), "de", SampleBody { seed: 1, len });
        short.usable_until = USABLE_UNTIL.plus_millis(-60_000);
        store(storage, short).await;
        store(storage, variant(&key(name), "en", SampleBody { seed: 2, len })).await;
    }
    let Alias { response, target } = alias(&key("from"), &key("to"), "moved");
    let mut short = (*response.head).clone();
    short.usable_until = USABLE_UNTIL.plus_millis(-60_000);
    put_alias(storage, Alias { response: StoredResponse { head: Arc::new(short), ..response }, target })
        .await;

    let report = storage.maintain(USABLE_UNTIL.plus_millis(-30_000)).await.expect("maintain");
    assert_eq!(report.expired, 3, "two responses and an alias");
    for name in ["small", "large"] {
        let left = only(storage, &key(name)).await;
        assert_eq!(body_of(&left.head).seed, 2);
        check(storage, &left).await;
    }
    assert!(lookup(storage, &key("from")).await.alias.is_none());
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (2, 0));
}

/// Nothing is reclaimed before its usable time ends. An entry without an end is never reclaimed.
pub async fn what_is_usable_stays(fixture: Fixture) {
    let storage = &*fixture.storage;
    let mut forever = head(&key("forever"), SampleBody { seed: 1, len: 300_000 });
    forever.usable_until = Timestamp::MAX;
    store(storage, forever.clone()).await;
    let usual = store_at(storage, &key("usual"), 2, 300_000).await;
    put_alias(storage, alias(&key("from"), &key("to"), "moved")).await;
    for now in [SystemClock.now(), USABLE_UNTIL.plus_millis(-1000)] {
        assert_eq!(storage.maintain(now).await.expect("maintain").expired, 0);
    }
    check_only(storage, &usual).await;
    storage.maintain(USABLE_UNTIL.plus_millis(1_000_000)).await.expect("maintain");
    check_only(storage, &forever).await;
    assert_nothing(storage, &usual.key).await;
}

/// "`now` may be any time; it decides even if the clock differs", to the millisecond.
pub async fn the_time_that_is_given_decides(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stored = store_at(storage, &key("usual"), 1, 100).await;
    storage.maintain(USABLE_UNTIL.plus_millis(-1)).await.expect("maintain");
    check_only(storage, &stored).await;
    assert_eq!(storage.maintain(USABLE_UNTIL).await.expect("maintain").expired, 1);
    assert_nothing(storage, &stored.key).await;
}

/// "The storage reclaims what it wrote, at the latest in `maintain`."
pub async fn remains_of_dropped_writers_are_reclaimed(fixture: Fixture) {
    let storage = &*fixture.storage;
    let stays = store_at(storage, &key("stays"), 1, 300_000).await;
    let before = storage.usage().await.expect("usage").bytes;
    let body = SampleBody { seed: 2, len: 3_000_000 };
    for _ in 0..2 {
        let mut writer = begin(storage, head(&key("dropped"), body)).await;
        write(&mut writer, body).await;
        drop(writer);
    }
    // As late as can be while the response is usable: a storage may leave what could belong to a writer in
    // another process for a while.
    storage.maintain(USABLE_UNTIL.plus_millis(-1000)).await.expect("maintain");
    let after = storage.usage().await.expect("usage").bytes;
    assert!(after < before + 1_000_000, "{after} bytes are in use after {before}");
    check_only(storage, &stays).await;
    assert_nothing(storage, &key("dropped")).await;
}

/// A body without a head may be one that is just being written.
pub async fn writers_at_work_are_left_alone(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [1_000, 1_000_000] {
        let head = head(&key("slow"), SampleBody { seed: 1, len });
        let body = body_of(&head);
        let mut writer = begin(storage, head.clone()).await;
        writer.write(body.piece(0, len / 2)).await.expect("write");
        storage.maintain(SystemClock.now()).await.expect("maintain");
        writer.write(body.piece(len / 2, len)).await.expect("write");
        storage.maintain(SystemClock.now()).await.expect("maintain");
        assert_eq!(writer.publish(BodyEnd::default()).await.expect("publish"), Published::Stored);
        check_only(storage, &head).await;
    }
}
