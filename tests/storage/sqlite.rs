use std::path::PathBuf;

use larder::entry::StoredHead;
use larder::storage::conformance::{Damage, Fixture};
use larder::storage::{SqliteStorage, StorageError};

const MIB: u64 = 1024 * 1024;
const INLINE: usize = 16 * 1024;

fn limited() -> larder::storage::sqlite::SqliteStorageBuilder {
    SqliteStorage::builder().max_bytes(256 * MIB).max_body(64 * MIB)
}

/// Does what no program should do to the rows of a head.
fn spoil(path: &PathBuf, head: &StoredHead, damage: Damage) -> Result<bool, StorageError> {
    let sql = rusqlite::Connection::open(path).unwrap();
    let id = head.id.bits().to_be_bytes();
    let statements: &[&str] = match damage {
        Damage::FlipBody => &[
            "UPDATE responses SET body = zeroblob(length(body)) WHERE id = ?1 AND length(body) > 0",
            "UPDATE chunks SET data = zeroblob(length(data))
             WHERE body = (SELECT chunked FROM responses WHERE id = ?1)",
        ],
        Damage::LoseBody => &[
            "UPDATE responses SET body = NULL WHERE id = ?1 AND length(body) > 0",
            "DELETE FROM chunks WHERE body = (SELECT chunked FROM responses WHERE id = ?1)",
        ],
        Damage::GarbleHead => &["UPDATE responses SET head = x'0102030405' WHERE id = ?1"],
        // The fourth byte of a head says which version wrote it.
        Damage::OtherVersion => {
            &["UPDATE responses SET head = unhex('6c6468' || 'fe' || substr(hex(head), 9)) WHERE id = ?1"]
        }
        Damage::OwnVersion => {
            &["UPDATE responses SET head = unhex('6c6468' || '02' || substr(hex(head), 9)) WHERE id = ?1"]
        }
        _ => &[],
    };
    let changed: usize = statements.iter().map(|statement| sql.execute(statement, [id]).unwrap()).sum();
    Ok(changed > 0)
}

mod file {
    use super::*;

    async fn fixture() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache.db");
        let (again, spoiled) = (path.clone(), path.clone());
        Fixture::new(limited().open(&path).unwrap())
            .max_body(64 * MIB)
            .inline_threshold(INLINE)
            .reopen(move || {
                let path = again.clone();
                async move { limited().open(path) }
            })
            .damage(move |head, damage| {
                let path = spoiled.clone();
                async move { spoil(&path, &head, damage) }
            })
            .keep(directory)
    }

    larder::conformance_tests!(fixture());
}

mod in_memory {
    use super::*;

    async fn fixture() -> Fixture {
        let storage = limited().in_memory().unwrap();
        let handle = storage.clone();
        Fixture::new(storage).max_body(64 * MIB).inline_threshold(INLINE).reopen(move || {
            let handle = handle.clone();
            async move { Ok(handle) }
        })
    }

    larder::conformance_tests!(fixture());
}
