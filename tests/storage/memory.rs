use larder::storage::conformance::Fixture;
use larder::storage::{MemoryStorage, StorageErrorKind};

const MIB: u64 = 1024 * 1024;

async fn fixture() -> Fixture {
    let storage = MemoryStorage::builder().max_bytes(256 * MIB).max_body(64 * MIB).build().unwrap();
    let handle = storage.clone();
    Fixture::new(storage).max_body(64 * MIB).reopen(move || {
        let handle = handle.clone();
        async move { Ok(handle) }
    })
}

larder::conformance_tests!(fixture());

crate::end_to_end::end_to_end_tests!(async {
    Some(crate::end_to_end::Opened::new(MemoryStorage::new(), ()))
});

#[test]
fn an_impossible_option_is_named_with_what_is_possible() {
    for (builder, expected) in [
        (MemoryStorage::builder().max_bytes(0), "max_bytes is 0; possible: at least 1"),
        (MemoryStorage::builder().max_entries(0), "max_entries is 0; possible: at least 1, or no limit"),
        (MemoryStorage::builder().max_bytes(100).max_body(51), "max_body is 51; possible: at most 50"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid);
        assert!(error.to_string().contains(expected), "{error}");
    }
    MemoryStorage::builder().max_bytes(100).max_body(50).build().unwrap();
}
