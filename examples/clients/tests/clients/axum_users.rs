#[path = "../../examples/axum_users.rs"]
#[allow(dead_code, reason = "its main")]
mod example;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use example::{Sessions, User, app};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use larder::storage::{MemoryStorage, StorageExt};
use tower::ServiceExt;

use crate::origin::Origin;

/// Says whose token it got, and lets nobody tell by its fields that this is for one user only.
async fn api() -> Origin {
    let me = |headers: HeaderMap| async move {
        let token = headers["authorization"].to_str().unwrap().to_owned();
        ([("cache-control", "max-age=60")], format!("data for {token}"))
    };
    Origin::http(Router::new().route("/me", get(me))).await
}

fn sessions() -> Sessions {
    let sessions = Sessions::default();
    for id in ["alice", "bob"] {
        login(&sessions, id, "1");
    }
    sessions
}

/// The session has the name of its user, and his token says whose it is.
fn login(sessions: &Sessions, id: &str, number: &str) {
    let user = User { id: id.into(), token: format!("{id}-{number}") };
    sessions.write().unwrap().insert(id.into(), user);
}

async fn ask(app: &Router, session: &str) -> (StatusCode, String) {
    let request = Request::get("/me").header("session", session).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn no_user_sees_the_response_of_another() {
    let api = api().await;
    let app = app(api.url.clone(), sessions(), MemoryStorage::new());
    for _ in 0..2 {
        for user in ["alice", "bob"] {
            assert_eq!(ask(&app, user).await, (StatusCode::OK, format!("data for Bearer {user}-1")));
        }
    }
    assert_eq!(api.asked().len(), 2, "once for each user");
    assert_eq!(ask(&app, "mallory").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nor_when_all_ask_at_once() {
    let api = api().await;
    let app = app(api.url.clone(), sessions(), MemoryStorage::new());
    let users = ["alice", "bob"].repeat(20);
    let answers = join_all(users.iter().map(|user| ask(&app, user))).await;
    for (user, (_, body)) in users.iter().zip(answers) {
        assert_eq!(body, format!("data for Bearer {user}-1"));
    }
}

#[tokio::test]
async fn a_new_token_finds_what_the_last_one_stored_and_no_token_is_in_the_store() {
    let api = api().await;
    let (sessions, storage) = (sessions(), Arc::new(MemoryStorage::new()));
    let app = app(api.url.clone(), Arc::clone(&sessions), Arc::clone(&storage));
    ask(&app, "alice").await;
    login(&sessions, "alice", "2");
    assert_eq!(ask(&app, "alice").await.1, "data for Bearer alice-1");
    login(&sessions, "bob", "2");
    assert_eq!(ask(&app, "bob").await.1, "data for Bearer bob-2");
    let (mut heads, mut seen) = (storage.entries(), 0);
    while let Some(head) = heads.next().await {
        let key = String::from_utf8_lossy(head.unwrap().key.canonical()).into_owned();
        assert!(!key.contains("alice") && !key.contains("bob"), "{key}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}
