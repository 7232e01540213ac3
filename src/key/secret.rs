//! Field names that tell a credential: one list for all that must not keep or pass on a secret.

use http::header::{self, HeaderName};

/// Whether values of this field can let someone in, judged by its name.
///
/// Such a value is stored only as a keyed hash, and does not go along to another origin. One name too many costs
/// little, one too few costs a secret.
pub(crate) fn is_secret_name(name: &HeaderName) -> bool {
    // Nearly all that is ever nominated, and no secret.
    const NEGOTIATED: [HeaderName; 4] =
        [header::ACCEPT_ENCODING, header::ACCEPT, header::ACCEPT_LANGUAGE, header::ORIGIN];
    const MARKS: [&str; 11] = [
        "auth",
        "cookie",
        "token",
        "secret",
        "api-key",
        "apikey",
        "session",
        "password",
        "signature",
        "credential",
        "jwt",
    ];
    !NEGOTIATED.contains(name) && MARKS.iter().any(|mark| name.as_str().contains(mark))
}
