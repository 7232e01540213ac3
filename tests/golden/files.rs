//! Files: records, compact and as JSON, and the schema of the database.

use std::fmt::Write;

use larder::storage::filesystem::{FileStorage, Format};

use crate::{BODY, check, head, key, shown, store};

#[tokio::test]
async fn the_records_of_files() {
    for (format, text) in [(Format::Compact, false), (Format::Json, true)] {
        let dir = tempfile::tempdir().unwrap();
        let storage = FileStorage::builder().format(format).open(dir.path().join("cache")).unwrap();
        store(&storage, BODY).await;
        let mut found = String::new();
        let paths =
            [storage.paths_of(&head().key).await.unwrap(), storage.paths_of(&key("moved")).await.unwrap()];
        for path in paths.concat() {
            let bytes = std::fs::read(&path).unwrap();
            let shown = if text { String::from_utf8(bytes).unwrap() } else { shown(&bytes) };
            let name = path.strip_prefix(dir.path()).unwrap().display().to_string();
            writeln!(found, "{name}\n{shown}").unwrap();
        }
        let name = if text { "files_json" } else { "files_compact" };
        check(name, "the format's number in filesystem/record.rs", &found);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_schema_of_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.db");
    let storage = larder::storage::SqliteStorage::builder().open(&path).unwrap();
    store(&storage, BODY).await;
    let database = rusqlite::Connection::open(&path).unwrap();
    let mut found = String::new();
    let version =
        |name: &str| database.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
    writeln!(found, "application {} version {}", version("application_id"), version("user_version")).unwrap();
    let mut schema =
        database.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").unwrap();
    for sql in schema.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        writeln!(found, "{}", sql.unwrap()).unwrap();
    }
    check("sqlite_schema", "user_version in sqlite/layout.rs", &found);
}
