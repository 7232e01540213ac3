//! The short pipe between a body on its way to the caller and the task that stores it.
//!
//! Bounded in bytes; the caller's side never blocks on it and may give up on it at any time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::pieces::Pieces;

/// Both ends of a new pipe that asks for a pause once `capacity` bytes wait in it.
pub(super) fn pipe<T>(capacity: usize) -> (Inlet<T>, Outlet<T>) {
    let state = Arc::new(Mutex::new(State {
        queue: Pieces::default(),
        end: End::Open,
        on_data: None,
        on_room: None,
    }));
    (Inlet { state: Arc::clone(&state), capacity }, Outlet { state })
}

struct State<T> {
    queue: Pieces,
    end: End<T>,
    on_data: Option<Waker>,
    on_room: Option<Waker>,
}

enum End<T> {
    Open,
    /// The body is complete; the last word travels behind the data.
    Complete(T),
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
}

/// What comes out.
pub(super) enum Piece<T> {
    Data(Bytes),
    Complete(T),
    /// The body was given up: nothing of it may be kept.
    Aborted,
}

impl<T> Inlet<T> {
    /// Whether more data may be fetched; otherwise the task is woken when it may, or when the other side gave up.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.queue.len() < self.capacity || matches!(state.end, End::Broken) {
            return Poll::Ready(());
        }
        state.on_room = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Passes data on. Returns whether the other side still wants it.
    pub(super) fn push(&self, data: Bytes) -> bool {
        let mut state = lock(&self.state);
        if !matches!(state.end, End::Open) {
            return false;
        }
        state.queue.push(data);
        wake(state.on_data.take(), state);
        true
    }

    /// Says that the body is complete. Nothing may be pushed after it.
    pub(super) fn complete(&self, last_word: T) {
        let mut state = lock(&self.state);
        if matches!(state.end, End::Open) {
            state.end = End::Complete(last_word);
        }
        wake(state.on_data.take(), state);
    }

    /// After [`complete`](Self::complete): whether the other side has taken everything, the last word too, or has given up.
    pub(super) fn is_taken(&self) -> bool {
        let state = lock(&self.state);
        matches!(state.end, End::Broken)
    }
}

impl<T> Drop for Inlet<T> {
    /// An inlet that goes away before the body was complete breaks the pipe, so that nothing is published.
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if matches!(state.end, End::Open) {
            state.end = End::Broken;
            state.queue = Pieces::default();
        }
        wake(state.on_data.take(), state);
    }
}

impl<T> Outlet<T> {
    /// The next piece; after the last one, [`Piece::Aborted`].
    pub(super) async fn next(&mut self) -> Piece<T> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Piece<T>> {
        let mut state = lock(&self.state);
        if let Some(data) = state.queue.pop() {
            wake(state.on_room.take(), state);
            return Poll::Ready(Piece::Data(data));
        }
        match std::mem::replace(&mut state.end, End::Broken) {
            End::Complete(last_word) => Poll::Ready(Piece::Complete(last_word)),
            End::Broken => Poll::Ready(Piece::Aborted),
            End::Open => {
                state.end = End::Open;
                state.on_data = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.end = End::Broken;
        state.queue = Pieces::default();
        wake(state.on_room.take(), state);
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
