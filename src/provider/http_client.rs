//! The HTTP client for calls to providers: bounded in time, size and number, and it never leaves
//! the address that the configuration names.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use url::Url;

use super::http_connector::Connector;

/// The largest response body that is accepted, in bytes.
pub const MAX_RESPONSE: usize = 256 * 1024;

/// The most of a response's head that is read, in bytes.
const MAX_HEAD: u32 = 64 * 1024;

/// The windows of HTTP/2: how much a provider may send before the gateway has taken it, in bytes.
/// The largest response fits.
const HTTP2_WINDOW: u32 = 512 * 1024;

/// How long an idle connection is kept. FusionAuth closes one after 20 s; closing it earlier here
/// avoids that a request is sent on a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How the gateway names itself.
const USER_AGENT: &str = concat!("vestibule/", env!("CARGO_PKG_VERSION"));

/// The most requests at a time.
const MAX_REQUESTS: usize = 64;

/// The most logins among them: a flood of passwords leaves room for refreshes.
const MAX_LOGINS: usize = 32;

/// The most revocations among them: a flood of sign-outs leaves room for refreshes.
pub const MAX_REVOCATIONS: usize = 8;

/// How long a login waits for its permit. Under a flood of passwords other users see an error that
/// they can retry, instead of waiting until their browser gives up.
const LOGIN_PERMIT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A step of a login. It is slow at the provider, and any client may cause it.
    Login,
    /// The revocation of a refresh token. Nobody waits for it.
    Revocation,
    /// Everything else.
    Background,
}

/// A request to a provider.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address. It is not logged: it may hold the id of a login.
    pub url: Url,
    /// Headers in addition to those that the client sets.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// From the wait for a permit to the last byte of the response.
    pub timeout: Duration,
    /// Decides which permits the request needs.
    pub purpose: Purpose,
}

/// A response, whatever its status.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// At most [`MAX_RESPONSE`] bytes.
    pub body: Vec<u8>,
}

/// Why there is no response: for the log, where the operator reads it. The text names no address
/// and quotes no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError(pub String);

impl fmt::Display for HttpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Error for HttpError {}

/// Carries a request to its address and the response back, without limits on time and number.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends `request` once and reads the whole response.
    ///
    /// # Errors
    /// When there is no complete response of at most [`MAX_RESPONSE`] bytes.
    async fn exchange(&self, request: Request) -> Result<Response, HttpError>;
}

/// Sends requests over the network.
#[derive(Debug)]
struct Network(Client<Connector, Full<Bytes>>);

/// Sends requests to one server, a provider or a collector, within the limits on their number.
#[derive(Debug)]
pub struct HttpClient {
    transport: Box<dyn Transport>,
    requests: Semaphore,
    logins: Semaphore,
    revocations: Semaphore,
}

/// Held while a request is under way.
struct Permits<'a> {
    _share: Option<SemaphorePermit<'a>>,
    _request: SemaphorePermit<'a>,
}

impl HttpClient {
    /// Opens no connection. Certificates are verified against the system's roots; `SSL_CERT_FILE`
    /// and `SSL_CERT_DIR` name others. On a system without roots `https` requests fail and `http`
    /// ones work.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn new() -> Result<Self, HttpError> {
        let tls = verified_by_system().or_else(|_| trusting_nobody());
        let tls = tls.map_err(|error| HttpError(format!("TLS cannot be set up: {error}")))?;
        Ok(Self::with_transport(Network(client(tls))))
    }

    /// As [`Self::new`], with certificates verified against `roots` only.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn trusting(roots: Arc<RootCertStore>) -> Result<Self, HttpError> {
        let tls = trusting(roots);
        let tls = tls.map_err(|error| HttpError(format!("TLS cannot be set up: {error}")))?;
        Ok(Self::with_transport(Network(client(tls))))
    }

    /// A client whose requests `transport` carries.
    #[must_use]
    pub fn with_transport(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
            requests: Semaphore::new(MAX_REQUESTS),
            logins: Semaphore::new(MAX_LOGINS),
            revocations: Semaphore::new(MAX_REVOCATIONS),
        }
    }

    /// Sends `request` once. Redirects are not followed; cookies are neither stored nor sent.
    ///
    /// # Errors
    /// When there is no complete response within the limits of time and size.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let timeout = request.timeout;
        tokio::time::timeout(timeout, self.send_with_permits(request))
            .await
            .unwrap_or_else(|_| Err(HttpError(format!("no answer within {timeout:?}"))))
    }

    async fn send_with_permits(&self, request: Request) -> Result<Response, HttpError> {
        let _permits = self.permits(request.purpose).await?;
        self.transport.exchange(request).await
    }

    /// The permit of a login or a revocation is acquired first: one that waits for it does not hold
    /// a permit that another request needs.
    async fn permits(&self, purpose: Purpose) -> Result<Permits<'_>, HttpError> {
        let shutting_down = |_: AcquireError| HttpError("shutting down".into());
        let share = match purpose {
            Purpose::Login => {
                let permit = tokio::time::timeout(LOGIN_PERMIT_TIMEOUT, self.logins.acquire())
                    .await
                    .map_err(|_| HttpError(format!("{MAX_LOGINS} sign-ins are under way")))?;
                Some(permit.map_err(shutting_down)?)
            }
            Purpose::Revocation => Some(self.revocations.acquire().await.map_err(shutting_down)?),
            Purpose::Background => None,
        };
        Ok(Permits {
            _share: share,
            _request: self.requests.acquire().await.map_err(shutting_down)?,
        })
    }
}

#[async_trait]
impl Transport for Network {
    async fn exchange(&self, request: Request) -> Result<Response, HttpError> {
        let request = http_request(request)?;
        let sent = self.0.request(request).await;
        let mut response = sent.map_err(|error| http_error(&error, "the call failed"))?;
        let mut body = Vec::new();
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|error| http_error(&error, "the answer broke off"))?;
            let chunk = frame.into_data().unwrap_or_default();
            if body.len() + chunk.len() > MAX_RESPONSE {
                return Err(HttpError(format!(
                    "the answer is larger than {} KiB",
                    MAX_RESPONSE / 1024
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

/// A client that follows no redirect, and that knows neither cookies nor proxies.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds a client, with every limit set"
)]
fn client(tls: ClientConfig) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(MAX_HEAD as usize)
        .http2_max_header_list_size(MAX_HEAD)
        .http2_initial_connection_window_size(HTTP2_WINDOW)
        .http2_initial_stream_window_size(HTTP2_WINDOW)
        .build(Connector::new(tls))
}

/// TLS that trusts the certificates that the system does.
fn verified_by_system() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

/// TLS that trusts no certificate at all.
fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    trusting(Arc::new(RootCertStore::empty()))
}

fn trusting(roots: Arc<RootCertStore>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn http_request(request: Request) -> Result<http::Request<Full<Bytes>>, HttpError> {
    let Request {
        method,
        url,
        headers,
        body,
        ..
    } = request;
    // The error would quote the address.
    let invalid = |_| HttpError("the address of the provider is not valid".into());
    let mut request = http::Request::new(Full::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = url.as_str().parse().map_err(invalid)?;
    *request.headers_mut() = headers;
    let fields = request.headers_mut();
    fields
        .entry(header::ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    fields.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    Ok(request)
}

/// The innermost cause says what happened; the error itself says only that a request failed.
fn http_error(error: &dyn Error, what: &str) -> HttpError {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    if causes.is_empty() {
        causes.push(error.to_string());
    }
    HttpError(format!("{what}: {}", causes.join(": ")))
}

#[cfg(test)]
mod tests;
