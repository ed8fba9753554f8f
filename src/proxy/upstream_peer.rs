//! An upstream as Pingora connects to it.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use pingora::prelude::HttpPeer;
use pingora::protocols::tls::CaType;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use pingora::{Error, ErrorType, Result};

use crate::model::upstream::{UpstreamAddress, UpstreamProtocol, UpstreamTls};
use crate::runtime::load_balancer::Backend;

use super::upgrade_connector::UpgradeConnector;

/// TCP keep-alive of connections to upstreams: a first probe after 30 s of silence, then two more.
const KEEP_ALIVE_PROBES: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// The most requests at a time on one HTTP/2 connection, where the upstream allows as many. nginx
/// and Envoy allow their clients about as many.
const MAX_H2_STREAMS: usize = 100;

/// Tells connections for WebSockets from the others in Pingora's pool.
const UPGRADE_GROUP: u64 = 1 << 63;

/// How long Pingora keeps a connection on which a WebSocket was refused. It would not use it again.
const REFUSED_UPGRADE_IDLE: Duration = Duration::from_millis(1);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Requests and their responses, in this protocol where it is not negotiated.
    Request(UpstreamProtocol),
    /// A WebSocket.
    Upgrade,
}

/// The settings of TLS in Pingora's types.
#[derive(Default)]
struct PreparedTls {
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
}

/// The upstream at `address`, which is `None` for a Unix socket. Time limits are the caller's.
///
/// # Errors
/// Where there is no address, where TLS could not be verified, and for a Unix socket whose path is
/// too long for the system.
pub(super) fn new(
    backend: &Backend,
    address: Option<SocketAddr>,
    exchange: Exchange,
) -> Result<HttpPeer> {
    let no_address = || Error::explain(ErrorType::ConnectError, "an upstream without an address");
    let mut peer = match &backend.upstream.address {
        UpstreamAddress::Http { .. } => {
            HttpPeer::new(address.ok_or_else(no_address)?, false, String::new())
        }
        UpstreamAddress::Https { host, .. } => {
            let address = address.ok_or_else(no_address)?;
            with_tls(backend, host, address)?
        }
        UpstreamAddress::Unix { path } => {
            HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?
        }
    };
    peer.options.alpn = match exchange {
        Exchange::Request(_) if peer.is_tls() => ALPN::H2H1,
        Exchange::Request(UpstreamProtocol::H2) => ALPN::H2,
        // A WebSocket handshake is HTTP/1.1.
        Exchange::Request(UpstreamProtocol::Http1) | Exchange::Upgrade => ALPN::H1,
    };
    peer.options.max_h2_streams = MAX_H2_STREAMS;
    // An idle connection is kept until the application closes it. Whether the other end is still
    // there, the system finds out: a timer for each connection would cost every request. HTTP/2 is
    // not pinged either: gRPC servers take pings every few minutes for an attack.
    peer.options.tcp_keepalive = address.map(|_| KEEP_ALIVE_PROBES);
    peer.group_key = backend.connection_group;
    if exchange == Exchange::Upgrade {
        peer.options.custom_l4 = Some(Arc::new(UpgradeConnector));
        peer.options.idle_timeout = Some(REFUSED_UPGRADE_IDLE);
        peer.group_key ^= UPGRADE_GROUP;
    }
    Ok(peer)
}

fn with_tls(backend: &Backend, host: &str, address: SocketAddr) -> Result<HttpPeer> {
    let tls = backend.upstream.tls.as_deref();
    let name = tls.and_then(|tls| tls.server_name.as_deref());
    let name = name.unwrap_or(host).trim_matches(['[', ']']);
    // Without a name Pingora verifies nothing.
    if name.is_empty() {
        return Err(Error::explain(ErrorType::InvalidCert, "no name to verify"));
    }
    let mut peer = HttpPeer::new(address, true, name.to_owned());
    if let Some(tls) = tls {
        let unusable =
            || Error::explain(ErrorType::InvalidCert, "certificates that cannot be used");
        let prepared = backend.prepared_tls(|| prepare(tls));
        let prepared = prepared.and_then(Option::as_ref).ok_or_else(unusable)?;
        peer.options.ca.clone_from(&prepared.ca);
        peer.client_cert_key.clone_from(&prepared.client);
    }
    Ok(peer)
}

/// `None` where Pingora cannot parse a certificate. It panics then, and the configuration should
/// have been refused.
fn prepare(tls: &UpstreamTls) -> Option<PreparedTls> {
    let parse = || {
        let ca = tls.ca.as_ref().map(|certificates| {
            let parsed = certificates
                .iter()
                .map(|der| WrappedX509::new(der.clone(), parse_x509));
            parsed.collect()
        });
        let client = tls.client.as_ref().map(|client| {
            Arc::new(CertKey::new(
                client.chain.clone(),
                client.key.expose().to_vec(),
            ))
        });
        PreparedTls { ca, client }
    };
    catch_unwind(AssertUnwindSafe(parse)).ok()
}
