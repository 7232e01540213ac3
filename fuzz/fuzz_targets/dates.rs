//! `Date`, `Expires`, `Last-Modified` and `Age`: whatever they say, lifetime and age stay in bounds, and a date in the
//! form that is to be written is read as what it says.
#![no_main]

mod support;

use std::time::UNIX_EPOCH;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue};
use larder::Policy;
use larder::clock::Timestamp;
use larder::policy::engine::{self, Reuse, Times};
use libfuzzer_sys::fuzz_target;
use support::{Request, key, response, stored};

const LARGEST: u64 = 1 << 31;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    date: Option<Date<'a>>,
    expires: Option<Date<'a>>,
    modified: Option<Date<'a>>,
    age: Option<&'a [u8]>,
    since: Option<Date<'a>>,
    sent: i64,
    arrived: i64,
    later: i64,
}

#[derive(Arbitrary, Debug)]
enum Date<'a> {
    Raw(&'a [u8]),
    Day { weekday: u8, day: u8, month: u8, year: u16, hour: u8, minute: u8, second: u8, form: u8 },
    Fixed(u32),
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Date<'_> {
    fn value(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Raw(bytes) => return HeaderValue::from_bytes(bytes).ok(),
            Self::Fixed(seconds) => fixed(u64::from(*seconds)),
            Self::Day { weekday, day, month, year, hour, minute, second, form } => {
                let (weekday, month) = (DAYS[usize::from(weekday % 7)], MONTHS[usize::from(month % 12)]);
                let time = format!("{hour:02}:{minute:02}:{second:02}");
                match form % 3 {
                    0 => format!("{}, {day:02} {month} {year:04} {time} GMT", &weekday[..3]),
                    1 => format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
                    _ => format!("{} {month} {day:2} {time} {year}", &weekday[..3]),
                }
            }
        };
        text.parse().ok()
    }
}

fn fixed(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

/// Seconds since the epoch, where this is a date exactly as it is to be written.
fn exact(value: &HeaderValue) -> Option<i64> {
    let text = value.to_str().ok()?;
    let seconds = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (fixed(seconds) == text).then_some(i64::try_from(seconds).ok()?)
}

fn fields(input: &Input<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let age = input.age.and_then(|age| HeaderValue::from_bytes(age).ok());
    let value = |date: &Option<Date<'_>>| date.as_ref().and_then(Date::value);
    let values = [
        ("date", value(&input.date)),
        ("expires", value(&input.expires)),
        ("last-modified", value(&input.modified)),
        ("age", age),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}

fuzz_target!(|input: Input<'_>| {
    let policy = Policy::private();
    let headers = fields(&input);
    let times = Times {
        request: Timestamp::from_millis(input.sent),
        response: Timestamp::from_millis(input.arrived),
    };
    let plain = Request::get(HeaderMap::new());
    let answer = response(200, headers.clone());
    let Ok(head) = plain.with_info(|info| engine::storable(&policy, info, &key(), &answer, times)) else {
        return;
    };
    assert!(u64::from(head.freshness.lifetime) <= LARGEST);
    assert!(head.freshness.initial_age <= LARGEST * 1000);
    match headers.get("date").map(|date| exact(date)) {
        None => assert_eq!(head.freshness.date, times.response),
        Some(Some(seconds)) => assert_eq!(head.freshness.date, Timestamp::from_secs(seconds)),
        Some(None) => {}
    }
    if let (Some(expires), Some(date)) =
        (headers.get("expires").and_then(exact), headers.get("date").and_then(exact))
    {
        let lifetime = (expires - date).clamp(0, 1 << 31);
        assert_eq!(i64::from(head.freshness.lifetime), lifetime);
    }
    let stored = [stored(head)];
    let now = Timestamp::from_millis(input.later);
    let mut request = Request::get(HeaderMap::new());
    if let Some(since) = input.since.as_ref().and_then(Date::value) {
        request.headers.insert("if-modified-since", since);
    }
    for request in [&plain, &request] {
        if let Reuse::Serve(serve) = request.with_info(|info| engine::reuse(&policy, info, &stored, now)) {
            assert!(u64::from(serve.age) <= LARGEST);
            assert!(serve.ttl >= 0 && serve.ttl <= 1 << 31);
        }
    }
});
