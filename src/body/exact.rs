//! A body that must have exactly as many bytes as its response announces.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::PollFrame;
use crate::error::BodyError;

pin_project! {
    /// Counts the content of a 206 that goes between stored bytes.
    ///
    /// Only the count shows where a part ends. If it ended too early without an error, all following bytes would be
    /// shifted. Too few or too many bytes are an error, and the caller gets no surplus byte. So the last bytes wait until
    /// the end of the body is known. Trailer fields describe the part, not the whole, and are dropped.
    pub(super) struct Exact<B> {
        #[pin]
        inner: B,
        // Bytes that have not arrived yet.
        due: u64,
        // The last bytes, until the end is known.
        last: Option<Bytes>,
        ended: bool,
    }
}

impl<B> Exact<B> {
    pub(super) fn new(inner: B, len: u64) -> Self {
        Self { inner, due: len, last: None, ended: false }
    }
}

impl<B> Body for Exact<B>
where
    B: Body<Data = Bytes, Error = BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PollFrame {
        let mut this = self.project();
        while !*this.ended {
            let frame = ready!(this.inner.as_mut().poll_frame(cx));
            let failure = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => match this.due.checked_sub(data.len() as u64) {
                    Some(due) => {
                        *this.due = due;
                        if due > 0 || data.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        *this.ended = this.inner.is_end_stream();
                        *this.last = Some(data);
                        continue;
                    }
                    None => BodyError::origin(WrongLength::TooLong),
                },
                Some(Ok(Err(_))) | None if *this.due == 0 => {
                    *this.ended = true;
                    continue;
                }
                Some(Ok(Err(_))) | None => BodyError::origin(WrongLength::TooShort),
                Some(Err(error)) => error,
            };
            (*this.ended, *this.due, *this.last) = (true, 0, None);
            return Poll::Ready(Some(Err(failure)));
        }
        Poll::Ready(this.last.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let last = self.last.as_ref().map_or(0, |data| data.len() as u64);
        SizeHint::with_exact(self.due + last)
    }
}

/// How the content differs from what its response announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WrongLength {
    TooShort,
    TooLong,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the content ended before the range that Content-Range announced was complete",
            Self::TooLong => "the content went on after the range that Content-Range announced",
        })
    }
}

impl Error for WrongLength {}

/// Whether the body failed because it is not what its response announced. Then none of its bytes can be trusted.
pub(super) fn is_wrong_length(error: &BodyError) -> bool {
    error.source().is_some_and(<dyn Error>::is::<WrongLength>)
}
