//! What holds for any heads, times and settings.

use std::time::Duration;

use larder::clock::Timestamp;
use larder::key::same_origin;
use larder::policy::engine::{
    self, Answer, HeadUpdate, Reuse, Serve, Update, UpdateAction, Validated, Validation,
};
use larder::policy::{Policy, SetCookie};
use proptest::prelude::*;

use crate::model::{Fields, Model};

type Owned = Vec<(&'static str, String)>;

fn borrowed(fields: &Owned) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0..100u32).prop_map(|n| n.to_string()),
        Just("2147483648".to_owned()),
        Just("1000000000000000000000000000000".to_owned()),
        Just("1.5".to_owned()),
        Just(String::new()),
        Just("\"60\"".to_owned()),
    ]
}

fn directive() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("max-age"),
        Just("s-maxage"),
        Just("no-cache"),
        Just("no-store"),
        Just("private"),
        Just("public"),
        Just("must-revalidate"),
        Just("proxy-revalidate"),
        Just("must-understand"),
        Just("immutable"),
        Just("stale-while-revalidate"),
        Just("stale-if-error"),
        Just("max-stale"),
        Just("min-fresh"),
        Just("only-if-cached"),
    ];
    prop_oneof![
        4 => name.clone().prop_map(str::to_owned),
        6 => (name.clone(), number()).prop_map(|(name, number)| format!("{name}={number}")),
        1 => (name, "[ -~]{0,12}").prop_map(|(name, junk)| format!("{name}={junk}")),
        1 => "[ -~\t]{0,20}",
    ]
}

fn cache_control() -> impl Strategy<Value = String> {
    prop::collection::vec(directive(), 0..5).prop_map(|all| all.join(", "))
}

fn date() -> impl Strategy<Value = String> {
    prop_oneof![
        (-100_000i64..100_000).prop_map(|offset| format!("@{offset}")),
        "[ -~]{0,30}",
        Just("Thu, 01 Jan 1970 00:00:00 GMT".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:60 GMT".to_owned()),
    ]
}

fn tag() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"a\"".to_owned()),
        Just("W/\"a\"".to_owned()),
        Just("\"b\"".to_owned()),
        "[!-?A-~]{0,6}"
    ]
}

fn response_fields() -> impl Strategy<Value = Owned> {
    let field = prop_oneof![
        5 => cache_control().prop_map(|value| ("cache-control", value)),
        2 => date().prop_map(|value| ("date", value)),
        2 => date().prop_map(|value| ("expires", value)),
        2 => date().prop_map(|value| ("last-modified", value)),
        2 => number().prop_map(|value| ("age", value)),
        2 => tag().prop_map(|value| ("etag", value)),
        1 => "[a-z*, ]{0,8}".prop_map(|value| ("vary", value)),
        1 => Just(("set-cookie", "a=b".to_owned())),
        1 => (0..20u64, 0..20u64).prop_map(|(one, two)| ("content-range", format!("bytes {one}-{two}/20"))),
        1 => number().prop_map(|value| ("content-length", value)),
        1 => "[ -~]{0,12}".prop_map(|value| ("connection", value)),
        1 => "[ -~]{0,12}".prop_map(|value| ("cdn-cache-control", value)),
        1 => "[ -~]{0,12}".prop_map(|value| ("cache-groups", value)),
    ];
    prop::collection::vec(field, 0..7)
}

fn request_fields() -> impl Strategy<Value = Owned> {
    let field = prop_oneof![
        3 => cache_control().prop_map(|value| ("cache-control", value)),
        1 => Just(("authorization", "secret".to_owned())),
        1 => tag().prop_map(|value| ("if-none-match", value)),
        1 => date().prop_map(|value| ("if-modified-since", value)),
        1 => tag().prop_map(|value| ("if-range", value)),
        1 => tag().prop_map(|value| ("if-match", value)),
        1 => (0..20u64, 0..20u64).prop_map(|(one, two)| ("range", format!("bytes={one}-{two}"))),
        1 => "[ -~]{0,12}".prop_map(|value| ("range", value)),
        1 => Just(("a", "1".to_owned())),
    ];
    prop::collection::vec(field, 0..3)
}

fn settings() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<Option<u8>>(), any::<Option<u8>>(), any::<u8>(), any::<u8>(), any::<bool>())
        .prop_map(|(shared, default, overriding, swr, sie, targeted)| {
            let seconds = |n: u8| Duration::from_secs(u64::from(n));
            let mut policy = if shared { Policy::shared() } else { Policy::private() };
            if let Some(default) = default {
                policy = policy.default_lifetime(seconds(default));
            }
            if let Some(overriding) = overriding.filter(|n| n % 4 == 0) {
                policy = policy.override_lifetime(seconds(overriding));
            }
            if targeted {
                policy = policy.targets([http::HeaderName::from_static("cdn-cache-control")]);
            }
            policy
                .stale_while_revalidate(seconds(swr))
                .stale_if_error(seconds(sie))
                .set_cookie(SetCookie::Strip)
        })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200u16), Just(206), Just(304), Just(404), Just(503), 100..1000u16]
}

fn method() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST")]
}

/// Whether a well-formed Cache-Control line says this, read naively.
fn says(fields: Fields<'_>, directive: &str) -> bool {
    let lines = fields.iter().filter(|(name, _)| *name == "cache-control");
    lines.flat_map(|(_, line)| line.split(',')).any(|member| member.trim() == directive)
}

fn check_serve(model: &Model, serve: &Serve) -> Result<(), TestCaseError> {
    prop_assert!(serve.age <= 1 << 31);
    let head = &model.stored[serve.index].head;
    if serve.ttl < 0 && head.freshness.settings == model.policy.fingerprint() {
        prop_assert!(!head.freshness.must_revalidate, "stale against must-revalidate");
    }
    prop_assert!(!head.freshness.no_cache || head.freshness.settings != model.policy.fingerprint());
    if let Answer::Range { first, last, complete_len } = serve.answer {
        let held_from = head.range.map_or(0, |range| range.first);
        prop_assert!(first <= last && last < complete_len);
        prop_assert!(first >= held_from && last < held_from + head.body_len());
    }
    if head.range.is_some() {
        prop_assert!(
            matches!(serve.answer, Answer::Range { .. } | Answer::NotModified),
            "a part is never a whole"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_the_invariants_hold(
        settings in settings(),
        later_settings in settings(),
        change_settings in any::<bool>(),
        exchanges in prop::collection::vec((request_fields(), status(), response_fields(), -100i64..100_000), 1..4),
        method in method(),
        asked in request_fields(),
        answer_status in status(),
        answer in response_fields(),
        delay in prop_oneof![0..10_000i64, any::<i64>()],
        jump in prop_oneof![-100_000..100_000i64, any::<i64>()],
    ) {
        let mut model = Model::new(settings);
        model.delay_millis = delay;
        for (request, status, response, wait) in &exchanges {
            let (request, response) = (borrowed(request), borrowed(response));
            let shared = model.policy.is_shared();
            let stored = model.get_with(&request, *status, &response).is_ok();
            let targeted = response.iter().any(|(name, _)| *name == "cdn-cache-control");
            if stored && !targeted {
                prop_assert!(!says(&response, "no-store") || response.iter().any(|(_, line)| line.contains("must-understand")));
                prop_assert!(!says(&request, "no-store"));
                prop_assert!(!shared || !says(&response, "private"));
                let leave = response.iter().any(|(_, line)| ["public", "must-revalidate", "s-maxage"].iter().any(|leave| line.contains(leave)));
                prop_assert!(!shared || leave || !request.iter().any(|(name, _)| *name == "authorization"));
            }
            model.wait(*wait);
        }
        if change_settings {
            model.policy = later_settings;
        }
        let request = model.request(method, &borrowed(&asked));
        let response = model.response(answer_status, &borrowed(&answer));
        model.now = model.now.plus_millis(jump);
        let reuse = model.reuse(&request);
        let validation = match &reuse {
            Reuse::Serve(serve) => {
                check_serve(&model, serve)?;
                None
            }
            Reuse::Validate(validation) => Some(validation.clone()),
            _ => None,
        };
        let without = request.with_info(|info| engine::without_origin(&model.policy, info, &model.stored, model.now));
        if let Some(serve) = without {
            check_serve(&model, &serve)?;
        }
        if let Some(validation) = validation {
            check_validation(&model, &request, &validation, &response)?;
        }
        let updates = request.with_info(|info| engine::updated_by_head(&model.policy, info, &model.stored, &response, model.times()));
        for update in &updates {
            let (HeadUpdate::Freshen(index, head) | HeadUpdate::Outdated(index, head)) = update;
            let before = &model.stored[*index].head;
            prop_assert_eq!((head.id, &head.key, head.status), (before.id, &before.key, before.status));
        }
        let invalidated = request.with_info(|info| engine::invalidated(info, &response));
        prop_assert!(invalidated.is_empty() || !["GET", "HEAD", "QUERY"].contains(&method));
        prop_assert!(invalidated.is_empty() || (200..400).contains(&answer_status));
        prop_assert!(invalidated.iter().all(|uri| same_origin(uri, &request.uri)), "{:?}", invalidated);
    }

    #[test]
    fn any_bytes_and_any_times_are_taken(
        line in prop::collection::vec(any::<u8>().prop_filter("field bytes", |b| *b == b'\t' || (*b >= 32 && *b != 127)), 0..60),
        name in prop_oneof![Just("cache-control"), Just("date"), Just("expires"), Just("age"), Just("etag"), Just("vary"), Just("content-range"), Just("cdn-cache-control"), Just("cache-groups")],
        now in any::<i64>(),
        later in any::<i64>(),
    ) {
        let mut model = Model::new(Policy::shared().targets([http::HeaderName::from_static("cdn-cache-control")]));
        model.now = Timestamp::from_millis(now);
        let mut response = model.response(200, &[("cache-control", "max-age=60")]);
        response.headers.append(name, http::HeaderValue::from_bytes(&line).unwrap());
        let request = model.request("GET", &[]);
        if let Ok(head) = model.storable(&request, &response) {
            model.keep(head);
            model.now = Timestamp::from_millis(later);
            if let Reuse::Serve(serve) = model.reuse(&request) {
                check_serve(&model, &serve)?;
            }
        }
    }
}

fn check_validation(
    model: &Model,
    request: &crate::model::Request,
    validation: &Validation,
    response: &http::response::Parts,
) -> Result<(), TestCaseError> {
    let mut sent = request.headers.clone();
    engine::preconditions(&mut sent, validation, &model.stored);
    let judged = request.with_info(|info| {
        engine::validated(&model.policy, info, &model.stored, validation, response, model.times())
    });
    match judged {
        Validated::Freshened { updates, serve, .. } => {
            prop_assert!(serve < model.stored.len());
            for Update { index, head, action, .. } in updates {
                prop_assert!(action != UpdateAction::Write || head.is_within_limits());
                let old = &model.stored[index].head;
                prop_assert_eq!(head.id, old.id);
                prop_assert_eq!(head.body, old.body);
                for kept in ["content-length", "content-encoding", "content-range", "etag"] {
                    prop_assert_eq!(head.headers.get(kept), old.headers.get(kept));
                }
            }
        }
        Validated::Stale(serve) => check_serve(model, &serve)?,
        Validated::Completed { head, .. } => prop_assert!(head.range.is_none()),
        _ => {}
    }
    Ok(())
}
