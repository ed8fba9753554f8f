//! Whether the address that visitors type leads to the gateway.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::task::JoinSet;
use url::Url;

use super::finding::{Finding, Topic};
use crate::model::origin::Host;
use crate::model::site::Site;
use crate::provider::http_client::{HttpClient, HttpError, Purpose, Request, Response};

const TIMEOUT: Duration = Duration::from_secs(5);
const HEALTH: &str = "/_vestibule/health";
const FORWARD_AUTH: &str = "/_vestibule/auth";

pub(super) async fn examine(sites: &[Arc<Site>], http: &Arc<HttpClient>) -> Vec<Finding> {
    let mut checks = JoinSet::new();
    for (order, site) in sites.iter().enumerate() {
        let (site, http) = (Arc::clone(site), Arc::clone(http));
        checks.spawn(async move { (order, examine_site(&site, &http).await) });
    }
    let mut results = checks.join_all().await;
    results.sort_by_key(|(order, _)| *order);
    results.into_iter().flat_map(|(_, found)| found).collect()
}

async fn examine_site(site: &Site, http: &HttpClient) -> Vec<Finding> {
    let topic = Topic::new("site", format_args!("{} {}", site.name, site.origin));
    let response = match get(site, http, HEALTH, HeaderMap::new()).await {
        Ok(response) => response,
        Err(error) => return vec![unreachable(&topic, &error.to_string())],
    };
    let status = response.status.as_u16();
    let is_stopping = status == 503 && response.body.starts_with(b"stopping");
    if !is_stopping && (status != 200 || !response.body.starts_with(b"ok")) {
        let message = format!("it does not lead to the gateway: {HEALTH} answers {status}");
        let hint = "let DNS, or the proxy in front, lead this host to the gateway with its `Host` \
                    unchanged";
        return vec![topic.warn(message, hint)];
    }
    let mut findings = vec![topic.ok("leads to a gateway")];
    if site.forward_auth {
        findings.push(forward_auth(site, http, &topic).await);
    }
    findings
}

fn unreachable(topic: &Topic, cause: &str) -> Finding {
    let lower = cause.to_ascii_lowercase();
    if lower.contains("certificate") {
        let message = format!("browsers warn of its certificate: {cause}");
        let hint = "renew it, and send the whole chain with the server's certificate first; a \
                    private authority must be known to this machine (SSL_CERT_FILE)";
        if lower.contains("expired") || lower.contains("not valid for name") {
            return topic.fail(message, hint);
        }
        return topic.warn(message, hint);
    }
    let message = format!("not reachable from this machine: {cause}");
    let hint = "start the gateway, and check DNS and the way from the listener to this address";
    topic.warn(message, hint)
}

/// Whether the proxy in front keeps the endpoint of forward-auth to itself: its answer holds
/// cookies that scripts must not read.
async fn forward_auth(site: &Site, http: &HttpClient, topic: &Topic) -> Finding {
    let host = Host {
        name: site.origin.name.clone(),
        port: None,
    };
    if host.is_loopback() {
        let message = format!("{FORWARD_AUTH} not checked: this machine is its own proxy");
        return topic.warn(message, "check from another machine that it answers 404");
    }
    let told = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/")];
    let told = told.map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let fields = HeaderMap::from_iter(told);
    let status = match get(site, http, FORWARD_AUTH, fields).await {
        Ok(response) => response.status.as_u16(),
        Err(error) => {
            let message = format!("{FORWARD_AUTH} not checked: {error}");
            return topic.warn(message, "check yourself that clients get 404 there");
        }
    };
    if status == 404 {
        return topic.ok(format!("{FORWARD_AUTH} is kept from clients"));
    }
    topic.fail(
        format!("the proxy in front passes {FORWARD_AUTH} on to clients: it answers {status}"),
        "let the proxy answer 404 there: the gateway's answer holds cookies that scripts must not \
         read",
    )
}

async fn get(
    site: &Site,
    http: &HttpClient,
    path: &str,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let url = Url::parse(&format!("{}{path}", site.origin));
    let request = Request {
        method: Method::GET,
        url: url.map_err(|error| HttpError(error.to_string()))?,
        headers,
        body: Vec::new(),
        timeout: TIMEOUT,
        purpose: Purpose::Background,
    };
    http.send(request).await
}
