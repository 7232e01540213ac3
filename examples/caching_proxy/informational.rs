//! Interim responses (RFC 9110 section 15.2): what the origin says with 1xx before it answers.
//!
//! hyper's client reports them, but hyper's server has no way to send them. So the proxy shares the write side of the
//! accepted socket with hyper, and puts an interim response there itself while hyper has nothing of its own under way.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, StatusCode, Version};
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;

/// Splits a connection's write side into hyper's half and the one for interim responses.
pub(crate) fn share(socket: OwnedWriteHalf) -> (Writer, Early) {
    let shared = Arc::new(Mutex::new(Shared { socket, rest: BytesMut::new(), between: true, exchange: 0 }));
    (Writer(Arc::clone(&shared)), Early(shared))
}

#[derive(Debug)]
struct Shared {
    socket: OwnedWriteHalf,
    /// What the socket did not take of an interim response: goes out before anything else.
    rest: BytesMut,
    /// Everything that hyper wrote so far is sent: the only place where an interim response may stand.
    between: bool,
    /// Counts the exchanges, so that a validation still running in the background cannot speak up in a later one.
    exchange: u64,
}

/// The way for interim responses.
#[derive(Debug, Clone)]
pub(crate) struct Early(Arc<Mutex<Shared>>);

impl Early {
    /// Sends on to the client what comes for this request, until [`end`](Self::end) gets the number returned here.
    pub(crate) fn relay<B>(&self, request: &mut Request<B>, client: Version) -> u64 {
        let exchange = lock(&self.0).exchange;
        // An HTTP/1.0 client does not know them.
        if client >= Version::HTTP_11 {
            let shared = Arc::clone(&self.0);
            hyper::ext::on_informational(request, move |response| {
                // 100 is answered by our own server, and 101 was never asked for.
                if response.status() != StatusCode::CONTINUE
                    && response.status() != StatusCode::SWITCHING_PROTOCOLS
                {
                    lock(&shared).send(exchange, response.status(), response.headers());
                }
            });
        }
        exchange
    }

    /// The final response takes over.
    pub(crate) fn end(&self, exchange: u64) {
        let mut shared = lock(&self.0);
        if shared.exchange == exchange {
            shared.exchange += 1;
        }
    }
}

impl Shared {
    fn send(&mut self, exchange: u64, status: StatusCode, headers: &HeaderMap) {
        if self.exchange != exchange || !self.between || !self.rest.is_empty() {
            return;
        }
        let message = interim(status, headers);
        // A socket that takes nothing now belongs to a client that does not read: it may do without.
        if let Ok(sent) = self.socket.try_write(&message) {
            self.rest.extend_from_slice(message.get(sent..).unwrap_or_default());
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.rest))?;
            self.rest.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

fn interim(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut message =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default())
            .into_bytes();
    for (name, value) in headers {
        if name != CONNECTION && name != TRANSFER_ENCODING && name != UPGRADE {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                message.extend_from_slice(part);
            }
        }
    }
    message.extend_from_slice(b"\r\n");
    message
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// hyper's half.
#[derive(Debug)]
pub(crate) struct Writer(Arc<Mutex<Shared>>);

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.0);
        ready!(shared.poll_rest(cx))?;
        shared.between = false;
        Pin::new(&mut shared.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = lock(&self.0);
        ready!(shared.poll_rest(cx))?;
        shared.between = false;
        Pin::new(&mut shared.socket).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when it has written all it had.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.0);
        ready!(shared.poll_rest(cx))?;
        ready!(Pin::new(&mut shared.socket).poll_flush(cx))?;
        shared.between = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).socket).poll_shutdown(cx)
    }
}
