//! A hyper client for http and https.

use std::io;
use std::net::SocketAddr;

use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use tower::Service;

/// Trusts the usual authorities, and takes `name` for the host at `address`.
pub(crate) fn https<B>(
    name: &'static str,
    address: SocketAddr,
) -> io::Result<Client<HttpsConnector<HttpConnector<impl Resolver>>, B>>
where
    B: Body + Send,
    B::Data: Send,
{
    let mut connector = HttpConnector::new_with_resolver(tower::service_fn(move |host: Name| async move {
        if host.as_str() == name {
            return Ok(vec![address].into_iter());
        }
        Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect::<Vec<_>>().into_iter())
    }));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(ring::default_provider())
        .map_err(io::Error::other)?
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// What hyper asks for the addresses of a host.
pub(crate) trait Resolver:
    Service<Name, Response = std::vec::IntoIter<SocketAddr>, Error = io::Error, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Resolver for S where
    S: Service<Name, Response = std::vec::IntoIter<SocketAddr>, Error = io::Error, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}
