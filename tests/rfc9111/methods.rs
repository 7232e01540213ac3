//! Sections 2 and 4: methods.

use larder::policy::Policy;
use larder::policy::engine::{NotStored, Reuse};
use larder::status::Fwd;

use crate::model::{Model, Outcome, answer, outcome};
use larder::policy::engine::Answer;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

#[test]
fn head_is_answered_from_a_stored_get_and_never_stored() {
    let mut model = Model::private();
    let head = model.request("HEAD", &[]);
    assert_eq!(model.exchange(&head, 200, FRESH).err(), Some(NotStored::Method));
    model.get(200, FRESH).unwrap();
    assert_eq!(answer(&model.reuse(&head)), Some(Answer::Head));
}

#[test]
fn other_methods_go_to_the_origin() {
    let mut model = Model::private();
    model.get(200, FRESH).unwrap();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "M-SEARCH"] {
        let request = model.request(method, &[]);
        assert_eq!(outcome(&model.reuse(&request)), Outcome::Forward(Fwd::Method), "{method}");
        assert_eq!(model.exchange(&request, 200, FRESH).err(), Some(NotStored::Method), "{method}");
    }
}

#[test]
fn a_method_the_user_names_is_reused_for_itself_only() {
    let mut model = Model::new(Policy::private().methods([http::Method::POST]));
    let mut request = model.request("POST", &[]);
    // A key of one's own stands for the content too.
    request.overrides.key = Some(larder::key::CacheKey::builder().part("mine", "1").build());
    model.exchange(&request, 200, FRESH).unwrap();
    assert_eq!(outcome(&model.reuse(&request)), Outcome::Hit);
    assert_eq!(outcome(&model.ask(&[])), Outcome::Forward(Fwd::UriMiss));
}

#[test]
fn content_that_the_key_does_not_know_goes_to_the_origin() {
    let mut model = Model::new(Policy::private().methods([http::Method::POST]));
    model.get(200, FRESH).unwrap();
    let table: [(&str, &[(&str, &str)]); 5] = [
        ("QUERY", &[]),
        ("POST", &[]),
        ("GET", &[("content-length", "3")]),
        ("GET", &[("transfer-encoding", "chunked")]),
        ("HEAD", &[("content-length", "3")]),
    ];
    for (method, fields) in table {
        let request = model.request(method, fields);
        assert_eq!(outcome(&model.reuse(&request)), Outcome::Forward(Fwd::Bypass), "{method} {fields:?}");
        assert_eq!(model.exchange(&request, 200, FRESH).err(), Some(NotStored::Method), "{method}");
    }
    assert_eq!(outcome(&model.ask(&[("content-length", "0")])), Outcome::Hit);
}

#[test]
fn post_with_its_own_content_location_answers_later_gets() {
    let mut model = Model::private();
    let post = model.request("POST", &[]);
    let fields = [("cache-control", "max-age=60"), ("content-location", "/a?b")];
    model.exchange(&post, 200, &fields).unwrap();
    assert!(matches!(model.ask(&[]), Reuse::Serve(_)));
    let elsewhere = [("cache-control", "max-age=60"), ("content-location", "/b")];
    assert_eq!(model.exchange(&post, 200, &elsewhere).err(), Some(NotStored::Method));
    let implicit = [("last-modified", "@-5000"), ("content-location", "/a?b")];
    assert_eq!(model.exchange(&post, 200, &implicit).err(), Some(NotStored::Method));
}
