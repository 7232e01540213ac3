//! Section 5.3: Expires, in every historic form.

use larder::policy::Policy;

use crate::model::reused_after;

#[test]
fn lifetime_is_expires_minus_date() {
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[("expires", "@2592000"), ("date", "@0")], true),
        (&[("expires", "@-2592000"), ("date", "@0")], false),
        (&[("expires", "@0"), ("date", "@0")], false),
        (&[("expires", "@300"), ("date", "@400")], false),
        (&[("expires", "0"), ("date", "@0")], false),
        (&[("expires", "-1"), ("date", "@0")], false),
        (&[("expires", ""), ("date", "@0")], false),
        (&[("expires", "@10"), ("date", "foo")], true),
        (&[("expires", "@10")], true),
        (&[("expires", "@10"), ("date", "@-10"), ("age", "25")], false),
        (&[("expires", "@20"), ("date", "@10"), ("age", "15")], false),
        (&[("expires", "@3600"), ("expires", "@-1"), ("date", "@0")], false),
    ];
    for (fields, expected) in cases {
        assert_eq!(reused_after(&Policy::private(), 200, fields, 3), *expected, "{fields:?}");
    }
}

#[test]
fn every_historic_form_is_read_and_a_zone_other_than_gmt_is_not() {
    let cases = [
        ("Thu, 18 Aug 2050 02:01:18 GMT", true),
        ("Tue 19 Jan 2038 14:14:08 GMT", true),
        ("Sun 21 Nov 2286 04:46:39 GMT", true),
        ("Thursday, 18-Aug-50 02:01:18 GMT", true),
        ("Thu Aug  8 02:01:18 2050", true),
        ("Thu Aug 18 02:01:18 2050", true),
        ("THU, 18 Aug 2050 02:01:18 GMT", true),
        ("Thu, 18 AUG 2050 02:01:18 GMT", true),
        ("Thu, 18 Aug 2050 02:01:18 gMT", true),
        ("Thu, 18  Aug  2050 02:01:18 GMT", true),
        ("Thu, 18-Aug-2050 02:01:18 GMT", true),
        ("Thu, 18 Aug 9999 23:59:60 GMT", true),
        ("Thu, 18 Aug 2050 02:01:18 UTC", false),
        ("Thu, 18 Aug 2050 02:01:18 AEST", false),
        ("Thu, 18 Aug 2050 02:01:18 +0000", false),
        ("Thu, 18 Aug 2050 02:01:18", false),
        ("Thu, 18 Aug 2050 02.01.18 GMT", false),
        ("Thu, 31 Feb 2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 2050 25:01:18 GMT", false),
        ("Thu, 18 Aug 20500 02:01:18 GMT", false),
        ("Thu, 18 Aug 0000 02:01:18 GMT", false),
        ("18 Aug 2050 02:01:18 GMT", false),
        // More than 50 years ahead: the last century.
        ("Thursday, 18-Aug-94 02:01:18 GMT", false),
        ("soon", false),
        ("Thu, 18 Aug 2050 02:01:18 GMT \u{fc}", false),
    ];
    for (expires, expected) in cases {
        let fields = [("expires", expires), ("date", "@0")];
        assert_eq!(reused_after(&Policy::private(), 200, &fields, 3), expected, "{expires}");
    }
}
