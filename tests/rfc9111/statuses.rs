//! Section 3: which statuses are stored with explicit freshness.

use larder::policy::Policy;
use larder::policy::engine::NotStored;

use crate::model::{Model, reused_after};

#[test]
fn any_final_status_with_explicit_freshness_is_stored() {
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599] {
        let fresh = [("expires", "@100000"), ("last-modified", "@0"), ("date", "@0")];
        assert!(reused_after(&Policy::shared(), status, &fresh, 3), "{status}");
        let stale = [("expires", "@-5000"), ("last-modified", "@-100000"), ("date", "@0")];
        assert!(!reused_after(&Policy::shared(), status, &stale, 3), "{status}");
    }
}

#[test]
fn what_answers_one_request_only_is_not_stored() {
    let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
    for status in [100, 101, 103, 304, 412, 416] {
        assert_eq!(Model::private().get(status, &fields).err(), Some(NotStored::Status), "{status}");
    }
    assert_eq!(Model::private().get(206, &fields).err(), Some(NotStored::Partial));
    let mut model = Model::private();
    assert_eq!(model.get_with(&[("if-match", "\"a\"")], 404, &fields).err(), Some(NotStored::Status));
}

#[test]
fn without_freshness_or_leave_other_statuses_are_not_stored() {
    for status in [201, 302, 307, 403, 500, 599] {
        let stored = Model::private().get(status, &[("etag", "\"a\"")]).map(|_| ()).err();
        assert_eq!(stored, Some(NotStored::NotCacheable), "{status}");
    }
}

#[test]
fn what_could_never_be_used_is_not_stored() {
    assert_eq!(Model::private().get(200, &[]).err(), Some(NotStored::Useless));
    assert!(Model::private().get(200, &[("etag", "\"a\"")]).is_ok());
}
