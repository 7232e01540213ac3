//! Options with impossible values: each is an error that names the option, its value and the possible values.

use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::storage::{StorageError, StorageErrorKind};

/// In place of a value that can come from a URL, where a part of a password may have ended up: it is not shown.
#[allow(dead_code, reason = "for options that are names; not every set of features has them")]
pub(in crate::storage) const HIDDEN: &str = "an impossible value";

/// The error for an option with an impossible value.
pub(in crate::storage) fn impossible(
    backend: &'static str,
    option: &str,
    value: impl Display,
    possible: impl Display,
) -> StorageError {
    let action = format!("the option {option} is {value}; possible: {possible}");
    StorageError::new(StorageErrorKind::Invalid, backend, action)
}

/// # Errors
///
/// [`StorageErrorKind::Invalid`] for a value outside of the range.
pub(in crate::storage) fn in_range<T: Copy + PartialOrd + Debug>(
    backend: &'static str,
    option: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), StorageError> {
    if range.contains(&value) {
        return Ok(());
    }
    let possible = format!("{:?} to {:?}", range.start(), range.end());
    Err(impossible(backend, option, format_args!("{value:?}"), possible))
}

/// # Errors
///
/// [`StorageErrorKind::Invalid`] for a limit of 0.
pub(in crate::storage) fn at_least_one(
    backend: &'static str,
    option: &str,
    limit: Option<u64>,
) -> Result<(), StorageError> {
    if limit == Some(0) { Err(impossible(backend, option, 0, "at least 1, or no limit")) } else { Ok(()) }
}

/// # Errors
///
/// [`StorageErrorKind::Invalid`] for a duration of 0.
#[allow(dead_code, reason = "for storages behind a network; not every set of features has one")]
pub(in crate::storage) fn longer_than_nothing(
    backend: &'static str,
    option: &str,
    limit: Duration,
) -> Result<(), StorageError> {
    if limit.is_zero() { Err(impossible(backend, option, "0s", "durations longer than 0")) } else { Ok(()) }
}
