//! The server in front and the client behind.

use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use larder::KeyedBody;
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

use crate::BoxError;
use crate::forward::{Forward, RequestBody};
use crate::informational;

/// Neither retries by itself nor keeps an idle connection for longer than a careful origin does: a request is sent
/// once, and a connection that the origin closes at that very moment would be an error.
pub(crate) fn client() -> Client<HttpConnector, KeyedBody<RequestBody>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_millis(1500))
        .retry_canceled_requests(false)
        .build(connector)
}

/// Answers what comes in at the listener, for ever.
pub(crate) async fn serve<S, R>(listener: TcpListener, origin: &Uri, service: S) -> Result<(), BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + Sync + 'static,
    R::Error: Into<BoxError>,
{
    let forward = Forward::new(origin, service)?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let forward = forward.clone();
                tokio::spawn(async move {
                    // A client that goes away mid-response is its own affair.
                    let _ = connection(socket, forward).await;
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection<S, R>(socket: TcpStream, forward: Forward<S>) -> Result<(), BoxError>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + Sync + 'static,
    R::Error: Into<BoxError>,
{
    socket.set_nodelay(true)?;
    let (reader, writer) = socket.into_split();
    let (writer, early) = informational::share(writer);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (forward, early) = (forward.clone(), early.clone());
        async move { Ok::<_, Infallible>(forward.answer(request, &early).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(tokio::io::join(reader, writer)), answer)
        .await?;
    Ok(())
}
