//! The `check` command: all errors and warnings of a configuration.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Args;

use crate::config::settings::Settings;
use crate::config::{self, Environment as _, Problem, Severity, SystemEnvironment};
use crate::system::Clock;

use super::{BAD_CONFIG, WithConfig, embedded_servers, print, print_error};

/// Which configuration, and how it is reported.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    with: WithConfig,
    /// Print errors and warnings as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn command(arguments: &Arguments) -> ExitCode {
    let path = &arguments.with.config;
    let report = config::review(path, Clock::new().now());
    let mut problems = report.warnings;
    match &report.settings {
        Ok(settings) => problems.extend(users_file_problems(settings)),
        Err(errors) => problems.extend(errors.iter().cloned()),
    }
    let name = path.display().to_string();
    // Errors come first, and those of the users files behind those of the configuration.
    problems.sort_by_key(|problem| {
        let is_other_file = problem.file != name;
        (
            problem.severity,
            is_other_file,
            problem.line,
            problem.column,
        )
    });
    if arguments.json {
        print(&serde_json::to_string_pretty(&problems).unwrap_or_default());
    } else {
        print_problems(&problems);
    }
    let is_error = |problem: &Problem| problem.severity == Severity::Error;
    match report.settings {
        Ok(settings) if !problems.iter().any(is_error) => {
            if !arguments.json {
                print(&summary(&name, &settings, problems.len()));
            }
            ExitCode::SUCCESS
        }
        Ok(_) | Err(_) => ExitCode::from(BAD_CONFIG),
    }
}

fn summary(file: &str, settings: &Settings, warnings: usize) -> String {
    let found = match warnings {
        0 => "no problem found".to_owned(),
        1 => "no error, 1 warning".to_owned(),
        many => format!("no error, {many} warnings"),
    };
    let sites = settings.sites.iter().map(|site| site.name.as_str());
    let sites: Vec<&str> = sites.collect();
    format!("{file}: {found}; sites: {}", sites.join(", "))
}

/// The errors of the users files of embedded providers.
fn users_file_problems(settings: &Settings) -> Vec<Problem> {
    let errors = embedded_servers::check_users_files(settings);
    let of_file = |error: crate::embedded::users_file::UsersFileError| {
        let file = error.path.display().to_string();
        let problem = move |problem: crate::embedded::users_file::Problem| Problem {
            file: file.clone(),
            line: problem.line,
            column: problem.column,
            severity: Severity::Error,
            what: problem.message,
            hint: String::new(),
            source_line: String::new(),
        };
        error.problems.into_iter().map(problem)
    };
    let errors = errors.err().into_iter().flatten();
    errors.flat_map(of_file).collect()
}

/// Writes problems to standard error: with the line of the file for a person at a terminal, else
/// one line each.
fn print_problems(problems: &[Problem]) {
    let is_terminal = std::io::stderr().is_terminal();
    let style = if SystemEnvironment.variable("NO_COLOR").is_some() {
        Style::PLAIN
    } else {
        Style::COLOURED
    };
    for problem in problems {
        if is_terminal {
            print_error(&with_source(problem, &style));
        } else {
            print_error(&problem.to_string());
        }
    }
}

/// The escape sequences of a terminal (ECMA-48, select graphic rendition).
struct Style {
    error: &'static str,
    warning: &'static str,
    dim: &'static str,
    reset: &'static str,
}

impl Style {
    const PLAIN: Self = Self {
        error: "",
        warning: "",
        dim: "",
        reset: "",
    };
    const COLOURED: Self = Self {
        error: "\x1b[1;31m",
        warning: "\x1b[1;33m",
        dim: "\x1b[2m",
        reset: "\x1b[0m",
    };
}

/// A problem with its line of the file, for a person. Ends with an empty line.
fn with_source(problem: &Problem, style: &Style) -> String {
    let Style { dim, reset, .. } = style;
    let (colour, severity) = match problem.severity {
        Severity::Error => (style.error, "error"),
        Severity::Warning => (style.warning, "warning"),
    };
    let Problem {
        file,
        line,
        column,
        what,
        hint,
        source_line,
        ..
    } = problem;
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let mut lines = vec![
        format!("{colour}{severity}{reset}: {what}"),
        format!("{gutter}{dim}-->{reset} {file}:{line}:{column}"),
    ];
    if !source_line.trim().is_empty() {
        let before = " ".repeat(column.saturating_sub(1));
        lines.push(format!("{dim}{number} |{reset} {source_line}"));
        lines.push(format!("{gutter} {dim}|{reset} {before}{colour}^{reset}"));
    }
    if !hint.is_empty() {
        lines.push(format!("{gutter} {dim}={reset} {hint}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_the_line_of_the_file() {
        let problem = Problem {
            file: "a.toml".into(),
            line: 12,
            column: 3,
            severity: Severity::Warning,
            what: "this is odd".into(),
            hint: "mend it".into(),
            source_line: "a = true".into(),
        };
        assert_eq!(
            with_source(&problem, &Style::PLAIN),
            "warning: this is odd\n  --> a.toml:12:3\n12 | a = true\n   |   ^\n   = mend it\n"
        );
        let bare = Problem {
            severity: Severity::Error,
            hint: String::new(),
            source_line: String::new(),
            ..problem
        };
        assert_eq!(
            with_source(&bare, &Style::COLOURED),
            "\x1b[1;31merror\x1b[0m: this is odd\n  \x1b[2m-->\x1b[0m a.toml:12:3\n"
        );
    }
}
