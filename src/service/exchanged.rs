//! The state of an exchange that its steps share.

use std::sync::Arc;

use http::request::Parts;

use super::lookup::Found;
use crate::config::Config;
use crate::key::{CacheKey, Principal};
use crate::policy::{RequestInfo, Times};

/// A request that has been named, on its way to an answer.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) config: &'a Arc<Config>,
    pub(super) key: &'a CacheKey,
    pub(super) principal: &'a Principal,
    pub(super) original: &'a Parts,
    pub(super) info: &'a RequestInfo<'a>,
}

/// A request that the origin has answered, or failed to.
pub(super) struct Exchanged<'a> {
    pub(super) named: Named<'a>,
    pub(super) found: &'a Found,
    pub(super) times: Times,
}
