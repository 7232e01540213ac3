//! Errors of decoding stored bytes.

use std::error::Error;
use std::fmt;

/// Why bytes from a storage are not a stored head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end too early, carry impossible lengths or fail their checksum.
    Corrupt,
    /// Written in this version of the format, which is another one than [`VERSION`](super::codec::VERSION).
    Version(u8),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt => f.write_str("these bytes are not what was stored"),
            Self::Version(found) => {
                write!(
                    f,
                    "stored in version {found} of the format, which this version of larder does not read"
                )
            }
        }
    }
}

impl Error for DecodeError {}
