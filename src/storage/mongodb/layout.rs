//! Names and values in the documents, and the version of the layout.

use std::sync::LazyLock;

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime};

use crate::entry::{StoredHead, codec};
use crate::storage::Fence;

/// The version of the layout: the only one that is read and written.
pub(super) const SCHEMA: i64 = 3;
/// The `key` of the namespace's document. Responses have the digest of their key there.
pub(super) const NAMESPACE: &str = "namespace";
/// The namespace's field that counts removals and clearings.
pub(super) const CLOCK: &str = "clock";
/// The namespace's field that counts invalidations of groups.
pub(super) const INVALIDATIONS: &str = "invalidations";
/// 9999-12-31T23:59:59.999Z, the last time that every tool can show. It means "without end".
pub(super) const LAST_TIME: i64 = 253_402_300_799_999;
/// The `variant` of an alias. Responses have the digest of their selecting fields there. Each version of the exact form
/// has variants of its own, so that no version replaces what another one wrote.
pub(super) static ALIAS_VARIANT: LazyLock<String> = LazyLock::new(|| format!("alias/{}", codec::VERSION));

/// What a document is.
pub(super) mod kind {
    pub(in super::super) const RESPONSE: &str = "response";
    pub(in super::super) const ALIAS: &str = "alias";
    pub(in super::super) const REMOVAL: &str = "removal";
    pub(in super::super) const SLOT: &str = "slot";
    pub(in super::super) const NAMESPACE: &str = "namespace";
}

/// Every kind of document that a cache writes.
pub(super) const KINDS: [&str; 5] = [kind::RESPONSE, kind::ALIAS, kind::REMOVAL, kind::SLOT, kind::NAMESPACE];

/// The digest that distinguishes the variants under one key, in hexadecimal digits.
pub(super) fn variant(head: &StoredHead) -> String {
    blake3::Hash::from_bytes(head.variant_digest()).to_hex().to_string()
}

pub(super) fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

pub(super) fn date(millis: i64) -> DateTime {
    DateTime::from_millis(millis.min(LAST_TIME))
}

pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A fence as the driver takes it, with a sign.
pub(super) fn fence_number(Fence(fence): Fence) -> i64 {
    i64::try_from(fence).unwrap_or(0)
}
