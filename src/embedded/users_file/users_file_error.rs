//! The error of a users file that cannot be used: its problems with their positions.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A users file that cannot be used.
#[derive(Debug)]
pub struct UsersFileError {
    /// The path of the users file.
    pub path: PathBuf,
    /// The problems of the file, at least one.
    pub problems: Vec<Problem>,
}

/// A problem of a users file. Its message contains no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// In characters from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for UsersFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(
                out,
                "{separator}{}:{}:{}: {}",
                self.path.display(),
                problem.line,
                problem.column,
                problem.message
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for UsersFileError {}

impl Problem {
    /// A problem at the start of `span`, which is in bytes of `text`.
    pub(super) fn at(text: &str, span: &Range<usize>, message: &str) -> Self {
        let before = text.get(..span.start).unwrap_or_default();
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: last_line.chars().count() + 1,
            message: message.to_owned(),
        }
    }
}

/// Problems that were found, each with its span in bytes.
#[derive(Default)]
pub(super) struct ProblemList(Vec<(Range<usize>, String)>);

impl ProblemList {
    pub(super) fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.0.push((span.clone(), message.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems in the order of `text`, with lines and columns.
    pub(super) fn located_in(mut self, text: &str) -> Vec<Problem> {
        self.0.sort_by_key(|(span, _)| span.start);
        self.0
            .iter()
            .map(|(span, message)| Problem::at(text, span, message))
            .collect()
    }
}

/// The message of the TOML parser without the value that it quotes. A value of the wrong type may
/// be a misplaced secret.
pub(super) fn without_value(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            format!("wrong type, expected {expected}")
        }
        Some(_) | None => message.to_owned(),
    }
}
