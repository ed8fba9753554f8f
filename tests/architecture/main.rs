//! The structure of the code, held by tests: which room may import which, which crates a room must
//! not name, which files may import each other, where methods stand, which parameters a function
//! may have, how long a file may be and what it may be called. `docs/development/structure.md` has
//! the same table for people, and is compared with it here.
#![cfg(test)]

mod circles;
mod imports;
mod methods;
mod names;
mod plan;
mod reader;
mod scripts;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use plan::ROOMS;
use source::{Source, read_all};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| read_all(&root().join("src")));
    assert!(SOURCES.len() > 20, "the sources were not found");
    &SOURCES
}

/// Fails where anything breaks `rule`.
fn assert_none(rule: &str, found: &BTreeSet<String>) {
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// `clippy.toml` bans a method and names its home, as in "one clock: system".
#[test]
fn a_banned_method_is_called_only_in_its_home() {
    let clippy = fs::read_to_string(root().join("clippy.toml")).unwrap();
    let bans: Vec<(&str, &str)> = clippy
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("{ path = \"")?;
            let (path, rest) = rest.split_once('"')?;
            Some((path, rest.split_once(": ")?.1.split_once('"')?.0))
        })
        .collect();
    assert_eq!(
        bans.len(),
        clippy.matches("{ path =").count(),
        "every ban names its home"
    );
    let homes: BTreeSet<&str> = bans.iter().map(|(_, home)| *home).collect();
    let mut errors = Vec::new();
    for source in sources() {
        let name = source.name();
        if source.names_pair("clippy", "disallowed_methods") && !homes.contains(name.as_str()) {
            errors.push(format!("{name} lifts a ban and is no home of one"));
        }
        for (path, home) in &bans {
            let calls = path.rsplit("::").take(2).collect::<Vec<_>>();
            if name != *home && source.names_pair(calls[1], calls[0]) {
                errors.push(format!("{name} names {path}, whose home is {home}"));
            }
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn the_table_in_the_documentation_is_the_one_that_is_checked() {
    let text = fs::read_to_string(root().join("docs/development/structure.md")).unwrap();
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').skip(1).map(str::trim).collect())
        .collect();
    for room in ROOMS {
        let row = rows.iter().find(|row| quoted(row[0]) == [room.name]);
        let row = row.unwrap_or_else(|| panic!("structure.md does not list {}", room.name));
        assert_eq!(quoted(row[2]), room.imports, "imports of {}", room.name);
        assert_eq!(
            quoted(row[3]),
            room.shuns,
            "crates shunned by {}",
            room.name
        );
    }
    assert_eq!(
        rows.len(),
        ROOMS.len(),
        "structure.md lists rooms that do not exist"
    );
}
