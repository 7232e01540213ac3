use larder::storage::MemoryStorage;
use larder::storage::conformance::Fixture;

#[path = "../support/dynamodb.rs"]
mod support;

const MAX_BODY: u64 = 64 << 20;

async fn fixture() -> Fixture {
    let Some(url) = support::server() else { return Fixture::new(MemoryStorage::new()) };
    let (client, table) = (support::client(&url), support::table());
    let open = {
        let (client, table) = (client.clone(), table.clone());
        move || support::builder(&client, &table).max_body(MAX_BODY).inline_threshold(16 << 10).connect()
    };
    Fixture::new(open().await.expect("the server is there"))
        .max_body(MAX_BODY)
        .inline_threshold(16 << 10)
        .reopen(open)
        .damage(move |head, damage| support::spoil(client.clone(), table.clone(), head, damage))
}

larder::conformance_tests!(fixture());
