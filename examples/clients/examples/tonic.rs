//! tonic through a cache, for a program that has one stack for all it sends. gRPC is POST with content, which is not for
//! caching: it passes, streams and trailers included, and the storage is not asked.
//!
//! ```text
//! cargo run -p larder-clients --example tonic -- http://127.0.0.1:50051
//! ```
//!
//! This holds for clients made with `new`, whose URIs are relative at this height. `with_origin` makes them absolute, and
//! then each call invalidates what is stored for its URI, as any POST does (RFC 9111 section 4.4): one trip to the store.

use std::error::Error;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http_body::Body as HttpBody;
use larder::storage::{IntoStorage, MemoryStorage};
use larder::{Cache, CacheLayer};
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::{BoxError, Layer};

pub(crate) fn channel(address: String, storage: impl IntoStorage) -> Result<Cache<Channel>, Box<dyn Error>> {
    Ok(CacheLayer::new(storage).layer(Endpoint::from_shared(address)?.connect_lazy()))
}

/// What a generated client does for `rpc Greet (Name) returns (Greeting)`.
pub(crate) async fn greet<S>(mut grpc: Grpc<S>, name: &str) -> Result<String, Status>
where
    S: GrpcService<tonic::body::Body>,
    S::ResponseBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    grpc.ready().await.map_err(|error| Status::unavailable(error.into().to_string()))?;
    let path = PathAndQuery::from_static("/example.Greeter/Greet");
    Ok(grpc.unary(Request::new(name.to_owned()), path, Text).await?.into_inner())
}

/// Messages that are plain text, so that this example needs no `.proto`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let text = from.copy_to_bytes(from.remaining());
        String::from_utf8(text.into()).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("http://127.0.0.1:50051".into());
    let channel = channel(address, MemoryStorage::new())?;
    println!("{}", greet(Grpc::new(channel), "larder").await?);
    Ok(())
}
