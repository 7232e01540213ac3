//! One request to the origin and its response back: everything end-to-end as it came, everything hop-by-hop left out.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tower::{Service, ServiceExt};

use crate::BoxError;
use crate::chain::Chain;
use crate::informational::Early;

/// What the cache sends to the origin. Not hyper's `Incoming`, because a cache also makes requests of its own (a
/// background validation, the next hop of a redirect), and their body is the empty default.
pub(crate) type RequestBody = BoxBody<Bytes, hyper::Error>;

/// RFC 9110 section 7.6.1, and the fields between a client and its proxy (11.7): not for the other side.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-authorization"),
];

#[derive(Debug, Clone)]
pub(crate) struct Forward<S> {
    scheme: Scheme,
    authority: Authority,
    service: S,
}

impl<S, R> Forward<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + Sync + 'static,
    R::Error: Into<BoxError>,
{
    pub(crate) fn new(origin: &Uri, service: S) -> Result<Self, BoxError> {
        match (origin.scheme(), origin.authority()) {
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => {
                Ok(Self { scheme: scheme.clone(), authority: authority.clone(), service })
            }
            _ => Err(format!("--origin {origin}: not an http:// origin").into()),
        }
    }

    /// The origin's answer, or ours when there is none: never an error.
    pub(crate) async fn answer(
        self,
        request: Request<Incoming>,
        early: &Early,
    ) -> Response<BoxBody<Bytes, BoxError>> {
        let version = request.version();
        let Some(mut request) = self.outgoing(request) else {
            return plain(
                StatusCode::BAD_REQUEST,
                "this proxy takes requests for paths of its origin only\n".into(),
            );
        };
        let ticket = early.relay(&mut request, version);
        let response = self.service.oneshot(request).await;
        early.end(ticket);
        match response {
            Ok(response) => incoming(response),
            Err(error) => plain(
                StatusCode::BAD_GATEWAY,
                format!("the origin did not answer: {}\n", Chain(&*error.into())),
            ),
        }
    }

    /// The request as the origin gets it; `None` when its target is no path.
    fn outgoing(&self, request: Request<Incoming>) -> Option<Request<RequestBody>> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.target(parts.uri.path_and_query()?)?;
        parts.version = Version::HTTP_11;
        drop_hop_by_hop(&mut parts.headers);
        // The client sets it from the URI: a Host that differs from the URI would be an input outside the key.
        parts.headers.remove(HOST);
        Some(Request::from_parts(parts, body.boxed()))
    }

    fn target(&self, path: &PathAndQuery) -> Option<Uri> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path.clone())
            .build()
            .ok()
    }
}

fn incoming<R>(mut response: Response<R>) -> Response<BoxBody<Bytes, BoxError>>
where
    R: Body<Data = Bytes> + Send + Sync + 'static,
    R::Error: Into<BoxError>,
{
    *response.version_mut() = Version::HTTP_11;
    drop_hop_by_hop(response.headers_mut());
    response.map(|body| body.map_err(Into::into).boxed())
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn plain(status: StatusCode, text: String) -> Response<BoxBody<Bytes, BoxError>> {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
