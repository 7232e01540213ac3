//! The pipe from a body to the store.

#[path = "../../src/body/chunks.rs"]
mod chunks;
#[path = "../../src/body/pipe.rs"]
mod pipe;

use std::future::poll_fn;

use bytes::Bytes;
use chunks::Chunks;
use pipe::{Inlet, NotPushed, Outlet, Passed, pipe};
use shuttle::future::block_on;
use shuttle::thread;

use crate::store::Admission;
use crate::{below, explore};

const LAST_WORD: &str = "complete";
const LIMIT: usize = 1 << 20;

/// How the caller's side ended.
#[derive(Debug, PartialEq)]
enum Sent {
    Complete,
    GivenUp,
    /// It saw that nobody takes any more.
    Refused,
}

/// How the storing side ended.
#[derive(Debug, PartialEq)]
enum Taken {
    Complete,
    Aborted,
    GivenUp,
}

/// Sends numbered frames, as long as it likes; a complete body is waited for until it is stored.
fn send(inlet: &Inlet<&'static str>, frames: usize, gives_up: bool) -> (Sent, Vec<u8>) {
    let mut sent = Vec::new();
    for number in 0..frames {
        block_on(poll_fn(|cx| inlet.poll_room(cx)));
        let frame = vec![u8::try_from(number).unwrap(); 1 + below(2)];
        match inlet.push(Bytes::from(frame.clone())) {
            Ok(()) => sent.extend(frame),
            Err(NotPushed::Over) => return (Sent::Refused, sent),
            Err(NotPushed::NoRoom) => panic!("there is room for all"),
        }
    }
    if gives_up {
        return (Sent::GivenUp, sent);
    }
    inlet.complete(LAST_WORD);
    block_on(poll_fn(|cx| inlet.poll_closed(cx)));
    (Sent::Complete, sent)
}

/// Takes at most so many pieces.
fn take(mut outlet: Outlet<&'static str>, most: usize) -> (Taken, Vec<u8>) {
    let mut taken = Vec::new();
    for _ in 0..most {
        match block_on(outlet.next()) {
            Passed::Data(data) => taken.extend(data),
            Passed::Complete(last_word) => {
                assert_eq!(last_word, LAST_WORD);
                outlet.close();
                return (Taken::Complete, taken);
            }
            Passed::Aborted => return (Taken::Aborted, taken),
        }
    }
    (Taken::GivenUp, taken)
}

/// Both sides end, whatever the other does: where a wake-up is lost, the model ends in a deadlock.
#[test]
fn a_pipe_loses_nothing_and_ends_on_both_sides() {
    explore(|| {
        let admission = Admission::empty();
        let capacity = 1 + below(4);
        let (inlet, outlet) = pipe(capacity, Chunks::default(), admission.room(LIMIT));
        let (frames, gives_up) = (below(4), below(3) == 0);
        let most = if below(3) == 0 { below(4) } else { usize::MAX };
        let sending = thread::spawn(move || send(&inlet, frames, gives_up));
        let (how_taken, taken) = take(outlet, most);
        let (how_sent, sent) = sending.join().unwrap();
        assert!(sent.starts_with(&taken), "{taken:?} of {sent:?}");
        match how_taken {
            Taken::Complete => {
                assert_eq!(how_sent, Sent::Complete, "a body that was given up is never complete");
                assert_eq!(taken, sent);
            }
            Taken::Aborted => assert_eq!(how_sent, Sent::GivenUp),
            Taken::GivenUp => {}
        }
        assert!(admission.is_empty(), "room that was not given back");
    });
}

/// The room is shared: it never exceeds the limit, but for one that is alone, and nothing of it is left.
#[test]
fn pipes_that_share_their_room_keep_its_limit_and_give_all_back() {
    explore(|| {
        let admission = Admission::empty();
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (inlet, outlet) = pipe(8, Chunks::default(), admission.room(3));
                let sending = thread::spawn(move || {
                    for _ in 0..3 {
                        if inlet.push(Bytes::from_static(b"ab")).is_err() {
                            return;
                        }
                    }
                    inlet.complete(LAST_WORD);
                });
                (sending, thread::spawn(move || take(outlet, usize::MAX)))
            })
            .collect();
        let mut room = admission.room(3);
        let _ = room.grow(1);
        thread::yield_now();
        drop(room);
        for (sending, taking) in senders {
            sending.join().unwrap();
            let (how, taken) = taking.join().unwrap();
            assert_eq!(how == Taken::Complete, taken.len() == 6, "{how:?} with {taken:?}");
        }
        assert!(admission.is_empty(), "room that was not given back");
    });
}
