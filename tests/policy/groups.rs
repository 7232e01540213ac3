//! RFC 9875: cache groups.

use larder::entry::{Group, GroupId};
use larder::policy::engine;

use crate::model::Model;

fn group(name: &str) -> Group {
    Group { origin: "https://example.com".into(), name: name.into() }
}

#[test]
fn a_response_belongs_to_the_groups_it_and_the_user_name() {
    let model = Model::private();
    let mut request = model.request("GET", &[]);
    request.overrides.groups = vec!["mine".into(), "scripts".into()];
    let fields = [("cache-control", "max-age=60"), ("cache-groups", "\"scripts\"; x=1, \"Scripts\"")];
    let head = model.storable(&request, &model.response(200, &fields)).unwrap();
    assert_eq!(head.groups, [group("Scripts"), group("mine"), group("scripts")]);
}

#[test]
fn a_field_that_is_no_list_of_strings_names_nothing() {
    for groups in ["scripts", "\"a\", 1", "\"a", "(\"a\")", ""] {
        let fields = [("cache-control", "max-age=60"), ("cache-groups", groups)];
        assert!(Model::private().get(200, &fields).unwrap().groups.is_empty(), "{groups}");
    }
}

#[test]
fn thirty_two_groups_of_thirty_two_characters_are_read() {
    let names: Vec<String> = (0..32).map(|n| format!("\"{n:032}\"")).collect();
    let names = names.join(", ");
    let fields = [("cache-control", "max-age=60"), ("cache-groups", names.as_str())];
    assert_eq!(Model::private().get(200, &fields).unwrap().groups.len(), 32);
}

#[test]
fn unsafe_methods_invalidate_the_groups_that_the_response_names() {
    let model = Model::private();
    let response = model.response(200, &[("cache-group-invalidation", "\"a\", \"b\"")]);
    let named = |method| {
        model
            .request(method, &[])
            .with_info(|info| engine::invalidated_groups(&larder::Policy::private(), info, &response))
    };
    for group in ["a", "b"] {
        assert!(named("POST").contains(&GroupId::of(&self::group(group))), "{group}");
    }
    assert!(named("GET").is_empty());
    let failed = model.response(500, &[("cache-group-invalidation", "\"a\"")]);
    assert!(
        model
            .request("POST", &[])
            .with_info(|info| engine::invalidated_groups(&larder::Policy::private(), info, &failed))
            .is_empty()
    );
}
