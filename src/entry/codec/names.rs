//! The field names that a stored head writes as one byte.

use http::header::{self, HeaderName};

/// The code of a name that is not in the table and is spelled out.
pub(super) const SPELLED: u8 = u8::MAX;

/// Names by their code. The order is part of the format: append, or raise its version.
static NAMES: [HeaderName; 78] = [
    header::DATE,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
    header::VARY,
    header::EXPIRES,
    header::AGE,
    header::SERVER,
    header::CONTENT_ENCODING,
    header::ACCEPT_RANGES,
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::X_CONTENT_TYPE_OPTIONS,
    header::X_FRAME_OPTIONS,
    header::X_XSS_PROTECTION,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
    header::REFERRER_POLICY,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    header::ALT_SVC,
    header::ALLOW,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::LINK,
    header::LOCATION,
    header::PRAGMA,
    header::PUBLIC_KEY_PINS,
    header::REFRESH,
    header::RETRY_AFTER,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VIA,
    header::WARNING,
    header::WWW_AUTHENTICATE,
    header::CACHE_STATUS,
    header::CDN_CACHE_CONTROL,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ACCEPT_CHARSET,
    header::AUTHORIZATION,
    header::COOKIE,
    header::ORIGIN,
    header::USER_AGENT,
    HeaderName::from_static("x-cache"),
    HeaderName::from_static("x-cache-hits"),
    HeaderName::from_static("x-served-by"),
    HeaderName::from_static("x-timer"),
    HeaderName::from_static("x-powered-by"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-amz-cf-id"),
    HeaderName::from_static("x-amz-cf-pop"),
    HeaderName::from_static("x-amz-request-id"),
    HeaderName::from_static("cf-ray"),
    HeaderName::from_static("cf-cache-status"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("timing-allow-origin"),
    HeaderName::from_static("permissions-policy"),
    HeaderName::from_static("cross-origin-opener-policy"),
    HeaderName::from_static("cross-origin-embedder-policy"),
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("cache-groups"),
    HeaderName::from_static("no-vary-search"),
];

/// The code of a name in the table.
pub(super) fn code_of(name: &HeaderName) -> Option<u8> {
    NAMES.iter().position(|known| known == name).and_then(|code| u8::try_from(code).ok())
}

/// The name with this code.
pub(super) fn name_of(code: u8) -> Option<&'static HeaderName> {
    NAMES.get(usize::from(code))
}
