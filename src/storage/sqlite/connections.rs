//! Opening: one connection that writes, several that read.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::Fault;
use super::layout::{self, Content};
use super::options::SqliteStorageBuilder;
use super::place::{self, Place};
use super::repair::repair;
use crate::storage::StorageErrorKind;

/// A connection that one thread uses at a time.
pub(super) type SharedConnection = Arc<Mutex<Connection>>;

/// All connections to one database.
pub(super) struct Connections {
    /// `None` when the database is read-only.
    pub(super) writer: Option<SharedConnection>,
    pub(super) readers: Box<[SharedConnection]>,
}

/// One opening at a time in this process: closing a file by other means than SQLite's would drop the locks that
/// SQLite holds on it for another connection of the process, and [`place::create`] closes the file it created.
static OPENING: Mutex<()> = Mutex::new(());

/// The log is cut back to this after a checkpoint.
const LOG_BYTES: u32 = 64 << 20;

pub(super) fn open(place: &Place, options: &SqliteStorageBuilder) -> Result<Connections, Fault> {
    let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = place.path()
        && !options.trust_file
    {
        place::check_owner(path)?;
    }
    match place.path() {
        None => memory(options),
        Some(path) if options.read_only => read_only(path, options),
        Some(path) => read_write(path, options),
    }
}

/// One connection for everything: connections to one database in memory would share table locks, which make readers
/// fail instead of wait.
fn memory(options: &SqliteStorageBuilder) -> Result<Connections, Fault> {
    let connection = Connection::open_in_memory_with_flags(
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "page_size", options.page_size)?;
    configure(&connection, options)?;
    layout::ensure(&connection)?;
    let shared = share(connection);
    Ok(Connections { writer: Some(Arc::clone(&shared)), readers: Box::new([shared]) })
}

fn read_write(path: &Path, options: &SqliteStorageBuilder) -> Result<Connections, Fault> {
    if path.is_dir() {
        return Err(Fault::new(StorageErrorKind::Invalid, "this is a directory; name a file in it"));
    }
    let new = place::create(path).map_err(|error| {
        let fault = Fault::from(error);
        Fault::new(fault.kind, format!("the file cannot be created: {}", fault.detail()))
    })?;
    if !new {
        examine_untouched(path)?;
    }
    let opened = writer(path, options).and_then(|writer| {
        let readers = readers(path, OpenFlags::SQLITE_OPEN_READ_ONLY, options)?;
        Ok(Connections { writer: Some(share(writer)), readers })
    });
    if new && opened.is_err() && std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
        let _ = std::fs::remove_file(path);
    }
    opened
}

/// Examines an existing file without changing it, because another program may have written it.
fn examine_untouched(path: &Path) -> Result<(), Fault> {
    if std::fs::metadata(path)?.len() == 0 {
        return Ok(());
    }
    let look = |path: &Path, flags| {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        layout::examine(&Connection::open_with_flags(path, flags)?)
    };
    let content = match look(&immutable_uri(path), OpenFlags::SQLITE_OPEN_URI) {
        // All that somebody wrote can still be in the log, which this look passed over.
        Ok(Content::Nothing) if place::has_log(path) => look(path, OpenFlags::empty()),
        content => content,
    };
    match content {
        Err(fault) if fault.kind == StorageErrorKind::Incompatible => Err(fault),
        // Whatever else is wrong, such as a journal left by a crash, the writing connection can mend or will name.
        _ => Ok(()),
    }
}

fn writer(path: &Path, options: &SqliteStorageBuilder) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(options.busy_timeout)?;
    // SQLite quietly falls back to reading when it may not write.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Fault::new(
            StorageErrorKind::ReadOnly,
            "the file cannot be written; open it with read_only(true), or choose another path",
        ));
    }
    // The page size has no effect on an existing database. The tables are made before the log is, so that the header of the
    // file itself tells from its first byte on whose it is.
    let prepare = || {
        connection.pragma_update(None, "page_size", options.page_size)?;
        configure(&connection, options)?;
        layout::ensure(&connection)
    };
    match prepare() {
        // Even most settings need to read the schema first.
        Err(fault) if fault.kind == StorageErrorKind::Corrupt => {
            repair(&connection)?;
            prepare()?;
        }
        other => other?,
    }
    set_journal(&connection, options)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    Ok(connection)
}

/// Changing the journal takes the file for itself, and unlike other statements it does not wait for those who use it.
fn set_journal(connection: &Connection, options: &SqliteStorageBuilder) -> Result<(), Fault> {
    let mode = if options.wal { "WAL" } else { "DELETE" };
    let until = Instant::now() + options.busy_timeout;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < until =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return Ok(other?),
        }
    }
}

fn readers(
    path: &Path,
    flags: OpenFlags,
    options: &SqliteStorageBuilder,
) -> Result<Box<[SharedConnection]>, Fault> {
    let open = |_| {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        configure(&connection, options)?;
        connection.pragma_update(None, "query_only", true)?;
        // A read may only sleep where the pool says so.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(share(connection))
    };
    (0..options.readers).map(open).collect()
}

fn read_only(path: &Path, options: &SqliteStorageBuilder) -> Result<Connections, Fault> {
    if path.is_file() {
        examine_untouched(path)?;
    }
    let open = |path: &Path, flags| {
        let readers = readers(path, OpenFlags::SQLITE_OPEN_READ_ONLY | flags, options)?;
        for reader in &readers {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            if layout::examine(&reader)? == Content::Nothing {
                return Err(Fault::new(StorageErrorKind::Incompatible, "the database is empty"));
            }
        }
        Ok(Connections { writer: None, readers })
    };
    let opened = open(path, OpenFlags::empty());
    match &opened {
        Err(fault) if fault.kind != StorageErrorKind::Incompatible && path.is_file() => {
            // Even reading a log needs a file beside the database. Where the directory forbids that, nobody else can
            // be writing either, and the database can be read as it is.
            open(&immutable_uri(path), OpenFlags::SQLITE_OPEN_URI).or(opened)
        }
        _ => opened,
    }
}

fn immutable_uri(path: &Path) -> std::path::PathBuf {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?immutable=1");
    uri.into()
}

/// What every connection gets. Only reading and then only a little: nothing here changes a file.
fn configure(connection: &Connection, options: &SqliteStorageBuilder) -> Result<(), Fault> {
    let kibibytes = i64::try_from(options.cache_size / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -kibibytes)?;
    connection.pragma_update(None, "synchronous", options.synchronous.as_str())?;
    if options.mmap_size > 0 {
        let bytes = i64::try_from(options.mmap_size).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "mmap_size", bytes, |_| Ok(()))?;
    }
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The file may have been tampered with: no functions with effects from its schema, and pages are checked.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn share(connection: Connection) -> SharedConnection {
    Arc::new(Mutex::new(connection))
}
