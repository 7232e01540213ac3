//! Bodies of every size, in pieces of every size.

use super::Fixture;
use super::sample::{SampleBody, begin, check, check_only, check_reader, head, key, only, store_at};
use crate::entry::BodyEnd;
use crate::storage::{DynStorage, Published};

const MIB: usize = 1024 * 1024;

async fn survives(storage: &dyn DynStorage, len: usize) {
    let stored = store_at(storage, &key(&format!("body-{len}")), len as u64, len).await;
    check_only(storage, &stored).await;
}

/// Nothing is a body too.
pub async fn an_empty_body(fixture: Fixture) {
    survives(&*fixture.storage, 0).await;
}

/// The smallest body.
pub async fn a_body_of_one_byte(fixture: Fixture) {
    survives(&*fixture.storage, 1).await;
}

/// "Small bodies come with their heads"; wherever the line is, it makes no difference.
pub async fn bodies_around_the_inline_threshold(fixture: Fixture) {
    let thresholds = fixture.inline_threshold.map_or_else(|| vec![4096, 16_384, 65_536], |bytes| vec![bytes]);
    for threshold in thresholds {
        for len in [threshold.saturating_sub(1), threshold, threshold + 1] {
            survives(&*fixture.storage, len).await;
        }
    }
}

/// A usual large body.
pub async fn a_body_of_one_mebibyte(fixture: Fixture) {
    survives(&*fixture.storage, MIB).await;
}

/// 64 MiB, or as much as the storage takes, written and read piece by piece.
pub async fn a_big_body_streams_through(fixture: Fixture) {
    let limit = fixture.max_body.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(8 * MIB);
    survives(&*fixture.storage, limit.min(64 * MIB)).await;
}

/// "`data` may have any length, also 0."
pub async fn pieces_of_any_size_and_empty_ones(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [700, 400_000] {
        let body = SampleBody { seed: 9, len };
        let head = head(&key("pieces"), body);
        let mut writer = begin(storage, head.clone()).await;
        let mut at = 0;
        for size in [0, 1, 0, 0, 2, 3, 257, 4095, 0, 8191, 16_384, 65_537, 7, 130_000, 1].iter().cycle() {
            let piece = body.piece(at, *size);
            at += piece.len();
            writer.write(piece).await.expect("write");
            if at == len {
                break;
            }
        }
        assert_eq!(writer.publish(BodyEnd::default()).await.expect("publish"), Published::Stored);
        check_only(storage, &head).await;
    }
}

/// "`None` after exactly as many bytes as the head's `BodySummary` says", with any announced length and without one.
pub async fn the_summary_is_of_what_was_written(fixture: Fixture) {
    let storage = &*fixture.storage;
    for len in [0, 500, 250_000] {
        for announced in [false, true] {
            let body = SampleBody { seed: 3, len };
            let mut head = head(&key("summary"), body);
            head.body = announced.then_some(crate::entry::BodySummary { len: len as u64, checksum: 0 });
            let mut writer = begin(storage, head.clone()).await;
            super::sample::write(&mut writer, body).await;
            assert_eq!(writer.publish(BodyEnd::default()).await.expect("publish"), Published::Stored);
            let found = only(storage, &head.key).await;
            assert_eq!(found.head.body, Some(body.summary()));
            check(storage, &found).await;
            check_reader(&found.head, storage.open(&found.head).await.expect("open")).await.expect("read");
        }
    }
}
