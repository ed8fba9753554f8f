//! The `explain` command: what signed-out and signed-in visitors get at an address, found by
//! running the policy itself.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderName, Method};

use crate::config::settings::Settings;
use crate::decide::explain::{
    ExplainedRequest, Explanation, OWN_ENDPOINT, REFUSED, REQUEST_CHECKS, explain,
    explain_health_check, explain_rejection, validate_request_line,
};
use crate::model::origin::Host;
use crate::model::rule::RuleClient;
use crate::model::site::Site;

use super::{WithConfig, loaded, print, print_error};

/// The address, and the roles of the visitor.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    with: WithConfig,
    /// The address as it is in the browser, in place of --host and --path
    #[arg(conflicts_with_all = ["host", "path"], required_unless_present_all = ["host", "path"])]
    url: Option<String>,
    /// The host as a visitor types it, with its port if it has one
    #[arg(long, requires = "path")]
    host: Option<String>,
    /// The path, with its query if it has one
    #[arg(long, requires = "host")]
    path: Option<String>,
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
    let result = Request::of(arguments).and_then(|request| {
        let explanation = request.explain(&settings, arguments)?;
        Ok((explanation, request))
    });
    let (explanation, request) = match result {
        Ok(explained) => explained,
        Err(error) => {
            print_error(&format!("explain: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let is_refused = explanation.access == REFUSED;
    if arguments.json {
        print(&serde_json::to_string_pretty(&explanation).unwrap_or_default());
    } else {
        let place = match &*explanation.site {
            "" => "any host".to_owned(),
            site => format!("site {site}"),
        };
        let first = format!("{} {} at {place}", request.method, request.target);
        let place = arguments.with.config.display().to_string();
        if is_refused {
            print_error(&rejection_text(&first, &explanation));
        } else {
            print(&to_text(&first, &explanation, &place));
        }
    }
    if is_refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The request that the arguments describe.
struct Request {
    host: Host,
    /// As it stands in the request line.
    target: String,
    method: Method,
}

impl Request {
    fn of(arguments: &Arguments) -> Result<Self, String> {
        let (host, target) = match (&arguments.url, &arguments.host, &arguments.path) {
            (Some(url), _, _) => split_url(url),
            (None, Some(host), Some(path)) => (host.as_str(), path.clone()),
            // clap lets nothing else through.
            (None, _, _) => ("", String::new()),
        };
        let host = Host::parse(host).ok_or_else(|| {
            format!("{host:?} is no host: write it as a browser sends it, like a.example:8080")
        })?;
        let method = Method::from_bytes(arguments.method.as_bytes())
            .map_err(|_| "--method is no method".to_owned())?;
        Ok(Self {
            host,
            target,
            method,
        })
    }

    fn explain(&self, settings: &Settings, arguments: &Arguments) -> Result<Explanation, String> {
        if let Some(explanation) = explain_health_check(&self.method, self.target.as_bytes()) {
            return Ok(explanation);
        }
        let (site, lines) = self.find_site(settings).ok_or_else(|| {
            format!(
                "no site has the host {}: visitors get 421 unknown_site",
                self.host
            )
        })?;
        let is_complete = is_named_by(site, &self.host);
        Ok(Explanation {
            host: (!is_complete).then(|| site.origin.authority()),
            ..self.explain_at(site, lines, arguments)
        })
    }

    /// The site, with the lines of its rules. A host without a port is taken for that of a site, so
    /// that the operator need not look it up.
    fn find_site<'a>(&self, settings: &'a Settings) -> Option<(&'a Site, &'a [usize])> {
        let sites = || settings.sites.iter().zip(&settings.rule_lines);
        let is_meant = |site: &Site| self.host.port.is_none() && site.origin.name == self.host.name;
        let (site, lines) = sites()
            .find(|(site, _)| is_named_by(site, &self.host))
            .or_else(|| sites().find(|(site, _)| is_meant(site)))?;
        Some((site, lines))
    }

    fn explain_at(&self, site: &Site, lines: &[usize], arguments: &Arguments) -> Explanation {
        let target = match validate_request_line(&self.method, self.target.as_bytes(), site) {
            Ok(target) => target,
            Err(rejected) => return explain_rejection(site, rejected),
        };
        let client = RuleClient {
            address: arguments.from.to_canonical(),
            headers: &arguments.header,
        };
        let request = ExplainedRequest {
            method: &self.method,
            target: &target,
            client,
        };
        let mut explanation = explain(site, &request, &arguments.role);
        explanation.line = site
            .rules
            .iter()
            .zip(lines)
            .find(|(rule, _)| rule.matches(&self.method, target.decoded_path(), client))
            .map(|(_, line)| *line)
            .filter(|_| !matches!(&*explanation.rule, OWN_ENDPOINT | REQUEST_CHECKS));
        explanation
    }
}

/// The host and the target of an address. A fragment stays in the browser.
fn split_url(url: &str) -> (&str, String) {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if target.starts_with('/') { "" } else { "/" };
    (host, format!("{slash}{target}"))
}

fn is_named_by(site: &Site, host: &Host) -> bool {
    let alias = |alias: &Host| {
        let default = site.origin.scheme.default_port();
        alias.name == host.name && alias.port.unwrap_or(default) == host.port.unwrap_or(default)
    };
    site.origin.matches_host(host) || site.aliases.iter().any(alias)
}

fn to_text(first: &str, explanation: &Explanation, file: &str) -> String {
    let place = explanation.line.map(|line| format!("  {file}:{line}"));
    let mut lines = vec![first.to_owned()];
    lines.extend(host_line(explanation));
    lines.push(format!(
        "  rule          {} ({}){}",
        explanation.rule,
        explanation.access,
        place.unwrap_or_default()
    ));
    let program = explanation.program.as_ref();
    let visitors = [
        ("signed out", &explanation.signed_out),
        ("signed in", &explanation.signed_in),
        ("without role", &explanation.without_role),
    ];
    for (who, outcome) in visitors
        .into_iter()
        .chain(program.map(|it| ("program", it)))
    {
        let answer = match (outcome.status, &outcome.location) {
            (Some(status), Some(location)) => format!("{status} to {location}"),
            (Some(status), None) => status.to_string(),
            (None, _) if outcome.outcome == "forwarded" => "the application answers".to_owned(),
            (None, _) => "the gateway answers".to_owned(),
        };
        lines.push(format!(
            "  {who:<13} {:<10} {:<14} {answer}",
            outcome.outcome, outcome.reason
        ));
    }
    if let Some(why) = explanation.why {
        lines.push(format!("  passes        {why}"));
    }
    lines.extend(reading_lines(explanation));
    lines.join("\n")
}

/// What everybody gets for a request that is refused before a rule is asked.
fn rejection_text(first: &str, explanation: &Explanation) -> String {
    let outcome = &explanation.signed_out;
    let mut lines = vec![first.to_owned()];
    lines.extend(host_line(explanation));
    lines.push(format!(
        "  everybody     {} {}: {}",
        outcome.status.unwrap_or_default(),
        outcome.reason,
        explanation.why.unwrap_or_default()
    ));
    lines.extend(reading_lines(explanation));
    lines.join("\n")
}

/// The host of the site, where its port was left out.
fn host_line(explanation: &Explanation) -> Option<String> {
    let host = explanation.host.as_ref()?;
    Some(format!(
        "  host          {host}: without its port, visitors get 421 unknown_site"
    ))
}

/// What an application may read, and what that meets.
fn reading_lines(explanation: &Explanation) -> impl Iterator<Item = String> {
    let readings = explanation.readings.iter();
    let paths: Vec<String> = readings
        .clone()
        .map(|reading| printable(&reading.path))
        .collect();
    let longest = paths.iter().map(|path| path.chars().count()).max();
    let longest = longest.unwrap_or_default();
    readings.zip(paths).map(move |(reading, path)| {
        format!(
            "  may be read   {path:<longest$}  {} ({})",
            reading.rule, reading.access
        )
    })
}

/// The path with its control characters escaped, so that a terminal shows them.
fn printable(path: &str) -> String {
    path.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_as_it_stands() {
        for (url, host, target) in [
            (
                "https://a.example:81/b//c;d?e#f",
                "a.example:81",
                "/b//c;d?e",
            ),
            ("https://a.example", "a.example", "/"),
            ("a.example/%2561", "a.example", "/%2561"),
            ("http://a.example?q", "a.example", "/?q"),
            ("http://[::1]:80/\\b", "[::1]:80", "/\\b"),
        ] {
            assert_eq!(split_url(url), (host, target.to_owned()), "{url}");
        }
    }
}
