//! The HTTP client for calls to providers: bounded in time, size and number, and it never leaves the
//! address that the configuration names.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// The largest response body that is accepted, in bytes.
pub const MAX_RESPONSE: usize = 256 * 1024;

/// The time limit of the TCP and TLS handshakes. They count against the timeout of the request too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an idle connection is kept. FusionAuth closes one after 20 s; closing it earlier here
/// avoids that a request is sent on a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

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

impl std::error::Error for HttpError {}

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
struct Network(Client);

/// The HTTP client that all providers share.
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
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
        let client = client
            .map_err(|error| HttpError(format!("TLS cannot be set up: {}", causes(&error))))?;
        Ok(Self::with_transport(Network(client)))
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
        let builder = self
            .0
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body);
        let mut response = builder
            .send()
            .await
            .map_err(|error| http_error(error, "the call failed"))?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| http_error(error, "the answer broke off"))?
        {
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
            body,
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds a client, with every limit set"
)]
fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

fn http_error(error: reqwest::Error, what: &str) -> HttpError {
    // An error without a cause displays the address, which may hold a secret of the configuration.
    let error = error.without_url();
    if error.is_connect() && error.is_timeout() {
        return HttpError(format!("no connection within {CONNECT_TIMEOUT:?}"));
    }
    HttpError(format!("{what}: {}", causes(&error)))
}

/// The causes of an error, the innermost last. The outermost error says only that a request failed.
fn causes(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    if causes.is_empty() {
        error.to_string()
    } else {
        causes.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        Request {
            method: Method::GET,
            url: url.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: Duration::from_millis(100),
            purpose: Purpose::Background,
        }
    }

    #[tokio::test]
    async fn a_client_without_roots_still_speaks_plain_http() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = axum::serve(listener, axum::Router::new().fallback(|| async { "hello" }));
        let client = builder().tls_certs_only([]).build().unwrap();
        let without_roots = HttpClient::with_transport(Network(client));
        let ask = without_roots.send(Request {
            timeout: Duration::from_secs(10),
            ..request(&format!("http://{address}/"))
        });
        let response = tokio::select! { response = ask => response.unwrap(), _ = serve.into_future() => unreachable!() };
        assert_eq!(
            (response.status, response.body),
            (StatusCode::OK, b"hello".to_vec())
        );
    }

    #[tokio::test]
    async fn an_error_names_no_address() {
        let http = HttpClient::new().unwrap();
        for url in [
            "ftp://leaky:leaky@127.0.0.1/leaky",
            "http://leaky:leaky@127.0.0.1:1/leaky",
        ] {
            let error = http.send(request(url)).await.err().unwrap();
            assert!(!error.to_string().contains("leaky"), "{error}");
        }
    }

    #[tokio::test]
    async fn revocations_leave_room_for_the_rest() {
        let http = HttpClient::new().unwrap();
        let mut held = Vec::new();
        for _ in 0..MAX_REVOCATIONS {
            held.push(http.permits(Purpose::Revocation).await.unwrap());
        }
        let waiting = http
            .send(Request {
                purpose: Purpose::Revocation,
                ..request("http://127.0.0.1:1/")
            })
            .await;
        let late = HttpError("no answer within 100ms".into());
        assert_eq!(waiting.err(), Some(late));
        for _ in MAX_REVOCATIONS..MAX_REQUESTS {
            held.push(http.permits(Purpose::Background).await.unwrap());
        }
        held.clear();
        assert!(http.permits(Purpose::Revocation).await.is_ok());
    }

    #[tokio::test]
    async fn logins_leave_room_for_the_rest() {
        let http = HttpClient::new().unwrap();
        let mut held = Vec::new();
        for _ in 0..MAX_LOGINS {
            held.push(http.permits(Purpose::Login).await.unwrap());
        }
        let waiting = http
            .send(Request {
                purpose: Purpose::Login,
                ..request("http://127.0.0.1:1/")
            })
            .await;
        assert_eq!(
            waiting.err(),
            Some(HttpError("no answer within 100ms".into()))
        );
        let patient = Request {
            timeout: LOGIN_PERMIT_TIMEOUT * 10,
            purpose: Purpose::Login,
            ..request("http://127.0.0.1:1/")
        };
        let waiting = http.send(patient).await;
        assert_eq!(
            waiting.err(),
            Some(HttpError("32 sign-ins are under way".into()))
        );
        for _ in MAX_LOGINS..MAX_REQUESTS {
            held.push(http.permits(Purpose::Background).await.unwrap());
        }
        let waiting = http.send(request("http://127.0.0.1:1/")).await;
        assert_eq!(
            waiting.err(),
            Some(HttpError("no answer within 100ms".into()))
        );
        held.clear();
        assert!(http.permits(Purpose::Login).await.is_ok());
    }
}
