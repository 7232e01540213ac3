use larder::entry::{StoredHead, codec};
use larder::storage::conformance::{Damage, Fixture};
use larder::storage::{MemoryStorage, StorageError};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, doc};

#[path = "../support/mongo.rs"]
pub(crate) mod server;

use self::server::Scratch;
use crate::end_to_end::{Opened, end_to_end_tests};

const INLINE: usize = 64 * 1024;

/// Does what no program should do to the documents of a response.
async fn spoil(scratch: Scratch, head: StoredHead, damage: Damage) -> Result<bool, StorageError> {
    let heads = scratch.collection("larder").await;
    let chunks = scratch.collection("larder.chunks").await;
    let head = doc! { "entry": head.id.to_string() };
    let small = doc! { "entry": head.get_str("entry").unwrap(), "body": { "$exists": true } };
    let second_chunk = doc! { "files_id": head.get_str("entry").unwrap(), "n": 1 };
    let garbage = |field: &str, len| doc! { "$set": { field: bytes(len) } };
    let changed = |result: mongodb::results::UpdateResult| result.modified_count > 0;
    Ok(match damage {
        Damage::FlipBody => {
            changed(heads.update_one(small, garbage("body", 1000)).await.unwrap())
                | changed(chunks.update_one(second_chunk, garbage("data", 255 * 1024)).await.unwrap())
        }
        Damage::LoseBody => {
            changed(heads.update_one(small, doc! { "$unset": { "body": "" } }).await.unwrap())
                | (chunks.delete_many(second_chunk).await.unwrap().deleted_count > 0)
        }
        // The fourth byte of a head says which version wrote it.
        Damage::OtherVersion | Damage::OwnVersion => {
            let version = if damage == Damage::OtherVersion { 0xfe } else { codec::VERSION };
            let found = heads.find_one(head.clone()).await.unwrap().unwrap();
            let mut exact = found.get_binary_generic("exact").unwrap().clone();
            exact[3] = version;
            let set = doc! { "$set": { "exact": Binary { subtype: BinarySubtype::Generic, bytes: exact } } };
            changed(heads.update_one(head, set).await.unwrap())
        }
        Damage::GarbleHead => changed(heads.update_one(head, garbage("exact", 5)).await.unwrap()),
        _ => false,
    })
}

fn bytes(len: usize) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: vec![7; len] }
}

fn without_server() -> Fixture {
    Fixture::new(MemoryStorage::new())
}

macro_rules! conformance_of {
    ($module:ident) => {
        mod $module {
            use super::*;

            async fn fixture() -> Fixture {
                let Some(scratch) = Scratch::new() else { return without_server() };
                let (again, spoiled, dropped) =
                    (scratch.clone(), scratch.clone(), scratch.dropped_in_the_end());
                Fixture::new(scratch.$module().max_body(64 * 1024 * 1024).strict().connect().await.unwrap())
                    .max_body(64 * 1024 * 1024)
                    .inline_threshold(INLINE)
                    .reopen(move || {
                        let again = again.clone();
                        async move { again.$module().strict().connect().await }
                    })
                    .damage(move |head, damage| spoil(spoiled.clone(), head, damage))
                    .keep(dropped)
            }

            async fn opened() -> Option<Opened> {
                let scratch = Scratch::new()?;
                let storage = scratch.$module().strict().connect().await.unwrap();
                Some(Opened::new(storage, scratch.dropped_in_the_end()))
            }

            larder::conformance_tests!(fixture());
            end_to_end_tests!(opened());
        }
    };
}

conformance_of!(mongo);
conformance_of!(gridfs);
