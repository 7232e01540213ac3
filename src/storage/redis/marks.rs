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
use super::link::{array, bytes};
use super::names::Names;
use super::scripts;
use crate::entry::{GroupId, StoredHead};
use crate::random;
use crate::storage::{StorageError, StorageErrorKind};

/// The version of the layout that is written, and the only one that is read.
pub(super) const VERSION: u64 = 2;

/// Groups whose ids fall into the same slot are invalidated together, which costs a validation now and then.
const SLOTS: u32 = 1 << 16;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) responses: u64,
    pub(super) aliases: u64,
    /// How many invalidations were counted.
    pub(super) invalidations: u64,
    /// Of what was stored as of an earlier count, nobody knows which groups were invalidated: their numbers are lost.
    lost: u64,
    /// Stands in the groups too, unless they were evicted.
    groups: Vec<u8>,
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
                "the cache at {} has version {found} of the layout, and {VERSION} is understood; choose another namespace",
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

    /// Whether one of the head's groups was invalidated since the lookup that led to it. `None` where that depends on
    /// the groups' numbers.
    pub(super) fn invalidated(&self, head: &StoredHead) -> Option<bool> {
        match head.as_of {
            // The count went back, with a primary that was lost: what was counted since then is not known.
            as_of if as_of > self.invalidations => Some(true),
            as_of if as_of == self.invalidations => Some(false),
            as_of if as_of < self.lost => Some(true),
            _ => None,
        }
    }

    /// Asks for the numbers of the head's groups.
    pub(super) fn ask_groups(names: &Names, head: &StoredHead) -> Call {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(names.groups()).arg("i");
        for group in head.group_ids() {
            cmd.arg(group_field(group));
        }
        cmd.into()
    }

    /// What the answer says of the head.
    pub(super) fn invalidated_by(&self, reply: Value, head: &StoredHead) -> bool {
        let mut values = array(reply).into_iter().map(bytes);
        if values.next().flatten().unwrap_or_default() != self.groups {
            return true;
        }
        let number = |value: Vec<u8>| std::str::from_utf8(&value).ok()?.parse::<u64>().ok();
        values.flatten().any(|value| number(value).is_none_or(|number| number > head.as_of))
    }
}

/// The field of a group's slot.
pub(super) fn group_field(group: GroupId) -> String {
    format!("{:04x}", group.slot(SLOTS))
}
