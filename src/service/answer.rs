//! Making a response from a stored one (RFC 9111 section 4, RFC 9110 sections 14 and 15.4.5).

use std::sync::LazyLock;

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, Response, StatusCode};

use super::lookup::Found;
use super::report;
use crate::body::{CacheBody, StoredSlice};
use crate::config::Config;
use crate::entry::StoredHead;
use crate::key::CacheKey;
use crate::policy::{Answer, Serve, set_field, without_digests};
use crate::status::CacheStatus;
use crate::storage::{StorageError, StorageErrorKind};

/// The answer that `serve` describes. It uses the stored body in `opened` if that was opened before. One that
/// cannot be read is removed from the store.
pub(super) async fn answer<R>(
    config: &Config,
    key: &CacheKey,
    found: &Found,
    serve: &Serve,
    status: CacheStatus,
    opened: Option<StoredSlice>,
) -> Result<Response<CacheBody<R>>, StorageError> {
    let Some(stored) = found.stored.get(serve.index) else {
        return Err(config.store.error(StorageErrorKind::Other, "answering: no such response"));
    };
    let body = if !has_content(serve.answer) {
        StoredSlice::empty()
    } else if let Some(body) = opened {
        body
    } else {
        let at_hand = match StoredSlice::at_hand(&config.store, stored) {
            Ok(Some(body)) => Ok(body),
            // Boxed, because most bodies come with their heads, and all answers would carry the room for it.
            Ok(None) => Box::pin(StoredSlice::open(&config.store, stored)).await,
            Err(error) => Err(error),
        };
        at_hand.inspect_err(|_| found.discard(config, serve.index))?
    };
    let mut response = response_of(&stored.head, body, serve);
    report::attach(config, Some(key), &mut response, status);
    Ok(response)
}

fn has_content(answer: Answer) -> bool {
    matches!(answer, Answer::Full | Answer::Range { .. })
}

fn response_of<R>(head: &StoredHead, whole: StoredSlice, serve: &Serve) -> Response<CacheBody<R>> {
    let body = match serve.answer {
        Answer::Range { first, last, .. } => {
            let held_from = head.range.map_or(0, |range| range.first);
            let len = last.saturating_sub(first).saturating_add(1);
            whole.range(first.saturating_sub(held_from), len)
        }
        Answer::Full => whole.with_trailers(head.trailers.clone()),
        Answer::Head | Answer::NotModified | Answer::Unsatisfiable { .. } => whole,
    };
    let mut response = Response::new(CacheBody::stored(body));
    *response.version_mut() = head.version;
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    set_field(response.headers_mut(), AGE, age_value(serve.age));
    shape(&mut response, serve.answer);
    response
}

/// The value of `Age`. Most ages are small. Their values are made in advance, and a clone does not allocate.
fn age_value(age: u32) -> HeaderValue {
    static SMALL: LazyLock<Vec<HeaderValue>> =
        LazyLock::new(|| (0..4096_u32).map(HeaderValue::from).collect());
    let made = usize::try_from(age).ok().and_then(|age| SMALL.get(age));
    made.cloned().unwrap_or_else(|| HeaderValue::from(age))
}

/// Status and fields of an answer that is not the whole stored response.
fn shape<R>(response: &mut Response<CacheBody<R>>, answer: Answer) {
    match answer {
        Answer::Full | Answer::Head => {}
        Answer::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            without_content(response.headers_mut());
        }
        Answer::Range { first, last, complete_len } => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            without_digests(response.headers_mut());
            set(response.headers_mut(), CONTENT_RANGE, &format!("bytes {first}-{last}/{complete_len}"));
            set(response.headers_mut(), CONTENT_LENGTH, &(last - first).saturating_add(1).to_string());
        }
        Answer::Unsatisfiable { complete_len } => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            without_content(response.headers_mut());
            set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{complete_len}"));
            set(response.headers_mut(), CONTENT_LENGTH, "0");
        }
    }
}

/// Drops the fields that describe content the answer does not carry.
fn without_content(headers: &mut HeaderMap) {
    for name in
        [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE, TRANSFER_ENCODING]
    {
        headers.remove(name);
    }
}

fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        set_field(headers, name, value);
    }
}

/// A response that the cache generates: the client accepts only a stored response, and there is none (section 5.2.1.7).
pub(super) fn gateway_timeout<R>(config: &Config, key: &CacheKey) -> Response<CacheBody<R>> {
    let status = CacheStatus::generated().with_detail("only-if-cached");
    let mut response = Response::new(CacheBody::empty());
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    report::attach_unseen(config, Some(key), &mut response, status);
    response
}
