//! Names of fields that hold credentials: one list for all code that must not store or send a secret.

use http::header::{self, HeaderName};

/// Whether values of this field can let someone in, judged by its name.
///
/// Such a value is stored only as a keyed hash, and is not sent to another origin. A name too many costs little; a
/// missing one reveals a secret.
pub(crate) fn is_secret_name(name: &HeaderName) -> bool {
    // Nearly all that is ever nominated, and no secret.
    const NEGOTIATED: [HeaderName; 5] = [
        header::ACCEPT_ENCODING,
        header::ACCEPT,
        header::ACCEPT_LANGUAGE,
        header::ORIGIN,
        header::USER_AGENT,
    ];
    // `Authorization`, `X-Api-Key`, `Ocp-Apim-Subscription-Key`, `X-CSRF-Token`, `Remote-User`, `X-Sid`, ...
    const MARKS: [&str; 22] = [
        "-sid",
        "assertion",
        "auth",
        "cert",
        "cookie",
        "credential",
        "csrf",
        "hmac",
        "identity",
        "jwt",
        "key",
        "oidc",
        "otp",
        "pass",
        "principal",
        "saml",
        "secret",
        "sess",
        "signature",
        "token",
        "user",
        "xsrf",
    ];
    !NEGOTIATED.contains(name) && MARKS.iter().any(|mark| name.as_str().contains(mark))
}
