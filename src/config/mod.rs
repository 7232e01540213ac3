//! All settings of one layer, and what its clones share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::key::{DefaultKey, MakeKey};
use crate::policy::Policy;
use crate::storage::DynStorage;
use crate::store::{Counters, Store};
use crate::underway::{Leaders, Refreshes};

/// How long a request waits for another one that asks the same.
const COLLAPSE: Duration = Duration::from_secs(5);

/// Settings of a layer. Clones share storage and counters.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) make_key: Arc<dyn MakeKey>,
    pub(crate) store: Store,
    pub(crate) counters: Arc<Counters>,
    pub(crate) refreshes: Refreshes,
    pub(crate) leaders: Leaders,
    /// How long a request waits for another one that asks the same.
    pub(crate) collapse: Duration,
    /// Add `Cache-Status` as a header field.
    pub(crate) status_header: bool,
    /// Show the key in `Cache-Status`.
    pub(crate) status_key: bool,
    /// Store bodies whose end only the closing of the connection tells.
    pub(crate) store_close_delimited: bool,
}

impl Config {
    pub(crate) fn new(storage: Arc<dyn DynStorage>) -> Self {
        let store = Store::new(storage);
        Self {
            policy: Policy::private(),
            clock: Arc::new(SystemClock),
            make_key: Arc::new(DefaultKey::default()),
            counters: Arc::clone(store.counters()),
            store,
            refreshes: Refreshes::default(),
            leaders: Leaders::default(),
            collapse: COLLAPSE,
            status_header: false,
            status_key: false,
            store_close_delimited: false,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("policy", &self.policy)
            .field("clock", &self.clock)
            .field("store", &self.store)
            .field("status_header", &self.status_header)
            .field("status_key", &self.status_key)
            .finish_non_exhaustive()
    }
}
