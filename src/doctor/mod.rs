//! What may be wrong outside the configuration: applications, providers, certificates, the store,
//! files. `vestibule doctor` tells it.
//!
//! Each check ends in a [`Finding`]: what was found, and what to do. A check that could not be made
//! is a warning and never `ok`. Nothing is changed: applications get `GET` requests without an
//! identity, providers are asked about themselves, and what is written to the store is removed.

mod certificate_chains;
mod cookie_scope;
mod file_modes;
mod finding;
mod header_folding;
mod local_addresses;
mod oidc_setup;
mod password_emails;
mod provider_answers;
mod provider_setup;
mod store_server;
mod upstream_reachability;
mod visitor_addresses;
mod webhooks;

use std::path::Path;
use std::sync::Arc;

use crate::config::settings::Settings;
use crate::config::{self, Report};
use crate::provider::http_client::HttpClient;
use crate::system::Clock;

use finding::Topic;
pub use finding::{Finding, Status};

/// Examines what the configuration in `path` names.
pub async fn examine(path: &Path, clock: &Clock) -> Vec<Finding> {
    let Report {
        settings, warnings, ..
    } = config::review(path, clock.now());
    let topic = Topic::new("configuration", path.display());
    let mut findings = Vec::new();
    let settings = match settings {
        Ok(settings) => settings,
        Err(problems) => {
            let problem = |it: &config::Problem| topic.fail(at_line(it), it.hint.clone());
            return problems.iter().map(problem).collect();
        }
    };
    if warnings.is_empty() {
        findings.push(topic.ok("no problem found"));
    }
    let warning = |it: config::Problem| topic.warn(at_line(&it), it.hint);
    findings.extend(warnings.into_iter().map(warning));
    findings.extend(file_modes::examine(path, &settings));
    findings.extend(cookie_scope::examine(&settings.sites));
    findings.extend(certificate_chains::examine(&settings, clock.now()));
    findings.extend(outside(&settings, clock).await);
    findings
}

/// What only the network tells.
async fn outside(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let http = match HttpClient::new() {
        Ok(http) => Arc::new(http),
        Err(error) => {
            let topic = Topic::new("certificates", "of this machine");
            let hint = "install the package ca-certificates, or name a file with SSL_CERT_FILE";
            return vec![topic.fail(error.to_string(), hint)];
        }
    };
    let (upstreams, providers, visitors, store) = tokio::join!(
        upstream_reachability::examine(settings),
        provider_setup::examine(settings, clock, &http),
        visitor_addresses::examine(&settings.sites, &http),
        store_server::examine(&settings.store),
    );
    [upstreams, providers, visitors, store].concat()
}

fn at_line(problem: &config::Problem) -> String {
    format!("line {}: {}", problem.line, problem.what)
}
