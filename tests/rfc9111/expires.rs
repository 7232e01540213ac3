//! Section 5.3: Expires, in the three forms of RFC 9110 section 5.6.7.

use larder::clock::Timestamp;
use larder::policy::Policy;

use crate::model::{Model, reused_after};

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
        (&[("expires", "@3600"), ("expires", "@7200"), ("date", "@0")], false),
        (&[("expires", "@3600"), ("expires", "0"), ("date", "@0")], false),
        (&[("expires", "@3600"), ("expires", "@3600"), ("date", "@0")], true),
    ];
    for (fields, expected) in cases {
        assert_eq!(reused_after(&Policy::private(), 200, fields, 3), *expected, "{fields:?}");
    }
}

#[test]
fn only_the_three_forms_are_dates_and_what_is_none_is_in_the_past() {
    let cases = [
        ("Thu, 18 Aug 2050 02:01:18 GMT", true),
        ("Thursday, 18-Aug-50 02:01:18 GMT", true),
        ("Thu Aug  8 02:01:18 2050", true),
        ("Thu Aug 18 02:01:18 2050", true),
        ("Thu, 18 Aug 9999 23:59:60 GMT", true),
        // Section 4.2: case does not matter.
        ("THU, 18 Aug 2050 02:01:18 GMT", true),
        ("Thu, 18 AUG 2050 02:01:18 GMT", true),
        ("Thu, 18 Aug 2050 02:01:18 gMT", true),
        ("thursday, 18-aug-50 02:01:18 gmt", true),
        ("thu aug 18 02:01:18 2050", true),
        // A weekday that is not that of the date is still one.
        ("Mon, 18 Aug 2050 02:01:18 GMT", true),
        // Separators.
        ("Tue 19 Jan 2038 14:14:08 GMT", false),
        ("Thu,18 Aug 2050 02:01:18 GMT", false),
        ("Thu , 18 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18  Aug  2050 02:01:18 GMT", false),
        ("Thu,  18 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 2050  02:01:18 GMT", false),
        ("Thu, 18 Aug 2050 02:01:18  GMT", false),
        ("Thu,\t18 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18-Aug-2050 02:01:18 GMT", false),
        ("Thu, 18-Aug 2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 2050 02.01.18 GMT", false),
        ("Thu, 18 Aug 2050 02:01:18GMT", false),
        ("Thursday 18-Aug-50 02:01:18 GMT", false),
        ("Thursday, 18 Aug 50 02:01:18 GMT", false),
        ("Thu, Aug 18 02:01:18 2050", false),
        ("Thu Aug 8 02:01:18 2050", false),
        ("Thu Aug 08 02:01:18 2050", true),
        ("Thu Aug  18 02:01:18 2050", false),
        ("Thu  Aug 18 02:01:18 2050", false),
        // Names in the form of another format.
        ("Thursday, 18 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18-Aug-50 02:01:18 GMT", false),
        ("Thursday Aug 18 02:01:18 2050", false),
        ("Thu, 18 August 2050 02:01:18 GMT", false),
        ("Thu, 18 08 2050 02:01:18 GMT", false),
        // Numbers of another length.
        ("Thu, 18 Aug 50 02:01:18 GMT", false),
        ("Thu Aug 18 02:01:18 50", false),
        ("Thursday, 18-Aug-2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 20500 02:01:18 GMT", false),
        ("Thu, 18 Aug 205 02:01:18 GMT", false),
        ("Thu, 8 Aug 2050 02:01:18 GMT", false),
        ("Thu, 018 Aug 2050 02:01:18 GMT", false),
        ("Thu,  8 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 2050 2:01:18 GMT", false),
        ("Thu, 18 Aug 2050 02:1:18 GMT", false),
        ("Thu, 18 Aug 2050 02:01:8 GMT", false),
        ("Thu, 18 Aug 2050 02:01 GMT", false),
        ("Thu, 18 Aug 2050 02:01:18.5 GMT", false),
        ("Thu, +8 Aug 2050 02:01:18 GMT", false),
        // Values that do not exist.
        ("Thu, 31 Feb 2050 02:01:18 GMT", false),
        ("Thu, 29 Feb 2050 02:01:18 GMT", false),
        ("Thu, 29 Feb 2048 02:01:18 GMT", true),
        ("Thu, 00 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 2050 24:00:00 GMT", false),
        ("Thu, 18 Aug 2050 02:60:18 GMT", false),
        ("Thu, 18 Aug 2050 02:01:61 GMT", false),
        ("Thu, 18 Aug 0000 02:01:18 GMT", false),
        ("Thx, 18 Aug 2050 02:01:18 GMT", false),
        // "A recipient ... MUST" take no other zone.
        ("Thu, 18 Aug 2050 02:01:18 UTC", false),
        ("Thu, 18 Aug 2050 02:01:18 AEST", false),
        ("Thu, 18 Aug 2050 02:01:18 +0000", false),
        ("Thu, 18 Aug 2050 02:01:18 GMT+1", false),
        ("Thu, 18 Aug 2050 02:01:18", false),
        ("Thu Aug 18 02:01:18 2050 GMT", false),
        // Lists, and what is no date at all.
        ("Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT", false),
        ("Thu, 18 Aug 2050 02:01:18 GMT,", false),
        ("\"Thu, 18 Aug 2050 02:01:18 GMT\"", false),
        ("18 Aug 2050 02:01:18 GMT", false),
        ("2050-08-18T02:01:18Z", false),
        ("2544400878", false),
        ("soon", false),
        ("0", false),
        ("Thu, 18 Aug 2050 02:01:18 GMT \u{fc}", false),
    ];
    for (expires, expected) in cases {
        let fields = [("expires", expires), ("date", "@0")];
        assert_eq!(reused_after(&Policy::private(), 200, &fields, 3), expected, "{expires}");
    }
}

#[test]
fn a_year_of_two_digits_is_at_most_fifty_years_ahead() {
    // The time of the model is 15 January 2027, 8 o'clock.
    for (expires, expected) in [
        ("Thursday, 18-Aug-27 02:01:18 GMT", true),
        ("Thursday, 18-Aug-76 02:01:18 GMT", true),
        ("Friday, 15-Jan-77 08:00:00 GMT", true),
        ("Friday, 15-Jan-77 08:00:01 GMT", false),
        ("Friday, 16-Jan-77 00:00:00 GMT", false),
        ("Thursday, 18-Aug-94 02:01:18 GMT", false),
        ("Thursday, 18-Aug-00 02:01:18 GMT", false),
    ] {
        let fields = [("expires", expires), ("date", "@0")];
        assert_eq!(reused_after(&Policy::private(), 200, &fields, 3), expected, "{expires}");
    }
}

#[test]
fn a_year_of_two_digits_is_in_the_next_century_where_that_is_near() {
    let mut model = Model::private();
    // 1 January 2098.
    model.now = Timestamp::from_secs(4_039_372_800);
    let head = model.get(200, &[("expires", "Wednesday, 01-Jan-02 00:00:00 GMT"), ("date", "@0")]).unwrap();
    assert_eq!(head.freshness.lifetime, (4 * 365) * 86_400, "2100 is no leap year");
}
