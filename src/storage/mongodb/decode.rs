//! Bodies decoded for people: text as text, JSON as BSON.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;

/// JSON can take ten times its length as BSON. Longer bodies are decoded as text.
const MAX_JSON: usize = 256 * 1024;
/// The server accepts a hundred levels.
const MAX_DEPTH: usize = 64;

/// The field to add to a document for this body: `json`, `text` or none.
pub(super) fn decoded(headers: &HeaderMap, body: &[u8]) -> Document {
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes() == b"identity");
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !plain || body.is_empty() {
        return Document::new();
    }
    if is_json(&media_type)
        && body.len() <= MAX_JSON
        && let Some(value) = serde_json::from_slice(body).ok().and_then(|value| bson(value, MAX_DEPTH))
    {
        return doc! { "json": value };
    }
    match std::str::from_utf8(body) {
        Ok(text) if is_text(&media_type) => doc! { "text": text },
        _ => Document::new(),
    }
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

fn is_text(media_type: &str) -> bool {
    let known = ["application/xml", "application/javascript", "application/x-www-form-urlencoded"];
    media_type.starts_with("text/")
        || is_json(media_type)
        || media_type.ends_with("+xml")
        || known.contains(&media_type)
}

/// The value as BSON; `None` for what BSON cannot hold. Numbers may lose digits: the exact body is stored beside it.
fn bson(value: Value, depth: usize) -> Option<Bson> {
    let depth = depth.checked_sub(1)?;
    Some(match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(value),
        Value::String(value) => Bson::String(value),
        Value::Number(value) => value
            .as_i64()
            .map_or_else(|| value.as_f64().map(Bson::Double), |value| Some(Bson::Int64(value)))?,
        Value::Array(values) => {
            Bson::Array(values.into_iter().map(|value| bson(value, depth)).collect::<Option<_>>()?)
        }
        Value::Object(members) => {
            let mut document = Document::new();
            for (name, value) in members {
                if name.contains('\0') {
                    return None;
                }
                document.insert(name, bson(value, depth)?);
            }
            Bson::Document(document)
        }
    })
}
