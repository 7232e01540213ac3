//! "Publication is atomic", "publication replaces", "writers never mix".

use super::Fixture;
use super::sample::{
    SampleBody, assert_nothing, begin, body_of, check_only, head, key, only, store_at, write,
};
use crate::entry::BodyEnd;
use crate::storage::Published;

/// "A response is visible to lookup only after publish succeeded."
pub async fn a_response_is_invisible_until_it_is_published(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("invisible"));
    for len in [100, 300_000] {
        let head = head(&key, SampleBody { seed: 1, len });
        let mut writer = begin(storage, head.clone()).await;
        assert_nothing(storage, &key).await;
        write(&mut writer, body_of(&head)).await;
        assert_nothing(storage, &key).await;
        assert!(
            storage.responses(None, 10).await.expect("responses").items.is_empty(),
            "it is not listed either"
        );
        assert_eq!(writer.publish(BodyEnd::default()).await.expect("publish"), Published::Stored);
        check_only(storage, &head).await;
        storage.remove(&key).await.expect("remove");
    }
}

/// "... and then with its whole body."
pub async fn a_published_response_is_found_whole(fixture: Fixture) {
    let storage = &*fixture.storage;
    for (seed, len) in [(1, 10), (2, 20_000), (3, 200_000)] {
        let stored = store_at(storage, &key("whole"), seed, len).await;
        check_only(storage, &stored).await;
        let found = only(storage, &stored.key).await;
        assert_eq!(found.head.body, Some(body_of(&stored).summary()), "the head knows length and checksum");
        assert!(!found.invalidated);
    }
}

/// "A writer that is aborted ... leaves nothing that can be read."
pub async fn an_aborted_writer_leaves_nothing(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("aborted"));
    for len in [10, 300_000] {
        let body = SampleBody { seed: 1, len };
        let mut writer = begin(storage, head(&key, body)).await;
        write(&mut writer, body).await;
        writer.abort().await;
        assert_nothing(storage, &key).await;
        assert_eq!(storage.usage().await.expect("usage").responses, 0);
    }
}

/// "A writer that is ... dropped ... leaves nothing that can be read."
pub async fn a_dropped_writer_leaves_nothing(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("dropped"));
    for len in [10, 300_000] {
        let body = SampleBody { seed: 1, len };
        let mut writer = begin(storage, head(&key, body)).await;
        write(&mut writer, body).await;
        drop(writer);
        assert_nothing(storage, &key).await;
        assert_eq!(storage.usage().await.expect("usage").responses, 0);
    }
}

/// "Publication replaces every stored response under the key whose selecting fields and range equal the new one's."
pub async fn a_published_response_replaces_the_one_before(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("replaced"));
    for (seed, len) in [(1, 10), (2, 300_000), (3, 0), (4, 200_000), (5, 11)] {
        let stored = store_at(storage, &key, seed, len).await;
        check_only(storage, &stored).await;
        assert_eq!(storage.usage().await.expect("usage").responses, 1);
    }
}

/// "Two writers of one key have two ids. A reader sees one whole body."
pub async fn two_interleaved_writers_never_mix_and_the_last_publication_wins(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("interleaved"));
    for len in [600, 300_000] {
        let (one, two) = (SampleBody { seed: 1, len }, SampleBody { seed: 2, len: len + 7 });
        let (first, second) = (head(&key, one), head(&key, two));
        let mut writing_first = begin(storage, first.clone()).await;
        let mut writing_second = begin(storage, second.clone()).await;
        let mut at = 0;
        while at < two.len {
            writing_first.write(one.piece(at, 100_000)).await.expect("write");
            writing_second.write(two.piece(at, 100_000)).await.expect("write");
            at += 100_000;
        }
        let _ = writing_second.publish(BodyEnd::default()).await.expect("publish");
        check_only(storage, &second).await;
        let _ = writing_first.publish(BodyEnd::default()).await.expect("publish");
        check_only(storage, &first).await;
    }
}

/// A fill that fails does not cost what was stored before.
pub async fn an_aborted_writer_leaves_the_response_before(fixture: Fixture) {
    let (storage, key) = (&*fixture.storage, key("kept"));
    let before = store_at(storage, &key, 1, 150_000).await;
    let body = SampleBody { seed: 2, len: 150_000 };
    let mut writer = begin(storage, head(&key, body)).await;
    write(&mut writer, body).await;
    check_only(storage, &before).await;
    writer.abort().await;
    check_only(storage, &before).await;
}
