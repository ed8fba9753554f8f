//! Requests that came in the clear: which they are, and where they are sent.
//!
//! Without a TLS listener of its own the gateway stands behind somebody who terminates TLS, and
//! nothing is redirected: that one may not say what it received.

use crate::model::https_policy::PlainRequests;
use crate::model::origin::Scheme;
use crate::model::site::Site;

/// What is known of the way of a request to the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// How the client speaks to the first server on the way that is known; `None` where nobody
    /// says.
    pub scheme: Option<Scheme>,
    /// Whether the gateway has TLS listeners.
    pub accepts_tls: bool,
}

impl Arrival {
    /// `transport` is [`Scheme::Https`] over TLS. `trusted_proto` is the value of
    /// `X-Forwarded-Proto` from a trusted proxy, whose last element is what the nearest one says.
    #[must_use]
    pub fn new(transport: Scheme, trusted_proto: Option<&[u8]>, tls_listeners: usize) -> Self {
        let accepts_tls = tls_listeners > 0;
        let last = trusted_proto.and_then(|value| value.rsplit(|byte| *byte == b',').next());
        let scheme = match (transport, last.map(<[u8]>::trim_ascii)) {
            (Scheme::Https, _) => Some(Scheme::Https),
            (_, Some(proto)) if proto.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
            (_, Some(proto)) if proto.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
            (Scheme::Http, _) => accepts_tls.then_some(Scheme::Http),
        };
        Self {
            scheme,
            accepts_tls,
        }
    }
}

/// Where a request for `target` at `site` goes on under https. `None` for one that may stay, and
/// for a `host` that is not the site's.
///
/// `host` is the name in its `Host` field. Its port does not count: it is that of the plain
/// listener. `target` was validated.
#[must_use]
pub fn location(arrival: Arrival, site: &Site, host: &str, target: &[u8]) -> Option<String> {
    let is_redirected = arrival.accepts_tls
        && arrival.scheme == Some(Scheme::Http)
        && site.origin.is_https()
        && site.https.over_http == PlainRequests::Redirect;
    if !is_redirected {
        return None;
    }
    let authority = if host == site.origin.name {
        site.origin.authority()
    } else {
        let alias = site.aliases.iter().find(|alias| alias.name == host);
        alias?.to_string()
    };
    let target = std::str::from_utf8(target).ok()?;
    Some(format!("https://{authority}{target}"))
}
