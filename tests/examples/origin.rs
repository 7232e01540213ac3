//! An origin server for programs that are other processes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Answers every request with a body of as many bytes as the path says (`/300000`), fresh for an hour.
pub(crate) struct Origin {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                // A client that goes away ends its connection.
                thread::spawn(move || answer(&connection, &count));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many requests have arrived.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut connection: &TcpStream, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    while let Some(request) = lines.next().transpose()? {
        while lines.next().transpose()?.is_some_and(|field| !field.is_empty()) {}
        asked.fetch_add(1, Ordering::SeqCst);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let body = vec![b'x'; path.trim_start_matches('/').parse().unwrap_or(0)];
        let head = format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=3600\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes())?;
        connection.write_all(&body)?;
    }
    Ok(())
}
