//! Requests that lead others, and keys that are being published.

#[path = "../../src/underway/leaders.rs"]
mod leaders;
#[path = "../../src/underway/publishing.rs"]
mod publishing;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leaders::{LeaderOutcome, Leaders, Ticket};
use publishing::Publishing;
use shuttle::future::block_on;
use shuttle::thread;

use crate::key::CacheKey;
use crate::{below, explore};

/// Nothing stalls here: the clock stands still.
const PATIENCE: Duration = Duration::from_secs(1);

/// What requests of one kind find in the store.
#[derive(Default)]
struct Origin {
    leading: AtomicUsize,
    /// How often a leader has stored what it got.
    stored: AtomicUsize,
}

/// One request: looks into the store, and leads or follows until it has what it wants. As in `service/collapse.rs`.
fn request(leaders: &Leaders, kind: u128, origin: &Origin) {
    loop {
        let departures = leaders.departures();
        thread::yield_now();
        // The answer is good for all that wait for it now.
        if origin.stored.load(Ordering::SeqCst) > 0 {
            return;
        }
        thread::yield_now();
        match leaders.ticket(kind, departures) {
            Ticket::Lead(leading) => {
                assert_eq!(origin.leading.fetch_add(1, Ordering::SeqCst), 0, "two lead at a time");
                let departed = origin.stored.load(Ordering::SeqCst);
                assert_eq!(departed, 0, "one has returned since the store was looked into");
                let vanishes = below(3);
                if vanishes > 0 {
                    leading.answered();
                    leading.passed(1);
                    thread::yield_now();
                }
                if vanishes > 1 {
                    origin.stored.fetch_add(1, Ordering::SeqCst);
                }
                thread::yield_now();
                origin.leading.fetch_sub(1, Ordering::SeqCst);
                drop(leading);
                return;
            }
            Ticket::Follow(following) => {
                assert_ne!(block_on(following.outcome(PATIENCE)), LeaderOutcome::Stalled);
            }
            Ticket::Retry => {}
            Ticket::Alone => panic!("nobody was kept apart"),
        }
    }
}

/// Where a wake-up is lost, the model ends in a deadlock.
#[test]
fn one_request_of_a_kind_leads_at_a_time_and_all_end() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // For the timers, which never fire: nobody drives them.
    let _entered = runtime.enter();
    explore(|| {
        let leaders = Leaders::default();
        let origins = [Arc::new(Origin::default()), Arc::new(Origin::default())];
        let requests: Vec<_> = (0..4_usize)
            .map(|number| {
                let kind = number / 3;
                let (leaders, origin) = (leaders.clone(), Arc::clone(&origins[kind]));
                thread::spawn(move || request(&leaders, kind as u128, &origin))
            })
            .collect();
        for request in requests {
            request.join().unwrap();
        }
        let departures = leaders.departures();
        assert!((2..=4).contains(&departures), "{departures} departures");
        for kind in 0..2 {
            assert!(matches!(leaders.ticket(kind, departures), Ticket::Lead(_)), "a leader is left behind");
            assert!(
                matches!(leaders.ticket(kind, departures), Ticket::Retry),
                "a departure that nobody notices"
            );
        }
    });
}

/// Where a wake-up is lost, the model ends in a deadlock.
#[test]
fn who_waits_for_a_publication_ends_with_it() {
    explore(|| {
        let publishing = Publishing::default();
        let mut threads = Vec::new();
        for number in 0..3_usize {
            let (publishing, key) = (publishing.clone(), CacheKey(number as u128 / 2));
            threads.push(thread::spawn(move || {
                for _ in 0..=below(2) {
                    let _mark = publishing.mark(&key);
                    assert!(!publishing.is_idle(), "a mark is not seen");
                    thread::yield_now();
                }
            }));
        }
        for key in [0, 0, 1, 2] {
            let publishing = publishing.clone();
            threads.push(thread::spawn(move || block_on(publishing.settled(&CacheKey(key)))));
        }
        // A publication from before is over when the wait is.
        let (before, over) = (publishing.mark(&CacheKey(1)), Arc::new(AtomicUsize::new(0)));
        let ends = Arc::clone(&over);
        threads.push(thread::spawn(move || {
            thread::yield_now();
            ends.store(1, Ordering::SeqCst);
            drop(before);
        }));
        block_on(publishing.settled(&CacheKey(1)));
        assert_eq!(over.load(Ordering::SeqCst), 1, "a publication from before was not waited for");
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(publishing.is_idle(), "a mark is left behind");
        block_on(publishing.settled(&CacheKey(0)));
    });
}
