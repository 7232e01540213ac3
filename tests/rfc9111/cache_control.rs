//! Section 5.2: reading Cache-Control; what is malformed restricts, and never permits.

use larder::policy::Policy;
use larder::policy::engine::NotStored;

use crate::model::{Model, reused_after};

#[test]
fn max_age_is_read_strictly() {
    let cases: &[(&[&str], bool)] = &[
        (&["max-age=\"3600\""], true),
        (&["max-age='3600'"], false),
        (&["extension=\"max-age=3600\", max-age=1"], false),
        (&["max-age=1, extension=\"max-age=3600\""], false),
        (&["extension=\"max-age=1\", max-age=3600"], true),
        (&["extension=\"a\\\"b, max-age=1\", max-age=3600"], true),
        (&["max-age=003600"], true),
        (&["max-age=3600.0"], false),
        (&["max-age =3600"], false),
        (&["max-age= 3600"], false),
        (&["max-age=a3600"], false),
        (&["max-age=3600a"], false),
        (&["max-age=0x10"], false),
        (&["max-age=1e9"], false),
        (&["max-age=+5000"], false),
        (&["max-age="], false),
        (&["max-age"], false),
        (&["max-age=3600;public"], false),
        (&["max-age=3600, max-age=1800"], true),
        (&["max-age=1, max-age=1800"], false),
        (&["max-age=1800", "max-age=1"], false),
        (&[",, ,max-age=3600,,"], true),
        (&["\tmax-age=3600\t"], true),
        (&["max-age=3600, \u{fc}"], true),
    ];
    for (lines, expected) in cases {
        let fields: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
        assert_eq!(reused_after(&Policy::private(), 200, &fields, 3), *expected, "{lines:?}");
    }
}

#[test]
fn a_shared_cache_stores_nothing_private_however_it_is_spelled() {
    for private in [
        "private",
        "Private , private=\"x\"",
        "private=",
        "private=\"\"",
        "private=set-cookie",
        "\"private\"",
        "private=\"x",
        "private=\"cache-control\"",
        "private=\"a b\u{fc}\"",
        "private;x",
        "x private",
        "x; private",
        "\"x, private",
        "\tprivate\t",
        "private=1",
        "private\u{fc}",
        "\u{fc}private",
        "private = \"x\"",
        "public, private",
    ] {
        let mut model = Model::shared();
        let fields = [("cache-control", private), ("cache-control", "max-age=3600"), ("x", "1")];
        assert_eq!(model.get(200, &fields).err(), Some(NotStored::Private), "{private}");
    }
}

#[test]
fn no_store_is_never_stored_in_any_spelling() {
    for no_store in
        ["no-store", "No-StOrE", "no-store=1", "\"no-store\"", "\"x, no-store", "x no-store", "no-store;"]
    {
        let mut model = Model::private();
        let fields = [("cache-control", no_store), ("cache-control", "max-age=3600")];
        assert_eq!(model.get(200, &fields).err(), Some(NotStored::NoStore), "{no_store}");
    }
}

#[test]
fn no_cache_is_validated_however_it_is_spelled() {
    for no_cache in
        ["no-cache", "No-CaChE", "no-cache=1", "no-cache=x", "no-cache=\"\"", "\"no-cache", "x no-cache"]
    {
        let fields = [("cache-control", no_cache), ("cache-control", "max-age=3600")];
        assert!(!reused_after(&Policy::private(), 200, &fields, 0), "{no_cache}");
    }
}

#[test]
fn malformed_public_gives_no_leave() {
    for public in ["public;x", "\"public\"", "x public", "\"public"] {
        let mut model = Model::shared();
        let fields = [("cache-control", public), ("cache-control", "max-age=3600")];
        let stored = model.get_with(&[("authorization", "FOO")], 200, &fields);
        assert_eq!(stored.err(), Some(NotStored::Authorization), "{public}");
    }
}

#[test]
fn a_long_line_of_quotes_is_read_in_linear_time() {
    let line = "\"a\\".repeat(20_000);
    assert!(!reused_after(&Policy::private(), 200, &[("cache-control", &line)], 0));
}
