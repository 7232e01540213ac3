//! Fences: no fill from before a removal is stored after it.
//!
//! A lookup's [`Fence`] is its time in this process, and a hash of the key's fence field and of the namespace's generations as they
//! were. What is removed leaves a new fence field behind for as long as a fill may take; what is cleared starts a new
//! generation. Before a body is written, both are read again and compared, and the record gets a token: publication
//! demands, on the server and at once with the change, that the fence field and the token are still the same. A record
//! that was evicted in between, fence field and all, has another token. An entry carries its generation, and only
//! those of the present one are ever found, so that a clearing works from one moment to the next on all nodes.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use redis::Value;
use xxhash_rust::xxh3::Xxh3Default;

use super::call::Call;
use super::link::{array, bytes};
use super::managers::Lane;
use super::marks::Marks;
use super::{Shared, scripts};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::entry::StoredHead;
use crate::random;
use crate::storage::{Fence, StorageError};

const HASH_BITS: u32 = 40;
const UNIT_MILLIS: i64 = 4000;
const TIMES: u64 = 1 << (64 - HASH_BITS);

/// What stands for "nothing may be stored": given out where the marks could not be made.
pub(super) const NEVER: Fence = Fence(0);

/// How long this process has run, by whichever of two clocks says more.
///
/// A fence never leaves its process, so its age is no matter of two machines' clocks. But the wall clock can be set
/// back, and the other one stands still while the machine sleeps, and a fence that seems younger than it is could be
/// one whose removal the server has forgotten. What this counts is never too little but for both at once, and too
/// much only refuses a fill too many.
struct Elapsed {
    at: Instant,
    wall: Timestamp,
    millis: u64,
}

impl Elapsed {
    fn advance(&mut self, at: Instant, wall: Timestamp) -> u64 {
        let steady = u64::try_from(at.saturating_duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        let by_wall = u64::try_from(wall.millis_since(self.wall)).unwrap_or(0);
        // Less than a millisecond is counted with the next call.
        if steady > 0 || by_wall > 0 || wall < self.wall {
            self.millis = self.millis.saturating_add(steady.max(by_wall));
            (self.at, self.wall) = (at, wall);
        }
        self.millis
    }
}

fn time() -> u64 {
    static ELAPSED: LazyLock<Mutex<Elapsed>> =
        LazyLock::new(|| Mutex::new(Elapsed { at: Instant::now(), wall: SystemClock.now(), millis: 0 }));
    let mut elapsed = ELAPSED.lock().unwrap_or_else(PoisonError::into_inner);
    elapsed.advance(Instant::now(), SystemClock.now()) / UNIT_MILLIS.unsigned_abs() % TIMES
}

fn hash(marks: &Marks, field: &[u8]) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(&marks.responses.to_le_bytes());
    hasher.update(&marks.aliases.to_le_bytes());
    hasher.update(field);
    (hasher.digest() % (1 << HASH_BITS)).max(1)
}

pub(super) fn fence(marks: &Marks, field: &[u8]) -> Fence {
    Fence((time() << HASH_BITS) | hash(marks, field))
}

/// Whether a fence is young enough for what was removed since then to be remembered.
fn in_time(fence: Fence, window_millis: i64) -> bool {
    let age = time().wrapping_sub(fence.0 >> HASH_BITS) % TIMES;
    let window = u64::try_from(window_millis / UNIT_MILLIS).unwrap_or(0);
    // Time is counted in units, and clocks of servers drift.
    age.saturating_add(1) < window
}

/// The permission to publish under a key.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    given: Fence,
    window_millis: i64,
    pub(super) fence: Vec<u8>,
    pub(super) token: Vec<u8>,
    pub(super) marks: Marks,
}

impl Permit {
    pub(super) fn in_time(&self) -> bool {
        in_time(self.given, self.window_millis)
    }

    /// The count that the head is stored with. Where a primary was lost with its last writes, it can have gone back.
    pub(super) fn as_of(&self, head: &StoredHead) -> u64 {
        head.as_of.min(self.marks.invalidations)
    }
}

impl Shared {
    /// `None` where something was removed since the lookup.
    pub(super) async fn permit(&self, record: &str, given: Fence) -> Result<Option<Permit>, StorageError> {
        let window_millis = self.options.window_millis();
        if given == NEVER || !in_time(given, window_millis) {
            return Ok(None);
        }
        let token = format!("{:016x}", random::bits64());
        let window = window_millis.to_string();
        let arm = Call::script(&scripts::ARM, &[record], &[token.as_bytes(), window.as_bytes()]);
        let mut replies = self
            .ask_all("beginning to store", Lane::Heads, false, [Marks::read(&self.names), arm].into())
            .await?
            .into_iter();
        let marks = Marks::from_reply(&replies.next().unwrap_or(Value::Nil), &self.names)?;
        let mut state = array(replies.next().unwrap_or(Value::Nil)).into_iter().map(bytes);
        let (fence, token) = (state.next().flatten().unwrap_or_default(), state.next().flatten());
        let Some((marks, token)) = marks.zip(token) else { return Ok(None) };
        if given.0 % (1 << HASH_BITS) != hash(&marks, &fence) {
            return Ok(None);
        }
        Ok(Some(Permit { given, window_millis, fence, token, marks }))
    }

    /// Whether the namespace was not cleared since the permit was given.
    pub(super) fn still_in(
        &self,
        permit: &Permit,
        marks: Option<Value>,
        generation: impl Fn(&Marks) -> u64,
    ) -> Result<bool, StorageError> {
        let marks = Marks::from_reply(&marks.unwrap_or(Value::Nil), &self.names)?;
        Ok(marks.is_some_and(|marks| generation(&marks) == generation(&permit.marks)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Elapsed, Fence, HASH_BITS, Marks, Timestamp, fence, hash, in_time};

    #[test]
    fn a_clock_set_back_and_a_machine_asleep_make_no_fence_younger() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let wall = Timestamp::from_secs(1_700_000_000);
        let mut elapsed = Elapsed { at: start, wall, millis: 0 };
        assert_eq!(elapsed.advance(start + second, wall.plus_millis(1000)), 1000);
        assert_eq!(elapsed.advance(start + 2 * second, wall.plus_millis(-3_600_000)), 2000, "set back");
        assert_eq!(elapsed.advance(start + 3 * second, wall.plus_millis(-3_599_000)), 3000);
        assert_eq!(elapsed.advance(start + 3 * second, wall.plus_millis(-3_499_000)), 103_000, "asleep");
    }

    #[test]
    fn a_fence_tells_what_it_saw() {
        let other = Marks::default();
        let mut one = other.clone();
        one.responses = 1;
        assert_eq!(fence(&one, b"f").0 % (1 << HASH_BITS), hash(&one, b"f"));
        assert_ne!(hash(&one, b"f"), hash(&other, b"f"));
        assert_ne!(hash(&one, b"f"), hash(&one, b""));
    }

    #[test]
    fn an_old_fence_is_no_leave() {
        let now = fence(&Marks::default(), b"");
        assert!(in_time(now, 10_000));
        for units in [5_u64, 1000, (1 << 23), (1 << 24) - 1] {
            assert!(!in_time(Fence(now.0.wrapping_sub(units << HASH_BITS)), 10_000), "{units} units before");
        }
    }
}
