//! What is wrong with a configuration, told so that a stranger can mend it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, with the offending text unless that is a secret.
    pub what: String,
    /// How to mend it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}:{}:{}: {}, {}",
            self.file, self.line, self.column, self.what, self.hint
        )
    }
}

/// Everything that is wrong with a configuration, in the order of the file; never empty. `Display`
/// gives one problem a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        Self(problems)
    }

    /// The problems in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What was noticed so far, by byte position.
#[derive(Default)]
pub(super) struct Diagnostics {
    entries: Vec<(Range<usize>, String, String)>,
    /// Start of a table and the key in it that was taken out.
    removed: BTreeSet<(usize, String)>,
    /// Whether text was lost to syntax errors: nothing can be called missing then.
    pub(super) incomplete: bool,
}

impl Diagnostics {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records a problem at `span`.
    pub(super) fn add(
        &mut self,
        span: &Range<usize>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.entries.push((span.clone(), what.into(), hint.into()));
    }

    /// Remembers that `key` of the table at `table` was there but did not fit.
    pub(super) fn mark_removed(&mut self, table: &Range<usize>, key: &str) {
        self.removed.insert((table.start, key.to_owned()));
    }

    /// Whether `key` of the table at `table` was there but did not fit.
    pub(super) fn was_removed(&self, table: &Range<usize>, key: &str) -> bool {
        self.incomplete || self.removed.contains(&(table.start, key.to_owned()))
    }

    /// Records that `key` is missing from the table at `table`, unless it was there and did not
    /// fit.
    pub(super) fn missing(&mut self, table: &Range<usize>, key: &str, hint: impl Into<String>) {
        if !self.was_removed(table, key) {
            self.add(table, format!("`{key}` is missing"), hint);
        }
    }

    /// The notes as problems of the file `name` with this text.
    pub(super) fn finish(mut self, name: &str, text: &str) -> Problems {
        if self.entries.is_empty() {
            // Nothing is taken without having been understood.
            self.add(
                &(0..0),
                "the configuration cannot be used",
                "please report this file as a defect",
            );
        }
        let problem = |(span, what, hint): (Range<usize>, String, String)| {
            let (line, column) = position(text, span.start);
            Problem {
                file: name.to_owned(),
                line,
                column,
                what,
                hint,
            }
        };
        Problems::new(self.entries.into_iter().map(problem).collect())
    }
}

/// Line and column of a byte, both from 1.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before
        .get(line_start..)
        .map_or(0, |line| line.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

/// Text from the file for a message: whole when short, and without control characters.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    format!("{:?}…", text.chars().take(LONGEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("a\nbc", 3), (2, 2));
        assert_eq!(position("ä = x", "ä = ".len()), (1, 5));
        assert_eq!(position("a\n", 99), (2, 1));
    }
}
