//! The part of a key that keeps principals apart.
//!
//! [`MakeKey`] says what is requested. The principal is added to every key in one place, so that a user's own key
//! function, or a key set for one request, cannot give one user's response to another.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use http::header::{AUTHORIZATION, HeaderValue, PROXY_AUTHORIZATION};

use super::{CacheKey, CacheKeyBuilder, MakeKey, RequestHead, part_len};

/// Whether requests with different credentials share stored responses in a private cache.
///
/// Credentials are the fields `Authorization` and `Proxy-Authorization`, and userinfo in the URI
/// (`https://user:password@example.com/`), which clients send as `Authorization` (RFC 9110 section 4.2.4). A shared
/// cache ignores this setting and follows RFC 9111 section 3.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// They do not share: a keyed hash of the credentials is part of the key. This is the default.
    #[default]
    Separate,
    /// They share: all requests are from one user, or all users may see the same responses.
    Shared,
}

/// The principal of a call. It is determined once, from the request as the caller made it, and holds for all hops
/// of a redirect: fields and extensions that it comes from may be dropped on the way to another origin.
///
/// The credentials are no part of it. Those that each hop is sent with are in that hop's key.
#[derive(Clone, Default)]
pub(crate) struct Principal {
    partition: Option<Arc<[u8]>>,
    /// Of the caller's own request, where this one follows a redirect.
    extensions: Option<Arc<Extensions>>,
}

impl Principal {
    /// The principal of the caller's own request.
    pub(crate) fn of(make_key: &dyn MakeKey, request: &RequestHead<'_>) -> Self {
        Self { partition: make_key.partition(request).map(Arc::from), extensions: None }
    }

    /// The same, for the redirects of a request that had these extensions.
    pub(crate) fn with_extensions(self, extensions: Extensions) -> Self {
        Self { extensions: Some(Arc::new(extensions)), ..self }
    }

    /// A request as a [`MakeKey`] is shown it: with all extensions of the caller's own. Most of them do not go along
    /// to another origin, and a key made of them must not be that of another caller there.
    pub(crate) fn shown<'a>(&'a self, request: RequestHead<'a>) -> RequestHead<'a> {
        RequestHead { extensions: self.extensions.as_deref().unwrap_or(request.extensions), ..request }
    }

    /// The key of a request of this principal, from one that says what is asked for. `credentials` says whether those
    /// of the request separate it; `hash_key` keys the hashes.
    pub(crate) fn add_to(
        &self,
        key: CacheKey,
        request: &RequestHead<'_>,
        credentials: Credentials,
        hash_key: &[u8; 32],
    ) -> CacheKey {
        let separated = credentials == Credentials::Separate && has_credentials(request);
        if self.partition.is_none() && !separated {
            return key;
        }
        // Salted with the target, so that a store does not tell which of its entries are one principal's. Without the
        // query: keys made for equivalent queries (`No-Vary-Search`) keep this part as it is.
        let target = key.uri().map_or("", |uri| uri.split('?').next().unwrap_or_default());
        let salted = |label: &str| {
            let mut hasher = blake3::Hasher::new_keyed(hash_key);
            update(&mut hasher, label.as_bytes());
            update(&mut hasher, target.as_bytes());
            hasher
        };
        let partition = self.partition.as_ref().map(|partition| {
            let mut hasher = salted(CacheKey::PARTITION);
            update(&mut hasher, partition);
            hasher.finalize()
        });
        let credentials = separated.then(|| {
            let mut hasher = salted(CacheKey::CREDENTIALS);
            update_with_credentials(&mut hasher, request);
            hasher.finalize()
        });
        let room = key.canonical.len() + 2 * part_len(CacheKey::CREDENTIALS, blake3::OUT_LEN);
        let mut whole = CacheKeyBuilder::with_room(room).parts_of(&key);
        if let Some(hash) = partition {
            whole = whole.part(CacheKey::PARTITION, hash.as_bytes());
        }
        if let Some(hash) = credentials {
            whole = whole.part(CacheKey::CREDENTIALS, hash.as_bytes());
        }
        whole.build()
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("partitioned", &self.partition.is_some()).finish()
    }
}

/// The key of the hashes of principals, from the user's secret. Without a secret, a reader of the store can check
/// guesses of partitions and credentials against the hashes.
pub(crate) fn principal_hash_key(secret: &[u8]) -> [u8; 32] {
    blake3::derive_key("larder 2026 principals", secret)
}

fn has_credentials(request: &RequestHead<'_>) -> bool {
    // One pass over the names: asking the map for both would cost every hit more.
    let named = request.headers.keys().any(|name| *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION);
    named || userinfo(request).is_some()
}

fn userinfo<'a>(request: &RequestHead<'a>) -> Option<&'a str> {
    super::normalize::userinfo(request.uri)
}

fn update_with_credentials(hasher: &mut blake3::Hasher, request: &RequestHead<'_>) {
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
        let lines = request.headers.get_all(name);
        hasher.update(&(lines.iter().count() as u64).to_le_bytes());
        lines.iter().map(HeaderValue::as_bytes).for_each(|line| update(hasher, line));
    }
    hasher.update(&[u8::from(userinfo(request).is_some())]);
    update(hasher, userinfo(request).unwrap_or_default().as_bytes());
}

fn update(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}
