//! Building blocks of several backends.
//!
//! # How a backend uses it
//!
//! **Writing a body.** [`Cutter`] counts, limits, hashes and cuts. The backend stores the chunks.
//!
//! ```text
//! begin:    Cutter::begin(NAME, &head, Sizes { inline, chunk, max_body })?
//! write:    cutter.take(&data)?;  while let Some(chunk) = cutter.cut(&mut data) { store(chunk).await?; }
//! publish:  match cutter.finish() {
//!               (summary, Rest::Inline(body)) => one row with head and body,
//!               (summary, Rest::Chunks(last)) => store(last).await?, then the row with the head alone,
//!           }
//! ```
//!
//! A [`Chunk`] has its number and its [checksum](chunk_checksum). A backend with a column for the checksum uses `data`
//! and `checksum`; one with plain values stores [`Chunk::framed`], the checksum before the bytes. If a row becomes
//! too long with an inline body, [`Cutter::spill`] makes chunks of the body.
//!
//! **After a publication** [`settle`] decides about the chunks. A publication whose answer was lost may still be carried
//! out, and then its head must find its body.
//!
//! **Reading a body.** [`Verified`] checks what the backend fetches, and returns the correct bytes.
//!
//! ```text
//! open:     let mut body = Verified::new(NAME, &head);
//! next:     while body.wants_more() { for chunk in fetch(body.next_chunk()..).await? { body.add(..); } }
//!           body.pop()
//! ```
//!
//! `add`, `add_framed`, `add_inline` and `add_missing` report no error. [`Verified::pop`] does, after it has returned all
//! correct bytes. A fetch that finds nothing calls `add_missing`.
//!
//! **A row.** [`row::response`], [`row::alias`] and [`row::head`] decode the contents of a row into a [`Row`]: found,
//! garbage (remove it), or of another version (leave it).
//!
//! **An option** with an impossible value is an error of [`options`], with the same words everywhere.
//!
//! SQLite and the filesystem have writers and readers of their own, for speed.

#[cfg(any(all(feature = "filesystem", unix), feature = "sqlite"))]
pub(super) mod backlog;
mod chunk;
mod cutter;
mod head;
pub(super) mod options;
pub(super) mod row;
mod settle;
mod verified;

#[allow(unused_imports, reason = "not every set of features has a backend that uses it")]
pub(super) use chunk::{Chunk, chunk_checksum};
pub(super) use cutter::{Cutter, Rest, Sizes};
pub(super) use head::{check_freshened, check_head};
pub(super) use row::Row;
pub(super) use settle::{Body, settle};
pub(super) use verified::Verified;
