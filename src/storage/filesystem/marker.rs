//! The file that says that the directory belongs to larder, in which version and format.
//!
//! It is the only file that people look at first, and the only one without which nothing else may be touched. So damage
//! to it alone must not cost everything: whose the directory is can be told from the shared numbers too.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::storage::{StorageError, StorageErrorKind};

use super::dir::{names, names_in, open_dir};
use super::error::{Doing, error};
use super::layout::{ALIASES, MARKER, Name, RESPONSES, STATE, fan_name, fans};
use super::new_file::{create, put_new, temporary_name};
use super::options::Format;
use super::state::State;

const VERSION: u32 = 1;
const LARDER: &str = "filesystem";

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    larder: String,
    version: u32,
    format: String,
    #[serde(default)]
    note: String,
    /// Of the values above. Without it, a flipped bit could look like another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl Marker {
    fn new(format: Format) -> Self {
        let note =
            "Stored HTTP responses of the Rust crate larder. The whole directory may be deleted at any time.";
        let mut marker = Self {
            larder: LARDER.to_owned(),
            version: VERSION,
            format: format.as_str().to_owned(),
            note: note.to_owned(),
            checksum: None,
        };
        marker.checksum = Some(marker.sum());
        marker
    }

    fn sum(&self) -> String {
        let Self { larder, version, format, note, checksum: _ } = self;
        format!("{:016x}", xxh3_64(format!("{larder}\n{version}\n{format}\n{note}").as_bytes()))
    }

    fn is_damaged(&self) -> bool {
        self.checksum.as_ref().is_some_and(|checksum| *checksum != self.sum())
    }
}

/// What is in the marker's place.
enum Content {
    Nothing,
    Ours(Format),
    /// Of another version, and not damaged.
    OtherVersion(u32),
    /// Damaged, or from another program.
    Unclear,
}

/// The format of the directory, and whether it became a cache just now.
pub(super) fn claim(dir: &File, path: &Path, wanted: Option<Format>) -> Result<(Format, bool), StorageError> {
    let shown = path.display();
    let incompatible = |what: &str| {
        error(StorageErrorKind::Incompatible, format!("opening {shown}: {what}; choose another directory"))
    };
    match read(dir).doing(&format!("reading {shown}/{MARKER}"))? {
        Content::Ours(format) => Ok((format, false)),
        Content::OtherVersion(version) => {
            Err(incompatible(&format!("it was written by another version (format {version})")))
        }
        Content::Nothing => {
            let present = names(dir).doing(&format!("listing {shown}"))?;
            // Another process may be doing the same at this moment: its marker under a temporary name is no foreign file.
            if present.iter().all(|name| name.starts_with(MARKER)) {
                found(dir, path, wanted.unwrap_or_default())
            } else if let Some(format) = recognize(dir, wanted) {
                repair(dir, path, format);
                Ok((format, false))
            } else {
                Err(incompatible("it holds files that do not belong to a cache"))
            }
        }
        Content::Unclear => match recognize(dir, wanted) {
            Some(format) => {
                repair(dir, path, format);
                Ok((format, false))
            }
            None => Err(incompatible("its larder.json is from another program")),
        },
    }
}

fn read(dir: &File) -> io::Result<Content> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, MARKER, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Content::Nothing),
        Err(errno) => return Err(errno.into()),
    };
    let mut text = Vec::new();
    file.take(4096).read_to_end(&mut text)?;
    let Ok(marker) = serde_json::from_slice::<Marker>(&text) else { return Ok(Content::Unclear) };
    if marker.is_damaged() || marker.larder != LARDER {
        return Ok(Content::Unclear);
    }
    if marker.version != VERSION {
        return Ok(Content::OtherVersion(marker.version));
    }
    Ok(Format::from_name(&marker.format).map_or(Content::Unclear, Content::Ours))
}

/// Makes an empty directory a cache. Returns its format, and whether no other process did it first.
fn found(dir: &File, path: &Path, format: Format) -> Result<(Format, bool), StorageError> {
    let shown = path.display();
    if put_new(dir, MARKER, &text(format)?).doing(&format!("writing {shown}/{MARKER}"))? {
        return Ok((format, true));
    }
    let faster = read(dir).doing(&format!("reading {shown}/{MARKER}"))?;
    Ok((if let Content::Ours(theirs) = faster { theirs } else { format }, false))
}

fn text(format: Format) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec_pretty(&Marker::new(format))
        .map_err(|cause| error(StorageErrorKind::Other, "encoding the marker").with_source(cause))
}

/// The format of a directory whose marker is damaged, if it is a cache: the shared numbers say both.
fn recognize(dir: &File, wanted: Option<Format>) -> Option<Format> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, STATE, flags, Mode::empty()).ok()?;
    let state = State::from_file(File::from(file)).ok()??;
    state.format().or_else(|| format_of_records(dir)).or(wanted).or(Some(Format::default()))
}

/// Earlier numbers do not name the format; then the names of the records tell.
fn format_of_records(dir: &File) -> Option<Format> {
    for keyspace in [RESPONSES, ALIASES] {
        let Ok(keyspace) = open_dir(dir, keyspace) else { continue };
        for fan in fans() {
            for file in names_in(&keyspace, &fan_name(fan)).unwrap_or_default() {
                let format = [Format::Json, Format::Compact]
                    .into_iter()
                    .find(|format| Name::of_record(&file, *format).is_some());
                if format.is_some() {
                    return format;
                }
            }
        }
    }
    None
}

/// Writes the marker again. Failing costs nothing now: the next who opens the directory tries again.
fn repair(dir: &File, _path: &Path, format: Format) {
    let written = text(format).is_ok_and(|text| {
        let temporary = temporary_name();
        let placed = create(dir, &temporary, &text)
            .and_then(|()| Ok(rustix::fs::renameat(dir, temporary.as_str(), dir, MARKER)?));
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(dir, temporary.as_str(), AtFlags::empty());
        }
        placed.is_ok()
    });
    #[cfg(feature = "tracing")]
    tracing::warn!(
        directory = %_path.display(),
        written,
        "the settings file of a cache was damaged and is made anew: {MARKER}"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = written;
}
