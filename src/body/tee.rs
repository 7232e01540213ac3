//! A body on its way to the caller that is stored as it passes.
//!
//! hyper stops polling a body as soon as it knows its end, so the end is taken from the first of: the last byte
//! that `Content-Length` promised, `is_end_stream` after a frame, and `None`. Never from `Drop`.
//!
//! The caller gets the origin's body as it is, whatever it is: what the body does not keep of what its response
//! announced only means that it is not stored as complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::exact::is_wrong_length;
use super::fill::{EarlyEnd, Fill, Filling, Retraction};
use super::leading::Leading;
use super::pieces::Pieces;
use crate::entry::{BodyEnd, StoredRange};
use crate::error::BodyError;
use crate::policy::{Refused, StorableTrailers};

/// A body up to this length is kept back until it is complete and then stored in one go.
const KEEP_BACK: usize = 64 * 1024;

pin_project! {
    pub(super) struct Tee<B> {
        #[pin]
        inner: B,
        recorder: Box<Recorder>,
    }
}

struct Recorder {
    state: State,
    expected: Option<u64>,
    seen: u64,
    /// Runs while the store is behind.
    stall: Option<Pin<Box<Sleep>>>,
    patience: std::time::Duration,
    /// The body is not over with its last byte.
    awaits_end: bool,
    early_end: EarlyEnd,
    resumable: Option<u64>,
    /// What a body that breaks off is a part of.
    broken: StoredRange,
    /// Those who wait for this body, until it is over.
    leading: Option<Leading>,
    trailers: StorableTrailers,
}

#[allow(clippy::large_enum_variant, reason = "the recorder is boxed as a whole")]
enum State {
    KeepingBack {
        fill: Fill,
        body: Pieces,
    },
    Filling(Filling),
    /// All promised bytes came, and the response is stored; should more come, it was a lie.
    Whole(Retraction),
    /// Stored, or given up.
    Over,
}

impl<B> Tee<B> {
    pub(super) fn new(inner: B, mut fill: Fill) -> Self {
        let recorder = Box::new(Recorder {
            expected: fill.expected(),
            seen: 0,
            stall: None,
            patience: fill.patience(),
            awaits_end: fill.awaits_end(),
            early_end: fill.early_end(),
            resumable: fill.resumable_beyond(),
            broken: fill.broken(),
            leading: fill.take_leading(),
            trailers: fill.take_storable_trailers(),
            state: State::KeepingBack { fill, body: Pieces::default() },
        });
        Self { inner, recorder }
    }

    pub(super) fn inner(&self) -> &B {
        &self.inner
    }
}

impl<B> Tee<B>
where
    B: Body<Data = Bytes, Error = BodyError>,
{
    pub(super) fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut this = self.project();
        ready!(this.recorder.poll_room(cx));
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                this.recorder.record(frame);
                if this.inner.is_end_stream() {
                    this.recorder.end(BodyEnd::default());
                }
            }
            Some(Err(error)) if is_wrong_length(error) => this.recorder.give_up(),
            Some(Err(_)) => this.recorder.break_off(),
            None => this.recorder.end(BodyEnd::default()),
        }
        Poll::Ready(frame)
    }
}

impl Recorder {
    /// Ready when the next frame may be fetched: the store keeps up, or has been given up because it does not.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Filling(filling) = &self.state else { return Poll::Ready(()) };
        if filling.inlet.poll_room(cx).is_ready() {
            self.stall = None;
            return Poll::Ready(());
        }
        let patience = self.patience;
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx));
        self.give_up();
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
                if body.len() > KEEP_BACK && self.expected != Some(self.seen) {
                    self.start_filling();
                }
            }
            State::Filling(filling) => {
                if !filling.inlet.push(data.clone()) {
                    self.give_up();
                }
            }
            State::Whole(_) | State::Over => {}
        }
        match self.expected {
            Some(expected) if self.seen > expected => self.give_up(),
            Some(expected) if self.seen == expected && !self.awaits_end => self.end(BodyEnd::default()),
            _ => {}
        }
    }

    fn start_filling(&mut self) {
        if let State::KeepingBack { fill, body } = std::mem::replace(&mut self.state, State::Over) {
            let filling = fill.start();
            for data in body.into_vec() {
                filling.inlet.push(data);
            }
            self.state = State::Filling(filling);
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
        self.state = match std::mem::replace(&mut self.state, State::Over) {
            State::KeepingBack { fill, body } => State::Whole(fill.store(body.into_vec(), end)),
            State::Filling(filling) => State::Whole(filling.complete(end)),
            State::Whole(retraction) if end.trailers.is_some() => {
                retraction.retract();
                State::Over
            }
            state => state,
        };
        self.leading = None;
    }

    fn give_up(&mut self) {
        (self.stall, self.leading) = (None, None);
        match std::mem::replace(&mut self.state, State::Over) {
            State::KeepingBack { fill, .. } => fill.abandon(),
            State::Whole(retraction) => retraction.retract(),
            State::Filling(_) | State::Over => {}
        }
    }
}
