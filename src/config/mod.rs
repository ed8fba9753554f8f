//! What the operator wrote, checked: a file becomes [`Settings`], or every problem in it at once.
//!
//! The way of a text: `validate` lays it against the schema of the `file` structs and takes out
//! what does not fit; what is left becomes those structs; `check` looks for contradictions and
//! makes the settings. Nothing stops at the first problem, and what was taken out is not complained
//! about a second time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

mod admin_address;
pub mod certificate;
mod check;
mod defaults;
mod effective;
mod environment;
mod file;
mod key_schema;
mod problems;
mod reference;
mod schema_validation;
mod secret_source;
pub mod settings;
mod spans;
mod suggest;
mod syntax;
mod units;

pub use admin_address::admin_address;
pub use check::is_name;
pub use effective::effective;
use environment::RecordingEnvironment;
pub use environment::{Environment, FakeEnvironment, SystemEnvironment};
pub use problems::{Problem, Problems, Severity};
pub use reference::{reference, schema};
use settings::Settings;

use crate::model::timestamp::Timestamp;

/// What a check of a configuration found.
pub struct Report {
    /// The settings, or all that is wrong.
    pub settings: Result<Settings, Problems>,
    /// What is allowed and probably not meant, in the order of the file.
    pub warnings: Vec<Problem>,
    /// The files and folders that were read, or that are missing: a change of one of them may
    /// change the result. The configuration itself is none of them.
    pub files: BTreeSet<PathBuf>,
}

/// Reads and checks the configuration in `path`.
///
/// # Errors
/// All [`Problems`] at once, in the order of the file.
pub fn load(path: &Path) -> Result<Settings, Problems> {
    // Nobody is told what has expired.
    review(path, Timestamp::from_secs(0)).settings
}

/// Reads and checks the configuration in `path`, and looks for what is probably not meant, such as
/// a service token that has expired at `now`.
#[must_use]
pub fn review(path: &Path, now: Timestamp) -> Report {
    let name = path.display().to_string();
    match SystemEnvironment.file(path) {
        Ok(text) => review_text(&name, &text, &SystemEnvironment, now),
        Err(error) => {
            let hint = "give the path of a readable file with --config FILE".to_owned();
            let what = format!("the file cannot be read: {error}");
            let problem = Problem {
                file: name,
                line: 1,
                column: 1,
                severity: Severity::Error,
                what,
                hint,
                source_line: String::new(),
            };
            Report {
                settings: Err(Problems::new(vec![problem])),
                warnings: Vec::new(),
                files: BTreeSet::new(),
            }
        }
    }
}

/// Checks a configuration that was read already. `name` is its path: problems are told under it,
/// and relative paths in the text start from its folder. Variables and files come from
/// `environment`.
///
/// # Errors
/// All [`Problems`] at once, in the order of the text.
pub fn check_text(
    name: &str,
    text: &str,
    environment: &dyn Environment,
) -> Result<Settings, Problems> {
    review_text(name, text, environment, Timestamp::from_secs(0)).settings
}

/// As [`check_text`], with warnings.
#[must_use]
pub fn review_text(
    name: &str,
    text: &str,
    environment: &dyn Environment,
    now: Timestamp,
) -> Report {
    let mut diagnostics = problems::Diagnostics::default();
    let environment = RecordingEnvironment::new(environment);
    let file = schema_validation::read(text, &mut diagnostics);
    let surroundings = check::Surroundings {
        folder: Path::new(name).parent().unwrap_or(Path::new("")),
        environment: &environment,
        now,
    };
    let settings = file.and_then(|file| {
        let settings = check::settings(&file, surroundings, &mut diagnostics)?;
        let rule_lines = rule_lines(&file, text);
        Some(Settings {
            rule_lines,
            ..settings
        })
    });
    let files = environment.into_files();
    let warnings = diagnostics.take_warnings(name, text);
    let settings = match settings {
        Some(settings) if diagnostics.is_empty() => Ok(Settings {
            files: files.clone(),
            ..settings
        }),
        Some(_) | None => Err(diagnostics.finish(name, text)),
    };
    Report {
        settings,
        warnings,
        files,
    }
}

/// The line of each rule of each site.
fn rule_lines(file: &file::File, text: &str) -> Vec<Vec<usize>> {
    let line = |rule: &spans::At<file::site::Rule>| {
        let span = rule.path.as_ref().map_or(&rule.span, |path| &path.span);
        problems::position(text, span.start).0
    };
    let sites = file.sites.iter().flat_map(|sites| sites.iter());
    sites
        .map(|site| site.rules.iter().map(line).collect())
        .collect()
}

#[cfg(test)]
mod tests;
