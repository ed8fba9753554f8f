//! Every refusal: `refusals.txt` holds changes to `base.toml` and what is then said about it.
//!
//! A block is the text taken out (`-`), the text put in (`+`), and the problems (`!`), without the
//! file's name.

use std::fmt::Write as _;

use super::super::check_text;
use super::machine::environment;

pub(super) const BASE: &str = include_str!("base.toml");

/// The lines of a block that begin with `mark`, without it.
pub(super) fn lines(block: &str, mark: &str) -> String {
    let lines = block.lines().filter_map(|line| line.strip_prefix(mark));
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_base_has_no_problem() {
    if let Err(problems) = check_text("base.toml", BASE, &environment()) {
        panic!("{problems}");
    }
}

#[test]
fn every_refusal_is_told_with_its_place_and_hint() {
    let mut wrong = String::new();
    let blocks: Vec<&str> = include_str!("refusals.txt").split("\n\n").collect();
    assert!(blocks.len() > 100, "only {} blocks", blocks.len());
    for block in blocks {
        let (out, into) = (lines(block, "-"), lines(block, "+"));
        assert!(
            !out.is_empty() && BASE.contains(&out),
            "{out:?} is not in the base"
        );
        let told = match check_text("base.toml", &BASE.replacen(&out, &into, 1), &environment()) {
            Ok(_) => "nothing".to_owned(),
            Err(problems) => problems.to_string().replace("base.toml:", ""),
        };
        assert!(!told.contains("hush"), "a secret is told: {told}");
        if told != lines(block, "!") {
            let changes = block
                .lines()
                .filter(|line| !line.starts_with('!'))
                .collect::<Vec<_>>()
                .join("\n");
            let told = told
                .lines()
                .map(|line| format!("! {line}"))
                .collect::<Vec<_>>()
                .join("\n");
            writeln!(wrong, "{changes}\n{told}\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "told otherwise:\n{wrong}");
}
