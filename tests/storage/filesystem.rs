use std::path::PathBuf;

use larder::entry::StoredHead;
use larder::storage::conformance::{Damage, Fixture};
use larder::storage::filesystem::{FileStorage, Format};
use larder::storage::{StorageError, StorageErrorKind};

const MAX_BODY: u64 = 64 << 20;

fn fixture(format: Format) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let storage = FileStorage::builder().format(format).max_body(MAX_BODY).open(&path).unwrap();
    let handle = storage.clone();
    Fixture::new(storage)
        .max_body(MAX_BODY)
        .inline_threshold(16 << 10)
        .reopen(move || {
            let path = path.clone();
            async move { FileStorage::builder().max_body(MAX_BODY).open(path) }
        })
        .damage(move |head, damage| spoil(handle.clone(), head, damage))
        .keep(dir)
}

/// The first path is the record's; the body's own files follow.
async fn spoil(storage: FileStorage, head: StoredHead, damage: Damage) -> Result<bool, StorageError> {
    let paths = storage.paths_of(&head.key).await?;
    let body = paths.iter().skip(1).find(|path| path.extension().is_none_or(|extension| extension != "sums"));
    let done = match (damage, body) {
        (Damage::FlipBody, Some(body)) => flip(body, |bytes| bytes.len() / 2),
        (Damage::FlipBody, None) => flip(&paths[0], |bytes| {
            let field = bytes.windows(8).position(|window| window == b"\"body\": ");
            field.map_or(bytes.len() / 2, |at| at + 40)
        }),
        (Damage::LoseBody, Some(body)) => std::fs::remove_file(body),
        (Damage::GarbleHead, _) => std::fs::write(&paths[0], b"what is this?"),
        _ => return Ok(false),
    };
    done.map_err(|error| StorageError::new(StorageErrorKind::Other, "test", "damaging").with_source(error))?;
    Ok(true)
}

fn flip(path: &PathBuf, at: impl FnOnce(&[u8]) -> usize) -> std::io::Result<()> {
    let mut bytes = std::fs::read(path)?;
    let at = at(&bytes);
    bytes[at] ^= 1;
    std::fs::write(path, bytes)
}

mod compact {
    larder::conformance_tests!(async {
        crate::filesystem::fixture(larder::storage::filesystem::Format::Compact)
    });
}

mod json {
    larder::conformance_tests!(async {
        crate::filesystem::fixture(larder::storage::filesystem::Format::Json)
    });
}
