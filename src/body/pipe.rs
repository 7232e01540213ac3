//! The short pipe between a body on its way to the caller and the task that stores it.
//!
//! It is bounded in bytes. The caller's side never blocks on it and may give up at any time. What is in it, or is being
//! written, counts as memory in use.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::chunks::Chunks;
use crate::store::Room;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A storage gets at most this many bytes at a time.
const SLICE: usize = 64 * 1024;

/// Both ends of a new pipe that asks for a pause once `capacity` bytes are in it.
///
/// `queue` is in it already, and has taken its `room`.
pub(super) fn pipe<T>(capacity: usize, queue: Chunks, room: Room) -> (Inlet<T>, Outlet<T>) {
    let state = State { queue, room, out: 0, end: End::Open, on_data: None, on_caller: None };
    let state = Arc::new(Mutex::new(state));
    (Inlet { state: Arc::clone(&state), capacity }, Outlet { state, rest: Bytes::new() })
}

struct State<T> {
    queue: Chunks,
    room: Room,
    /// Length of the frame that is being written. All of it is in memory until its last byte is written.
    out: usize,
    end: End<T>,
    on_data: Option<Waker>,
    /// The caller's side, waiting for room or for everything to be taken.
    on_caller: Option<Waker>,
}

impl<T> State<T> {
    /// The caller's side gives up, unless the body is complete or the other side was first. What is being written stays
    /// in memory for so long.
    fn break_open(&mut self) -> bool {
        let is_open = matches!(self.end, End::Open);
        if is_open {
            self.end = End::Broken;
            self.queue = Chunks::default();
            self.room.shrink_to(self.out);
        }
        is_open
    }
}

enum End<T> {
    Open,
    /// The body is complete. The last message follows the data.
    Complete(T),
    /// The last message has been taken.
    Taken,
    /// One side gave up.
    Broken,
}

/// The caller's side.
pub(super) struct Inlet<T> {
    state: Arc<Mutex<State<T>>>,
    capacity: usize,
}

/// The storing side.
pub(super) struct Outlet<T> {
    state: Arc<Mutex<State<T>>>,
    /// What is left of the frame that is being written.
    rest: Bytes,
}

/// Why data was not taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotPushed {
    /// There is no room in memory.
    NoRoom,
    /// The other side gave up.
    Over,
}

/// What comes out.
pub(super) enum Passed<T> {
    Data(Bytes),
    Complete(T),
    /// The body was given up: nothing of it may be kept.
    Aborted,
}

impl<T> Inlet<T> {
    /// Whether more data may be fetched; otherwise the task is woken when it may, or when the other side gave up.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.room.taken() < self.capacity || matches!(state.end, End::Broken) {
            return Poll::Ready(());
        }
        state.on_caller = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Passes data on.
    pub(super) fn push(&self, data: Bytes) -> Result<(), NotPushed> {
        let mut state = lock(&self.state);
        if !matches!(state.end, End::Open) {
            return Err(NotPushed::Over);
        }
        if !state.room.grow(data.len()) {
            return Err(NotPushed::NoRoom);
        }
        state.queue.push(data);
        wake(state.on_data.take(), state);
        Ok(())
    }

    /// Gives up. Returns whether the other side had not, so that only one of them counts what is lost.
    pub(super) fn give_up(&self) -> bool {
        let mut state = lock(&self.state);
        let is_first = state.break_open();
        wake(state.on_data.take(), state);
        is_first
    }

    /// Whether the other side has nothing to do but to wait for more.
    pub(super) fn is_waited_for(&self) -> bool {
        lock(&self.state).on_data.is_some()
    }

    /// Says that the body is complete. Nothing may be pushed after it.
    pub(super) fn complete(&self, last_word: T) {
        let mut state = lock(&self.state);
        if matches!(state.end, End::Open) {
            state.end = End::Complete(last_word);
        }
        wake(state.on_data.take(), state);
    }

    /// After [`complete`](Self::complete): ready when the other side has closed the pipe, with the last word or without.
    pub(super) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if matches!(state.end, End::Broken) {
            return Poll::Ready(());
        }
        state.on_caller = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Inlet<T> {
    /// An inlet that goes away before the body was complete breaks the pipe, so that nothing is published.
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<T> Outlet<T> {
    /// The next chunk; after the last one, [`Passed::Aborted`].
    pub(super) async fn next(&mut self) -> Passed<T> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Passed<T>> {
        let mut state = lock(&self.state);
        if matches!(state.end, End::Broken) {
            return Poll::Ready(Passed::Aborted);
        }
        if self.rest.is_empty() {
            self.rest = state.queue.pop().unwrap_or_default();
            // The chunk before has been written by now.
            let (queued, out) = (state.queue.len(), self.rest.len());
            state.out = out;
            state.room.shrink_to(queued.saturating_add(out));
        }
        if !self.rest.is_empty() {
            let slice = self.rest.split_to(self.rest.len().min(SLICE));
            wake(state.on_caller.take(), state);
            return Poll::Ready(Passed::Data(slice));
        }
        match std::mem::replace(&mut state.end, End::Taken) {
            End::Complete(last_word) => Poll::Ready(Passed::Complete(last_word)),
            End::Broken | End::Taken => Poll::Ready(Passed::Aborted),
            End::Open => {
                state.end = End::Open;
                state.on_data = Some(cx.waker().clone());
                wake(state.on_caller.take(), state);
                Poll::Pending
            }
        }
    }

    /// Takes nothing more. Returns whether the other side had not given up, nor this one before.
    pub(super) fn close(&mut self) -> bool {
        self.rest = Bytes::new();
        let mut state = lock(&self.state);
        let is_first = !matches!(state.end, End::Broken);
        state.end = End::Broken;
        state.queue = Chunks::default();
        state.out = 0;
        state.room.shrink_to(0);
        wake(state.on_caller.take(), state);
        is_first
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Wakes outside of the lock: a waker may run the other side at once.
fn wake<T>(waker: Option<Waker>, state: MutexGuard<'_, State<T>>) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
