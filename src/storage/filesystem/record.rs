//! The record of one key: all responses stored under it, or its alias.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::entry::{EntryId, StoredHead};
use crate::key::CacheKey;

use super::layout::{Name, sums_of};
use super::options::Format;
use super::root::Root;
use super::{chunks, dir};

/// One stored response as its record has it.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) head: Arc<StoredHead>,
    pub(super) place: Place,
    /// The target, for an alias.
    pub(super) target: Option<CacheKey>,
}

/// Where the body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the record.
    Inline(Bytes),
    /// In a file of its own with this extension.
    File {
        /// Without the dot.
        extension: String,
    },
}

/// All responses under one key, from the most recently published on.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) variants: Vec<Variant>,
    /// Those that another version wrote, as they are in the file. They are kept.
    pub(super) foreign: Vec<Bytes>,
}

/// Why bytes are no record that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// They are not what was written: to be removed.
    Broken,
    /// The file was written by a version with another layout of it: a miss, but left alone.
    OtherVersion,
}

impl Record {
    pub(super) fn position(&self, id: EntryId) -> Option<usize> {
        self.variants.iter().position(|variant| variant.head.id == id)
    }

    /// How many there are, those of other versions included: all of them take room.
    pub(super) fn entries(&self) -> u64 {
        (self.variants.len() + self.foreign.len()) as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.variants.is_empty() && self.foreign.is_empty()
    }
}

impl Variant {
    /// Bytes of the body's own files.
    pub(super) fn outside_len(&self) -> u64 {
        match self.place {
            Place::Inline(_) => 0,
            Place::File { .. } => chunks::stored_len(self.head.body_len()),
        }
    }

    /// The body's own files, relative to the bodies' directory, in the order in which to remove them.
    pub(super) fn files(&self, name: &Name, format: Format) -> Vec<String> {
        match &self.place {
            Place::Inline(_) => Vec::new(),
            Place::File { extension } => {
                let body = name.body(self.head.id, extension);
                match format {
                    Format::Compact => vec![body],
                    Format::Json => {
                        let sums = sums_of(&body);
                        vec![body, sums]
                    }
                }
            }
        }
    }

    pub(super) fn remove_files(&self, root: &Root, name: &Name) -> io::Result<()> {
        for file in self.files(name, root.format) {
            dir::remove_file(&root.bodies, &file)?;
        }
        Ok(())
    }
}
