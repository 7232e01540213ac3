use crate::support::*;
use larder::entry::{Group, GroupId, StoredHead};
use larder::storage::Storage;
use larder::storage::filesystem::{FileStorage, Format};
use std::path::{Path, PathBuf};

/// The file whose path says `part`, and the name of the keyspace.
fn file(path: &Path, part: &str) -> PathBuf {
    let found = files(path).into_iter().find(|file| file.strip_prefix(path).unwrap().starts_with(part));
    found.unwrap_or_else(|| panic!("no file in {part}"))
}

#[tokio::test]
async fn any_flipped_bit_of_a_small_entry_is_a_miss_or_harmless() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        let stored = head("a");
        store(&storage, stored.clone(), body(40)).await;
        let record = file(&path, "responses");
        let original = std::fs::read(&record).unwrap();
        let expected = storage.lookup(&stored.key).await.unwrap().responses.remove(0).head;
        let mut harmless = 0;
        for bit in 0..original.len() * 8 {
            let mut damaged = original.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&record, &damaged).unwrap();
            let lookup = storage.lookup(&stored.key).await.unwrap();
            if let Some(response) = lookup.responses.first() {
                assert_eq!(*response.head, *expected, "bit {bit}");
                assert_eq!(read(&storage, response).await.unwrap(), body(40), "bit {bit}");
                harmless += 1;
            }
        }
        // Only the spaces of a JSON text may change.
        assert!(
            if format == Format::Compact { harmless == 0 } else { harmless < original.len() },
            "{harmless}"
        );
    }
}

#[tokio::test]
async fn a_torn_zeroed_or_doubled_record_is_a_miss_and_is_removed() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        for len in [0, 100, 10_000] {
            store(&storage, head("a"), body(len)).await;
            let record = file(&path, "responses");
            let original = std::fs::read(&record).unwrap();
            let half = original.len() / 2;
            let mut zeroed = original.clone();
            zeroed[half..].fill(0);
            let doubled = [&original[..], &original[half..]].concat();
            for damaged in [&original[..half], &zeroed, &doubled, b"", b"gibberish", &[0xff; 5000]] {
                std::fs::write(&record, damaged).unwrap();
                assert_eq!(get(&storage, "a").await, None);
                assert!(!record.exists(), "what is broken is removed");
                assert_eq!(storage.usage().await.unwrap(), Default::default());
            }
        }
    }
}

#[tokio::test]
async fn damage_to_a_large_body_is_found_before_its_block_is_handed_out() {
    for format in FORMATS {
        let len = 300_000;
        let (_dir, path) = place();
        let storage = open(&path, format);
        for round in 0..60_usize {
            store(&storage, head("a"), body(len)).await;
            let bodies = files(&path.join("bodies"));
            let victim = &bodies[round % bodies.len()];
            let mut damaged = std::fs::read(victim).unwrap();
            let at = fastrand_like(round) % damaged.len();
            match round % 5 {
                0 | 1 => damaged[at] ^= 1 << (round % 8),
                2 => damaged.truncate(at),
                3 => damaged.splice(at.., std::iter::repeat_n(0, 1)).for_each(drop),
                _ => damaged.extend_from_slice(b"more"),
            }
            std::fs::write(victim, &damaged).unwrap();
            let response = storage.lookup(&key("a")).await.unwrap().responses.remove(0);
            assert!(read(&storage, &response).await.is_err(), "{format:?} round {round}");
            assert_eq!(get(&storage, "a").await, None, "what is broken is removed");
            assert_eq!(storage.usage().await.unwrap().responses, 0);
        }
    }
}

fn fastrand_like(round: usize) -> usize {
    round.wrapping_mul(2_654_435_761) >> 3
}

#[tokio::test]
async fn blocks_of_one_body_do_not_pass_for_another() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), vec![b'a'; 200_000].into()).await;
        let theirs = files(&path.join("bodies"));
        let (one, content) =
            (theirs[0].clone(), theirs.iter().map(std::fs::read).map(Result::unwrap).collect::<Vec<_>>());
        storage.remove(&key("a")).await.unwrap();
        assert!(!one.exists());
        store(&storage, head("a"), vec![b'b'; 200_000].into()).await;
        for (file, content) in files(&path.join("bodies")).iter().zip(content) {
            std::fs::write(file, content).unwrap();
        }
        assert_eq!(get(&storage, "a").await, None);
    }
}

#[tokio::test]
async fn a_record_copied_to_another_key_is_a_miss() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(3)).await;
        let theirs = file(&path, "responses");
        let content = std::fs::read(&theirs).unwrap();
        store(&storage, head("b"), body(4)).await;
        let ours = files(&path.join("responses")).into_iter().find(|file| *file != theirs).unwrap();
        std::fs::write(ours, content).unwrap();
        assert_eq!(get(&storage, "b").await, None);
        assert_eq!(get(&storage, "a").await, Some(body(3)));
    }
}

#[tokio::test]
async fn lost_or_damaged_shared_numbers_are_made_anew() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(3)).await;
        let before = fence(&storage, &head("b")).await;
        for content in [None, Some(Vec::new()), Some(vec![0; 1000])] {
            std::fs::remove_file(path.join("state")).unwrap();
            if let Some(content) = content {
                std::fs::write(path.join("state"), content).unwrap();
            }
            assert_eq!(open(&path, format).usage().await.unwrap().responses, 1);
            assert_eq!(storage.usage().await.unwrap().responses, 1);
            assert_eq!(get(&storage, "a").await, Some(body(3)));
            assert_ne!(fence(&storage, &head("b")).await, before, "no fence from before is honoured");
        }
    }
}

fn member() -> (StoredHead, GroupId) {
    let group = Group { origin: "http://example.com".into(), name: "news".into() };
    let id = GroupId::of(&group);
    let mut member = head("member");
    member.groups = vec![group];
    (member, id)
}

async fn is_invalidated(storage: &FileStorage, name: &str) -> bool {
    storage.lookup(&key(name)).await.unwrap().responses.remove(0).invalidated
}

/// Where the number of a group stands in the file of invalidations.
fn slot_of(group: GroupId) -> usize {
    64 + group.slot(1 << 14) as usize * 16
}

#[tokio::test]
async fn damage_to_the_file_of_invalidations_never_makes_an_invalidated_response_valid() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        let (member, group) = member();
        store(&storage, member.clone(), body(3)).await;
        assert!(!is_invalidated(&storage, "member").await);
        storage.invalidate(&[group]).await.unwrap();
        let file = path.join("invalidated");
        let original = std::fs::read(&file).unwrap();
        // Every bit of the count, of the floor, and of the group's number.
        let places = (0..48).chain(slot_of(group)..slot_of(group) + 16);
        for bit in places.flat_map(|byte| byte * 8..byte * 8 + 8).step_by(3) {
            std::fs::write(&file, &original).unwrap();
            assert!(is_invalidated(&storage, "member").await);
            let mut damaged = original.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &damaged).unwrap();
            assert!(is_invalidated(&storage, "member").await, "bit {bit}");
            assert!(is_invalidated(&open(&path, format), "member").await, "bit {bit}, opened anew");
        }
        for damaged in [vec![0; original.len()], original[..64].to_vec(), original[..40].to_vec(), Vec::new()]
        {
            std::fs::write(&file, &damaged).unwrap();
            assert!(is_invalidated(&storage, "member").await);
            assert!(is_invalidated(&open(&path, format), "member").await);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(is_invalidated(&storage, "member").await, "lost while it was open");
        assert!(is_invalidated(&open(&path, format), "member").await);
    }
}

#[tokio::test]
async fn after_damage_to_the_file_of_invalidations_what_is_stored_anew_is_used() {
    let (_dir, path) = place();
    let storage = open(&path, Format::Compact);
    let file = path.join("invalidated");
    let healthy = std::fs::read(&file).unwrap();
    for damaged in [None, Some(vec![0; healthy.len()]), Some(vec![1; healthy.len() / 2])] {
        let (member, group) = member();
        store(&storage, member.clone(), body(3)).await;
        std::fs::remove_file(&file).unwrap();
        if let Some(damaged) = damaged {
            std::fs::write(&file, damaged).unwrap();
        }
        assert!(is_invalidated(&storage, "member").await, "nobody knows whether it was");
        store(&storage, member.clone(), body(4)).await;
        assert!(!is_invalidated(&storage, "member").await);
        let other = open(&path, Format::Compact);
        assert!(!is_invalidated(&other, "member").await);
        other.invalidate(&[group]).await.unwrap();
        assert!(is_invalidated(&storage, "member").await, "both look at the same file");
    }
}

#[tokio::test]
async fn a_slot_of_another_group_is_not_taken_for_the_groups_own() {
    let (_dir, path) = place();
    let storage = open(&path, Format::Compact);
    let (member, group) = member();
    store(&storage, member, body(3)).await;
    storage.invalidate(&[group]).await.unwrap();
    // The block with the group's slot is replaced by another one, as a lost write or a mixed up sector does.
    let file = path.join("invalidated");
    let mut bytes = std::fs::read(&file).unwrap();
    let other = slot_of(GroupId::of_target("http://example.com/other"));
    let from = bytes[other..other + 16].to_vec();
    bytes[slot_of(group)..slot_of(group) + 16].copy_from_slice(&from);
    std::fs::write(&file, &bytes).unwrap();
    assert!(is_invalidated(&storage, "member").await);
}

#[tokio::test]
async fn the_groups_of_an_earlier_version_are_removed_by_maintenance_and_nothing_else_is() {
    let (_dir, path) = place();
    let storage = open(&path, Format::Compact);
    let name = "ab".repeat(32);
    std::fs::create_dir_all(path.join("groups/ab")).unwrap();
    std::fs::create_dir_all(path.join("groups/cd")).unwrap();
    std::fs::write(path.join("groups/ab").join(&name), "a time").unwrap();
    std::fs::write(path.join("groups/cd/notes"), "mine").unwrap();
    storage.maintain(larder::clock::Timestamp::from_secs(1)).await.unwrap();
    assert_eq!(files(&path.join("groups")), [path.join("groups/cd/notes")]);
    assert!(!path.join("groups/ab").exists());
    std::fs::remove_file(path.join("groups/cd/notes")).unwrap();
    storage.maintain(larder::clock::Timestamp::from_secs(1)).await.unwrap();
    assert!(!path.join("groups").exists());
}

#[tokio::test]
async fn a_record_in_the_layout_of_another_version_stays_until_its_key_is_removed() {
    for format in FORMATS {
        let (_dir, path) = place();
        let storage = open(&path, format);
        store(&storage, head("a"), body(100_000)).await;
        let record = file(&path, "responses");
        let bodies = files(&path.join("bodies"));
        let mut theirs = std::fs::read(&record).unwrap();
        if format == Format::Compact {
            theirs[7] = 9;
        } else {
            theirs = String::from_utf8(theirs).unwrap().replace("\"larder\": 1", "\"larder\": 9").into();
        }
        std::fs::write(&record, &theirs).unwrap();
        let before = storage.usage().await.unwrap();
        for len in [10, 100_000] {
            assert_eq!(get(&storage, "a").await, None);
            // There is no room beside it, which says nothing about the storage: no error.
            let published = try_store(&storage, head("a"), body(len)).await.unwrap();
            assert_eq!(published, larder::storage::Published::Superseded);
            assert!(!freshen(&storage, head("a")).await);
            storage.maintain(larder::clock::Timestamp::from_secs(1)).await.unwrap();
            assert_eq!(std::fs::read(&record).unwrap(), theirs);
            assert_eq!(files(&path.join("bodies")), bodies, "its bodies stay as well, and ours are gone");
            assert_eq!(storage.usage().await.unwrap().bytes, before.bytes, "and take the room they took");
        }
        storage.remove(&key("a")).await.unwrap();
        assert!(files(&path.join("responses")).is_empty() && files(&path.join("bodies")).is_empty());
        store(&storage, head("a"), body(100_000)).await;
        assert_eq!(get(&storage, "a").await, Some(body(100_000)));
    }
}

/// Somebody who can write to the directory plants a head that claims a body of 2^64-1 bytes.
#[tokio::test]
async fn a_planted_body_length_costs_no_more_than_what_is_there() {
    use larder::clock::Timestamp;
    for format in FORMATS {
        for len in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 50] {
            let (_dir, path) = place();
            let storage = open(&path, format);
            store(&storage, head("planted"), body(600_000)).await;
            let stored = storage.lookup(&key("planted")).await.unwrap().responses.remove(0).head;
            let record = storage.paths_of(&key("planted")).await.unwrap().remove(0);
            let planted = if format == Format::Json {
                let text = std::fs::read_to_string(&record).unwrap();
                let at = text.rfind("\"checksum\"").unwrap();
                let text = text[..at].trim_end().trim_end_matches(',').to_owned() + "}]}";
                assert!(text.contains("\"length\": 600000"), "{text}");
                text.replace("\"length\": 600000", &format!("\"length\": {len}")).into_bytes()
            } else {
                let mut head = larder::entry::StoredHead::clone(&stored);
                head.body = Some(larder::entry::BodySummary { len, checksum: 0 });
                let head = larder::entry::codec::encode(&head);
                let mut content = 1_u16.to_le_bytes().to_vec();
                content.push(0);
                content.extend_from_slice(&u32::try_from(head.len()).unwrap().to_le_bytes());
                content.extend_from_slice(&[0; 8]);
                content.extend_from_slice(&head);
                let mut planted = b"larderR\x01".to_vec();
                planted.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(&content).to_le_bytes());
                planted.extend_from_slice(&content);
                planted
            };
            std::fs::write(&record, planted).unwrap();
            let work = async {
                let found = storage.lookup(&key("planted")).await.unwrap();
                assert_eq!(found.responses.len(), 1, "{format:?}: it looks like one of ours");
                for response in found.responses {
                    assert_eq!(response.head.body_len(), len);
                    assert!(read(&storage, &response).await.is_err());
                }
                std::fs::remove_file(path.join("state")).unwrap();
                let storage = FileStorage::builder().max_bytes(10 << 20).open(&path).unwrap();
                storage.usage().await.unwrap();
                store(&storage, head("new"), body(100_000)).await;
                storage.maintain(Timestamp::from_secs(0)).await.unwrap();
                storage.remove(&key("planted")).await.unwrap();
                store(&storage, head("new"), body(100_000)).await;
                assert_eq!(get(&storage, "new").await, Some(body(100_000)));
                assert_eq!(storage.usage().await.unwrap().responses, 1);
            };
            tokio::time::timeout(std::time::Duration::from_secs(60), work).await.expect("bounded");
        }
    }
}

/// Counters that nothing of ours would have written are no reason to panic, nor to throw everything away for ever.
#[tokio::test]
async fn planted_counters_stop_nothing() {
    for format in FORMATS {
        for planted in [u64::MAX, 1 << 63, 1 << 40] {
            let (_dir, path) = place();
            let storage = open(&path, format);
            store(&storage, head("a"), body(100_000)).await;
            drop(storage);
            let mut state = std::fs::read(path.join("state")).unwrap();
            // Behind the header, for each fan-out directory: a flag, three counters and sixteen fences.
            for fan in state[64..].chunks_exact_mut(160) {
                for counter in fan[8..32].chunks_exact_mut(8) {
                    counter.copy_from_slice(&planted.to_le_bytes());
                }
            }
            std::fs::write(path.join("state"), state).unwrap();
            let storage = open(&path, format);
            let _ = storage.lookup(&key("a")).await.unwrap();
            storage.usage().await.unwrap();
            store(&storage, head("b"), body(100_000)).await;
            storage.maintain(larder::clock::Timestamp::EPOCH).await.unwrap();
            store(&storage, head("c"), body(100_000)).await;
            assert_eq!(get(&storage, "c").await, Some(body(100_000)));
            let usage = storage.usage().await.unwrap();
            assert!(usage.bytes < 1 << 20, "{usage:?}");
        }
    }
}
