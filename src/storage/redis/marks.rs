//! The few facts about the whole namespace, read with every lookup.
//!
//! One hash: `v` the version of the format, `r` and `a` the generations of responses and aliases, `n` how many
//! invalidations there were, `i` and `l` as the scripts say; and `s` with all of these in one line, which is what is
//! read. It has no expiry. Where a server evicts it nevertheless, new generations are drawn, so that everything stored
//! before is a miss and no clearing is forgotten, and the count goes on from the server's time, so that nothing has a
//! number from before that is higher.

use redis::Value;

use super::call::Call;
use super::error::error;
use super::layout::{Names, VERSION};
use super::managers::Lane;
use super::{Shared, scripts};
use crate::random;
use crate::storage::{StorageError, StorageErrorKind};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) responses: u64,
    pub(super) aliases: u64,
    /// How many invalidations were counted.
    pub(super) invalidations: u64,
    /// For entries as of an earlier count it is unknown which groups were invalidated: their numbers are lost.
    pub(super) lost: u64,
    /// Stands in the groups too, unless they were evicted.
    pub(super) groups: Vec<u8>,
}

impl Marks {
    pub(super) fn read(names: &Names) -> Call {
        let mut cmd = redis::cmd("HGET");
        cmd.arg(names.marks()).arg("s");
        cmd.into()
    }

    pub(super) fn establish(names: &Names) -> Call {
        let draw = || format!("{:016x}", random::bits64());
        let (responses, aliases) = (draw(), draw());
        let arguments =
            [responses.as_bytes(), aliases.as_bytes(), VERSION.to_string().as_bytes()].map(<[u8]>::to_vec);
        let arguments: Vec<_> = arguments.iter().map(Vec::as_slice).collect();
        Call::script(&scripts::ESTABLISH, &[&names.marks()], &arguments)
    }

    /// `None` where the marks are not there.
    ///
    /// # Errors
    ///
    /// When they were written by a version to come, or by someone else.
    pub(super) fn from_reply(reply: &Value, names: &Names) -> Result<Option<Self>, StorageError> {
        let line = match reply {
            Value::BulkString(line) => String::from_utf8_lossy(line),
            Value::SimpleString(line) => line.as_str().into(),
            _ => return Ok(None),
        };
        let mut values = line.split(' ');
        let mut next = || values.next().filter(|value| !value.is_empty());
        let (version, responses, aliases) = (next(), next(), next());
        let Some(version) = version else { return Ok(None) };
        if version.parse() != Ok(VERSION) {
            let found = version.chars().take(20).collect::<String>();
            let action = format!(
                "the cache at {} has version {found} of the layout, and this larder reads {VERSION}; choose another namespace",
                names.marks()
            );
            return Err(error(StorageErrorKind::Incompatible, action));
        }
        let hex = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok();
        let (Some(responses), Some(aliases)) = (hex(responses), hex(aliases)) else { return Ok(None) };
        let number = |digits: Option<&str>| digits?.parse().ok();
        let (Some(invalidations), lost) = (number(next()), number(next())) else { return Ok(None) };
        // The first invalidation draws a mark, and one that finds the groups evicted says what is lost.
        let groups = next().filter(|mark| *mark != "-").unwrap_or_default().into();
        Ok(Some(Self { responses, aliases, invalidations, lost: lost.unwrap_or(0), groups }))
    }
}

impl Shared {
    /// The marks, made where they are not there.
    pub(super) async fn marks_made(&self, action: &str) -> Result<Marks, StorageError> {
        if let Some(marks) = self.marks(action).await? {
            return Ok(marks);
        }
        let reply = self.ask(action, Lane::Heads, false, Marks::establish(&self.names)).await?;
        Marks::from_reply(&reply, &self.names)?.ok_or_else(|| {
            error(
                StorageErrorKind::Incompatible,
                format!("{action}: {} was not written by larder", self.names.marks()),
            )
        })
    }

    pub(super) async fn marks(&self, action: &str) -> Result<Option<Marks>, StorageError> {
        Marks::from_reply(&self.ask(action, Lane::Heads, true, Marks::read(&self.names)).await?, &self.names)
    }
}
