//! Responses whose bodies say which they are, so that any mix of two is noticed.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::clock::Timestamp;
use crate::entry::{Alias, BodyEnd, BodySummary, Group, StoredBody, StoredHead, StoredResponse};
use crate::key::{CacheKey, Selecting, SelectingField, SelectingValue};
use crate::storage::{AnyReader, AnyWriter, DynStorage, Fence, Lookup, Published, StorageError};

/// When the samples arrived.
pub(super) const ARRIVED: Timestamp = Timestamp::from_secs(1_700_000_000);
/// When they stop being usable. It is far in the future, because some servers delete expired entries by their own clock.
pub(super) const USABLE_UNTIL: Timestamp = Timestamp::from_secs(4_000_000_000);
/// A usual piece of a body.
pub(super) const PIECE: usize = 64 * 1024;

const SEED: &str = "x-sample";

/// A body of pseudo-random bytes that can be made and checked piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampleBody {
    pub(super) seed: u64,
    pub(super) len: usize,
}

impl SampleBody {
    pub(super) fn piece(self, from: usize, len: usize) -> Bytes {
        let end = self.len.min(from.saturating_add(len));
        let mut piece = BytesMut::with_capacity(end.saturating_sub(from) + 16);
        let mut word = from / 8;
        while word * 8 < end {
            piece.extend_from_slice(&self.word(word as u64).to_le_bytes());
            word += 1;
        }
        let piece = piece.freeze();
        let skip = from % 8;
        piece.slice(skip..skip + end.saturating_sub(from))
    }

    pub(super) fn all(self) -> Bytes {
        self.piece(0, self.len)
    }

    pub(super) fn summary(self) -> BodySummary {
        BodySummary::of(&self.all())
    }

    /// SplitMix64 of seed and position: no word depends on the one before.
    fn word(self, position: u64) -> u64 {
        let mut z = self.seed.wrapping_add(position.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

pub(super) fn key(name: &str) -> CacheKey {
    CacheKey::builder()
        .part(CacheKey::METHOD, "GET")
        .part(CacheKey::URI, format!("https://conformance.example/{name}"))
        .build()
}

/// A head that names its body.
pub(super) fn head(key: &CacheKey, body: SampleBody) -> StoredHead {
    let mut head = StoredHead::new(key.clone(), StatusCode::OK);
    let value = format!("{}-{}", body.seed, body.len);
    head.headers.insert(SEED, HeaderValue::from_str(&value).expect("digits"));
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.request_time = ARRIVED.plus_millis(-20);
    head.response_time = ARRIVED;
    head.usable_until = USABLE_UNTIL;
    head.freshness.lifetime = 60;
    head
}

/// The body a head names.
pub(super) fn body_of(head: &StoredHead) -> SampleBody {
    let text = head.headers.get(SEED).and_then(|value| value.to_str().ok()).expect("a sample names its body");
    let (seed, len) = text.split_once('-').expect("seed and length");
    SampleBody { seed: seed.parse().expect("a seed"), len: len.parse().expect("a length") }
}

pub(super) fn selecting(name: &'static str, value: &str) -> Selecting {
    let value = SelectingValue::Plain(Bytes::copy_from_slice(value.as_bytes()));
    let name = http::HeaderName::from_static(name);
    Selecting { any: false, fields: vec![SelectingField { name, value }] }
}

/// A variant for one language.
pub(super) fn variant(key: &CacheKey, language: &str, body: SampleBody) -> StoredHead {
    let mut head = head(key, body);
    head.selecting = selecting("accept-language", language);
    head
}

pub(super) fn group(name: &str) -> Group {
    Group { origin: "https://conformance.example".to_owned(), name: name.to_owned() }
}

pub(super) fn alias(from: &CacheKey, to: &CacheKey, text: &'static str) -> Alias {
    let mut head = StoredHead::new(from.clone(), StatusCode::FOUND);
    head.headers.insert(http::header::LOCATION, HeaderValue::from_static("/elsewhere"));
    head.response_time = ARRIVED;
    head.request_time = ARRIVED;
    head.usable_until = USABLE_UNTIL;
    head.body = Some(BodySummary::of(text.as_bytes()));
    let body = StoredBody::Inline(Bytes::from_static(text.as_bytes()));
    let response = StoredResponse { head: head.into(), body, invalidated: false };
    Alias { response, target: to.clone() }
}

pub(super) async fn lookup(storage: &dyn DynStorage, key: &CacheKey) -> Lookup {
    let found = storage.lookup(key).await.expect("lookup");
    for response in &found.responses {
        assert_eq!(&response.head.key, key, "a lookup gives only what is stored under the key");
    }
    if let Some(alias) = &found.alias {
        assert_eq!(&alias.response.head.key, key, "a lookup gives only the alias stored under the key");
    }
    found
}

pub(super) async fn fence(storage: &dyn DynStorage, key: &CacheKey) -> Fence {
    lookup(storage, key).await.fence
}

/// The only response under the key.
pub(super) async fn only(storage: &dyn DynStorage, key: &CacheKey) -> StoredResponse {
    let mut found = lookup(storage, key).await;
    assert_eq!(found.responses.len(), 1, "exactly one response is stored under {key:?}");
    found.responses.remove(0)
}

pub(super) async fn assert_nothing(storage: &dyn DynStorage, key: &CacheKey) {
    let found = lookup(storage, key).await;
    assert!(found.responses.is_empty(), "no response is stored under {key:?}");
    assert!(found.alias.is_none(), "no alias is stored under {key:?}");
}

pub(super) async fn begin(storage: &dyn DynStorage, head: StoredHead) -> AnyWriter {
    let found = lookup(storage, &head.key).await;
    storage.begin(StoredHead { as_of: found.as_of, ..head }, found.fence).await.expect("begin")
}

pub(super) async fn write(writer: &mut AnyWriter, body: SampleBody) {
    let mut at = 0;
    while at < body.len {
        let piece = body.piece(at, PIECE);
        at += piece.len();
        writer.write(piece).await.expect("write");
    }
}

pub(super) async fn try_store(storage: &dyn DynStorage, head: StoredHead) -> Result<Published, StorageError> {
    let found = storage.lookup(&head.key).await?;
    let body = body_of(&head);
    let mut writer = storage.begin(StoredHead { as_of: found.as_of, ..head }, found.fence).await?;
    let mut at = 0;
    while at < body.len {
        let piece = body.piece(at, PIECE);
        at += piece.len();
        writer.write(piece).await?;
    }
    writer.publish(BodyEnd::default()).await
}

/// Stores a response with the body its head names.
pub(super) async fn store(storage: &dyn DynStorage, head: StoredHead) {
    let published = try_store(storage, head).await.expect("store");
    assert_eq!(published, Published::Stored, "nothing was removed since the lookup");
}

/// Replaces a head as the layer does: as of a lookup of this moment.
pub(super) async fn freshen(storage: &dyn DynStorage, head: StoredHead) -> bool {
    let found = lookup(storage, &head.key).await;
    let head = StoredHead { as_of: found.as_of, ..head };
    storage.freshen(head, found.fence).await.expect("freshen")
}

/// Stores a response of `len` bytes under `key`.
pub(super) async fn store_at(storage: &dyn DynStorage, key: &CacheKey, seed: u64, len: usize) -> StoredHead {
    let head = head(key, SampleBody { seed, len });
    store(storage, head.clone()).await;
    head
}

pub(super) async fn put_alias(storage: &dyn DynStorage, alias: Alias) {
    let head = &alias.response.head;
    let found = lookup(storage, &head.key).await;
    let head = StoredHead { as_of: found.as_of, ..StoredHead::clone(head) };
    let alias =
        Alias { response: StoredResponse { head: head.into(), ..alias.response }, target: alias.target };
    let published = storage.put_alias(alias, found.fence).await.expect("put_alias");
    assert_eq!(published, Published::Stored, "nothing was removed since the lookup");
}

/// Checks the body as far as it can be read; an error is given back.
pub(super) async fn try_check(
    storage: &dyn DynStorage,
    response: &StoredResponse,
) -> Result<(), StorageError> {
    match &response.body {
        StoredBody::Inline(bytes) => check_pieces(&response.head, std::slice::from_ref(bytes)),
        StoredBody::Shared(pieces) => check_pieces(&response.head, pieces),
        StoredBody::Streamed => check_reader(&response.head, storage.open(&response.head).await?).await?,
    }
    Ok(())
}

/// Checks that the response has the whole body its head names.
pub(super) async fn check(storage: &dyn DynStorage, response: &StoredResponse) {
    try_check(storage, response).await.expect("the body can be read");
}

/// Checks that the only response under the key is this head with the body it names.
pub(super) async fn check_only(storage: &dyn DynStorage, head: &StoredHead) {
    let found = only(storage, &head.key).await;
    assert_eq!(found.head.id, head.id, "the response stored last is found");
    check(storage, &found).await;
}

pub(super) async fn check_reader(head: &StoredHead, mut reader: AnyReader) -> Result<(), StorageError> {
    let mut seen = Seen::new(head);
    while let Some(piece) = reader.next().await? {
        seen.piece(&piece);
    }
    seen.end();
    Ok(())
}

fn check_pieces(head: &StoredHead, pieces: &[Bytes]) {
    let mut seen = Seen::new(head);
    for piece in pieces {
        seen.piece(piece);
    }
    seen.end();
}

struct Seen<'a> {
    head: &'a StoredHead,
    body: SampleBody,
    at: usize,
}

impl<'a> Seen<'a> {
    fn new(head: &'a StoredHead) -> Self {
        Self { head, body: body_of(head), at: 0 }
    }

    fn piece(&mut self, piece: &Bytes) {
        assert!(self.at + piece.len() <= self.body.len, "a body is never longer than what was written");
        // Not assert_eq, which would print megabytes.
        assert!(
            *piece == self.body.piece(self.at, piece.len()),
            "the bytes from {} on are those of the body the head names",
            self.at
        );
        self.at += piece.len();
    }

    fn end(self) {
        assert_eq!(self.at, self.body.len, "a body is never shorter than what was written");
        let summary = self.head.body.expect("a published head says what its body is");
        assert_eq!(summary.len, self.body.len as u64, "the head says the body's length");
    }
}

/// The fields in order, for comparing order as well as content.
pub(super) fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}
