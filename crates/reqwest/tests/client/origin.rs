//! An HTTPS origin on this machine, with a certificate of its own authority.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Handler = dyn Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync;

/// What was asked, and how to reach it.
pub(crate) struct Origin {
    pub(crate) url: String,
    certificate: reqwest::Certificate,
    asked: Arc<Mutex<Vec<(String, http::HeaderMap)>>>,
}

impl Origin {
    /// Answers every request with what `handler` makes of it.
    pub(crate) async fn new(
        handler: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(authority.signing_key.serialize_der()).unwrap();
        let chain = vec![authority.cert.der().clone()];
        let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let certificate = reqwest::Certificate::from_der(authority.cert.der()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (handler, record): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&asked));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, handler, record) =
                    (acceptor.clone(), Arc::clone(&handler), Arc::clone(&record));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(move |request: Request<Incoming>| {
                        record.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
                        let response = handler(&request);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        Self { url, certificate, asked }
    }

    /// A client builder that trusts it, and nobody else.
    pub(crate) fn client(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder().tls_certs_only([self.certificate.clone()])
    }

    /// The targets asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(target, _)| target.clone()).collect()
    }

    /// The fields of the last request.
    pub(crate) fn last(&self) -> http::HeaderMap {
        self.asked.lock().unwrap().last().expect("a request").1.clone()
    }
}

/// A response that is fresh for a minute.
pub(crate) fn fresh(body: &'static str) -> Response<Full<Bytes>> {
    Response::builder().header("cache-control", "max-age=60").body(Full::from(body)).unwrap()
}
