//! The uses of entries that the file does not know yet.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most this many marks are kept in memory. Further uses are not marked until the next eviction.
const MARKS: usize = 1 << 16;
/// How often marks are brought to the file for other processes when nothing is stored.
const INTERVAL: Duration = Duration::from_secs(60);

/// The uses that the file does not know yet.
#[derive(Debug)]
pub(super) struct Recency {
    marks: Mutex<Marks>,
}

#[derive(Debug)]
struct Marks {
    entries: HashSet<i64>,
    remembered: Instant,
}

impl Recency {
    pub(super) fn new() -> Self {
        Self { marks: Mutex::new(Marks { entries: HashSet::new(), remembered: Instant::now() }) }
    }

    /// Marks entries as used. Returns whether it is time to bring the marks to the file.
    pub(super) fn mark(&self, entries: &[i64]) -> bool {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            if marks.entries.len() < MARKS {
                marks.entries.insert(*entry);
            }
        }
        // Reading the clock costs less than it would to keep track of when to read it.
        let due = marks.remembered.elapsed() > INTERVAL;
        if due {
            marks.remembered = Instant::now();
        }
        due
    }

    pub(super) fn take(&self) -> HashSet<i64> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.remembered = Instant::now();
        std::mem::take(&mut marks.entries)
    }
}
