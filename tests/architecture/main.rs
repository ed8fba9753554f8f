//! The plan of the house, held by a test: who may import whom, which crates a room must not name,
//! which files may import each other, where methods stand, which parameters a function may have,
//! how long a file may grow and what it may be called. `docs/development/structure.md` tells the
//! same table to people and is compared with it here.
#![cfg(test)]

mod circles;
mod imports;
mod known;
mod methods;
mod names;
mod plan;
mod reader;
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

/// Fails unless what is found is what is known. `list` is the one in `known.rs`.
fn compare(list: &str, found: &BTreeSet<String>, known: &[&str]) {
    let difference = difference(found, known);
    assert!(
        difference.is_empty(),
        "mend what is new (+), take what is mended (-) from {list} in known.rs:\n{}",
        difference.join("\n")
    );
}

fn difference(found: &BTreeSet<String>, known: &[&str]) -> Vec<String> {
    let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
    let lines = |sign, lines: Vec<&String>| {
        let lines = lines.into_iter();
        lines
            .map(move |line| format!("{sign}    \"{line}\","))
            .collect::<Vec<_>>()
    };
    [
        lines('-', known.difference(found).collect()),
        lines('+', found.difference(&known).collect()),
    ]
    .concat()
}

#[test]
fn known_lists_only_shrink() {
    let found = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(difference(&found, &["b", "a"]), [""; 0]);
    assert_eq!(difference(&found, &["a"]), ["+    \"b\","]);
    assert_eq!(difference(&found, &["a", "b", "c"]), ["-    \"c\","]);
    assert_eq!(
        difference(&found, &["a", "c"]),
        ["-    \"c\",", "+    \"b\","]
    );
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
    let mut faults = Vec::new();
    for source in sources() {
        let name = source.name();
        if source.names_pair("clippy", "disallowed_methods") && !homes.contains(name.as_str()) {
            faults.push(format!("{name} lifts a ban and is no home of one"));
        }
        for (path, home) in &bans {
            let calls = path.rsplit("::").take(2).collect::<Vec<_>>();
            if name != *home && source.names_pair(calls[1], calls[0]) {
                faults.push(format!("{name} names {path}, whose home is {home}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_people_read_is_the_table_that_is_held() {
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
        let row = row.unwrap_or_else(|| panic!("structure.md does not tell of {}", room.name));
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
        "structure.md tells of rooms that are not there"
    );
}
