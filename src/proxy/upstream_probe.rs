//! Health checks, over the same kind of connection as requests: with the same TLS and the same
//! protocol.

use std::net::SocketAddr;

use async_trait::async_trait;
use http::{HeaderValue, Uri, Version, header};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{ErrorType, OrErr as _, Result};

use crate::model::upstream::UpstreamAddress;
use crate::runtime::SiteRuntime;
use crate::runtime::upstream_checks::Probe;
use crate::runtime::upstreams::Backend;

use super::upstream_error::UpstreamFailure;
use super::upstream_peer::{self, Exchange};

/// How the gateway names itself.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("vestibule/", env!("CARGO_PKG_VERSION")));

/// Sends health checks. Their connections are not kept.
pub struct UpstreamProbe {
    connector: Connector,
}

impl UpstreamProbe {
    /// Opens no connection.
    #[must_use]
    pub fn new() -> Self {
        super::choose_cryptography();
        Self {
            connector: Connector::new(None),
        }
    }
}

impl Default for UpstreamProbe {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Probe for UpstreamProbe {
    async fn check(&self, site_runtime: &SiteRuntime, backend: &Backend) -> Result<(), String> {
        let addresses = backend.addresses().await;
        let addresses = addresses.map_err(|error| error.to_string())?;
        let mut last = "it has no address".to_owned();
        for address in addresses {
            match self.ask(site_runtime, backend, address).await {
                Ok(status) if status.is_success() || status.is_redirection() => return Ok(()),
                Ok(status) => last = format!("status {}", status.as_u16()),
                Err(error) => {
                    let failure = UpstreamFailure::of(&error.into_up());
                    last = failure.map_or_else(|| last, |failure| failure.cause);
                }
            }
        }
        Err(last)
    }
}

impl UpstreamProbe {
    async fn ask(
        &self,
        site_runtime: &SiteRuntime,
        backend: &Backend,
        address: Option<SocketAddr>,
    ) -> Result<http::StatusCode> {
        let exchange = Exchange::Request(site_runtime.site.upstream_protocol);
        let peer = upstream_peer::new(backend, address, exchange)?;
        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        let protocol = match &session {
            HttpSession::H2(_) => Version::HTTP_2,
            HttpSession::H1(_) | HttpSession::Custom(()) => Version::HTTP_11,
        };
        let request = request(site_runtime, backend, protocol)?;
        session.write_request_header(Box::new(request)).await?;
        session.finish_request_body().await?;
        loop {
            session.read_response_header().await?;
            let status = session.response_header().map(|head| head.status);
            if let Some(status) = status.filter(|status| !status.is_informational()) {
                return Ok(status);
            }
        }
    }
}

fn request(
    site_runtime: &SiteRuntime,
    backend: &Backend,
    protocol: Version,
) -> Result<RequestHeader> {
    let site = &site_runtime.site;
    let path = site.health.as_ref().map_or("/", |health| &health.path);
    let host = site.upstream_host.clone();
    let host = host.unwrap_or_else(|| site.origin.authority());
    let mut request = RequestHeader::build("GET", path.as_bytes(), None)?;
    request.insert_header(header::USER_AGENT, USER_AGENT)?;
    if protocol == Version::HTTP_2 {
        let scheme = match backend.upstream.address {
            UpstreamAddress::Https { .. } => "https",
            UpstreamAddress::Http { .. } | UpstreamAddress::Unix { .. } => "http",
        };
        let uri = Uri::builder().scheme(scheme).authority(host.as_str());
        let uri = uri.path_and_query(path).build();
        request.set_uri(uri.or_err(ErrorType::InternalError, "no URI for a health check")?);
        request.set_version(Version::HTTP_2);
    } else {
        request.insert_header(header::HOST, host)?;
    }
    Ok(request)
}
