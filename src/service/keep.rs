//! Storing a response while it passes (RFC 9111 section 3).

use std::sync::Arc;

use http::header::{AGE, CONTENT_LENGTH, CONTENT_LOCATION, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Response, StatusCode, Version, response};
use http_body::Body;

use super::combine_parts::combine_parts;
use super::exchanged::{Exchanged, Named};
use super::lookup::{Found, look_up};
use super::name::key_of;
use super::no_vary_search;
use super::origin::Content;
use super::report::Kept;
use crate::body::{ALIAS_BODY, CacheBody, Counted, Fill, Stored, StoredSlice};
use crate::config::Config;
use crate::entry::{EntryId, StoredHead};
use crate::key::CacheKey;
use crate::policy::{NotStored, StorableTrailers, held_already, number, resumable, storable};
use crate::redirect;
use crate::storage::Fence;
use crate::store::Moment;
use crate::underway::Leading;

/// Passes the response on. If it may be stored, its body is stored on the way.
pub(super) async fn keep<R: Content>(
    exchanged: &Exchanged<'_>,
    response: response::Parts,
    body: R,
    leading: Option<Leading>,
) -> (Response<CacheBody<R>>, Kept) {
    let fill = match fill(exchanged, &response, &body) {
        Ok(fill) => fill.leading(leading),
        Err(reason) => return (Response::from_parts(response, CacheBody::passing(body)), Err(reason)),
    };
    if body.is_end_stream() {
        fill.store_empty();
        return (Response::from_parts(response, CacheBody::passing(body)), Ok(()));
    }
    let is_alias = fill.is_alias();
    let mut body = CacheBody::recorded(body, fill);
    if is_alias {
        // A client that follows the redirect will not read its body.
        body = body.read_ahead(ALIAS_BODY, exchanged.named.config.store.patience).await;
    }
    (Response::from_parts(response, body), Ok(()))
}

/// The key under which the response to a POST answers later GETs (RFC 9110 section 9.3.3), for a cache that does not
/// store POST itself, and what is found there. It was invalidated just now, so its fence has to be fetched anew. Should
/// anybody else have invalidated it since the request was sent, `before`, what the response says may have been overtaken.
pub(super) async fn answers_get(
    exchanged: &Exchanged<'_>,
    response: &response::Parts,
    before: Moment,
) -> Option<(CacheKey, Found)> {
    let Exchanged { named: Named { config, info, original, principal, .. }, times, .. } = *exchanged;
    let may = *info.method == Method::POST
        && !info.is_handled(&config.policy)
        && response.headers.contains_key(CONTENT_LOCATION);
    let key = may.then(|| key_of(config, principal, original, info.uri)).flatten()?;
    let head = storable(&config.policy, info, &key, response, times).ok()?;
    // Asked before the lookup: what this layer invalidates during it is not in the count that the lookup finds.
    let own = config.store.counted_since(before);
    let found = look_up(config, &key).await;
    // Where the lookup failed there is no count, and nothing is stored.
    let overtaken = found.fence.is_some() && config.store.invalidated_again(&head, before, own, found.as_of);
    (!overtaken).then_some((key, found))
}

/// Completes stored parts with what the origin sent (section 3.4), and stores the whole on the way.
///
/// What the origin sent is counted: exactly the bytes that its `Content-Range` announces, or an error.
pub(super) fn complete<R: Content>(
    exchanged: &Exchanged<'_>,
    part: &response::Parts,
    head: StoredHead,
    fence: Fence,
    (before, after): (Vec<StoredSlice>, Vec<StoredSlice>),
    body: R,
) -> (Response<CacheBody<R>>, Kept) {
    let mut response = Response::new(());
    *response.version_mut() = head.version;
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers.clone();
    // What has just come from the origin has no age of its own.
    response.headers_mut().remove(AGE);
    let complete_len = head.body_len();
    let head = StoredHead { as_of: exchanged.found.as_of, ..head };
    let fill = completing_fill(exchanged, part, head, fence, &body);
    let (fill, kept) = match fill {
        Ok(fill) => (Some(fill), Ok(())),
        Err(reason) => (None, Err(reason)),
    };
    (response.map(|()| CacheBody::completed(before, body, after, complete_len, fill)), kept)
}

fn completing_fill<R: Body>(
    exchanged: &Exchanged<'_>,
    part: &response::Parts,
    head: StoredHead,
    fence: Fence,
    body: &R,
) -> Result<Fill, &'static str> {
    let Exchanged { named: Named { config, .. }, .. } = *exchanged;
    // The count tells the caller that it got everything. Yet a whole response that answers later requests is made only
    // of messages whose own framing proves their end, unless the user trusts connections to close in time.
    if ends_with_connection(part, body) && !config.store_close_delimited {
        return Err(CLOSE_DELIMITED);
    }
    takes_writes(config)?;
    let expected = Some(head.body_len());
    Ok(continued(exchanged, Fill::new(config.store.clone(), head, fence, expected), Vec::new()))
}

/// What follows once the response is stored: responses that it replaces are removed, and a part is combined with
/// those beside it. Whether it is one may show only when its body breaks off.
fn continued(exchanged: &Exchanged<'_>, fill: Fill, replaced: Vec<EntryId>) -> Fill {
    let Exchanged { named: Named { config, .. }, found, .. } = *exchanged;
    let head = fill.head();
    let (resumable, outgrown) = (resumable(head, &found.stored), found.outgrown_by(head));
    let may_be_part = head.range.is_some() || resumable.is_some();
    if replaced.is_empty() && outgrown.is_empty() && !may_be_part {
        return fill;
    }
    let (config, key, id) = (Arc::clone(config), head.key.clone(), head.id);
    fill.resumable(resumable).then(move |Stored { is_part, mark }| async move {
        config.store.remove_entries(&key, replaced).await;
        if is_part {
            return combine_parts(&config, &key, id, mark).await;
        }
        config.store.remove_entries(&key, outgrown).await;
        None
    })
}

fn fill<R: Body>(
    exchanged: &Exchanged<'_>,
    response: &response::Parts,
    body: &R,
) -> Result<Fill, &'static str> {
    let Exchanged { named: Named { config, key, principal, info, original }, found, times } = *exchanged;
    if redirect::answered_elsewhere(original, &response.extensions) {
        // The response of this URI itself has not been seen.
        return Err("redirected below the cache");
    }
    let mut head = storable(&config.policy, info, key, response, times).map_err(NotStored::as_str)?;
    head.as_of = found.as_of;
    let fence = found.fence.ok_or("storage failed")?;
    if let Some((index, head)) = held_already(&config.policy, info, &found.stored, &head, response, times) {
        found.write_head(config, index, Arc::new(StoredHead { as_of: found.as_of, ..head }));
        return Err("held already");
    }
    let (expected, counted) = expected_length(&head, response, body, config.store_close_delimited)?;
    if expected.is_some_and(|expected| expected > config.store.storage.max_body()) {
        return Err("too large for the storage");
    }
    takes_writes(config)?;
    let target = redirect::target(info.uri, head.status, &head.headers)
        .and_then(|target| key_of(config, principal, original, &target));
    no_vary_search::note(config, &head, found.path_fence);
    let replaced = found.replaced_by(&head);
    let trailers = StorableTrailers::of(&config.policy, &response.headers);
    let fill =
        Fill::new(config.store.clone(), head, fence, expected).counted(counted).storing_trailers(trailers);
    Ok(continued(exchanged, fill.leading_to(target), replaced))
}

const CLOSE_DELIMITED: &str = "close-delimited";

/// Asked last: after a failure, one response tries whether the storage is well again, and it must be one that is stored.
fn takes_writes(config: &Config) -> Result<(), &'static str> {
    if config.store.takes_writes() { Ok(()) } else { Err("storage left alone") }
}

/// The length the body must have to be complete, and what says so; an error where its end could not be told from a
/// broken connection.
fn expected_length<R: Body>(
    head: &StoredHead,
    response: &response::Parts,
    body: &R,
    store_close_delimited: bool,
) -> Result<(Option<u64>, Counted), &'static str> {
    let announced = content_length(&response.headers)?;
    let until_close = ends_with_connection(response, body);
    if response.status == StatusCode::PARTIAL_CONTENT {
        // What `Content-Range` says; `Content-Length` has been compared with it.
        let len = head.body.map(|body| body.len);
        let counted = if announced.is_some() { Counted::Length } else { Counted::Range { until_close } };
        return if body.is_end_stream() { Err("no content") } else { Ok((len, counted)) };
    }
    if response.status == StatusCode::NO_CONTENT {
        // RFC 9110 section 8.6: a `Content-Length` there would be wrong, and means nothing.
        return Ok((Some(0), Counted::Length));
    }
    if let Some(announced) = announced {
        let lacks_all = body.is_end_stream() && announced > 0;
        return if lacks_all { Err("no content") } else { Ok((Some(announced), Counted::Length)) };
    }
    if body.is_end_stream() {
        return Ok((Some(0), Counted::Hint));
    }
    if until_close && !store_close_delimited {
        return Err(CLOSE_DELIMITED);
    }
    Ok((body.size_hint().exact(), Counted::Hint))
}

/// Whether only the connection's close ends the message (RFC 9112 section 6.3), as far as can be seen.
fn ends_with_connection<R: Body>(response: &response::Parts, body: &R) -> bool {
    response.version <= Version::HTTP_11
        && !response.headers.contains_key(TRANSFER_ENCODING)
        && !response.headers.contains_key(CONTENT_LENGTH)
        && body.size_hint().exact().is_none()
}

/// The one `Content-Length` (RFC 9110 section 8.6: differing values are an error).
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|value| value != first) {
        return Err("ambiguous content-length");
    }
    number(first.as_bytes().trim_ascii()).map(Some).ok_or("invalid content-length")
}
