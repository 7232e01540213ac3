//! An origin that says exactly what it is told, the proxy before it, and a client that shows all that it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;

use crate::options::Options;
use crate::proxy;

/// The heads of the requests that the origin got.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

/// Starts an origin that gives these answers, one to each request, and the proxy before it. An empty answer closes
/// the connection.
pub(crate) async fn start<const N: usize>(
    arguments: &[&str],
    answers: [&'static str; N],
) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (record, mut answers) = (Arc::clone(&asked), answers.into_iter());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            while let Some(head) = read_head(&mut socket).await {
                record.lock().unwrap().push(head);
                match answers.next().expect("no more requests") {
                    "" => break,
                    answer => socket.write_all(answer.as_bytes()).await.unwrap(),
                }
            }
        }
    });
    let arguments = ["caching_proxy", "--origin", &origin].into_iter().chain(arguments.iter().copied());
    let options = Options::parse_from(arguments);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cache = options.cache_layer().await.unwrap();
    let service = cache.key_content().layer(cache.layer(proxy::client()));
    tokio::spawn(async move { proxy::serve(listener, &options.origin, service).await.unwrap() });
    (address, asked)
}

/// All that comes back to one request on a connection of its own.
pub(crate) async fn ask(proxy: SocketAddr, version: &str) -> String {
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    send(&mut socket, version, "close").await;
    let mut all = String::new();
    socket.read_to_string(&mut all).await.unwrap();
    all
}

/// What comes back to one request on a connection that stays open, up to the end of the body `ok`.
pub(crate) async fn ask_on(socket: &mut TcpStream) -> String {
    send(socket, "HTTP/1.1", "keep-alive").await;
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\nok") {
        all.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(all).unwrap()
}

async fn send(socket: &mut TcpStream, version: &str, connection: &str) {
    let request = format!("GET /page {version}\r\nhost: example.com\r\nconnection: {connection}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
}

async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}
