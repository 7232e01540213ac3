//! Counting what a layer does.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// The running counts of one layer.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// What a layer has done since it was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Requests answered from the store without asking the origin.
    hits,
    /// Requests answered by what another one, which was at the origin already, brought.
    collapsed,
    /// Requests sent to the origin because nothing stored could answer.
    misses,
    /// Requests sent to the origin to validate a stored response.
    validations,
    /// Validations that the origin answered with 304.
    confirmed,
    /// Requests that went past the cache: by their method or the user's override.
    passed,
    /// Stale responses served because the origin failed.
    served_stale,
    /// Refreshes made in the background.
    refreshes,
    /// Responses and aliases stored.
    stored,
    /// Responses that were to be stored, but broke off, were not read to their end, came too late for an invalidation, or
    /// were too much for the store.
    abandoned,
    /// Of these, the ones for which there was no room, because too much was waiting for the store.
    crowded_out,
    /// Exchanges that invalidated stored responses: those with unsafe methods that succeeded.
    invalidated,
    /// Operations that the storage failed.
    storage_errors,
}

impl Counters {
    pub(crate) fn count(&self, counter: impl FnOnce(&Self) -> &AtomicU64) {
        counter(self).fetch_add(1, Ordering::Relaxed);
    }
}
