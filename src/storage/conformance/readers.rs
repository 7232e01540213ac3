//! "An open reader yields the body it was opened for, to the end, or an error; never other bytes and never a short body."

use super::Fixture;
use super::sample::{body_of, check_reader, key, only, store_at};
use crate::entry::StoredHead;
use crate::storage::{AnyReader, DynStorage};

const LEN: usize = 1_000_000;

/// Reads on after the body's end of life: all of it or an error, and `next` must not be fooled into other bytes.
async fn old_bytes_or_an_error(head: &StoredHead, reader: AnyReader) {
    if let Err(error) = check_reader(head, reader).await {
        println!("the reader ended with: {error}");
    }
}

async fn opened(storage: &dyn DynStorage, name: &str) -> (std::sync::Arc<StoredHead>, AnyReader) {
    store_at(storage, &key(name), 1, LEN).await;
    let found = only(storage, &key(name)).await;
    let reader = storage.open(&found.head).await.expect("open");
    (found.head, reader)
}

/// ... while the response is replaced.
pub async fn a_replaced_body_is_read_to_its_end_or_fails(fixture: Fixture) {
    let storage = &*fixture.storage;
    let (head, reader) = opened(storage, "replaced").await;
    let newer = store_at(storage, &head.key, 2, LEN).await;
    old_bytes_or_an_error(&head, reader).await;
    super::sample::check_only(storage, &newer).await;
}

/// ... while the response is removed, also when the first piece was read before.
pub async fn a_removed_body_is_read_to_its_end_or_fails(fixture: Fixture) {
    let storage = &*fixture.storage;
    let (head, reader) = opened(storage, "removed").await;
    storage.remove(&head.key).await.expect("remove");
    old_bytes_or_an_error(&head, reader).await;

    let (head, mut reader) = opened(storage, "removed").await;
    let body = body_of(&head);
    let mut at = 0;
    while at == 0 {
        let piece = reader.next().await.expect("read").expect("the body is not empty");
        assert!(piece == body.piece(0, piece.len()), "the first piece");
        at = piece.len();
    }
    storage.remove(&head.key).await.expect("remove");
    loop {
        match reader.next().await {
            Ok(Some(piece)) => {
                assert!(piece == body.piece(at, piece.len()), "the piece from {at} on");
                at += piece.len();
            }
            Ok(None) => break assert_eq!(at, body.len, "a body is never short"),
            Err(error) => break println!("the reader ended with: {error}"),
        }
    }
}

/// ... while the storage is cleared.
pub async fn a_cleared_body_is_read_to_its_end_or_fails(fixture: Fixture) {
    let storage = &*fixture.storage;
    let (head, reader) = opened(storage, "cleared").await;
    storage.clear(None).await.expect("clear");
    old_bytes_or_an_error(&head, reader).await;
}

/// "Opening a body that came inline works too."
pub async fn an_inline_body_can_be_opened_too(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [0, 1, 500] {
        store_at(storage, &key("inline"), 1, len).await;
        let found = only(storage, &key("inline")).await;
        let reader = storage.open(&found.head).await.expect("open");
        check_reader(&found.head, reader).await.expect("read");
    }
}

/// Readers of one body do not share a position.
pub async fn several_readers_do_not_disturb_each_other(fixture: Fixture) {
    let storage = &*fixture.storage;
    let (head, first) = opened(storage, "several").await;
    let mut second = storage.open(&head).await.expect("open");
    second.next().await.expect("read").expect("the body is not empty");
    check_reader(&head, first).await.expect("read");
    check_reader(&head, storage.open(&head).await.expect("open")).await.expect("read");
}
