//! Different parts make different keys, through the builder and through the default key.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::Request;
use larder::CacheLayer;
use larder::key::{CacheKey, DefaultKey, RequestHead, target_uri};
use larder::storage::MemoryStorage;
use libfuzzer_sys::fuzz_target;

type Parts<'a> = Vec<(&'a str, &'a [u8])>;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    one: Parts<'a>,
    other: Parts<'a>,
    canonical: &'a [u8],
    requests: [Asked<'a>; 2],
    sort: bool,
}

#[derive(Arbitrary, Debug)]
struct Asked<'a> {
    method: &'a str,
    uri: &'a str,
    host: Option<&'a [u8]>,
    override_by: Option<&'a [u8]>,
    credentials: Option<&'a [u8]>,
    partition: Option<&'a [u8]>,
    digest: Option<[u8; 32]>,
}

impl Asked<'_> {
    fn request(&self) -> Option<Request<()>> {
        let mut request = Request::builder().method(self.method).uri(self.uri);
        let fields =
            [("host", self.host), ("x-original-url", self.override_by), ("authorization", self.credentials)];
        for (name, value) in fields {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(()).ok()
    }

    fn key(&self, request: &Request<()>, sort: bool) -> Option<CacheKey> {
        let partition = self.partition.map(<[u8]>::to_vec);
        let keys = DefaultKey::new().sort_query(sort).partition_by(move |_| partition.clone());
        let head = RequestHead::from(request);
        let layer = CacheLayer::new(MemoryStorage::new()).make_key(keys);
        layer.key_of(self.digest.as_ref().map_or(head, |digest| head.with_body_digest(digest)))
    }
}

fn build(parts: &Parts<'_>) -> CacheKey {
    parts.iter().fold(CacheKey::builder(), |key, (label, value)| key.part(label, value)).build()
}

fuzz_target!(|input: Input<'_>| {
    let labels = |parts: &Parts<'_>| parts.iter().all(|(label, _)| !label.contains(':'));
    if labels(&input.one) && labels(&input.other) {
        assert_eq!(input.one == input.other, build(&input.one) == build(&input.other));
    }
    for parts in [&input.one, &input.other] {
        let key = build(parts);
        assert_eq!(CacheKey::from_canonical(key.canonical().clone()), Some(key));
    }
    let _ = CacheKey::from_canonical(Bytes::copy_from_slice(input.canonical));

    let [one, other] = &input.requests;
    if let (Some(first), Some(second)) = (one.request(), other.request())
        && let (Some(key), Some(other_key)) = (one.key(&first, input.sort), other.key(&second, input.sort))
    {
        if key == other_key {
            assert_eq!((one.partition, one.digest), (other.partition, other.digest));
            assert_eq!(first.headers().get("authorization"), second.headers().get("authorization"));
            assert_eq!(one.override_by.map(<[u8]>::len), other.override_by.map(<[u8]>::len));
            if !input.sort {
                assert_eq!(target_uri(first.uri()), target_uri(second.uri()));
                assert_eq!(first.uri().path_and_query(), second.uri().path_and_query());
            }
        }
    }
});
