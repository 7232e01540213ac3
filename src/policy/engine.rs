//! The decisions of RFC 9111 as plain functions: they take header fields and times, and return an enum with the reason.
//!
//! **Nothing in this module is stable.** A release of this crate may change or remove any of it without a new major
//! version. The [cache](crate::Cache) is built on it. It is public so that the crate's tests, fuzz targets and
//! benchmarks reach each decision without a service and a storage, and for developers who debug or build a cache. Its enums
//! are exhaustive on purpose: a `match` on them notices a new outcome. To configure a cache, use
//! [`larder::policy`](crate::policy).
//!
//! | question | function | RFC 9111 |
//! |---|---|---|
//! | May a stored response answer this request? | [`reuse`](reuse()) | section 4 |
//! | What is the answer made of? | [`serve`](serve()) | section 4.2.3, RFC 9110 section 13.2.2 |
//! | What is sent to validate stored responses? | [`preconditions`] | section 4.3.1 |
//! | What does the origin's answer to that mean? | [`validated`](validated()) | sections 4.3.3 and 4.3.4 |
//! | May a stale response answer when the origin cannot be reached? | [`without_origin`] | section 4.2.4 |
//! | May this response be stored? | [`storable`](storable()) | section 3 |
//! | Which stored parts make one response? | [`combine`](combine()), [`held_already`], [`resumable`] | sections 3.3 and 3.4 |
//! | What does a response to HEAD update? | [`updated_by_head`] | section 4.3.5 |
//! | What does an exchange invalidate? | [`invalidated`], [`invalidated_groups`] | section 4.4, RFC 9875 |

pub use super::directives::{RequestDirectives, ResponseDirectives, Scope};
pub use super::invalidation::{invalidated, invalidated_groups};
pub use super::not_stored::NotStored;
pub use super::parts::combine::{Combination, Union, combine};
pub use super::parts::held::{held_already, resumable};
pub use super::parts::missing::Missing;
pub use super::parts::spans::Slice;
pub use super::request::RequestInfo;
pub use super::reuse::{Reuse, reuse};
pub use super::serve::{Answer, Serve, serve};
pub use super::stale::without_origin;
pub use super::storable::storable;
pub use super::times::Times;
pub use super::update::{Update, UpdateAction};
pub use super::update_by_head::{HeadUpdate, updated_by_head};
pub use super::validated::{Validated, validated};
pub use super::validation::{Validation, preconditions};
