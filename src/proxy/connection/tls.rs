//! The TLS handshake of a client's connection.

use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::stream::Stream;
use rustls::server::{Acceptor, ClientHello, ServerConnection};
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::runtime::acme::ACME_PROTOCOL;
use crate::runtime::tls::{Certificates, TlsListener, client_subject};
use crate::telemetry::labels::ClientProtocol;

use super::read_buffer::ReadBuffer;

/// How long a client may take for the whole handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many handshakes may be under way at once, from the client's first message on. It bounds
/// their memory.
const MAX_HANDSHAKES: usize = 2048;

/// The handshakes under way in this process.
static HANDSHAKES: Semaphore = Semaphore::const_new(MAX_HANDSHAKES);

/// What was agreed in a handshake.
#[derive(Debug)]
pub struct TlsSession {
    /// The name that the client asked for (SNI), in lower case.
    pub server_name: Option<String>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The subject of the client's certificate, which was verified; `None` where it presented none.
    pub client_subject: Option<String>,
    /// The protocol that was agreed on by ALPN.
    pub protocol: Option<Vec<u8>>,
    /// The listener's certificates when the handshake was made.
    certificates: Arc<Certificates>,
}

/// Why there is no TLS session.
#[derive(Debug)]
pub(super) enum HandshakeError {
    /// The client took too long, or too many others were in the middle of it.
    Timeout,
    /// The client sent what is not TLS, could not agree, or went away.
    Failed(std::io::Error),
    /// The client was an ACME server, and has got the answer to its challenge.
    Validated,
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout => out.write_str("it took too long"),
            Self::Failed(error) => write!(out, "{error}"),
            Self::Validated => out.write_str("an ACME server validated the name"),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<Elapsed> for HandshakeError {
    fn from(_: Elapsed) -> Self {
        Self::Timeout
    }
}

impl From<std::io::Error> for HandshakeError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Makes the handshake over `socket`.
pub(super) async fn accept(
    listener: &TlsListener,
    socket: ReadBuffer<Stream>,
) -> Result<(TlsStream<ReadBuffer<Stream>>, TlsSession), HandshakeError> {
    let stream = timeout(HANDSHAKE_TIMEOUT, handshake(listener, socket)).await??;
    let session = TlsSession::new(stream.get_ref().1, &listener.certificates);
    Ok((stream, session))
}

/// The client's first message is awaited without a place among the handshakes under way: a client
/// that sends nothing keeps nobody out.
async fn handshake(
    listener: &TlsListener,
    socket: ReadBuffer<Stream>,
) -> Result<TlsStream<ReadBuffer<Stream>>, HandshakeError> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    let _permit = match HANDSHAKES.try_acquire() {
        Err(TryAcquireError::NoPermits) => HANDSHAKES.acquire().await.ok(),
        tried => tried.ok(),
    };
    if let Some(answer) = acme_answer(listener, &start.client_hello()).await {
        // Nothing is said in such a session (RFC 8737, section 3).
        start.into_stream(answer).await?.shutdown().await?;
        return Err(HandshakeError::Validated);
    }
    let config = Arc::clone(&listener.server_config);
    Ok(start.into_stream(config).await?)
}

/// What answers the challenge of an ACME server, whose handshake offers this protocol alone.
async fn acme_answer(listener: &TlsListener, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
    let acme = listener.acme.as_ref()?;
    let mut protocols = hello.alpn()?;
    let is_challenge = protocols.next() == Some(ACME_PROTOCOL) && protocols.next().is_none();
    let name = hello.server_name().filter(|_| is_challenge)?;
    acme.answer_tls_alpn(&name.to_ascii_lowercase()).await
}

impl TlsSession {
    fn new(connection: &ServerConnection, certificates: &Arc<Certificates>) -> Self {
        let client = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            server_name: connection.server_name().map(str::to_ascii_lowercase),
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(_) | None => "TLSv1.3",
            },
            client_subject: client.and_then(client_subject),
            protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            certificates: Arc::clone(certificates),
        }
    }

    /// What the client speaks. Without ALPN it is HTTP/1 (RFC 9113, section 3.3).
    pub(super) fn client_protocol(&self) -> ClientProtocol {
        match self.protocol.as_deref() {
            Some(b"h2") => ClientProtocol::Http2,
            _ => ClientProtocol::Http1,
        }
    }

    /// Whether a request for `host` may come over this session: the client asked for no name, or
    /// for one with the same certificate. `host` is the value of a `Host` field.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let Some(server_name) = &self.server_name else {
            return true;
        };
        // An address in brackets is in no certificate that is chosen by name.
        let name = host.split(':').next().unwrap_or(host);
        name == server_name
            || self
                .certificates
                .are_shared_by(server_name, &name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_the_handshake_is_given_up() {
        let listener = TlsListener::for_tests();
        for bytes in [&b""[..], b"\x16\x03\x01\x02"] {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(socket.local_addr().unwrap())
                .await
                .unwrap();
            client.write_all(bytes).await.unwrap();
            let (stream, _) = socket.accept().await.unwrap();
            let before = crate::system::stopwatch();
            let accepted = accept(&listener, ReadBuffer::new(Stream::from(stream))).await;
            assert!(matches!(accepted, Err(HandshakeError::Timeout)));
            assert_eq!(before.elapsed().as_secs(), HANDSHAKE_TIMEOUT.as_secs());
        }
    }
}
