//! Whatever a storage returns, decoding neither panics nor allocates beyond its input; what decodes, comes back.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use larder::entry::{Alias, StoredBody, StoredResponse, codec};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

const PREAMBLE_LEN: usize = 12;

/// The fuzzer cannot guess checksums, so they are put right.
fn with_checksum(payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(PREAMBLE_LEN + payload.len());
    bytes.extend_from_slice(b"ldh");
    bytes.push(codec::VERSION);
    bytes.extend_from_slice(&xxh3_64(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.into()
}

fuzz_target!(|data: &[u8]| {
    let raw = Bytes::copy_from_slice(data);
    assert!(codec::decode(&raw).is_err() || data.len() > PREAMBLE_LEN);
    let _ = codec::decode_with_body(&raw);
    let _ = codec::decode_alias(&raw);

    if let Ok(head) = codec::decode(&with_checksum(data)) {
        let encoded = Bytes::from(codec::encode(&head));
        assert_eq!(codec::decode(&encoded).as_ref(), Ok(&head));
        let with_body = Bytes::from(codec::encode_with_body(&head, data));
        let (_, body) = codec::decode_with_body(&with_body).expect("just encoded");
        assert_eq!(body, data);

        let alias = Alias {
            target: head.key.clone(),
            response: StoredResponse {
                head: Arc::new(head),
                body: StoredBody::Inline(body),
                invalidated: false,
            },
        };
        let encoded = codec::encode_alias(&alias).expect("its body is at hand").into();
        let decoded = codec::decode_alias(&encoded).expect("just encoded");
        assert_eq!(decoded.target, alias.target);
    }
});
