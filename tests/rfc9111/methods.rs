//! Sections 2 and 4: methods.

use larder::policy::{NotStored, Policy, Reuse};
use larder::status::Fwd;

use crate::model::{Model, Outcome, answer, outcome};
use larder::policy::Answer;

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
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "M-SEARCH", "QUERY"] {
        let request = model.request(method, &[]);
        assert_eq!(outcome(&model.reuse(&request)), Outcome::Forward(Fwd::Method), "{method}");
        assert_eq!(model.exchange(&request, 200, FRESH).err(), Some(NotStored::Method), "{method}");
    }
}

#[test]
fn a_method_the_user_names_is_reused_for_itself_only() {
    let query = http::Method::from_bytes(b"QUERY").unwrap();
    let mut model = Model::new(Policy::private().methods([query]));
    let request = model.request("QUERY", &[]);
    model.exchange(&request, 200, FRESH).unwrap();
    assert_eq!(outcome(&model.reuse(&request)), Outcome::Hit);
    assert_eq!(outcome(&model.ask(&[])), Outcome::Forward(Fwd::UriMiss));
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
