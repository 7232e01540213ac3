//! What the service's errors mean to a cache.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::storage::{StorageError, StorageErrorKind};

/// See [`Storage::name`](crate::storage::Storage::name).
pub(super) const NAME: &str = "dynamodb";

/// What no option can be.
pub(super) fn invalid(action: String) -> StorageError {
    StorageError::new(StorageErrorKind::Invalid, NAME, action)
}

pub(super) fn too_large(action: String) -> StorageError {
    StorageError::new(StorageErrorKind::TooLarge, NAME, action)
}

/// Whether a conditional write of one item found its condition not met.
pub(super) fn condition_failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

/// Says of a failed call what failed and where, and which kind of failure it is.
pub(super) fn failed<E, R>(action: &str, place: &str, error: SdkError<E, R>) -> StorageError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let (kind, advice) = judge(&error);
    let reason = match error.as_service_error() {
        Some(service) => {
            let code = service.code().unwrap_or("an error without a code");
            service.message().map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"))
        }
        None => DisplayErrorContext(&error).to_string(),
    };
    let mut text = format!("{action} in {place}: {reason}");
    if !advice.is_empty() {
        text.push_str("; ");
        text.push_str(advice);
    }
    StorageError::new(kind, NAME, text).with_source(error)
}

fn judge<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> (StorageErrorKind, &'static str) {
    match error {
        SdkError::TimeoutError(_) => (StorageErrorKind::Timeout, ""),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (StorageErrorKind::Timeout, ""),
        // No connection, or none of the standard places has credentials.
        SdkError::DispatchFailure(failure) if failure.is_io() => (StorageErrorKind::Unavailable, ""),
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => {
            (StorageErrorKind::Unavailable, "check endpoint, region and credentials")
        }
        // An answer that is none of the service's.
        SdkError::ResponseError(_) => (StorageErrorKind::Unavailable, ""),
        SdkError::ServiceError(service) => {
            of_code(service.err().code().unwrap_or_default(), service.err().message().unwrap_or_default())
        }
        _ => (StorageErrorKind::Other, ""),
    }
}

fn of_code(code: &str, message: &str) -> (StorageErrorKind, &'static str) {
    match code {
        "ResourceNotFoundException" => (
            StorageErrorKind::Unavailable,
            "create the table as documented at DynamoStorage, or allow it with create_table(true)",
        ),
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "OptInRequired"
        | "KMSAccessDeniedException" => {
            (StorageErrorKind::Denied, "check the credentials and the policy documented at DynamoStorage")
        }
        "ItemCollectionSizeLimitExceededException" => (StorageErrorKind::Full, ""),
        "ValidationException" | "SerializationException" => of_validation(message),
        // Throttling, and everything else that says to come back later.
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "LimitExceededException"
        | "TooManyRequestsException"
        | "InternalServerError"
        | "InternalServerErrorException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "ResourceInUseException"
        | "TransactionInProgressException"
        | "TransactionConflictException"
        | "ReplicatedWriteConflictException" => (StorageErrorKind::Unavailable, ""),
        "UnknownOperationException" => {
            (StorageErrorKind::Incompatible, "the server lacks a part of DynamoDB that the cache needs")
        }
        _ => (StorageErrorKind::Other, ""),
    }
}

fn of_validation(message: &str) -> (StorageErrorKind, &'static str) {
    let message = message.to_ascii_lowercase();
    // The service words it by the operation, and its local edition in another way again.
    let of_keys = ["key element", "missing the key", "conditions on the keys", "type mismatch for key"];
    if of_keys.iter().any(|words| message.contains(words)) {
        (
            StorageErrorKind::Incompatible,
            "the table is not one of this cache: its keys are to be pk and sk, strings",
        )
    } else if message.contains("size") && message.contains("exceeded") {
        (StorageErrorKind::TooLarge, "")
    } else {
        (StorageErrorKind::Invalid, "")
    }
}
