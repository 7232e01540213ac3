//! What a handle makes of the server it finds.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TimeToLiveStatus,
};
use larder::storage::{DynamoStorage, Storage, StorageErrorKind};
use tokio::net::TcpListener;

use crate::layered;
use crate::proxy::{Fault, Proxy};
use crate::samples::{body, head, is_whole, key, store, try_store};
use crate::server::{self, builder, client, table};

#[tokio::test]
async fn an_absent_server_is_unavailable_until_it_comes() {
    let Some(url) = server::server() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    drop(listener);
    let (client, table) = (client(&format!("http://{place}")), table());
    let error = builder(&client, &table).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&table), "{error}");

    let storage = DynamoStorage::builder(&table).client(client).create_table(true).connect().await.unwrap();
    for _ in 0..2 {
        let error = storage.lookup(&key("a")).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    }
    layered::is_no_use_and_no_harm(Arc::new(storage.clone()), &["unavailable", "timeout"]).await;
    let _proxy = Proxy::listen(&url, TcpListener::bind(place).await.unwrap());
    store(&storage, &head("a"), &body(10)).await;
    is_whole(&storage, "a", &body(10)).await;
}

#[tokio::test]
async fn a_missing_table_is_an_error_that_says_what_to_do() {
    let Some(url) = server::server() else { return };
    let error = DynamoStorage::builder(table()).client(client(&url)).strict().connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable);
    assert!(error.to_string().contains("create_table(true)"), "{error}");
}

#[tokio::test]
async fn a_missing_table_is_created_as_documented() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let both = tokio::join!(builder(&client, &table).connect(), builder(&client, &table).connect());
    both.0.unwrap();
    both.1.unwrap();
    let described = client.describe_table().table_name(&table).send().await.unwrap().table.unwrap();
    let keys: Vec<_> = described.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    assert_eq!(keys, ["pk", "sk"]);
    let billing = described.billing_mode_summary().and_then(|summary| summary.billing_mode().cloned());
    assert_eq!(billing, Some(BillingMode::PayPerRequest));
    let ttl = client.describe_time_to_live().table_name(&table).send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert!(matches!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)));
    assert_eq!(ttl.attribute_name.as_deref(), Some("expires"));
}

#[tokio::test]
async fn a_table_that_is_lost_is_created_again() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(10)).await;
    client.delete_table().table_name(&table).send().await.unwrap();
    let error = storage.lookup(&key("a")).await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    store(&storage, &head("b"), &body(10)).await;
    is_whole(&storage, "b", &body(10)).await;
}

#[tokio::test]
async fn a_table_with_other_keys_is_incompatible() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let name = "own";
    let attribute =
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::N);
    let key = KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash);
    let create = client.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
    create.send().await.unwrap();
    let error = builder(&client, &table).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
}

#[tokio::test]
async fn a_newer_layout_is_incompatible_and_stays_untouched() {
    let Some(url) = server::server() else { return };
    let (client, table) = (client(&url), table());
    let storage = builder(&client, &table).connect().await.unwrap();
    store(&storage, &head("a"), &body(10)).await;
    let mark = server::Item::from([
        ("pk".to_owned(), server::text("larder/schema")),
        ("sk".to_owned(), server::text("only")),
        ("schema".to_owned(), AttributeValue::N("4".to_owned())),
    ]);
    server::put(&client, &table, mark).await;
    let before = client.scan().table_name(&table).send().await.unwrap().items;
    let error = builder(&client, &table).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Incompatible, "{error}");
    assert!(error.to_string().contains("layout 4"), "{error}");
    let lazy = DynamoStorage::builder(&table).client(client.clone()).connect().await.unwrap();
    assert_eq!(lazy.clear(None).await.unwrap_err().kind(), StorageErrorKind::Incompatible);
    assert_eq!(
        try_store(&lazy, &head("b"), &body(1)).await.unwrap_err().kind(),
        StorageErrorKind::Incompatible
    );
    layered::is_no_use_and_no_harm(Arc::new(lazy), &["incompatible"]).await;
    assert_eq!(client.scan().table_name(&table).send().await.unwrap().items, before);
    // Another namespace of the same table is another cache.
    builder(&client, &table).namespace("other").connect().await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_denied() {
    let Some(url) = server::server() else { return };
    let proxy = Proxy::start(&url).await;
    proxy.rule(|_| Fault::Error("UnrecognizedClientException"));
    let (client, table) = (client(&proxy.url), table());
    let error = builder(&client, &table).connect().await.unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("credentials"), "{error}");
    let lazy = DynamoStorage::builder(&table).client(client).connect().await.unwrap();
    layered::is_no_use_and_no_harm(Arc::new(lazy), &["denied"]).await;
}

#[tokio::test]
async fn who_may_only_read_can_read() {
    let Some(url) = server::server() else { return };
    let (direct, table) = (client(&url), table());
    let owner = builder(&direct, &table).connect().await.unwrap();
    store(&owner, &head("a"), &body(300_000)).await;
    let proxy = Proxy::start(&url).await;
    proxy.rule(|call| match call {
        "BatchGetItem" | "Query" => Fault::Pass,
        _ => Fault::Error("AccessDeniedException"),
    });
    for namespace in ["larder", "new"] {
        let reader = builder(&client(&proxy.url), &table).namespace(namespace).connect().await.unwrap();
        if namespace == "larder" {
            is_whole(&reader, "a", &body(300_000)).await;
        }
        for len in [10, 300_000] {
            let error = try_store(&reader, &head("b"), &body(len)).await.unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
        }
        assert!(reader.lookup(&key("b")).await.unwrap().responses.is_empty());
        layered::callers_never_notice_that_nothing_is_stored(Arc::new(reader)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    for (url, expected) in [
        ("dynamodb://", "table"),
        ("dynamodb://a%b?region=x", "table"),
        ("dynamodb://table?region=x&namespace=a/b", "namespace"),
        ("dynamodb://table?region=x&namespace=", "namespace"),
        ("dynamodb://table?inline=1", "inline_threshold"),
        ("dynamodb://table?ttl_margin=5", "duration"),
    ] {
        let error = larder::storage::open(url).await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{url}: {error}");
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
}

#[tokio::test]
async fn impossible_values_are_refused_by_name() {
    let builder = || DynamoStorage::builder("table").region("x");
    let day = Duration::from_secs(24 * 3600);
    for (builder, option) in [
        (builder().namespace("n".repeat(129)), "namespace"),
        (builder().inline_threshold((350 << 10) + 1), "inline_threshold"),
        (builder().chunk_size(1023), "chunk_size"),
        (builder().chunk_size((384 << 10) + 1), "chunk_size"),
        (builder().max_variants(0), "max_variants"),
        (builder().max_variants(65), "max_variants"),
        (builder().ttl_margin(3651 * day), "ttl_margin"),
        (builder().attempts(0), "attempts"),
        (builder().attempts(101), "attempts"),
        (builder().timeout(Duration::ZERO), "timeout"),
        (builder().connect_timeout(Duration::ZERO), "connect_timeout"),
    ] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StorageErrorKind::Invalid, "{option}: {error}");
        assert!(error.to_string().contains(&format!("the option {option} is ")), "{option}: {error}");
    }
    for builder in [
        builder().namespace("n".repeat(128)).inline_threshold(350 << 10).chunk_size(384 << 10).attempts(100),
        builder().inline_threshold(0).chunk_size(1024).max_variants(1).attempts(1),
        builder().max_variants(64).ttl_margin(3650 * day),
    ] {
        builder.connect().await.unwrap();
    }
}

/// Region, endpoint and credentials of the environment, as a configuration file would use them.
#[tokio::test]
async fn a_url_opens_a_working_storage() {
    let Some(url) = server::server() else { return };
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        return println!("skipped: no AWS_ACCESS_KEY_ID");
    }
    let options =
        "create_table=true&strict=true&namespace=urls&inline_threshold=1KiB&chunk_size=64KiB&timeout=20s";
    let table = table();
    let place = format!("dynamodb://{table}?region=eu-central-1&endpoint={url}&{options}");
    let storage = larder::storage::open(&place).await.unwrap();
    assert_eq!(storage.name(), "dynamodb");
    assert!(storage.lookup(&key("a")).await.unwrap().responses.is_empty());
    let storage = DynamoStorage::connect(&place).await.unwrap();
    store(&storage, &head("a"), &body(200_000)).await;
    is_whole(&storage, "a", &body(200_000)).await;
}
