use larder::storage::MemoryStorage;
use larder::storage::conformance::Fixture;

use crate::end_to_end::Opened;

#[path = "../support/dynamodb.rs"]
pub(crate) mod server;

const MAX_BODY: u64 = 64 << 20;

async fn fixture() -> Fixture {
    let Some(url) = server::server() else { return Fixture::new(MemoryStorage::new()) };
    let (client, table) = (server::client(&url), server::table());
    let open = {
        let (client, table) = (client.clone(), table.clone());
        move || server::builder(&client, &table).max_body(MAX_BODY).inline_threshold(16 << 10).connect()
    };
    Fixture::new(open().await.expect("the server is there"))
        .max_body(MAX_BODY)
        .inline_threshold(16 << 10)
        .reopen(open)
        .damage(move |head, damage| server::spoil(client.clone(), table.clone(), head, damage))
}

larder::conformance_tests!(fixture());

async fn opened() -> Option<Opened> {
    let url = server::server()?;
    let storage = server::builder(&server::client(&url), &server::table()).connect().await;
    Some(Opened::new(storage.expect("the server is there"), ()))
}

crate::end_to_end::end_to_end_tests!(opened());
