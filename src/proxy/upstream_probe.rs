//! Requests of the gateway's own to upstreams, over the same kind of connection as requests of
//! clients: with the same TLS and the same protocol.

use std::net::SocketAddr;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::{Error, ErrorType, OrErr as _, Result};

use crate::model::site::Site;
use crate::model::upstream::UpstreamAddress;
use crate::runtime::SiteRuntime;
use crate::runtime::load_balancer::Backend;
use crate::runtime::upstream_checks::Probe;
use crate::telemetry::labels::UpstreamError;

use super::upstream_error::UpstreamFailure;
use super::upstream_peer::{self, Exchange};

/// How the gateway names itself.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("vestibule/", env!("CARGO_PKG_VERSION")));

/// The largest response body that is read, in bytes. What follows is left out.
const MAX_BODY: usize = 256 * 1024;

/// Sends the requests. Their connections are not kept.
pub struct UpstreamProbe {
    connector: Connector,
}

/// A `GET` of the path of the health check, else of `/`.
#[derive(Clone, Copy)]
pub struct ProbeRequest<'a> {
    /// The site that the upstream belongs to.
    pub site: &'a Site,
    /// The upstream.
    pub backend: &'a Backend,
    /// One of its addresses; `None` is a Unix socket.
    pub address: Option<SocketAddr>,
    /// Fields in addition to `Host` and `User-Agent`.
    pub fields: &'a [(HeaderName, HeaderValue)],
}

/// The response to a [`ProbeRequest`].
#[derive(Clone, Debug)]
pub struct ProbeResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body, at most 256 KiB of it.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeError {
    /// The kind of failure; `None` where the gateway itself could not connect.
    pub kind: Option<UpstreamError>,
    /// What happened, for an operator.
    pub cause: String,
}

impl std::fmt::Display for ProbeError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.cause)
    }
}

impl std::error::Error for ProbeError {}

impl From<Box<Error>> for ProbeError {
    fn from(error: Box<Error>) -> Self {
        match UpstreamFailure::of(&error.into_up()) {
            Some(UpstreamFailure { error, cause }) => Self { kind: error, cause },
            None => Self {
                kind: None,
                cause: "no answer".to_owned(),
            },
        }
    }
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
            let request = ProbeRequest {
                site: &site_runtime.site,
                backend,
                address,
                fields: &[],
            };
            match self.head(request).await {
                Ok((status, _)) if status.is_success() || status.is_redirection() => return Ok(()),
                Ok((status, _)) => last = format!("status {}", status.as_u16()),
                Err(error) => last = ProbeError::from(error).cause,
            }
        }
        Err(last)
    }
}

impl UpstreamProbe {
    /// Sends a request and reads the response. Time limits are the caller's.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn get(
        &self,
        request: ProbeRequest<'_>,
    ) -> std::result::Result<ProbeResponse, ProbeError> {
        let (status, mut session) = self.head(request).await?;
        let headers = session.response_header().map(|head| head.headers.clone());
        let mut body = Vec::new();
        while body.len() < MAX_BODY
            && let Some(chunk) = session.read_response_body().await?
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(MAX_BODY);
        Ok(ProbeResponse {
            status,
            headers: headers.unwrap_or_default(),
            body,
        })
    }

    /// Sends a request and reads the head of the response, after those with a status of 1xx.
    async fn head(&self, request: ProbeRequest<'_>) -> Result<(StatusCode, HttpSession)> {
        let exchange = Exchange::Request(request.site.upstream_protocol);
        let peer = upstream_peer::new(request.backend, request.address, exchange)?;
        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        let protocol = match &session {
            HttpSession::H2(_) => Version::HTTP_2,
            HttpSession::H1(_) | HttpSession::Custom(()) => Version::HTTP_11,
        };
        let head = request_head(request, protocol)?;
        session.write_request_header(Box::new(head)).await?;
        session.finish_request_body().await?;
        loop {
            session.read_response_header().await?;
            let status = session.response_header().map(|head| head.status);
            if let Some(status) = status.filter(|status| !status.is_informational()) {
                return Ok((status, session));
            }
        }
    }
}

fn request_head(request: ProbeRequest<'_>, protocol: Version) -> Result<RequestHeader> {
    let ProbeRequest {
        site,
        backend,
        fields,
        ..
    } = request;
    let path = site.health.as_ref().map_or("/", |health| &health.path);
    let host = site.upstream_host.clone();
    let host = host.unwrap_or_else(|| site.origin.authority());
    let mut request = RequestHeader::build("GET", path.as_bytes(), None)?;
    request.insert_header(header::USER_AGENT, USER_AGENT)?;
    for (name, value) in fields {
        request.insert_header(name, value)?;
    }
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
