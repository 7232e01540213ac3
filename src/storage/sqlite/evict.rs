//! Keeping the limits: eviction of what was not used recently, without a write per use.
//!
//! This is SIEVE. Entries are in the order of their row numbers, which is the order of storing, and a hand moves along
//! them. If an entry was used since the hand last passed it, the hand removes its mark and moves on. Otherwise the entry is
//! evicted. A use is marked in memory. The marks reach the file with the next eviction, or from time to time.

use std::sync::atomic::Ordering;

use rusqlite::params;

use super::error::Fault;
use super::layout::MOST;
use super::session::Session;

/// At most this many entries are evicted in one transaction. More follow in the next one.
const STEP: usize = 1024;

/// Brings the marks to the file.
pub(super) fn remember(session: &Session<'_>) -> Result<(), Fault> {
    let marks = session.state.recency.take();
    if marks.is_empty() {
        return Ok(());
    }
    // An entry can be gone by now; its mark would then never be removed.
    let mut statement = session.connection.prepare_cached(
        "INSERT OR IGNORE INTO used SELECT ?1
         WHERE EXISTS (SELECT 1 FROM responses WHERE entry = ?1)
            OR EXISTS (SELECT 1 FROM redirects WHERE entry = -?1)",
    )?;
    for entry in marks {
        statement.execute([entry])?;
    }
    Ok(())
}

/// Whether a limit is passed.
pub(super) fn is_due(session: &Session<'_>) -> bool {
    Fill::of(session).is_ok_and(|fill| fill.excess(session).is_some())
}

/// Evicts until the limits are kept, or much has been done for one transaction. Returns whether anything was evicted.
pub(super) fn make_room(session: &Session<'_>) -> Result<bool, Fault> {
    let mut evicted = 0;
    while let Some(hand) = Fill::of(session)?.excess(session) {
        if evicted == 0 {
            remember(session)?;
        }
        if evicted == STEP || !hand.evict_one(session)? {
            break;
        }
        evicted += 1;
    }
    Ok(evicted > 0)
}

/// What is stored at present, by all processes that share the file.
struct Fill {
    responses: u64,
    response_bytes: u64,
    redirects: u64,
    redirect_bytes: u64,
}

impl Fill {
    fn of(session: &Session<'_>) -> Result<Self, Fault> {
        let mut statement = session
            .connection
            .prepare_cached("SELECT responses, response_bytes, redirects, redirect_bytes FROM state")?;
        Ok(statement.query_row([], |row| {
            let count = |column| {
                row.get::<_, i64>(column).map(|count| {
                    if !(0..=MOST).contains(&count) {
                        // Evicting by it would never end. The database is examined after this batch.
                        session.state.damaged.store(true, Ordering::Relaxed);
                        return 0;
                    }
                    u64::try_from(count).unwrap_or(0)
                })
            };
            Ok(Self {
                responses: count(0)?,
                response_bytes: count(1)?,
                redirects: count(2)?,
                redirect_bytes: count(3)?,
            })
        })?)
    }

    /// The keyspace to evict from, if a limit is passed: the one that takes more of what is scarce.
    fn excess(&self, session: &Session<'_>) -> Option<Hand> {
        let larger = |responses, redirects| if responses >= redirects { RESPONSES } else { REDIRECTS };
        let options = &session.state.options;
        let passed = |limit: Option<u64>, fill: u64| limit.is_some_and(|limit| fill > limit);
        if passed(options.max_bytes, self.response_bytes.saturating_add(self.redirect_bytes)) {
            Some(larger(self.response_bytes, self.redirect_bytes))
        } else if passed(options.max_entries, self.responses.saturating_add(self.redirects)) {
            Some(larger(self.responses, self.redirects))
        } else {
            None
        }
    }
}

/// The statements that move the hand in one keyspace.
#[derive(Clone, Copy)]
struct Hand {
    /// The next few entries; never the newest, which would else be evicted by its own arrival.
    next: &'static str,
    spare: &'static str,
    evict: &'static str,
    moved: &'static str,
}

const RESPONSES: Hand = Hand {
    next: "SELECT entry FROM responses
           WHERE entry > (SELECT responses_hand FROM state) AND entry < (SELECT max(entry) FROM responses)
           ORDER BY entry LIMIT 1",
    spare: "DELETE FROM used WHERE entry = ?1",
    evict: "DELETE FROM responses WHERE entry = ?1",
    moved: "UPDATE state SET responses_hand = ?1",
};

const REDIRECTS: Hand = Hand {
    next: "SELECT entry FROM redirects
           WHERE entry > (SELECT redirects_hand FROM state) AND entry < (SELECT max(entry) FROM redirects)
           ORDER BY entry LIMIT 1",
    spare: "DELETE FROM used WHERE entry = -?1",
    evict: "DELETE FROM redirects WHERE entry = ?1",
    moved: "UPDATE state SET redirects_hand = ?1",
};

impl Hand {
    /// Moves the hand until it has evicted one entry. Returns whether there was one to evict.
    fn evict_one(self, session: &Session<'_>) -> Result<bool, Fault> {
        let mut rounds = 0;
        loop {
            let mut next = session.connection.prepare_cached(self.next)?;
            let entry = next.query_map([], |row| row.get::<_, i64>(0))?.next().transpose()?;
            let run = |sql, entry: i64| session.connection.prepare_cached(sql)?.execute(params![entry]);
            match entry {
                Some(entry) => {
                    run(self.moved, entry)?;
                    if run(self.spare, entry)? == 0 {
                        return Ok(run(self.evict, entry)? > 0);
                    }
                }
                // The first round may have spared all of them; the second then does not.
                None if rounds < 2 => {
                    rounds += 1;
                    run(self.moved, 0)?;
                }
                None => return Ok(false),
            }
        }
    }
}
