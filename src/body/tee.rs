//! A body on its way to the caller that is stored as it passes.
//!
//! hyper stops polling a body as soon as it knows its end. So the end is the first of these: the last byte
//! that `Content-Length` announced, `is_end_stream` after a frame, and `None`. It is never `Drop`. If a body is dropped
//! before its end, it is read to its end in the background if little of it is left; otherwise it is given up.
//!
//! The caller gets the origin's body unchanged. A body that is not what its response announced is not stored as
//! complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::PollFrame;
use super::chunks::{Chunks, MOST_EMPTY};
use super::exact::is_wrong_length;
use super::fill::{EarlyEnd, Fill, PIPE};
use super::filling::{Completing, Filling};
use super::pipe::NotPushed;
use super::prefetched::longer_by;
use super::retraction::Retraction;
use crate::entry::{BodyEnd, StoredRange};
use crate::error::BodyError;
use crate::policy::{Refused, StorableTrailers};
use crate::store::{Room, Store};
use crate::underway::Leading;

/// A body up to this length is held in memory until it is complete, and then stored at once.
const KEEP_BACK: usize = 64 * 1024;
/// If at most this many bytes of a body are left when its caller drops it, they are read in the background.
const SHORT_REST: u64 = 64 * 1024;
/// Reading on takes no longer than this.
const READING_ON: Duration = Duration::from_secs(5);

/// The body, and what stores it.
pub(super) struct Tee<B> {
    parts: Option<(Pin<Box<B>>, Box<Recorder>)>,
    /// What happens to a body that is dropped before its end. A pointer, because only its maker knows that the body can
    /// be read on elsewhere.
    leave: fn(Pin<Box<B>>, Box<Recorder>),
    /// The last frame, or the end, until the storage has been handed all of the body. A caller that has seen it may return from
    /// `main`, and the rest would never be handed over.
    held: Option<Held>,
}

type Held = Option<Result<Frame<Bytes>, BodyError>>;

struct Recorder {
    store: Store,
    state: State,
    completing: Option<Completing>,
    room: Option<Room>,
    expected: Option<u64>,
    seen: u64,
    stalls: Stalls,
    /// The body is not over with its last byte.
    awaits_end: bool,
    early_end: EarlyEnd,
    resumable: Option<u64>,
    /// What a body that is cut off is a part of.
    broken: StoredRange,
    /// The requests that wait for this body, until it is over.
    leading: Option<Leading>,
    trailers: StorableTrailers,
    /// The response was asked for in a runtime, which its storage may need.
    in_runtime: bool,
}

#[allow(clippy::large_enum_variant, reason = "the recorder is boxed as a whole")]
enum State {
    KeepingBack {
        fill: Fill,
        body: Chunks,
    },
    Filling(Filling),
    /// All announced bytes came, and the response is stored. If more bytes come, it is removed again.
    Whole(Retraction),
    /// Stored, or given up.
    Over,
}

/// How long the caller may still be held up.
struct Stalls {
    left: Duration,
    /// The stall of this moment.
    now: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Tee<B>
where
    B: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    pub(super) fn new(inner: B, mut fill: Fill) -> Self {
        let recorder = Box::new(Recorder {
            store: fill.store().clone(),
            room: Some(fill.store().room()),
            expected: fill.expected(),
            seen: 0,
            stalls: Stalls { left: fill.store().patience, now: None },
            awaits_end: fill.awaits_end(),
            early_end: fill.early_end(),
            resumable: fill.resumable_beyond(),
            broken: fill.broken(),
            leading: fill.take_leading(),
            trailers: fill.take_storable_trailers(),
            state: State::KeepingBack { fill, body: Chunks::default() },
            completing: None,
            in_runtime: Handle::try_current().is_ok(),
        });
        Self { parts: Some((Box::pin(inner), recorder)), leave: read_on, held: None }
    }
}

impl<B> Tee<B>
where
    B: Body<Data = Bytes, Error = BodyError>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> PollFrame {
        let Some((inner, recorder)) = &mut self.parts else { return Poll::Ready(None) };
        if let Some(held) = self.held.take() {
            return poll_handed_over(recorder, &mut self.held, held, cx);
        }
        recorder.check_runtime();
        ready!(recorder.poll_room(cx));
        let frame = ready!(inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                recorder.record(frame);
                if inner.is_end_stream() {
                    recorder.end(BodyEnd::default());
                }
            }
            Some(Err(error)) if is_wrong_length(error) => recorder.give_up(),
            Some(Err(_)) => recorder.break_off(),
            None => recorder.end(BodyEnd::default()),
        }
        recorder.work(cx);
        poll_handed_over(recorder, &mut self.held, frame, cx)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.parts.as_ref().is_none_or(|(inner, _)| inner.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let hint = self.parts.as_ref().map_or_else(SizeHint::default, |(inner, _)| inner.size_hint());
        match &self.held {
            Some(Some(Ok(frame))) => longer_by(frame.data_ref().map_or(0, |data| data.len() as u64), &hint),
            _ => hint,
        }
    }

    /// Reads the body to its end, so that all of it is stored, or until it is known not to be stored.
    async fn read_to_end(&mut self) {
        let mut empty = 0;
        while empty <= MOST_EMPTY && !self.is_given_up() {
            let Some(Ok(frame)) = std::future::poll_fn(|cx| self.poll_frame(cx)).await else { return };
            empty += usize::from(frame.data_ref().is_none_or(Bytes::is_empty));
            // A body that always has another frame would keep the thread, and no timer could fire.
            tokio::task::consume_budget().await;
        }
    }

    fn is_given_up(&self) -> bool {
        self.parts.as_ref().is_none_or(|(_, recorder)| matches!(recorder.state, State::Over))
    }

    /// Waits until what was read to its end is stored.
    async fn stored(mut self) {
        if let Some((_, recorder)) = &mut self.parts
            && let State::Whole(retraction) = &mut recorder.state
        {
            recorder.completing = None;
            retraction.settled().await;
        }
    }
}

/// Passes the frame on, or keeps it for as long as the storage has not been handed all of a complete body.
fn poll_handed_over(
    recorder: &mut Recorder,
    held: &mut Option<Held>,
    frame: Held,
    cx: &mut Context<'_>,
) -> Poll<Held> {
    if recorder.poll_completing(cx).is_pending() {
        *held = Some(frame);
        return Poll::Pending;
    }
    Poll::Ready(frame)
}

impl<B> Drop for Tee<B> {
    fn drop(&mut self) {
        if let Some((inner, recorder)) = self.parts.take()
            && recorder.is_open()
        {
            (self.leave)(inner, recorder);
        }
    }
}

/// Reads the rest of a dropped body if it is known to be short, so that the response is stored. A caller that
/// needs only the head, or a beginning, usually does not mean the response to be fetched again.
fn read_on<B>(inner: Pin<Box<B>>, mut recorder: Box<Recorder>)
where
    B: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    let announced = recorder.expected.map(|expected| expected.saturating_sub(recorder.seen));
    let rest = announced.or_else(|| inner.size_hint().upper());
    if rest.is_some_and(|rest| rest <= SHORT_REST) && Handle::try_current().is_ok() {
        let store = recorder.store.clone();
        let mut tee =
            Tee { parts: Some((inner, recorder)), leave: |_, mut recorder| recorder.give_up(), held: None };
        store.run_or_spawn(async move {
            // Not in the middle of the code that drops the body.
            tokio::task::yield_now().await;
            let _ = timeout(READING_ON, tee.read_to_end()).await;
            tee.stored().await;
        });
    } else {
        recorder.give_up();
    }
}

impl Recorder {
    fn is_open(&self) -> bool {
        matches!(self.state, State::KeepingBack { .. } | State::Filling(_))
    }

    /// Gives up storing where the body is read by another executor, in which the storage may not be able to work.
    fn check_runtime(&mut self) {
        if self.in_runtime && self.is_open() && Handle::try_current().is_err() {
            self.give_up();
        }
    }

    /// Has the storage take what has been handed over.
    fn work(&mut self, cx: &mut Context<'_>) {
        if let State::Filling(filling) = &mut self.state {
            filling.work(cx);
        }
    }

    /// Ready when the next frame may be fetched: the store keeps up, or has been given up because it does not.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Filling(filling) = &mut self.state else { return Poll::Ready(()) };
        filling.work(cx);
        if filling.poll_room(cx).is_ready() {
            self.stalls.end();
            return Poll::Ready(());
        }
        ready!(self.stalls.poll(cx));
        self.give_up();
        Poll::Ready(())
    }

    /// Ready when the storage has been handed all of a complete body, or the caller was held up long enough.
    fn poll_completing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(completing) = &mut self.completing {
            if completing.poll(cx).is_pending() {
                ready!(self.stalls.poll(cx));
            }
            self.stalls.end();
            self.completing = None;
        }
        Poll::Ready(())
    }

    fn record(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.record_data(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            match self.trailers.of_section(trailers) {
                Ok(trailers) => self.end(BodyEnd { trailers, range: None }),
                Err(Refused) => self.give_up(),
            }
        }
    }

    fn record_data(&mut self, data: &Bytes) {
        self.seen += data.len() as u64;
        if let Some(leading) = &self.leading {
            leading.passed(data.len() as u64);
        }
        match &mut self.state {
            State::KeepingBack { body, .. } => {
                body.push(data.clone());
                let whole = self.expected == Some(self.seen) && body.len() <= PIPE;
                let long = body.len() > KEEP_BACK && !whole;
                if !self.room.as_mut().is_some_and(|room| room.grow(data.len())) {
                    self.crowded_out();
                } else if long {
                    self.start_filling();
                }
            }
            State::Filling(filling) => match filling.push(data.clone()) {
                Ok(()) => {}
                Err(NotPushed::NoRoom) => self.crowded_out(),
                Err(NotPushed::Over) => self.give_up(),
            },
            // The body went on after its announced end.
            State::Whole(_) if !data.is_empty() => self.give_up(),
            State::Whole(_) | State::Over => {}
        }
        match self.expected {
            Some(expected) if self.seen > expected => self.give_up(),
            Some(expected) if self.seen == expected && !self.awaits_end => self.end(BodyEnd::default()),
            _ => {}
        }
    }

    /// There is no room in memory.
    fn crowded_out(&mut self) {
        self.store.counters().count(|counters| &counters.crowded_out);
        self.give_up();
    }

    fn start_filling(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::KeepingBack { fill, body } => {
                if let Some(room) = self.room.take() {
                    self.state = State::Filling(fill.start(body, room));
                }
            }
            state => self.state = state,
        }
    }

    /// The body is over, and complete if it has the length it should have.
    fn end(&mut self, end: BodyEnd) {
        match self.expected {
            Some(expected) if self.seen < expected => match self.early_end {
                EarlyEnd::BrokenOff => self.break_off(),
                EarlyEnd::Misstated => self.give_up(),
            },
            Some(expected) if self.seen > expected => self.give_up(),
            _ => self.conclude(end),
        }
    }

    /// RFC 9111 section 3.3: "A cache MAY store an incomplete response", marked as such.
    fn break_off(&mut self) {
        let enough = self.resumable.is_some_and(|beyond| self.seen > beyond);
        if enough && self.expected.is_some_and(|expected| self.seen < expected) {
            self.conclude(BodyEnd { trailers: None, range: Some(self.broken) });
        } else {
            self.give_up();
        }
    }

    fn conclude(&mut self, end: BodyEnd) {
        self.state = match (std::mem::replace(&mut self.state, State::Over), self.room.take()) {
            (State::KeepingBack { fill, body }, Some(room)) => {
                State::Whole(fill.store_whole(body.into_vec(), end, room))
            }
            (State::Filling(filling), _) => {
                let (retraction, completing) = filling.complete(end);
                self.completing = Some(completing);
                State::Whole(retraction)
            }
            (State::Whole(retraction), _) if end.trailers.is_some() => {
                retraction.retract();
                State::Over
            }
            (state, _) => state,
        };
        self.leading = None;
    }

    fn give_up(&mut self) {
        (self.room, self.leading) = (None, None);
        match std::mem::replace(&mut self.state, State::Over) {
            State::KeepingBack { fill, .. } => fill.abandon(),
            State::Filling(filling) => filling.abort(),
            State::Whole(retraction) => retraction.retract(),
            State::Over => {}
        }
    }
}

impl Stalls {
    /// Ready when the caller has been held up long enough.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Without a timer the caller does not wait.
        if Handle::try_current().is_err() {
            return Poll::Ready(());
        }
        let left = self.left;
        let (_, sleeping) = self.now.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        sleeping.as_mut().poll(cx)
    }

    fn end(&mut self) {
        if let Some((began, _)) = self.now.take() {
            self.left = self.left.saturating_sub(began.elapsed());
        }
    }
}
