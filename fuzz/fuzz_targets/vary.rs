//! The request that was answered selects the response again, unless Vary is beyond understanding; equality, digest and
//! matching agree.
#![no_main]

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use larder::key::{CacheKey, Selecting};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Field {
    Accept,
    Encoding,
    Language,
    Cookie,
    Other,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    vary: Vec<&'a [u8]>,
    one: Vec<(Field, &'a [u8])>,
    other: Vec<(Field, &'a [u8])>,
}

fn fields(fields: &[(Field, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (field, value) in fields {
        let name = match field {
            Field::Accept => header::ACCEPT,
            Field::Encoding => header::ACCEPT_ENCODING,
            Field::Language => header::ACCEPT_LANGUAGE,
            Field::Cookie => header::COOKIE,
            Field::Other => HeaderName::from_static("foo"),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(name, value);
        }
    }
    map
}

fuzz_target!(|input: Input<'_>| {
    let key = CacheKey::builder().part(CacheKey::URI, "http://a/").build();
    let mut hostile = HeaderMap::new();
    for line in &input.vary {
        if let Ok(line) = HeaderValue::from_bytes(line) {
            hostile.append(header::VARY, line);
        }
    }
    let all = HeaderValue::from_static("accept, accept-encoding, accept-language, cookie, foo");
    let vary = HeaderMap::from_iter([(header::VARY, all)]);
    let (one, other) = (fields(&input.one), fields(&input.other));

    let selecting = Selecting::new(&hostile, &one, &key, b"secret");
    assert_eq!(selecting.matches(&one, &key, b"secret"), !selecting.any);

    let selecting = Selecting::new(&vary, &one, &key, b"secret");
    let of_other = Selecting::new(&vary, &other, &key, b"secret");
    assert!(selecting.matches(&one, &key, b"secret"));
    let matches = selecting.matches(&other, &key, b"secret");
    assert_eq!(matches, of_other.matches(&one, &key, b"secret"));
    assert_eq!(matches, selecting == of_other);
    assert_eq!(matches, selecting.digest() == of_other.digest());
});
