//! Seconds in fields and settings (RFC 9111 section 1.2.2), and other numbers in fields.

use std::time::Duration;

/// 1.2.2: the largest delta-seconds. A larger value counts as this one.
pub(crate) const MAX_SECONDS: u32 = 1 << 31;

/// Digits only; saturates at 2^31.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds =
        digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(u32::try_from(seconds).unwrap_or(MAX_SECONDS).min(MAX_SECONDS))
}

/// Whole seconds, at most 2^31 (RFC 9111 section 1.2.2).
pub(crate) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(MAX_SECONDS).min(MAX_SECONDS)
}

pub(crate) fn millis(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}

/// Digits and nothing else, as the grammars of RFC 9110 want them.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}
