//! The rules of RFC 9111 for a cache, and the user's settings.
//!
//! [`Policy`] holds the settings. The decisions are pure functions: they take header fields and times, and return an
//! enum with the reason. Each subject of the RFC has a file of its own. [`engine`] shows the decisions, without a promise of stability.

mod age;
mod assess;
mod cache_control;
mod conditional;
mod date;
mod directives;
pub mod engine;
mod fields;
mod freshness;
mod groups;
mod invalidation;
mod not_stored;
mod parts;
mod range;
mod request;
mod reuse;
mod seconds;
mod select;
mod serve;
mod settings;
mod stale;
mod storable;
mod stored_fields;
mod targeted;
mod times;
mod trailers;
mod update;
mod update_by_head;
mod validated;
mod validation;
mod validators;

pub use settings::{Policy, SetCookie};

pub(crate) use engine::{
    Answer, Combination, HeadUpdate, NotStored, RequestInfo, Reuse, Serve, Slice, Times, Union, Update,
    UpdateAction, Validated, Validation, combine, held_already, invalidated, invalidated_groups,
    preconditions, resumable, reuse, serve, storable, updated_by_head, validated, without_origin,
};
pub(crate) use fields::{set as set_field, without_digests};
pub(crate) use invalidation::{groups_of_uri, is_safe, target_groups};
pub(crate) use reuse::wants_stored;
pub(crate) use seconds::number;
pub(crate) use trailers::{Refused, StorableTrailers};
