//! A wire that can be slow, or break.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Between a storage and its server.
pub struct Wire {
    /// Host and port to connect to.
    pub address: String,
    state: Arc<State>,
}

struct State {
    /// What every piece of a reply waits.
    delay_millis: AtomicU64,
    /// Bytes of replies that still pass before the connection is cut.
    passing: AtomicU64,
    /// Connections with an older number than this are dead, and nobody is told.
    alive_from: AtomicU64,
}

impl Wire {
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            delay_millis: AtomicU64::new(0),
            passing: AtomicU64::new(u64::MAX),
            alive_from: AtomicU64::new(0),
        });
        let (server, shared) = (server.to_owned(), Arc::clone(&state));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                tokio::spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub fn delay(&self, delay: Duration) {
        self.state.delay_millis.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn cut_after(&self, bytes: u64) {
        self.state.passing.store(bytes, Ordering::SeqCst);
    }

    /// From now on no connection that is open carries anything, as when a host is gone or a router has forgotten it.
    pub fn lose_connections(&self) {
        self.state.alive_from.fetch_add(1, Ordering::SeqCst);
    }

    /// No reply waits any more, and none is cut.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
        self.cut_after(u64::MAX);
    }
}

async fn pass(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 16 * 1024];
    let made = state.alive_from.load(Ordering::SeqCst);
    while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
        if state.alive_from.load(Ordering::SeqCst) != made {
            std::future::pending::<()>().await;
        }
        let delay = state.delay_millis.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let left = state.passing.load(Ordering::SeqCst);
        if left != u64::MAX && left < len as u64 {
            break;
        }
        if left != u64::MAX {
            state.passing.store(left - len as u64, Ordering::SeqCst);
        }
        if to_client.write_all(&buffer[..len]).await.is_err() {
            break;
        }
    }
    asking.abort();
}

/// An address that nobody listens on.
pub fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
