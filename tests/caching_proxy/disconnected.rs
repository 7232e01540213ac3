//! RFC 9111 section 4.2.4: an origin that closes the connection without an answer.

use crate::sockets::{ask, start};

const AGED: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nage: 100\r\netag: \"a\"\r\nx-origin: 1\r\n\
                    content-length: 2\r\n\r\nok";

fn aged(directive: &str) -> &'static str {
    AGED.replace("max-age=60", &format!("max-age=60{directive}")).leak()
}

#[tokio::test]
async fn a_stale_response_answers_in_its_place() {
    let (proxy, asked) = start(&[], [aged(""), ""]).await;
    ask(proxy, "HTTP/1.1").await;
    let stale = ask(proxy, "HTTP/1.1").await;
    assert!(stale.starts_with("HTTP/1.1 200 OK\r\n") && stale.contains("age: 100"), "{stale}");
    assert_eq!(asked.lock().unwrap().len(), 2, "asked once more, and not again");
}

#[tokio::test]
async fn what_must_be_validated_does_not() {
    for directive in [", must-revalidate", ", proxy-revalidate", ", no-cache", ", s-maxage=2"] {
        let (proxy, asked) = start(&["--mode", "shared"], [aged(directive), ""]).await;
        ask(proxy, "HTTP/1.1").await;
        let answer = ask(proxy, "HTTP/1.1").await;
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{directive}: {answer}");
        assert!(!answer.contains("x-origin"), "{directive}: {answer}");
        assert_eq!(asked.lock().unwrap().len(), 2, "{directive}");
    }
}
