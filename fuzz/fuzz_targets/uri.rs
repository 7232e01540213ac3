//! Normal forms parse and stay; a resolved reference is an absolute URI without dot segments.
#![no_main]

use http::Uri;
use larder::key::{DefaultKey, MakeKey, normalize, origin, resolve, same_origin, target_uri};
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
    if let Some(target) = target_uri(&base) {
        let parsed: Uri = target.parse().expect("a target is a URI");
        assert_eq!(parsed.path_and_query(), base.path_and_query());
        assert_eq!(target_uri(&parsed), Some(target));
    }
    let keys = DefaultKey::new().normalize_target(true);
    if let Some(sent) = keys.rewrite(&base) {
        assert_eq!(keys.rewrite(&sent), None);
        assert_eq!((sent.scheme(), sent.authority()), (base.scheme(), base.authority()));
        assert_eq!(normalize(&sent), normalize(&base));
    }
    if let Some(target) = resolve(&base, reference) {
        assert!(target.scheme().is_some() && target.authority().is_some());
        assert!(!target.path().split('/').any(|segment| segment == "." || segment == ".."));
        assert_eq!(resolve(&target, ""), Some(target));
    }
});
