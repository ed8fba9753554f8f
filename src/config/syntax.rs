//! What is no TOML at all: reported, and blanked, so that one slip does not hide all other
//! problems.

use std::ops::Range;

use toml::de::{DeTable, Error};

use super::problems::Diagnostics;

/// What the parser says of a key that is there twice.
const TWICE: &str = "duplicate key";
/// Syntax errors behind which nothing is looked for any more.
const MAX_SYNTAX_ERRORS: usize = 32;

/// The text with the lines of syntax errors blanked. `None` when what is left could not be
/// understood rightly.
pub(super) fn without_errors(text: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    let mut readable = text.to_owned();
    for round in 0..MAX_SYNTAX_ERRORS {
        let (_, errors) = DeTable::parse_recoverable(&readable);
        if errors.is_empty() {
            return Some(readable);
        }
        diagnostics.incomplete = true;
        // Keys may seem to be there twice only because something between them is broken: that is
        // mended first.
        let (twice, malformed): (Vec<&Error>, Vec<&Error>) =
            errors.iter().partition(|error| error.message() == TWICE);
        // The blanked text may have faults of its own that nobody wrote.
        let reported = if malformed.is_empty() {
            &twice
        } else {
            &malformed
        };
        for error in reported
            .iter()
            .filter(|error| round == 0 || error.message() == TWICE)
        {
            let what = error.message().replace('\n', " ");
            diagnostics.add(
                &error.span().unwrap_or_default(),
                what,
                hint(error.message()),
            );
        }
        let blanked = if malformed.is_empty() { twice.len() } else { 1 };
        for error in reported.iter().take(blanked) {
            blank(&mut readable, error.span().unwrap_or_default().start)?;
        }
    }
    None
}

/// Blanks the line around `byte`, unless it is a header: without it a table would seem to be part
/// of the one before.
fn blank(readable: &mut String, byte: usize) -> Option<()> {
    let range = line_around(readable, byte);
    let line = readable.get(range.clone())?;
    if line.trim_start().starts_with('[') || line.trim().is_empty() {
        return None;
    }
    let blank = " ".repeat(line.len());
    readable.replace_range(range, &blank);
    Some(())
}

fn hint(message: &str) -> &'static str {
    if message == TWICE {
        "keep one of them"
    } else if message.starts_with("invalid boolean")
        || message.starts_with("string values must be quoted")
    {
        "text stands in quotes"
    } else {
        "mend the TOML here"
    }
}

fn line_around(text: &str, byte: usize) -> Range<usize> {
    let (before, after) = text.split_at_checked(byte).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = after.find('\n').map_or(text.len(), |at| before.len() + at);
    start..end
}
