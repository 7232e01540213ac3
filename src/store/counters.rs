//! Counting what a layer does.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// The counters of one layer.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// The counts of a layer since it was made.
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
    /// Requests answered with the response of another request that was at the origin already.
    collapsed,
    /// Requests sent to the origin because no stored response could answer.
    misses,
    /// Requests sent to the origin to validate a stored response.
    validations,
    /// Validations that the origin answered with 304.
    freshened,
    /// Requests that bypassed the cache, because of their method or the user's override.
    bypassed,
    /// Stale responses served because the origin failed.
    served_stale,
    /// Refreshes made in the background.
    refreshes,
    /// Responses and aliases stored.
    stored,
    /// Responses that the cache began to store and gave up: the body was cut off or not read to its end, the key was
    /// removed or invalidated in the meantime, or the storage failed or was too slow.
    abandoned,
    /// Responses among `abandoned` that found no room in memory, because too much was waiting for the store.
    crowded_out,
    /// Invalidations that the storage has confirmed: by requests with unsafe methods that succeeded, and by purges.
    invalidated,
    /// Operations of the storage that failed.
    storage_errors,
}

impl Counters {
    pub(crate) fn count(&self, counter: impl FnOnce(&Self) -> &AtomicU64) {
        counter(self).fetch_add(1, Ordering::Relaxed);
    }
}
