use larder::storage::MemoryStorage;
use larder::storage::conformance::Fixture;

const MIB: u64 = 1024 * 1024;

async fn fixture() -> Fixture {
    let storage = MemoryStorage::new().max_bytes(256 * MIB).max_body(64 * MIB);
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
