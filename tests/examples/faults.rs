//! The table of faults in `tests/README.md`.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file of tests that a path in the table stands for.
fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some(requirement) = path.strip_prefix("conformance/") {
        return read(&root.join(format!("src/storage/conformance/{requirement}.rs")));
    }
    if path.starts_with("src/") {
        return read(&root.join(format!("{path}.rs")));
    }
    let alone = root.join(format!("tests/{path}.rs"));
    if alone.exists() { read(&alone) } else { read(&root.join(format!("tests/{path}/main.rs"))) }
}

#[test]
fn every_case_has_a_row_and_every_test_it_names_exists() {
    let readme = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/README.md"));
    let (_, faults) = readme.split_once("\n## Faults\n").expect("the section");
    let section = faults.split_once("\n## ").map_or(faults, |(section, _)| section);

    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| case "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<usize> = rows
        .iter()
        .map(|row| row[0].split_once(' ').and_then(|(number, _)| number.parse().ok()).expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=48).collect::<Vec<_>>());

    let mut gaps = BTreeSet::new();
    for row in &rows {
        assert_eq!(row.len(), 9, "{row:?}");
        assert!(row[1..].iter().any(|cell| !cell.is_empty()), "{}: neither a test nor a gap", row[0]);
        for entry in row[1..].iter().flat_map(|cell| cell.split(", ")) {
            if let Some(test) = entry.strip_prefix('`').and_then(|entry| entry.strip_suffix('`')) {
                let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("{}: {test}", row[0]));
                assert!(file(path).contains(&format!("fn {name}(")), "{}: there is no {test}", row[0]);
            } else if let Some(gap) = entry.strip_prefix("gap ") {
                gaps.insert(gap);
            } else {
                assert!(matches!(entry, "" | "–"), "{}: {entry}", row[0]);
            }
        }
    }
    let argued = section.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    assert_eq!(argued.map(|(gap, _)| gap).collect::<BTreeSet<_>>(), gaps);
}
