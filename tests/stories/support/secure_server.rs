//! A server of an application that speaks HTTP/1.1 and HTTP/2, over TLS or in the clear.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, Issued};
use super::servers::read_head;

/// What a [`SecureServer`] saw.
#[derive(Default)]
pub struct Seen {
    /// Requests over HTTP/2, with their bodies.
    pub http2: Mutex<Vec<(Request<()>, Vec<u8>)>>,
    /// How many requests came over HTTP/1.1.
    pub http1: AtomicUsize,
    /// How many connections were opened.
    pub connections: AtomicUsize,
    /// How many requests over HTTP/2 wait for an answer at the same time, before any gets one.
    pub together: AtomicUsize,
    waiting: AtomicUsize,
}

/// A server that answers every request.
pub struct SecureServer {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl SecureServer {
    /// Over TLS, with these protocols; `clients` signs the certificates that clients must have.
    pub async fn open(pair: &Issued, protocols: &[&str], clients: Option<&Authority>) -> Self {
        let builder = ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der()).unwrap();
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder.with_single_cert(pair.chain(), pair.key()).unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// HTTP/2 in the clear, and nothing else.
    pub async fn http2_in_the_clear() -> Self {
        Self::start(None).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&seen)));
        Self {
            address,
            seen,
            task,
        }
    }
}

impl Drop for SecureServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, tls.clone(), Arc::clone(&seen)));
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    seen.connections.fetch_add(1, Ordering::SeqCst);
    let Some(tls) = tls else {
        return http2(stream, seen).await;
    };
    let stream = match tls.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        // The client reads why before the connection ends.
        Err((_, mut stream)) => {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            return;
        }
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2(stream, seen).await;
    } else {
        http1(stream, seen).await;
    }
}

async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    while read_head(&mut stream).await.is_some() {
        seen.http1.fetch_add(1, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nHTTP/1.1";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seen: Arc<Seen>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(respond_http2(request, respond, Arc::clone(&seen)));
    }
}

async fn respond_http2(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    seen: Arc<Seen>,
) {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        let _ = body.flow_control().release_capacity(chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    let request = Request::from_parts(head, ());
    seen.http2.lock().unwrap().push((request, bytes));
    seen.waiting.fetch_add(1, Ordering::SeqCst);
    while seen.waiting.load(Ordering::SeqCst) < seen.together.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let mut response = respond.send_response(Response::new(()), false).unwrap();
    response.send_data("HTTP/2".into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let _ = response.send_trailers(trailers);
}
