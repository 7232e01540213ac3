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
        (Damage::OtherVersion, _) => renumber(&paths[0], [2, 254]),
        (Damage::OwnVersion, _) => renumber(&paths[0], [254, 2]),
        _ => return Ok(false),
    };
    done.map_err(|error| StorageError::new(StorageErrorKind::Other, "test", "damaging").with_source(error))?;
    Ok(true)
}

/// Makes one version's response another's: in a compact record a head says which it is, in JSON the response does.
fn renumber(path: &PathBuf, [from, to]: [u8; 2]) -> std::io::Result<()> {
    let mut bytes = std::fs::read(path)?;
    if bytes.starts_with(b"{") {
        let text = String::from_utf8(bytes).unwrap();
        // A response in JSON has a format of its own, one further than a head's.
        let json = |version: u8| if version == 2 { 3 } else { version };
        let (from, to) = (format!("\"format\": {},", json(from)), format!("\"format\": {},", json(to)));
        assert!(text.contains(&from), "{text}");
        return std::fs::write(path, text.replace(&from, &to));
    }
    let magic = [b'l', b'd', b'h', from];
    let at = bytes.windows(4).position(|window| window == magic).expect("a head of that version");
    bytes[at + 3] = to;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[16..]).to_le_bytes();
    bytes[8..16].copy_from_slice(&checksum);
    std::fs::write(path, bytes)
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
