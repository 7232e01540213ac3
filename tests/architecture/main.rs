//! The plan of the house in `ARCHITECTURE.md`, held against the imports in `src/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::{File, files};

/// Every room of the plan with its floor: 0 is the top. Rooms of one floor stand in braces.
fn floors() -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md")).unwrap();
    let plan = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("lib -> layer"))
        .expect("the line of floors");
    let rooms = |floor: &str| -> Vec<String> {
        floor
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(Into::into)
            .collect()
    };
    plan.split("->")
        .enumerate()
        .flat_map(|(floor, names)| rooms(names).into_iter().map(move |room| (room, floor)))
        .collect()
}

#[test]
fn every_room_stands_in_the_plan_and_every_room_of_the_plan_exists() {
    let built: BTreeSet<String> = files().iter().map(|file| file.room().to_owned()).collect();
    let planned: BTreeSet<String> = floors().into_keys().collect();
    assert_eq!(built, planned);
}

#[test]
fn a_room_uses_only_rooms_on_lower_floors() {
    let floors = floors();
    let mut up = BTreeSet::new();
    for file in files() {
        for path in file.uses() {
            // What is no room is an item that `lib.rs` exports: that is up as well. Exported macros stand nowhere.
            let used = path.first().map_or("lib", String::as_str);
            if used.starts_with("__larder") {
                continue;
            }
            let used = if floors.contains_key(used) { used } else { "lib" };
            if used != file.room() && floors[used] <= floors[file.room()] {
                up.insert(format!("{} uses crate::{}", file.name(), path.join("::")));
            }
        }
    }
    assert!(up.is_empty(), "{up:#?}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let files = files();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_table_of_contents()) {
        let used = file.uses().into_iter().filter_map(|path| File::holding(&files, &path));
        let used = used.filter(|used| !used.is_table_of_contents() && used.name() != file.name());
        edges.insert(file.name().to_owned(), used.map(|used| used.name().to_owned()).collect());
    }
    // A file that leads back to itself is part of a circle.
    let circles: BTreeSet<&String> = edges.keys().filter(|file| reaches(&edges, file, file)).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Whether the edges lead from `from` to `to` in one step or more.
fn reaches(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&String> = edges.get(from).into_iter().flatten().collect();
    while let Some(file) = next.pop() {
        if file == to {
            return true;
        }
        if seen.insert(file) {
            next.extend(edges.get(file).into_iter().flatten());
        }
    }
    false
}

#[test]
fn a_backend_uses_no_other_backend() {
    const BACKENDS: [&str; 8] =
        ["memory", "key_value", "sqlite", "filesystem", "redis", "mongodb", "gridfs", "dynamodb"];
    // GridFS is MongoDB with other bodies.
    let allowed = |from: &str, to: &str| matches!((from, to), ("gridfs", "mongodb") | ("mongodb", "gridfs"));
    let backend = |path: &[String]| -> Option<String> {
        (path.first()? == "storage")
            .then_some(path.get(1)?.clone())
            .filter(|name| BACKENDS.contains(&name.as_str()))
    };
    let mut across = BTreeSet::new();
    for file in files() {
        let Some(from) = backend(file.module()) else { continue };
        for path in file.uses() {
            if let Some(to) = backend(&path)
                && from != to
                && !allowed(&from, &to)
            {
                across.insert(format!("{} uses crate::{}", file.name(), path.join("::")));
            }
        }
    }
    assert!(across.is_empty(), "{across:#?}");
}
