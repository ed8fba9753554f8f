//! Why an attempt to get a response from an upstream failed, in words for logs and metrics.
//!
//! Pingora's own texts are not used where they may quote what the upstream sent.

use std::error::Error as StdError;
use std::io;

use pingora::{Error, ErrorSource, ErrorType};

use crate::telemetry::labels::UpstreamError;

/// What an error of Pingora's says about the upstream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UpstreamFailure {
    /// The error of the upstream; `None` where the gateway itself could not connect, which says
    /// nothing about the upstream: it has no file descriptor or no free port left.
    pub(super) error: Option<UpstreamError>,
    /// The cause, for the log.
    pub(super) cause: String,
}

impl UpstreamFailure {
    /// `None` for an error that happened elsewhere: at the client or in the gateway.
    pub(super) fn of(error: &Error) -> Option<Self> {
        if *error.esource() != ErrorSource::Upstream {
            return None;
        }
        let io_error = io_error(error);
        if io_error.is_some_and(is_local) {
            return Some(Self {
                error: None,
                cause: cause(error, io_error),
            });
        }
        let is_tls = io_error.map_or_else(|| is_alert(error.root_cause()), is_tls);
        let kind = if is_tls {
            UpstreamError::Tls
        } else {
            kind(error.etype())
        };
        Some(Self {
            error: Some(kind),
            cause: cause(error, io_error),
        })
    }
}

fn kind(kind: &ErrorType) -> UpstreamError {
    use ErrorType as E;
    if is_timeout(kind) {
        UpstreamError::Timeout
    } else if matches!(kind, E::ReadError | E::WriteError | E::ConnectionClosed) {
        UpstreamError::Reset
    } else if matches!(
        kind,
        E::TLSHandshakeFailure | E::TLSWantX509Lookup | E::HandshakeError | E::InvalidCert
    ) {
        UpstreamError::Tls
    } else if matches!(
        kind,
        E::ConnectRefused | E::ConnectNoRoute | E::ConnectError | E::SocketError | E::InternalError
    ) {
        UpstreamError::Refused
    } else {
        UpstreamError::Protocol
    }
}

/// Whether a time limit ended the attempt.
pub(super) fn is_timeout(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
            | ErrorType::TLSHandshakeTimedout
    )
}

/// The system's error beneath an error of Pingora's.
fn io_error(error: &Error) -> Option<&io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error.root_cause());
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// Whether the gateway lacks what it needs for a connection, whatever the upstream does.
fn is_local(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::OutOfMemory
    ) || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Whether TLS reports the error, which it may do after the handshake: a server of TLS 1.3 refuses
/// a client's certificate only then.
fn is_tls(error: &io::Error) -> bool {
    match error.get_ref() {
        Some(inner) => inner.is::<rustls::Error>(),
        None => false,
    }
}

/// Whether the words of an error of HTTP/2 are an alert of TLS. They are all that HTTP/2 keeps of
/// it.
fn is_alert(error: &(dyn StdError + 'static)) -> bool {
    !error.is::<Error>() && error.to_string().contains("received fatal alert: ")
}

fn cause(error: &Error, io_error: Option<&io::Error>) -> String {
    use ErrorType as E;
    if let Some(io_error) = io_error {
        return io_error.to_string();
    }
    let kind = error.etype();
    if let E::Custom(what) = kind {
        return (*what).to_owned();
    }
    // The context of these names the fault of the certificate, and nothing that was sent.
    if matches!(kind, E::TLSHandshakeFailure | E::InvalidCert)
        && let Some(context) = &error.context
    {
        // `TLS connect() failed: … cause: WHAT, SNI: NAME`
        let words = context.as_str();
        let words = words.rsplit_once("cause: ").map_or(words, |(_, what)| what);
        return words.split(", SNI: ").next().unwrap_or(words).to_owned();
    }
    let root = error.root_cause();
    if matches!(kind, E::H2Error | E::InvalidH2 | E::H2Downgrade) && !root.is::<Error>() {
        return root.to_string();
    }
    let words = if matches!(kind, E::ConnectTimedout | E::TLSHandshakeTimedout) {
        "no connection within server.limits.upstream_connect"
    } else if matches!(kind, E::ReadTimedout) {
        "it sent nothing within upstream_idle"
    } else if matches!(kind, E::WriteTimedout) {
        "it took nothing within upstream_idle"
    } else if matches!(kind, E::ConnectionClosed) {
        "it closed the connection"
    } else if matches!(kind, E::InvalidHTTPHeader) {
        "the head of its response is malformed"
    } else {
        kind.as_str()
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorType, cause: io::Error) -> UpstreamFailure {
        let error = Error::because(kind, "Cookie: hush", cause).into_up();
        UpstreamFailure::of(&error).unwrap()
    }

    #[test]
    fn what_the_gateway_lacks_is_not_the_upstreams_error() {
        for (number, expected) in [
            (24, None),
            (23, None),
            (99, None),
            (111, Some(UpstreamError::Refused)),
            (13, Some(UpstreamError::Refused)),
        ] {
            let cause = io::Error::from_raw_os_error(number);
            let inner = Error::because(ErrorType::SocketError, "no socket", cause);
            let error = Error::because(ErrorType::InternalError, "no connection", inner).into_up();
            let failure = UpstreamFailure::of(&error).unwrap();
            assert_eq!(failure.error, expected, "{number}");
            assert!(failure.cause.contains("os error"), "{}", failure.cause);
        }
    }

    #[test]
    fn tls_speaks_up_after_the_handshake_too() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let failure = failure(ErrorType::ReadError, io::Error::other(alert));
        assert_eq!(failure.error, Some(UpstreamError::Tls));
        assert!(
            failure.cause.contains("CertificateRequired"),
            "{}",
            failure.cause
        );
        // As HTTP/2 tells it.
        let told = "connection error: received fatal alert: CertificateRequired";
        let error = Error::because(
            ErrorType::H2Error,
            "reading",
            Box::<dyn StdError + Send + Sync>::from(told),
        );
        let failure = UpstreamFailure::of(&error.into_up()).unwrap();
        assert_eq!(failure.error, Some(UpstreamError::Tls));
    }

    #[test]
    fn nothing_that_an_upstream_sent_is_quoted() {
        for kind in [
            ErrorType::InvalidHTTPHeader,
            ErrorType::H1Error,
            ErrorType::H2Error,
            ErrorType::ReadError,
            ErrorType::UnknownError,
        ] {
            let error = Error::explain(kind, "buf: Set-Cookie: hush").into_up();
            let failure = UpstreamFailure::of(&error).unwrap();
            assert!(!failure.cause.contains("hush"), "{}", failure.cause);
        }
    }

    #[test]
    fn errors_at_the_client_are_none_of_the_upstreams() {
        let error = Error::explain(ErrorType::ReadError, "gone").into_down();
        assert_eq!(UpstreamFailure::of(&error), None);
    }
}
