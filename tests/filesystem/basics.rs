use crate::support::*;
use bytes::Bytes;
use larder::clock::Timestamp;
use larder::entry::{BodyEnd, Group, GroupId};
use larder::storage::filesystem::FileStorage;
use larder::storage::{BodyWriter, Keyspace, Published, Storage, StorageErrorKind};

#[tokio::test]
async fn bodies_of_every_size_come_back_with_their_heads() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        for len in [0, 1, 16_383, 16_384, 16_385, 65_536, 262_144, 262_145, 1 << 20, 3_000_001] {
            let name = format!("size/{len}");
            let head = head(&name);
            store(&storage, head.clone(), body(len)).await;
            let again = FileStorage::open(&path).unwrap();
            let lookup = again.lookup(&head.key).await.unwrap();
            let response = &lookup.responses[0];
            assert_eq!(response.head.body.unwrap().len, len as u64);
            assert_eq!(response.head.headers, head.headers);
            assert_eq!(response.head.id, head.id);
            assert_eq!(read(&again, response).await.unwrap(), body(len), "{format:?} {len}");
        }
        let usage = storage.usage().await.unwrap();
        assert_eq!(usage.responses, 10);
        let on_disk: u64 =
            storage.paths().await.unwrap().iter().map(|path| path.metadata().unwrap().len()).sum();
        assert_eq!(usage.bytes, on_disk);
        let before = usage;
        storage.maintain(Timestamp::EPOCH).await.unwrap();
        assert_eq!(storage.usage().await.unwrap(), before, "counting anew finds the same");
    }
}

#[tokio::test]
async fn an_opened_inline_body_reads_the_same() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        let head = head("a");
        store(&storage, head.clone(), body(10)).await;
        let found = storage.lookup(&head.key).await.unwrap().responses.remove(0);
        let mut reader = storage.open(&found.head).await.unwrap();
        use larder::storage::BodyReader;
        assert_eq!(reader.next().await.unwrap().unwrap(), body(10));
        assert_eq!(reader.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn variants_stay_beside_each_other_and_equal_ones_are_replaced() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = FileStorage::builder().format(format).max_variants(3).open(&path).unwrap();
        store(&storage, variant("v", b"de"), body(100_000)).await;
        store(&storage, variant("v", b"en"), body(10)).await;
        store(&storage, variant("v", b"de"), body(100_001)).await;
        let lookup = storage.lookup(&key("v")).await.unwrap();
        assert_eq!(lookup.responses.len(), 2);
        assert_eq!(lookup.responses[0].head.body_len(), 100_001, "the latest first");
        store(&storage, variant("v", b"fr"), body(1)).await;
        store(&storage, variant("v", b"it"), body(1)).await;
        let lookup = storage.lookup(&key("v")).await.unwrap();
        assert_eq!(lookup.responses.len(), 3);
        assert!(lookup.responses.iter().all(|response| response.head.body_len() != 10), "the oldest went");
        assert_eq!(storage.usage().await.unwrap().responses, 3);
        let sums = storage.size().await.unwrap();
        let on_disk: u64 =
            storage.paths().await.unwrap().iter().map(|path| path.metadata().unwrap().len()).sum();
        assert_eq!(sums, on_disk, "replaced bodies are gone");
    }
}

#[tokio::test]
async fn removal_refuses_the_fills_from_before_it_in_every_handle() {
    for format in FORMATS {
        let (_dir, path) = place();
        let (here, there) = (open(&path, format), open(&path, format));
        let before = fence(&here, &head("a")).await;
        assert!(!there.remove(&key("a")).await.unwrap());
        let mut writer = here.begin(head("a"), before).await.unwrap();
        writer.write(body(300_000)).await.unwrap();
        assert_eq!(writer.publish(BodyEnd::default()).await.unwrap(), Published::Superseded);
        assert_eq!(get(&here, "a").await, None);
        store(&here, head("a"), body(3)).await;
        let before = fence(&here, &head("a")).await;
        there.clear(None).await.unwrap();
        assert_eq!(get(&here, "a").await, None);
        assert_eq!(here.put_alias(alias("a", "b"), before).await.unwrap(), Published::Superseded);
        assert_eq!(here.usage().await.unwrap(), Default::default());
    }
}

#[tokio::test]
async fn aliases_groups_and_freshening_keep_the_contract() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        let now = fence(&storage, &head("a")).await;
        assert_eq!(storage.put_alias(alias("a", "b"), now).await.unwrap(), Published::Stored);
        let found = storage.lookup(&key("a")).await.unwrap().alias.unwrap();
        assert_eq!(found.target, key("b"));
        assert_eq!(storage.usage().await.unwrap().aliases, 1);

        let mut head = head("g");
        let group = Group { origin: "http://example.com".into(), name: "news".into() };
        head.groups = vec![group.clone()];
        store(&storage, head.clone(), body(200_000)).await;
        let other = Group { origin: "http://example.com".into(), name: "sports".into() };
        storage.invalidate(&[GroupId::of(&other)]).await.unwrap();
        assert!(!storage.lookup(&head.key).await.unwrap().responses[0].invalidated);
        storage.invalidate(&[GroupId::of(&group)]).await.unwrap();
        assert!(storage.lookup(&head.key).await.unwrap().responses[0].invalidated);

        let mut fresh = head.clone();
        fresh.response_time = Timestamp::from_secs(2_000);
        assert!(freshen(&storage, fresh.clone()).await);
        let lookup = storage.lookup(&head.key).await.unwrap();
        assert!(!lookup.responses[0].invalidated);
        assert_eq!(read(&storage, &lookup.responses[0]).await.unwrap(), body(200_000));
        fresh.id = larder::entry::EntryId::random();
        assert!(!freshen(&storage, fresh).await);

        assert!(storage.remove_entry(&head.key, head.id).await.unwrap());
        assert!(!storage.remove_entry(&head.key, head.id).await.unwrap());
        storage.clear(Some(Keyspace::Aliases)).await.unwrap();
        assert!(storage.lookup(&key("a")).await.unwrap().alias.is_none());
    }
}

#[tokio::test]
async fn listings_show_everything_once() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        for number in 0..40 {
            store(&storage, variant(&format!("{number}"), b"de"), body(1)).await;
            store(&storage, variant(&format!("{number}"), b"en"), body(1)).await;
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = storage.responses(after.as_ref(), 7).await.unwrap();
            assert!(page.items.len() <= 7);
            seen.extend(page.items.into_iter().map(|head| head.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 80);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 80);
        let foreign = larder::storage::Cursor(Bytes::from_static(b"x"));
        let error = storage.responses(Some(&foreign), 7).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid);
    }
}

/// What was accepted is written a little later.
async fn wait_for_files(dir: &std::path::Path, count: usize) {
    while files(dir).len() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn aborted_and_dropped_writers_leave_nothing() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        let now = fence(&storage, &head("a")).await;
        let mut writer = storage.begin(head("a"), now).await.unwrap();
        writer.write(body(600_000)).await.unwrap();
        wait_for_files(&path.join("temp"), 1).await;
        assert_eq!(storage.maintain(Timestamp::EPOCH).await.unwrap().orphans, 0, "its writer lives");
        writer.abort().await;
        assert_eq!(files(&path.join("temp")).len(), 0);
        let mut writer = storage.begin(head("a"), now).await.unwrap();
        writer.write(body(600_000)).await.unwrap();
        wait_for_files(&path.join("temp"), 1).await;
        drop(writer);
        wait_for_files(&path.join("temp"), 0).await;
        assert_eq!(get(&storage, "a").await, None);
    }
}

#[tokio::test]
async fn a_reader_keeps_its_body_while_the_response_is_replaced() {
    use larder::storage::BodyReader;
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(700_000)).await;
        let found = storage.lookup(&key("a")).await.unwrap().responses.remove(0);
        let mut reader = storage.open(&found.head).await.unwrap();
        let mut all = reader.next().await.unwrap().unwrap().to_vec();
        store(&storage, head("a"), body(5)).await;
        storage.remove(&key("a")).await.unwrap();
        while let Some(piece) = reader.next().await.unwrap() {
            all.extend_from_slice(&piece);
        }
        assert_eq!(all, body(700_000));
        let error = storage.open(&found.head).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Missing);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_tasks_and_two_handles_never_mix_bodies() {
    for format in FORMATS {
        let (_dir, path) = place();
        let handles = [open(&path, format), open(&path, format)];
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..50_usize {
            let storage = handles[task % 2].clone();
            tasks.spawn(async move {
                for round in 0..6_usize {
                    let name = format!("shared/{}", (task + round) % 5);
                    let len = [10, 20_000, 90_000][(task * 7 + round) % 3];
                    let filled = vec![b'A' + (task % 26) as u8; len];
                    let mut head = head(&name);
                    head.uri = format!("{} {len}", filled[0] as char);
                    let _ = try_store(&storage, head, filled.into()).await.unwrap();
                    if task % 10 == round {
                        storage.remove(&key(&name)).await.unwrap();
                    }
                    for response in storage.lookup(&key(&name)).await.unwrap().responses {
                        if let Ok(found) = read(&storage, &response).await {
                            let expected = format!("{} {}", found[0] as char, found.len());
                            assert_eq!(response.head.uri, expected);
                            assert!(found.iter().all(|byte| *byte == found[0]));
                        }
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let usage = handles[0].usage().await.unwrap();
        let maintained = handles[1].maintain(Timestamp::EPOCH).await.unwrap();
        assert_eq!(maintained.orphans, 0);
        assert_eq!(handles[0].usage().await.unwrap(), usage);
    }
}
