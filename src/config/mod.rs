//! All settings of one layer, and what its clones share.

mod breaker;
mod counters;
mod health;
mod refreshes;

pub(crate) use counters::Counters;
pub use counters::Counts;
pub(crate) use health::Health;
pub(crate) use refreshes::Refreshes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::body::{FillSettings, Leaders, Observe, Publishing};
use crate::clock::{Clock, SystemClock};
use crate::key::{DefaultKey, MakeKey};
use crate::policy::Policy;
use crate::storage::DynStorage;

/// How long one operation of the storage may take before the request goes on without it.
pub(crate) const STORAGE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a caller is held up, each time the store is behind, before its fill is given up.
pub(crate) const STORAGE_PATIENCE: Duration = Duration::from_millis(250);
/// How long a request waits for another one that asks the same.
pub(crate) const COLLAPSE: Duration = Duration::from_secs(5);

/// Settings of a layer. Clones share storage and counters.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) make_key: Arc<dyn MakeKey>,
    pub(crate) fill: FillSettings,
    pub(crate) counters: Arc<Counters>,
    pub(crate) health: Arc<Health>,
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
        let counters = Arc::new(Counters::default());
        let health = Arc::new(Health::new(Arc::clone(&counters)));
        let fill = FillSettings {
            storage,
            deadline: STORAGE_DEADLINE,
            patience: STORAGE_PATIENCE,
            publishing: Publishing::default(),
            observer: Arc::clone(&health) as Arc<dyn Observe>,
        };
        Self {
            policy: Policy::private(),
            clock: Arc::new(SystemClock),
            make_key: Arc::new(DefaultKey::default()),
            fill,
            counters,
            health,
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
            .field("storage", &self.fill)
            .field("status_header", &self.status_header)
            .field("status_key", &self.status_key)
            .finish_non_exhaustive()
    }
}
