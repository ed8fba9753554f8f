//! What a site asks of the way to it.

use http::HeaderValue;

/// What an https site asks of the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsPolicy {
    /// What is done with requests over plain HTTP, where the gateway accepts TLS too.
    pub over_http: PlainRequests,
    /// The value of `Strict-Transport-Security` for every response (RFC 6797); `None` where only
    /// the gateway's own pages have one.
    pub hsts: Option<HeaderValue>,
}

impl Default for HttpsPolicy {
    fn default() -> Self {
        Self {
            over_http: PlainRequests::Redirect,
            hsts: None,
        }
    }
}

/// What is done with requests for an https site that come over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainRequests {
    /// They are redirected to the same target under https.
    Redirect,
    /// They are served.
    Serve,
}

impl From<bool> for PlainRequests {
    /// From the value of `redirect_to_https`.
    fn from(redirect: bool) -> Self {
        if redirect {
            Self::Redirect
        } else {
            Self::Serve
        }
    }
}
