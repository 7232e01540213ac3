//! Tables of their own on the server that `DYNAMODB_URL` names.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use larder::entry::{EntryId, StoredHead, codec};
use larder::storage::conformance::Damage;
use larder::storage::dynamodb::DynamoStorageBuilder;
use larder::storage::{DynamoStorage, StorageError, StorageErrorKind};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The server's address, or `None` with a word about it.
pub(crate) fn server() -> Option<String> {
    named("DYNAMODB_URL")
}

/// The address in this variable.
pub(crate) fn named(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(
            variable != "DYNAMODB_URL" || std::env::var_os("LARDER_REQUIRE_SERVERS").is_none(),
            "{variable} is to name a server"
        );
        println!("skipped: no {variable}");
    }
    url
}

/// A table name nobody else has.
pub(crate) fn table() -> String {
    format!("larder-{}", EntryId::random())
}

/// A plain client, for looking behind the storage's back.
pub(crate) fn client(endpoint: &str) -> Client {
    let local = ["http://127.0.0.1", "http://localhost"].iter().any(|local| endpoint.starts_with(local));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(if local {
            Credentials::new("larder", "larder", None, None, "tests")
        } else {
            Credentials::new(
                std::env::var("AWS_ACCESS_KEY_ID").unwrap(),
                std::env::var("AWS_SECRET_ACCESS_KEY").unwrap(),
                std::env::var("AWS_SESSION_TOKEN").ok(),
                None,
                "tests",
            )
        })
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                    aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
                ))
                .build_https(),
        )
        .build();
    Client::from_conf(config)
}

/// A storage with a client of the test's own, in a table that is created.
pub(crate) fn builder(client: &Client, table: &str) -> DynamoStorageBuilder {
    DynamoStorage::builder(table).client(client.clone()).create_table(true).strict()
}

/// The items of the key of this head.
pub(crate) async fn items(client: &Client, table: &str, head: &StoredHead) -> Vec<Item> {
    let query = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", text(&format!("larder/{}", head.key.hex_digest())))
        .consistent_read(true);
    query.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn of_kind<'a>(items: &'a [Item], kind: &str) -> Vec<&'a Item> {
    let kind = text(kind);
    items.iter().filter(|item| item.get("kind") == Some(&kind)).collect()
}

/// Puts an item as it is.
pub(crate) async fn put(client: &Client, table: &str, item: Item) {
    client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
}

/// The damages of the conformance suite.
pub(crate) async fn spoil(
    client: Client,
    table: String,
    head: StoredHead,
    damage: Damage,
) -> Result<bool, StorageError> {
    let items = items(&client, &table, &head).await;
    let (heads, chunks) = (of_kind(&items, "response"), of_kind(&items, "chunk"));
    let mut victim = match damage {
        Damage::GarbleHead => heads[0].clone(),
        Damage::OtherVersion | Damage::OwnVersion => {
            let id = text(&head.id.to_string());
            let Some(of_id) = heads.iter().find(|item| item["id"] == id) else { return Ok(false) };
            (*of_id).clone()
        }
        _ => chunks.get(chunks.len() / 2).or(heads.first()).map(|item| (*item).clone()).ok_or_else(lost)?,
    };
    match damage {
        Damage::FlipBody => change(&mut victim, "body", |body| {
            let middle = body.len() / 2;
            body[middle] ^= 1;
        }),
        Damage::LoseBody => {
            let key = victim.into_iter().filter(|(name, _)| name == "pk" || name == "sk").collect();
            client.delete_item().table_name(&table).set_key(Some(key)).send().await.unwrap();
            return Ok(true);
        }
        Damage::GarbleHead => change(&mut victim, "head", |head| *head = b"what is this?".to_vec()),
        // The fourth byte of a head says which version wrote it.
        Damage::OtherVersion => change(&mut victim, "head", |head| head[3] = 0xfe),
        Damage::OwnVersion => change(&mut victim, "head", |head| head[3] = codec::VERSION),
        _ => return Ok(false),
    }
    put(&client, &table, victim).await;
    Ok(true)
}

fn lost() -> StorageError {
    StorageError::new(StorageErrorKind::Other, "test", "finding something to damage")
}

/// Changes a binary attribute.
pub(crate) fn change(item: &mut Item, name: &str, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = item[name].as_b().unwrap().clone().into_inner();
    how(&mut bytes);
    item.insert(name.to_owned(), AttributeValue::B(Blob::new(bytes)));
}
