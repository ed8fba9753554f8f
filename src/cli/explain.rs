//! The `explain` command: what signed-out and signed-in visitors get at an address, found by
//! running the policy itself.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderName, Method};

use crate::config::settings::Settings;
use crate::decide::explain::{ExplainedOutcome, ExplainedRequest, Explanation, explain};
use crate::decide::request_target::validate_target;
use crate::model::origin::Host;
use crate::model::rule::RuleClient;
use crate::model::site::Site;

use super::{WithConfig, loaded, print, print_error};

/// The address, and the roles of the visitor.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    with: WithConfig,
    /// The host as a visitor types it, with its port if it has one
    #[arg(long)]
    host: String,
    /// The path, with its query if it has one
    #[arg(long)]
    path: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A role of the signed-in visitor; may be given several times
    #[arg(long)]
    role: Vec<String>,
    /// The address of the client, for rules with `from`
    #[arg(long, default_value = "0.0.0.0")]
    from: IpAddr,
    /// A header that the request has, for rules with `header`; may be given several times
    #[arg(long)]
    header: Vec<HeaderName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn command(arguments: &Arguments) -> ExitCode {
    let settings = match loaded(&arguments.with.config) {
        Ok(settings) => settings,
        Err(status) => return status,
    };
    match explanation(&settings, arguments) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(&format!("explain: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn explanation(settings: &Settings, arguments: &Arguments) -> Result<String, String> {
    let host = Host::parse(&arguments.host)
        .ok_or("--host is no host: write it as a browser sends it, like a.example:8080")?;
    let site = settings
        .sites
        .iter()
        .find(|site| is_named_by(site, &host))
        .ok_or_else(|| format!("no site has the host {host}: visitors get 421 unknown_site"))?;
    let method = Method::from_bytes(arguments.method.as_bytes())
        .map_err(|_| "--method is no method".to_owned())?;
    let client = RuleClient {
        address: arguments.from.to_canonical(),
        headers: &arguments.header,
    };
    let target = validate_target(arguments.path.as_bytes(), &method, client, site)
        .map_err(|_| "visitors get 400 malformed_request for this path, whoever they are")?;
    let request = ExplainedRequest {
        method: &method,
        target: &target,
        client,
    };
    let explanation = explain(site, &request, &arguments.role);
    if arguments.json {
        return serde_json::to_string_pretty(&explanation).map_err(|error| error.to_string());
    }
    Ok(to_text(&explanation, arguments))
}

fn is_named_by(site: &Site, host: &Host) -> bool {
    let alias = |alias: &Host| {
        let default = site.origin.scheme.default_port();
        alias.name == host.name && alias.port.unwrap_or(default) == host.port.unwrap_or(default)
    };
    // A host without a port is taken for the site's, so that the operator need not look it up.
    site.origin.matches_host(host)
        || site.aliases.iter().any(alias)
        || (host.port.is_none() && site.origin.name == host.name)
}

fn to_text(explanation: &Explanation, arguments: &Arguments) -> String {
    let line = |who: &str, fate: &ExplainedOutcome| {
        let answer = match (fate.status, &fate.location) {
            (Some(status), Some(location)) => format!("{status} to {location}"),
            (Some(status), None) => status.to_string(),
            (None, _) if fate.outcome == "forwarded" => "the application answers".to_owned(),
            (None, _) => "the gateway answers".to_owned(),
        };
        format!(
            "  {who:<13} {:<10} {:<14} {answer}",
            fate.outcome, fate.reason
        )
    };
    let mut lines = vec![
        format!(
            "{} {} at site {}",
            arguments.method, arguments.path, explanation.site
        ),
        format!(
            "  rule          {} ({})",
            explanation.rule, explanation.access
        ),
        line("signed out", &explanation.signed_out),
        line("signed in", &explanation.signed_in),
        line("without role", &explanation.without_role),
    ];
    lines.extend(
        explanation
            .program
            .as_ref()
            .map(|fate| line("program", fate)),
    );
    lines.join("\n")
}
