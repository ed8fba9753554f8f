//! The `doctor` command: what may be wrong outside the configuration.

use std::process::ExitCode;

use clap::Args;

use crate::config;
use crate::doctor::{Finding, Status, examine};
use crate::system::Clock;

use super::{WithConfig, embedded_servers, print, print_error};

/// Which configuration, and how it is reported.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    with: WithConfig,
    /// Print the findings as a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn command(arguments: &Arguments) -> ExitCode {
    let path = &arguments.with.config;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let mut findings = match runtime {
        Ok(runtime) => runtime.block_on(examine(path, &Clock::new())),
        Err(error) => {
            print_error(&format!("doctor: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if let Ok(settings) = config::load(path)
        && let Err(errors) = embedded_servers::check_users_files(&settings)
    {
        findings.extend(errors.iter().flat_map(of_users_file));
    }
    if arguments.json {
        print(&serde_json::to_string_pretty(&findings).unwrap_or_default());
    } else {
        for finding in &findings {
            print(&finding.to_string());
        }
        print_error(&summary(&findings));
    }
    if findings.iter().any(|it| it.status == Status::Fail) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn of_users_file(
    error: &crate::embedded::users_file::UsersFileError,
) -> impl Iterator<Item = Finding> {
    let file = error.path.display().to_string();
    error.problems.iter().map(move |problem| Finding {
        status: Status::Fail,
        check: "users",
        subject: file.clone(),
        message: format!("line {}: {}", problem.line, problem.message),
        hint: "correct the file: nobody can sign in with it".to_owned(),
    })
}

fn summary(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|it| it.status == status).count();
    format!(
        "{} ok, {} to look at, {} to mend",
        count(Status::Ok),
        count(Status::Warn),
        count(Status::Fail)
    )
}
