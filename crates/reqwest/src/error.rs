//! Why a client cannot be built.

use std::error::Error;
use std::fmt;

/// Why a [`CachedClient`](crate::CachedClient) cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The client below would do something that the cache must see: the text says what, and what to do.
    Refused(String),
    /// reqwest cannot build its client.
    Reqwest(reqwest::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Reqwest(_) => f.write_str("reqwest cannot build the client below the cache"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::Reqwest(error) => Some(error),
        }
    }
}

impl From<reqwest::Error> for BuildError {
    fn from(error: reqwest::Error) -> Self {
        Self::Reqwest(error)
    }
}
