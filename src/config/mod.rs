//! What the operator wrote, checked: a file becomes [`Settings`], or every problem in it at once.
//!
//! The way of a text: `validate` lays it against the schema of the `file` structs and takes out what
//! does not fit; what is left becomes those structs; `check` looks for contradictions and makes the
//! settings. Nothing stops at the first problem, and what was taken out is not complained about a
//! second time.

use std::path::Path;

pub mod certificate;
mod check;
mod defaults;
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

pub use environment::{Environment, FakeEnvironment, SystemEnvironment};
pub use problems::{Problem, Problems};
pub use reference::{reference, schema};
use settings::Settings;

/// Reads and checks the configuration in `path`.
///
/// # Errors
/// All [`Problems`] at once, in the order of the file.
pub fn load(path: &Path) -> Result<Settings, Problems> {
    let name = path.display().to_string();
    match SystemEnvironment.file(path) {
        Ok(text) => check_text(&name, &text, &SystemEnvironment),
        Err(error) => {
            let hint = "give the path of a readable file with --config FILE".to_owned();
            let what = format!("the file cannot be read: {error}");
            Err(Problems::new(vec![Problem {
                file: name,
                line: 1,
                column: 1,
                what,
                hint,
            }]))
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
    let mut diagnostics = problems::Diagnostics::default();
    let file = schema_validation::read(text, &mut diagnostics);
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let settings =
        file.and_then(|file| check::settings(&file, folder, environment, &mut diagnostics));
    match settings {
        Some(settings) if diagnostics.is_empty() => Ok(settings),
        Some(_) | None => Err(diagnostics.finish(name, text)),
    }
}

#[cfg(test)]
mod tests;
