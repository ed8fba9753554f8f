//! What is wrong with a configuration or probably is, told so that a stranger can mend it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, and is probably not what the operator means.
    Warning,
}

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    /// What is wrong, with the offending text unless that is a secret.
    #[serde(rename = "message")]
    pub what: String,
    /// How to mend it. Empty where `what` says so.
    pub hint: String,
    /// The line of the file, with `*` in place of secrets; empty where secrets may be anywhere.
    #[serde(skip)]
    pub source_line: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        let separator = if self.hint.is_empty() { "" } else { ", " };
        write!(
            out,
            "{}:{}:{}: {severity}{}{separator}{}",
            self.file, self.line, self.column, self.what, self.hint
        )
    }
}

/// Everything that is wrong with a configuration, in the order of the file; never empty. `Display`
/// gives one problem a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(sorted(problems))
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

/// The problems in the order of the file, each once.
fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    problems
}

/// What was noticed at a place, by byte position.
type Entry = (Range<usize>, String, String);

/// What was noticed so far, by byte position.
#[derive(Default)]
pub(super) struct Diagnostics {
    entries: Vec<Entry>,
    warnings: Vec<Entry>,
    /// The secrets that stand in the text.
    secrets: Vec<Range<usize>>,
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

    /// Records at `span` what is allowed and probably not meant.
    pub(super) fn warn(
        &mut self,
        span: &Range<usize>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.warnings.push((span.clone(), what.into(), hint.into()));
    }

    /// Remembers that the text at `span` is a secret, or may be one.
    pub(super) fn mark_secret(&mut self, span: Range<usize>) {
        self.secrets.push(span);
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
        let entries = std::mem::take(&mut self.entries);
        let locate = |entry| self.problem(entry, Severity::Error, Source { name, text });
        Problems::new(entries.into_iter().map(locate).collect())
    }

    /// The warnings as problems of the file `name` with this text, in its order.
    pub(super) fn take_warnings(&mut self, name: &str, text: &str) -> Vec<Problem> {
        let warnings = std::mem::take(&mut self.warnings);
        let locate = |entry| self.problem(entry, Severity::Warning, Source { name, text });
        sorted(warnings.into_iter().map(locate).collect())
    }

    fn problem(&self, entry: Entry, severity: Severity, source: Source<'_>) -> Problem {
        let (span, what, hint) = entry;
        let (line, column) = position(source.text, span.start);
        Problem {
            file: source.name.to_owned(),
            line,
            column,
            severity,
            what,
            hint,
            source_line: self.masked_line(source.text, span.start),
        }
    }

    /// The line of a byte, with `*` in place of each character of a secret.
    fn masked_line(&self, text: &str, byte: usize) -> String {
        if self.incomplete {
            return String::new();
        }
        let start = text
            .get(..byte)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1);
        let line = text.get(start..).and_then(|rest| rest.lines().next());
        let is_secret = |at: usize| self.secrets.iter().any(|secret| secret.contains(&at));
        let masked = line
            .unwrap_or_default()
            .char_indices()
            .map(|(at, char)| if is_secret(start + at) { '*' } else { char });
        masked.collect()
    }
}

/// A file that was read.
#[derive(Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    text: &'a str,
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

    fn noted(text: &str, secret: &str) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        let at = text.find(secret).unwrap();
        diagnostics.mark_secret(at..at + secret.len());
        diagnostics.warn(&(4..5), "a", "b");
        diagnostics
    }

    #[test]
    fn a_problem_has_the_line_of_the_file_without_secrets() {
        let text = "a\nb = \"hüsh\" # c\nd";
        let line = |mut diagnostics: Diagnostics| {
            let [warning] = &*diagnostics.take_warnings("f", text) else {
                panic!("other than one warning");
            };
            warning.source_line.clone()
        };
        assert_eq!(line(noted(text, "\"hüsh\"")), "b = ****** # c");
        let mut incomplete = noted(text, "hüsh");
        incomplete.incomplete = true;
        assert_eq!(line(incomplete), "");
    }

    #[test]
    fn a_warning_says_that_it_is_one() {
        let [warning] = &*noted("abcdef", "f").take_warnings("f.toml", "abcdef") else {
            panic!("other than one warning");
        };
        assert_eq!(warning.to_string(), "f.toml:1:5: warning: a, b");
        let json = serde_json::to_value(warning).unwrap();
        let expected = serde_json::json!({
            "file": "f.toml", "line": 1, "column": 5, "severity": "warning", "message": "a",
            "hint": "b"
        });
        assert_eq!(json, expected);
    }
}
