//! The servers of an application: their addresses, how TLS to them is verified, and how requests
//! are distributed over them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::{Zeroize as _, ZeroizeOnDrop};

/// One server of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub address: UpstreamAddress,
    /// Its share of the requests, in proportion to the weights of the others; 1 to 256.
    pub weight: u32,
    /// What the configuration says of TLS to it; `None` for the system's roots, no client
    /// certificate, and the name in the address.
    pub tls: Option<Arc<UpstreamTls>>,
}

/// The address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// `http://host:port`: an unencrypted connection.
    Http {
        /// A name or an address (IPv6 in brackets).
        host: String,
        /// The port, 1 to 65535.
        port: u16,
    },
    /// `https://host:port`: over TLS, with the certificate verified.
    Https {
        /// A name or an address (IPv6 in brackets).
        host: String,
        /// The port, 1 to 65535.
        port: u16,
    },
    /// `unix:///path`: a Unix domain socket.
    Unix {
        /// The path of the socket.
        path: PathBuf,
    },
}

/// TLS to one upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The certificates (DER) that its chain must lead to, in place of the system's roots.
    pub ca: Option<Vec<Vec<u8>>>,
    /// The certificate that the gateway presents.
    pub client: Option<PresentedCertificate>,
    /// The name that is sent as SNI and that its certificate must have, in place of the host.
    pub server_name: Option<String>,
}

/// A certificate of the gateway, with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PresentedCertificate {
    /// The certificate and its intermediates (DER), the certificate first; never empty.
    pub chain: Vec<Vec<u8>>,
    /// The key of the first.
    pub key: PrivateKey,
}

/// A private key (DER). `Debug` does not show it, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PrivateKey(Vec<u8>);

/// How requests are distributed over the upstreams of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    #[default]
    RoundRobin,
    /// To the one with the fewest requests under way.
    LeastRequests,
    /// The requests of one user, or of one client address, to the same one.
    Sticky,
}

/// The protocol that upstreams speak in the clear. Over TLS, ALPN decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    H2,
}

/// An active health check of upstreams: `GET path` must return a 2xx or 3xx status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path and query of the request.
    pub path: String,
    /// The time from the start of one check to the start of the next.
    pub interval: Duration,
}

impl From<UpstreamAddress> for Upstream {
    /// An upstream with the weight 1 that is verified against the system's roots.
    fn from(address: UpstreamAddress) -> Self {
        Self {
            address,
            weight: 1,
            tls: None,
        }
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port } => write!(out, "http://{host}:{port}"),
            Self::Https { host, port } => write!(out, "https://{host}:{port}"),
            Self::Unix { path } => write!(out, "unix://{}", path.display()),
        }
    }
}

impl PrivateKey {
    /// Wraps `der`.
    #[must_use]
    pub const fn new(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The key itself. It must not be shown.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_not_shown_and_is_overwritten_on_drop() {
        fn overwritten_on_drop<T: ZeroizeOnDrop>(_: &T) {}
        let key = PrivateKey::new(vec![104, 117, 115, 104]);
        assert_eq!(format!("{key:?}"), "[secret]");
        assert_eq!(key.expose(), b"hush");
        overwritten_on_drop(&key);
    }
}
