//! What is no TOML at all: told, and blanked, so that one slip does not hide all other problems.

use std::ops::Range;

use toml::de::DeTable;

use super::problems::Notes;

/// Syntax errors behind which nothing is looked for any more.
const MAX_SYNTAX_ERRORS: usize = 32;

/// The text with the lines of syntax errors blanked. `None` when what is left could not be understood rightly.
pub(super) fn without_errors(text: &str, notes: &mut Notes) -> Option<String> {
    let mut readable = text.to_owned();
    for round in 0..MAX_SYNTAX_ERRORS {
        let (_, errors) = DeTable::parse_recoverable(&readable);
        let Some(first) = errors.first() else { return Some(readable) };
        for error in &errors {
            let duplicate = error.message() == "duplicate key";
            // The blanked text may have faults of its own that nobody wrote.
            if round == 0 || duplicate {
                let hint = if duplicate { "keep one of them" } else { "mend the TOML here" };
                notes.add(&error.span().unwrap_or_default(), error.message().replace('\n', " "), hint);
            }
        }
        notes.incomplete = true;
        let line = line_around(&readable, first.span().unwrap_or_default().start);
        let blank = readable.get(line.clone()).map(|line| " ".repeat(line.len()))?;
        // Without its header a table would seem to be part of the one before.
        if readable.get(line.clone()).is_some_and(|line| line.trim_start().starts_with('[') || line.trim().is_empty()) {
            return None;
        }
        readable.replace_range(line, &blank);
    }
    None
}

fn line_around(text: &str, byte: usize) -> Range<usize> {
    let (before, after) = text.split_at_checked(byte).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = after.find('\n').map_or(text.len(), |at| before.len() + at);
    start..end
}
