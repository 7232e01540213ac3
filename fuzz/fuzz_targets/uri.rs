//! Normal forms parse and stay; a resolved reference is an absolute URI without dot segments.
#![no_main]

use http::Uri;
use larder::key::{normalize, origin, resolve, same_origin};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (base, reference) = input;
    let Ok(base) = base.parse::<Uri>() else { return };
    if let Some(normal) = normalize(&base) {
        let parsed: Uri = normal.parse().expect("a normal form is a URI");
        assert_eq!(normalize(&parsed).as_ref(), Some(&normal));
        assert!(same_origin(&base, &parsed));
        assert!(normal.starts_with(&origin(&base).expect("as the normal form")));
    }
    if let Some(target) = resolve(&base, reference) {
        assert!(target.scheme().is_some() && target.authority().is_some());
        assert!(!target.path().split('/').any(|segment| segment == "." || segment == ".."));
        assert_eq!(resolve(&target, ""), Some(target));
    }
});
