//! One set of data, several handles.

use super::Fixture;
use super::sample::{
    SampleBody, alias, assert_nothing, begin, check, check_only, head, key, lookup, only, put_alias,
    store_at, variant, write,
};
use crate::entry::BodyEnd;

/// What was published is there when the storage is opened again.
pub async fn a_reopened_storage_sees_everything(fixture: Fixture) {
    let storage = &*fixture.storage;
    let small = store_at(storage, &key("small"), 1, 100).await;
    let large = store_at(storage, &key("large"), 2, 700_000).await;
    for (seed, language) in [(3, "de"), (4, "en")] {
        super::sample::store(storage, variant(&key("variants"), language, SampleBody { seed, len: 500 }))
            .await;
    }
    put_alias(storage, alias(&key("from"), &key("small"), "moved")).await;
    let expected = only(storage, &small.key).await;

    let Some(fixture) = fixture.reopened().await else { return };
    let storage = &*fixture.storage;
    check_only(storage, &small).await;
    check_only(storage, &large).await;
    assert_eq!(only(storage, &small.key).await.head, expected.head);
    let variants = lookup(storage, &key("variants")).await.responses;
    assert_eq!(variants.len(), 2);
    for response in &variants {
        check(storage, response).await;
    }
    assert_eq!(lookup(storage, &key("from")).await.alias.expect("the alias").target, small.key);
    let usage = storage.usage().await.expect("usage");
    assert_eq!((usage.responses, usage.aliases), (4, 1));
}

/// Two handles on one set of data are one storage.
pub async fn two_handles_see_each_other(fixture: Fixture) {
    let Some(other) = fixture.second().await else { return };
    let (here, there) = (&*fixture.storage, &*other);
    for (seed, len) in [(1, 100), (2, 700_000)] {
        let stored = store_at(here, &key("shared"), seed, len).await;
        check_only(there, &stored).await;
        let stored = store_at(there, &key("shared"), seed + 10, len).await;
        check_only(here, &stored).await;
    }
    put_alias(there, alias(&key("shared"), &key("target"), "moved")).await;
    assert!(lookup(here, &key("shared")).await.alias.is_some());
    assert!(here.remove(&key("shared")).await.expect("remove"));
    assert_nothing(there, &key("shared")).await;
    store_at(there, &key("shared"), 5, 10).await;
    here.clear(None).await.expect("clear");
    assert_nothing(there, &key("shared")).await;
}

/// "Two writers of one key have two ids", also when they do not know of each other.
pub async fn two_handles_write_one_key_without_mixing(fixture: Fixture) {
    let Some(other) = fixture.second().await else { return };
    let key = key("both");
    let (one, two) = (SampleBody { seed: 1, len: 500_000 }, SampleBody { seed: 2, len: 600_000 });
    let (first, second) = (head(&key, one), head(&key, two));
    let mut writing_first = begin(&*fixture.storage, first.clone()).await;
    let mut writing_second = begin(&*other, second.clone()).await;
    write(&mut writing_first, one).await;
    write(&mut writing_second, two).await;
    let _ = writing_second.publish(BodyEnd::default()).await.expect("publish");
    check_only(&*fixture.storage, &second).await;
    let _ = writing_first.publish(BodyEnd::default()).await.expect("publish");
    check_only(&*fixture.storage, &first).await;
    check_only(&*other, &first).await;
}
