//! Calls to providers: bounded in time, size and number, and never anywhere but where the
//! configuration says.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// The largest answer taken, in bytes.
pub const MAX_ANSWER: usize = 256 * 1024;

/// For the TCP and TLS handshakes; counts against the time of the call, too.
const CONNECT: Duration = Duration::from_secs(3);

/// Shorter than the 20 s after which FusionAuth closes an idle connection, so that none is reused
/// as it closes.
const IDLE: Duration = Duration::from_secs(15);

/// All calls under way.
const CALLS: usize = 64;

/// The sign-ins among them: a flood of passwords leaves room for renewals.
const SIGN_INS: usize = 32;

/// How long a sign-in waits for its place among them: whoever floods the provider with passwords
/// makes others try again, not wait until their browser gives up.
const SIGN_IN_WAIT: Duration = Duration::from_secs(2);

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Checks a password: slow at the provider, and anyone may cause it.
    SignIn,
    /// Everything else.
    Background,
}

/// One call.
pub struct Call {
    /// How.
    pub method: Method,
    /// Where; told to nobody else: it may name a sign-in that waits.
    pub url: Url,
    /// Sent beside our own.
    pub headers: HeaderMap,
    /// Sent as it is.
    pub body: Vec<u8>,
    /// From the wait for a free place to the last byte of the answer.
    pub timeout: Duration,
    /// What for.
    pub purpose: Purpose,
}

/// What came back, whatever its status.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// At most [`MAX_ANSWER`] bytes.
    pub body: Vec<u8>,
}

/// Why nothing came back, in words; names no address and quotes no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError(String);

impl fmt::Display for HttpError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The one way out, shared by all providers.
#[derive(Debug)]
pub struct HttpClient {
    client: Client,
    calls: Semaphore,
    sign_ins: Semaphore,
}

impl HttpClient {
    /// Opens nothing yet. Certificates are verified against the system's roots; `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name others. On a system without any, `https` calls fail and `http` ones
    /// work.
    ///
    /// # Errors
    /// When TLS cannot be set up at all.
    pub fn new() -> Result<Self, HttpError> {
        let client = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
        let client = client
            .map_err(|error| HttpError(format!("TLS cannot be set up: {}", causes(&error))))?;
        Ok(Self {
            client,
            calls: Semaphore::new(CALLS),
            sign_ins: Semaphore::new(SIGN_INS),
        })
    }

    /// Makes `call` once. Redirects are not followed, cookies neither kept nor sent.
    ///
    /// # Errors
    /// When there is no whole answer of a fair size in time.
    pub async fn make(&self, call: Call) -> Result<Response, HttpError> {
        let timeout = call.timeout;
        tokio::time::timeout(timeout, self.make_in_turn(call))
            .await
            .unwrap_or_else(|_| Err(HttpError(format!("no answer within {timeout:?}"))))
    }

    async fn make_in_turn(&self, call: Call) -> Result<Response, HttpError> {
        let _places = self.places(call.purpose).await?;
        let request = self
            .client
            .request(call.method, call.url)
            .headers(call.headers)
            .body(call.body);
        let mut response = request
            .send()
            .await
            .map_err(|error| said(error, "the call failed"))?;
        let mut body = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| said(error, "the answer broke off"))?
        {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(HttpError(format!(
                    "the answer is larger than {} KiB",
                    MAX_ANSWER / 1024
                )));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Response {
            status: response.status(),
            body,
        })
    }

    /// The sign-in's own place comes first: one that waits for it holds up nobody else.
    async fn places(
        &self,
        purpose: Purpose,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), HttpError> {
        let own = match purpose {
            Purpose::SignIn => {
                let place = tokio::time::timeout(SIGN_IN_WAIT, self.sign_ins.acquire()).await;
                Some(place.map_err(|_| HttpError(format!("{SIGN_INS} sign-ins are under way")))?)
            }
            Purpose::Background => None,
        };
        let shutting_down = |_: AcquireError| HttpError("shutting down".into());
        Ok((
            own.transpose().map_err(shutting_down)?,
            self.calls.acquire().await.map_err(shutting_down)?,
        ))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that makes calls, with every limit set"
)]
fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
}

fn said(error: reqwest::Error, what: &str) -> HttpError {
    // An error without a cause is shown whole, and its address may hold what the operator wrote
    // into it.
    let error = error.without_url();
    if error.is_connect() && error.is_timeout() {
        return HttpError(format!("no connection within {CONNECT:?}"));
    }
    HttpError(format!("{what}: {}", causes(&error)))
}

/// What stands under an error, the innermost last: the outermost says only that something failed.
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

    fn call(url: &str) -> Call {
        Call {
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
        let without_roots = HttpClient {
            client: builder().tls_certs_only([]).build().unwrap(),
            ..HttpClient::new().unwrap()
        };
        let ask = without_roots.make(Call {
            timeout: Duration::from_secs(10),
            ..call(&format!("http://{address}/"))
        });
        let received = tokio::select! { received = ask => received.unwrap(), _ = serve.into_future() => unreachable!() };
        assert_eq!(
            (received.status, received.body),
            (StatusCode::OK, b"hello".to_vec())
        );
    }

    #[tokio::test]
    async fn an_error_names_no_address() {
        let outbound = HttpClient::new().unwrap();
        for url in [
            "ftp://leaky:leaky@127.0.0.1/leaky",
            "http://leaky:leaky@127.0.0.1:1/leaky",
        ] {
            let error = outbound.make(call(url)).await.err().unwrap();
            assert!(!error.to_string().contains("leaky"), "{error}");
        }
    }

    #[tokio::test]
    async fn sign_ins_leave_room_for_the_rest() {
        let outbound = HttpClient::new().unwrap();
        let mut held = Vec::new();
        for _ in 0..SIGN_INS {
            held.push(outbound.places(Purpose::SignIn).await.unwrap());
        }
        let waiting = outbound
            .make(Call {
                purpose: Purpose::SignIn,
                ..call("http://127.0.0.1:1/")
            })
            .await;
        assert_eq!(
            waiting.err(),
            Some(HttpError("no answer within 100ms".into()))
        );
        let patient = Call {
            timeout: SIGN_IN_WAIT * 10,
            purpose: Purpose::SignIn,
            ..call("http://127.0.0.1:1/")
        };
        let waiting = outbound.make(patient).await;
        assert_eq!(
            waiting.err(),
            Some(HttpError("32 sign-ins are under way".into()))
        );
        for _ in SIGN_INS..CALLS {
            held.push(outbound.places(Purpose::Background).await.unwrap());
        }
        let waiting = outbound.make(call("http://127.0.0.1:1/")).await;
        assert_eq!(
            waiting.err(),
            Some(HttpError("no answer within 100ms".into()))
        );
        held.clear();
        assert!(outbound.places(Purpose::SignIn).await.is_ok());
    }
}
