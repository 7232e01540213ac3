//! What stands on a server. What is drawn or counted there is masked.

use std::fmt::Write;

use aws_sdk_dynamodb::types::AttributeValue;
use larder::storage::RedisStorage;
use mongodb::bson::{Bson, doc};

use crate::{BODY, check, head, key, shown, store};

#[path = "../support/dynamodb.rs"]
mod dynamo;
#[path = "../support/mongo.rs"]
mod mongo;

#[tokio::test]
async fn the_records_of_redis() {
    let Some(url) = dynamo::named("REDIS_URL") else { return };
    let namespace = format!("golden-{}", larder::entry::EntryId::random());
    let storage = RedisStorage::builder().namespace(&namespace).strict().url(&url).connect().await.unwrap();
    store(&storage, BODY).await;
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut found = String::new();
    for key in [head().key, key("moved")] {
        let record = format!("{namespace}:{{{}}}", key.hex_digest());
        let mut fields: Vec<(String, Vec<u8>)> =
            redis::cmd("HGETALL").arg(&record).query_async(&mut connection).await.unwrap();
        fields.sort();
        for (name, mut value) in fields {
            // The token of the record's life, and the generation.
            let masked = if name == "t" { value.len() } else { 16 };
            value[..masked].fill(b'#');
            write!(found, "{name}\n{}", shown(&value)).unwrap();
        }
    }
    let marks = format!("{namespace}:{{{namespace}:marks}}");
    let mut names: Vec<String> = redis::cmd("HKEYS").arg(&marks).query_async(&mut connection).await.unwrap();
    names.sort();
    let version: String = redis::cmd("HGET").arg(&marks).arg("v").query_async(&mut connection).await.unwrap();
    writeln!(found, "marks of version {version}: {}", names.join(" ")).unwrap();
    check("redis", "VERSION in redis/layout", &found);
    larder::storage::Storage::clear(&storage, None).await.unwrap();
}

#[tokio::test]
async fn the_documents_of_mongodb() {
    let Some(scratch) = mongo::Scratch::new() else { return };
    let _dropped = scratch.dropped_in_the_end();
    store(&scratch.mongo().decode(true).connect().await.unwrap(), BODY).await;
    let documents = scratch.collection("larder").await;
    let mut found = String::new();
    for kind in ["response", "alias", "namespace"] {
        for (name, value) in documents.find_one(doc! { "kind": kind }).await.unwrap().unwrap() {
            let counted = matches!(value, Bson::Timestamp(_) | Bson::ObjectId(_))
                || matches!(name.as_str(), "fence" | "clock" | "floor" | "created" | "invalidations")
                || name.ends_with("_cleared");
            let shown = match value {
                value if counted => format!("{:?} #", value.element_type()),
                Bson::Binary(binary) => format!("Binary\n{}", crate::shown(&binary.bytes).trim_end()),
                value => format!("{:?} {value}", value.element_type()),
            };
            writeln!(found, "{name} {shown}").unwrap();
        }
    }
    check("mongodb", "SCHEMA in mongodb/layout.rs", &found);
}

#[tokio::test]
async fn the_items_of_dynamodb() {
    let Some(url) = dynamo::server() else { return };
    let (client, table) = (dynamo::client(&url), dynamo::table());
    store(&dynamo::builder(&client, &table).connect().await.unwrap(), BODY).await;
    let mut found = String::new();
    let mut moved = head();
    moved.key = key("moved");
    for head in [head(), moved] {
        for item in dynamo::items(&client, &table, &head).await {
            let mut attributes: Vec<_> = item.into_iter().collect();
            attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
            for (name, value) in attributes {
                match value {
                    _ if name == "published" => writeln!(found, "{name} N #"),
                    AttributeValue::S(text) => writeln!(found, "{name} S {text}"),
                    AttributeValue::N(number) => writeln!(found, "{name} N {number}"),
                    AttributeValue::B(bytes) => write!(found, "{name} B\n{}", shown(bytes.as_ref())),
                    other => writeln!(found, "{name} {other:?}"),
                }
                .unwrap();
            }
        }
    }
    check("dynamodb", "SCHEMA in dynamodb/layout", &found);
}
