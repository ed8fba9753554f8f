//! The metrics of one listener.

use prometheus::{IntCounter, IntGauge};

use super::labels::{ClientProtocol, HandshakeResult};
use super::metric_families::MetricFamilies;

/// The metrics of one listener: its open connections, and its TLS handshakes.
pub struct ListenerMetrics {
    /// Indexed by protocol.
    connections: Vec<IntGauge>,
    /// Indexed by result.
    handshakes: Vec<IntCounter>,
}

/// Counts a connection as open until it is dropped.
#[must_use = "the connection counts as closed when this is dropped"]
pub struct ConnectionGuard(IntGauge);

impl ListenerMetrics {
    /// Creates all series, at zero.
    pub(super) fn new(listener: &str, families: &MetricFamilies) -> Self {
        let connections = ClientProtocol::ALL.iter().map(|protocol| {
            let labels = [listener, protocol.as_str()];
            families.connections.with_label_values(&labels)
        });
        let handshakes = HandshakeResult::ALL.iter().map(|result| {
            let labels = [listener, result.as_str()];
            families.tls_handshakes.with_label_values(&labels)
        });
        Self {
            connections: connections.collect(),
            handshakes: handshakes.collect(),
        }
    }

    /// Counts a connection that speaks `protocol`.
    #[must_use = "the connection counts as closed when the guard is dropped"]
    pub fn connection_opened(&self, protocol: ClientProtocol) -> Option<ConnectionGuard> {
        let open = self.connections.get(protocol as usize)?;
        open.inc();
        Some(ConnectionGuard(open.clone()))
    }

    /// Counts a TLS handshake.
    pub fn handshake(&self, result: HandshakeResult) {
        if let Some(handshakes) = self.handshakes.get(result as usize) {
            handshakes.inc();
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl std::fmt::Debug for ListenerMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ListenerMetrics")
    }
}
