use crate::support::*;
use larder::storage::Storage;
use larder::storage::filesystem::Format;
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
