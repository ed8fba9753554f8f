//! Whether the gateway reaches each upstream by every address of its name, and whether others reach
//! it around the gateway.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::SET_COOKIE;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::finding::{Finding, Topic};
use super::{header_folding, local_addresses};
use crate::config::settings::Settings;
use crate::model::site::Site;
use crate::model::upstream::UpstreamAddress;
use crate::proxy::{
    ProbeError, ProbeRequest, ProbeResponse, UpstreamProbe, check_trusted_certificates,
};
use crate::runtime::load_balancer::{Backend, LoadBalancer};
use crate::telemetry::Metrics;
use crate::telemetry::labels::UpstreamError;

const CHECK: &str = "upstream";
/// How long an upstream may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection to an address of this machine may take.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    if let Err(error) = check_trusted_certificates() {
        let topic = Topic::new("certificates", "of this machine");
        return vec![topic.fail(error, "no upstream was checked")];
    }
    let metrics = Metrics::new();
    let probe = Arc::new(UpstreamProbe::new());
    let mut checks = JoinSet::new();
    for (order, site) in settings.sites.iter().enumerate() {
        let upstreams = LoadBalancer::new(site, &metrics.site(&site.name), None);
        let (site, probe) = (Arc::clone(site), Arc::clone(&probe));
        checks.spawn(async move { (order, examine_site(&site, &upstreams, &probe).await) });
    }
    let mut results = checks.join_all().await;
    results.sort_by_key(|(order, _)| *order);
    results.into_iter().flat_map(|(_, found)| found).collect()
}

async fn examine_site(
    site: &Site,
    upstreams: &LoadBalancer,
    probe: &UpstreamProbe,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for backend in upstreams.all() {
        let topic = Topic::new(CHECK, format_args!("{} {}", site.name, backend.name));
        match backend.addresses().await {
            Err(error) => findings.push(topic.fail(
                format!("its name has no address: {error}"),
                "correct the name in `upstreams`, or the name server of this machine",
            )),
            Ok(addresses) => {
                let examination = Examination {
                    site,
                    backend,
                    probe,
                    topic,
                };
                findings.extend(examination.run(&addresses).await);
            }
        }
    }
    findings
}

/// What the other addresses of a name do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Answer,
    AreSilent,
}

/// The examination of one upstream.
struct Examination<'a> {
    site: &'a Site,
    backend: &'a Backend,
    probe: &'a UpstreamProbe,
    topic: Topic,
}

impl Examination<'_> {
    async fn run(&self, addresses: &[Option<SocketAddr>]) -> Vec<Finding> {
        let mut reached = None;
        let mut answers = Vec::new();
        for &address in addresses {
            let request = self.request(address);
            let answer = timeout(ANSWER_TIMEOUT, self.probe.get(request)).await;
            let answer = answer.unwrap_or_else(|_| Err(timed_out()));
            if let (None, Ok(response)) = (&reached, &answer) {
                reached = Some((request, response.clone()));
            }
            answers.push((address, answer));
        }
        let others = match reached {
            Some(_) => Others::Answer,
            None => Others::AreSilent,
        };
        let mut findings: Vec<Finding> = answers
            .iter()
            .map(|(address, answer)| match answer {
                Ok(response) => self.responded(*address, response),
                Err(error) => self.unreachable(*address, error, others),
            })
            .collect();
        if let Some((request, response)) = reached {
            findings.extend(self.around(addresses).await);
            let folding = header_folding::examine(self.probe, request, &response);
            if let Ok(folding) = timeout(ANSWER_TIMEOUT, folding).await {
                findings.push(folding.finding(&self.topic, self.site));
            }
            findings.extend(self.cookie_domains(&response.headers));
        }
        findings
    }

    const fn request(&self, address: Option<SocketAddr>) -> ProbeRequest<'_> {
        ProbeRequest {
            site: self.site,
            backend: self.backend,
            address,
            fields: &[],
        }
    }

    fn responded(&self, address: Option<SocketAddr>, response: &ProbeResponse) -> Finding {
        let status = response.status;
        let at = address.map_or_else(String::new, |address| format!("{address} "));
        let message = format!("{at}answers {}", status.as_u16());
        if let Some(health) = &self.site.health
            && !status.is_success()
            && !status.is_redirection()
        {
            let hint = format!(
                "the gateway takes it for down: correct `health.path` ({}) or mend the application",
                health.path
            );
            self.topic.fail(message, hint)
        } else if status.is_server_error() {
            let hint = "see the log of the application";
            self.topic.warn(message, hint)
        } else {
            self.topic.ok(message)
        }
    }

    fn unreachable(
        &self,
        address: Option<SocketAddr>,
        error: &ProbeError,
        others: Others,
    ) -> Finding {
        let at = address.map_or_else(String::new, |address| format!("{address}: "));
        let message = format!("not reachable: {at}{}", error.cause);
        if others == Others::Answer {
            let hint = "other addresses of its name answer: let it listen at this one too, or \
                        write one that answers in `upstreams`";
            return self.topic.warn(message, hint);
        }
        let hint = match error.kind {
            Some(UpstreamError::Tls) => {
                "check its certificate, and `ca` and `server_name` of the upstream"
            }
            Some(UpstreamError::Timeout) => "let the firewall pass the gateway, or start it",
            Some(UpstreamError::Protocol | UpstreamError::Reset) => {
                "check the scheme in `upstreams` and `upstream_protocol`"
            }
            Some(UpstreamError::Refused | UpstreamError::Dns) | None => {
                "start the application, or correct `upstreams`"
            }
        };
        self.topic.fail(message, hint)
    }

    /// Whether others than the gateway reach the application.
    async fn around(&self, addresses: &[Option<SocketAddr>]) -> Vec<Finding> {
        if let UpstreamAddress::Unix { path } = &self.backend.upstream.address {
            return vec![self.socket(path)];
        }
        let local = match local_addresses::other_than_loopback() {
            Ok(local) => local,
            Err(error) => {
                let message = format!("the addresses of this machine are not known: {error}");
                let hint = "check yourself that only the gateway reaches the application";
                return vec![self.topic.warn(message, hint)];
            }
        };
        let addresses: Vec<SocketAddr> = addresses.iter().copied().flatten().collect();
        let is_here = |address: &IpAddr| address.is_loopback() || local.contains(address);
        let here = addresses
            .iter()
            .find(|address| is_here(&address.ip().to_canonical()));
        if let Some(here) = here {
            return vec![self.elsewhere_on_this_machine(*here, &local).await];
        }
        let public = addresses
            .iter()
            .filter(|address| local_addresses::is_public(address.ip()));
        public.map(|address| self.public(*address)).collect()
    }

    /// Whether the application listens at other addresses of this machine than loopback ones.
    async fn elsewhere_on_this_machine(&self, here: SocketAddr, local: &[IpAddr]) -> Finding {
        let mut open = Vec::new();
        for ip in local {
            let address = SocketAddr::new(*ip, here.port());
            let connected = timeout(LOCAL_TIMEOUT, TcpStream::connect(address)).await;
            if matches!(connected, Ok(Ok(_))) {
                open.push(address.to_string());
            }
        }
        if open.is_empty() {
            return self
                .topic
                .ok("not reachable around the gateway: it listens on loopback only");
        }
        let message = format!(
            "reachable around the gateway at {}: whoever gets there can say to be any user",
            open.join(", ")
        );
        if here.ip().to_canonical().is_loopback() {
            let hint = format!("let the application listen at {here} only, or at a Unix socket");
            self.topic.fail(message, hint)
        } else {
            let hint = format!(
                "let it listen at 127.0.0.1:{} and write that in `upstreams`, or let a firewall \
                 pass the gateway only",
                here.port()
            );
            self.topic.warn(message, hint)
        }
    }

    fn public(&self, address: SocketAddr) -> Finding {
        let message = format!(
            "{address} is an address of the internet: whoever reaches it around the gateway can \
             say to be any user"
        );
        let hint = "let a firewall pass the gateway only, or verify `X-Auth-Assertion` in the \
                    application (`assertion = true`)";
        self.topic.warn(message, hint)
    }

    /// Who may connect to a socket: whoever may write to it.
    fn socket(&self, path: &Path) -> Finding {
        let mode = match std::fs::metadata(path) {
            Ok(metadata) => metadata.permissions().mode() & 0o777,
            Err(error) => {
                let hint = "check yourself that only the gateway reaches the application";
                return self
                    .topic
                    .warn(format!("the mode is not known: {error}"), hint);
            }
        };
        if mode & 0o002 == 0 {
            return self
                .topic
                .ok(format!("not reachable around the gateway: mode {mode:o}"));
        }
        self.topic.warn(
            format!("every user of this machine can reach it around the gateway: mode {mode:o}"),
            format!(
                "`chmod o= {}`, and give it to the group of the gateway",
                path.display()
            ),
        )
    }

    /// The application's cookies that no browser keeps at this site.
    fn cookie_domains(&self, headers: &HeaderMap) -> Vec<Finding> {
        let host = self.site.origin.name.as_str();
        let lines = headers.get_all(SET_COOKIE).into_iter();
        let cookies = lines.filter_map(|line| cookie::Cookie::parse(line.to_str().ok()?).ok());
        let mut findings = Vec::new();
        for cookie in cookies {
            let Some(domain) = cookie.domain() else {
                continue;
            };
            let domain = domain.trim_start_matches('.').to_ascii_lowercase();
            let is_within = host == domain || host.ends_with(&format!(".{domain}"));
            if !is_within && !self.is_rewritten(&domain) {
                let message = format!(
                    "browsers refuse its cookie {} at {host}: its Domain is {domain}",
                    cookie.name()
                );
                let hint = format!("set the application's own address to {}", self.site.origin);
                findings.push(self.topic.warn(message, hint));
            }
        }
        findings
    }

    /// Whether the gateway writes this `Domain` for the site: it names the upstream.
    fn is_rewritten(&self, domain: &str) -> bool {
        let upstream_host = self.site.upstream_host.as_deref().unwrap_or_default();
        let is_upstream = match &self.backend.upstream.address {
            UpstreamAddress::Http { host, .. } | UpstreamAddress::Https { host, .. } => {
                host == domain || upstream_host.split(':').next() == Some(domain)
            }
            UpstreamAddress::Unix { .. } => false,
        };
        is_upstream && self.site.rewrite == crate::model::site::ResponseRewrite::Enabled
    }
}

fn timed_out() -> ProbeError {
    ProbeError {
        kind: Some(UpstreamError::Timeout),
        cause: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()),
    }
}
