//! Addresses of listeners.

use std::net::SocketAddr;

use super::super::spans::At;
use super::Review;

/// The address with port that is written under `key`.
pub(super) fn address(
    written: &At<String>,
    key: &str,
    review: &mut Review<'_>,
) -> Option<SocketAddr> {
    let parsed = written.parse().ok();
    if parsed.is_none() {
        let what = format!("`{key}` is no address with port");
        review.refuse_text(
            written,
            &what,
            "write it like \"127.0.0.1:8080\" or \"[::1]:8080\"",
        );
    }
    parsed
}

/// Whether two listeners would ask for the same socket. Port 0 is a new one each time.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (everywhere || one.ip() == other.ip())
}
