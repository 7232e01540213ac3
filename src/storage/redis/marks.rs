//! The few facts about the whole namespace, read with every lookup.
//!
//! One hash: `v` the version of the format, `r` and `a` the generations of responses and aliases, `g` when a group
//! was last invalidated, `i` and `l` as the scripts say; and `s` with all of these in one line, which is what is read.
//! It has no expiry. Where a server evicts it nevertheless, new generations are drawn, so that everything stored before
//! is a miss and no clearing is forgotten.

use redis::Value;

use super::call::Call;
use super::error::error;
use super::link::{array, bytes};
use super::names::Names;
use super::scripts;
use crate::entry::StoredHead;
use crate::random;
use crate::storage::{StorageError, StorageErrorKind};

/// The version of the layout that is written, and the only one that is read.
pub(super) const VERSION: u64 = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) responses: u64,
    pub(super) aliases: u64,
    /// When a group was last invalidated; -1 for never.
    latest: i64,
    /// Up to when all members of any group count as invalidated.
    lost: i64,
    /// Stands in the groups too, unless they were evicted.
    groups: Vec<u8>,
}

/// What an invalidation of groups says about a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Valid,
    Invalid,
    /// The groups have to be asked.
    Ask,
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
        let number = |digits: Option<&str>| digits.and_then(|digits| digits.parse().ok()).unwrap_or(-1);
        let (latest, groups, lost) = (number(next()), next().unwrap_or_default().into(), number(next()));
        Ok(Some(Self { responses, aliases, latest, lost, groups }))
    }

    pub(super) fn verdict(&self, head: &StoredHead) -> Verdict {
        let arrived = super::record::millis(head.response_time);
        if head.groups.is_empty() || arrived > self.latest {
            Verdict::Valid
        } else if arrived <= self.lost {
            Verdict::Invalid
        } else {
            Verdict::Ask
        }
    }

    /// Asks for the times of a head's groups.
    pub(super) fn ask_groups(names: &Names, head: &StoredHead) -> Call {
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(names.groups()).arg("i");
        for group in &head.groups {
            cmd.arg(group_field(group));
        }
        cmd.into()
    }

    pub(super) fn invalidated(&self, reply: Value, head: &StoredHead) -> bool {
        let mut values = array(reply).into_iter().map(bytes);
        if values.next().flatten().as_ref() != Some(&self.groups) {
            return true;
        }
        let arrived = super::record::millis(head.response_time);
        values.flatten().any(|at| {
            std::str::from_utf8(&at).ok().and_then(|at| at.parse::<i64>().ok()).is_none_or(|at| arrived <= at)
        })
    }
}

/// Origins and names can be long, and neither may run into the other.
pub(super) fn group_field(group: &crate::entry::Group) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(group.origin.len() as u64).to_le_bytes());
    hasher.update(group.origin.as_bytes()).update(group.name.as_bytes());
    let hash = hasher.finalize().to_hex();
    hash.as_str().chars().take(32).collect()
}
