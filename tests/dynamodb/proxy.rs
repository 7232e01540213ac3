//! A proxy before the server that does what a real DynamoDB does on a bad day.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpListener;

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What becomes of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Pass,
    /// An error with this code, and the call is not carried out.
    Error(&'static str),
    /// The call is carried out, and the answer is cut off in the middle.
    Cut,
    /// The answer comes late.
    Delay(Duration),
    /// So many items or keys of a batch are carried out, the others are handed back.
    Only(usize),
    /// A transaction is cancelled for this reason.
    Cancel(&'static str),
}

type Rule = Box<dyn FnMut(&str) -> Fault + Send>;

/// Stops when it is dropped.
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
    rule: Mutex<Rule>,
    seen: Mutex<Vec<String>>,
}

impl Proxy {
    pub(crate) async fn start(upstream: &str) -> Self {
        Self::listen(upstream, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn listen(upstream: &str, listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            rule: Mutex::new(Box::new(|_| Fault::Pass)),
            seen: Mutex::default(),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { url, state, task }
    }

    /// What becomes of each call from now on, by its name: `Query`.
    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Fault + Send + 'static) {
        *self.state.rule.lock().unwrap() = Box::new(rule);
        self.state.seen.lock().unwrap().clear();
    }

    pub(crate) fn heal(&self) {
        self.rule(|_| Fault::Pass);
    }

    /// The calls since the last rule.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    // Its connections end with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            drop(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let target = request.headers().get("x-amz-target").map(|name| name.to_str().unwrap().to_owned());
    let call = target.unwrap_or_default().split('.').next_back().unwrap_or_default().to_owned();
    state.seen.lock().unwrap().push(call.clone());
    let fault = (state.rule.lock().unwrap())(&call);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Ok(match fault {
        Fault::Pass => forward(&state, &parts.headers, body).await,
        Fault::Error(code) => error(code),
        Fault::Cancel(reason) => cancelled(reason),
        Fault::Delay(by) => {
            tokio::time::sleep(by).await;
            forward(&state, &parts.headers, body).await
        }
        Fault::Cut => cut(forward(&state, &parts.headers, body).await).await,
        Fault::Only(most) => partly(&state, &parts.headers, &body, most).await,
    })
}

async fn forward(state: &State, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    let mut request = Request::post(&state.upstream).body(Full::new(body)).unwrap();
    for (name, value) in headers {
        if !["host", "content-length"].contains(&name.as_str()) {
            request.headers_mut().append(name, value.clone());
        }
    }
    match state.client.request(request).await {
        Ok(response) => response.map(|body| body.map_err(std::io::Error::other).boxed_unsync()),
        Err(_) => error("ServiceUnavailable"),
    }
}

fn json(status: u16, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed_unsync();
    let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    response.header("content-type", "application/x-amz-json-1.0").body(body).unwrap()
}

fn error(code: &str) -> Response<Body> {
    let status = if code.starts_with("Internal") || code.starts_with("ServiceUn") { 500 } else { 400 };
    let space = "com.amazonaws.dynamodb.v20120810#";
    json(status, &serde_json::json!({ "__type": format!("{space}{code}"), "message": "on a bad day" }))
}

fn cancelled(reason: &str) -> Response<Body> {
    let reasons = [reason, "None", "None"].map(|code| serde_json::json!({ "Code": code }));
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{reason}, None, None]"
    );
    let space = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    json(400, &serde_json::json!({ "__type": space, "Message": message, "CancellationReasons": reasons }))
}

/// The first half of the answer, then the end of the connection.
async fn cut(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    parts.headers.insert("content-length", body.len().into());
    parts.headers.remove("transfer-encoding");
    let half = Frame::data(body.slice(..body.len() / 2));
    let end = std::io::Error::other("cut");
    let stream = futures_util::stream::iter([Ok(half), Err(end)]);
    Response::from_parts(parts, StreamBody::new(stream).boxed_unsync())
}

/// Sends the first items of a batch on and hands the others back.
async fn partly(state: &State, headers: &HeaderMap, body: &Bytes, most: usize) -> Response<Body> {
    let mut asked: Value = serde_json::from_slice(body).unwrap();
    let tables = asked["RequestItems"].as_object_mut().unwrap();
    let (table, wanted) = tables.iter_mut().next().unwrap();
    let (table, reading) = (table.clone(), wanted.is_object());
    let list = if reading { &mut wanted["Keys"] } else { wanted };
    let list = list.as_array_mut().unwrap();
    let left = list.split_off(most.min(list.len()));
    let nothing = list.is_empty();
    let mut answer = if nothing {
        serde_json::json!({ "Responses": {} })
    } else {
        let response = forward(state, headers, Bytes::from(asked.to_string())).await;
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    };
    if !left.is_empty() {
        let (name, left) = if reading {
            ("UnprocessedKeys", serde_json::json!({ "Keys": left, "ConsistentRead": true }))
        } else {
            ("UnprocessedItems", Value::from(left))
        };
        answer[name] = serde_json::json!({ table: left });
    }
    json(200, &answer)
}
