//! Every warning: `warnings.txt` holds changes to `base.toml` and what is then said about it, as
//! `refusals.txt` does.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::super::{FakeEnvironment, review_text};
use super::environment;
use super::refusals::{BASE, lines};
use crate::model::timestamp::Timestamp;

/// The moment of the tests: 2027-01-31.
const NOW: Timestamp = Timestamp::from_secs(1_801_353_600);

/// The environment, with the modes of some files.
fn with_modes() -> FakeEnvironment {
    let mut there = environment();
    for (path, mode) in [
        ("/run/secrets/cookie-key", 0o640),
        ("/run/secrets/cookie-key-before", 0o644),
        ("store.key", 0o644),
        ("users.toml", 0o640),
        ("config/users.toml", 0o600),
    ] {
        there.modes.insert(PathBuf::from(path), mode);
    }
    there
}

#[test]
fn the_base_has_no_warning() {
    let report = review_text("base.toml", BASE, &with_modes(), NOW);
    assert_eq!(report.warnings, []);
}

#[test]
fn every_warning_is_told_with_its_place_and_hint() {
    let mut wrong = String::new();
    for block in include_str!("warnings.txt").split("\n\n") {
        let (out, into) = (lines(block, "-"), lines(block, "+"));
        assert!(
            !out.is_empty() && BASE.contains(&out),
            "{out:?} is not in the base"
        );
        let text = BASE.replacen(&out, &into, 1);
        let report = review_text("base.toml", &text, &with_modes(), NOW);
        if let Err(problems) = report.settings {
            writeln!(wrong, "{into}\nis refused: {problems}\n").unwrap();
            continue;
        }
        let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        let told = told.join("\n").replace("base.toml:", "");
        let shown = report.warnings.iter().map(|warning| &*warning.source_line);
        for text in [&told, &shown.collect::<String>()] {
            assert!(!text.contains("hush"), "a secret is told: {text}");
        }
        if told != lines(block, "!") {
            let told = told
                .lines()
                .map(|line| format!("! {line}"))
                .collect::<Vec<_>>()
                .join("\n");
            writeln!(wrong, "{into}\n{told}\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "told otherwise:\n{wrong}");
}

/// The configurations that people copy. The replicas' store is on a network of its own.
#[test]
fn no_shipped_configuration_has_a_warning() {
    let is_copied = |path: &PathBuf| !path.starts_with("packaging/replicas");
    for path in super::shipped().into_iter().filter(is_copied) {
        let text = std::fs::read_to_string(&path).unwrap();
        let report = review_text(path.to_str().unwrap(), &text, &environment(), NOW);
        let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{}", told.join("\n"));
    }
}
