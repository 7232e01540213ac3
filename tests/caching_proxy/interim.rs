//! RFC 9110 section 15.2: interim responses are passed on and never stored.

use tokio::net::TcpStream;

use crate::sockets::{ask, ask_on, start};

const FRESH: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nok";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nx-hint: 1\r\n\r\n";

fn after(interim: &str) -> &'static str {
    format!("{interim}{FRESH}").leak()
}

#[tokio::test]
async fn early_hints_reach_the_client_and_are_no_part_of_what_is_stored() {
    let (proxy, asked) = start(&[], [after(HINTS)]).await;
    let first = ask(proxy, "HTTP/1.1").await;
    let (hints, answer) = first.split_once("\r\n\r\n").unwrap();
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\n"), "{first}");
    assert!(hints.contains("link: </a.css>; rel=preload") && hints.contains("x-hint: 1"), "{first}");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("x-hint"), "{first}");
    let second = ask(proxy, "HTTP/1.1").await;
    assert!(second.starts_with("HTTP/1.1 200 OK\r\n") && second.contains("age: "), "{second}");
    assert!(!second.contains("x-hint"), "{second}");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn several_interim_responses_keep_their_order() {
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let (proxy, _) = start(&[], [after(&format!("{processing}{processing}{HINTS}"))]).await;
    let all = ask(proxy, "HTTP/1.1").await;
    let statuses: Vec<_> = all.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).collect();
    assert_eq!(statuses, ["102 Processing", "102 Processing", "103 Early Hints", "200 OK"]);
}

#[tokio::test]
async fn each_response_on_a_connection_has_its_own() {
    let unstored = format!("{HINTS}{}", FRESH.replace("max-age=60", "no-store")).leak();
    let (proxy, _) = start(&[], [unstored, unstored, after("")]).await;
    let mut socket = TcpStream::connect(proxy).await.unwrap();
    for _ in 0..2 {
        let all = ask_on(&mut socket).await;
        assert!(all.starts_with("HTTP/1.1 103 "), "{all}");
        assert_eq!(all.matches("HTTP/1.1 ").count(), 2, "{all}");
    }
    assert!(ask_on(&mut socket).await.starts_with("HTTP/1.1 200 "));
    assert!(ask_on(&mut socket).await.contains("age: "), "a hit has none either");
}

#[tokio::test]
async fn a_100_that_nobody_waits_for_is_not_passed_on() {
    let (proxy, _) = start(&[], [after("HTTP/1.1 100 Continue\r\n\r\n")]).await;
    assert!(ask(proxy, "HTTP/1.1").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// RFC 9110 section 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
#[tokio::test]
async fn a_client_of_http_1_0_gets_none() {
    let (proxy, _) = start(&[], [after(HINTS)]).await;
    let answer = ask(proxy, "HTTP/1.0").await;
    assert!(answer.contains(" 200 OK\r\n") && !answer.contains("103"), "{answer}");
}
