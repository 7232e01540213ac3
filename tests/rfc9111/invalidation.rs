//! Section 4.4: invalidation.

use larder::policy::engine;

use crate::model::Model;

fn invalidated(method: &str, status: u16, fields: &[(&str, &str)]) -> Vec<String> {
    let model = Model::private();
    let (request, response) = (model.request(method, &[]), model.response(status, fields));
    request.with_info(|info| engine::invalidated(info, &response)).iter().map(ToString::to_string).collect()
}

#[test]
fn unsafe_and_unknown_methods_invalidate_the_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "get"] {
        for status in [200, 204, 303, 304] {
            assert_eq!(invalidated(method, status, &[]), ["https://example.com/a?b"], "{method} {status}");
        }
        for status in [400, 404, 500, 599] {
            assert!(invalidated(method, status, &[]).is_empty(), "{method} {status}");
        }
    }
}

#[test]
fn safe_methods_invalidate_nothing() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"] {
        assert!(invalidated(method, 200, &[("location", "/x")]).is_empty(), "{method}");
    }
}

#[test]
fn location_and_content_location_follow_on_the_same_origin_only() {
    let cases = [
        ("/x", Some("https://example.com/x")),
        ("x", Some("https://example.com/x")),
        ("https://EXAMPLE.com:443/x", Some("https://EXAMPLE.com:443/x")),
        ("http://example.com/x", None),
        ("https://example.com:444/x", None),
        ("https://www.example.com/x", None),
        ("//evil.example/x", None),
        ("https://example.com@evil.example/x", None),
        ("mailto:me", None),
    ];
    for name in ["location", "content-location"] {
        for (value, expected) in cases {
            let found = invalidated("POST", 201, &[(name, value)]);
            assert_eq!(found.len(), 1 + usize::from(expected.is_some()), "{name}: {value}: {found:?}");
            if let Some(expected) = expected {
                assert!(found[1].eq_ignore_ascii_case(expected) || found[1].ends_with("/x"), "{found:?}");
            }
        }
    }
}
