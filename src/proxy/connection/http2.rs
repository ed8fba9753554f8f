//! Serving one HTTP/2 connection: its streams, each in a task of its own, and its end.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use pingora::apps::HttpServerApp;
use pingora::protocols::IO;
use pingora::protocols::http::ServerSession;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, timeout};

use crate::system;

use super::http2_guard::StreamGuard;
use super::http2_head::Http2Head;
use super::http2_io::{FrameWatch, Http2Io};
use super::http2_session::Http2Session;
use super::{Connection, Peer, Protocol, Service, Transport};

/// How many requests of a connection are served at once.
const MAX_STREAMS: u32 = 100;
/// The most bytes of a head: names, values, and 32 for each field (RFC 9113, section 6.5.2).
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// How much of a request body is taken before the upstream has taken it, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all bodies of a connection: those that nobody takes must not stop the others.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// How much of a response is taken from the upstream before the client has taken it, in bytes.
const SEND_BUFFER: usize = 128 * 1024;
/// How many malformed requests a connection may send. Each is answered with a reset.
const MAX_MALFORMED: usize = 1024;
/// How many streams may be reset before they were looked at.
const MAX_UNSEEN_RESETS: usize = 100;
/// For how many streams, and how long, a body may still be on its way when its request was answered
/// already.
const MAX_RESETS_KEPT: usize = 1000;
const RESETS_KEPT: Duration = Duration::from_secs(30);

/// How long a client without requests may take to close, once it was told that the connection ends.
const CLOSE_TIME: Duration = Duration::from_secs(5);
/// How long a client may take to receive why the connection ends at once.
const ABORT_TIME: Duration = Duration::from_secs(1);

type Http2Connection<S> = h2::server::Connection<Http2Io<S>, Bytes>;

/// Serves the connection over `stream`, of which `received` was read, until it is closed.
/// `received` begins with the preface, as far as it was read.
pub(super) async fn serve<A, S>(
    service: &Service<A>,
    peer: Peer,
    transport: Transport,
    stream: S,
    received: BytesMut,
) where
    A: HttpServerApp + Send + Sync + 'static,
    S: IO + 'static,
{
    let limits = service.runtime_handle.current().settings().server.limits;
    let watch = Arc::new(FrameWatch::default());
    let handshake = builder().handshake(Http2Io::new(stream, received, Arc::clone(&watch)));
    let Ok(Ok(connection)) = timeout(limits.header_timeout, handshake).await else {
        return;
    };
    let server = Server {
        service,
        peer,
        transport,
        streams: Arc::new(Streams::new()),
        idle: limits.upstream_idle,
    };
    let keep_alive = limits.keep_alive.max(Duration::from_secs(1));
    let mut timer = CloseTimer::new(keep_alive);
    let mut connection = connection;
    let end = server
        .serve_streams(&mut connection, &watch, limits.header_timeout, &mut timer)
        .await;
    if let Some(reason) = end {
        abort(connection, reason).await;
        server.streams.ended().await;
    } else {
        // The connection closes when all is done for it.
        server.streams.ended().await;
        drop(connection);
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_local_error_reset_streams(Some(MAX_MALFORMED))
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_concurrent_reset_streams(MAX_RESETS_KEPT)
        .reset_stream_duration(RESETS_KEPT);
    builder
}

/// What the streams of a connection have in common.
struct Server<'a, A> {
    service: &'a Service<A>,
    peer: Peer,
    transport: Transport,
    streams: Arc<Streams>,
    /// How long nothing of a body may arrive, or be taken.
    idle: Duration,
}

impl<A> Server<'_, A>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    /// Starts streams until the client has closed the connection, or it was without a request for
    /// too long. When the process stops, the streams in flight finish. Gives the reason where the
    /// connection has to end at once: for a flood, or a head that does not end.
    async fn serve_streams<S: IO>(
        &self,
        connection: &mut Http2Connection<S>,
        watch: &FrameWatch,
        header_timeout: Duration,
        timer: &mut CloseTimer,
    ) -> Option<Reason> {
        let mut stop = self.service.stop.clone();
        let mut stopped = pin!(async move { drop(stop.wait_for(|stop| *stop).await) });
        let mut head_timeout = pin!(watch.head_timeout(header_timeout));
        let mut is_closing = false;
        loop {
            // The connection comes first: polling it is what reads and writes.
            tokio::select! {
                biased;
                accepted = connection.accept() => {
                    let (request, respond) = accepted?.ok()?;
                    self.start(request, respond);
                    continue;
                }
                () = watch.flooded() => return Some(Reason::ENHANCE_YOUR_CALM),
                () = &mut head_timeout => return Some(Reason::NO_ERROR),
                () = &mut stopped, if !is_closing => {}
                () = timer.idle(&self.streams) => {
                    if is_closing {
                        return None;
                    }
                }
            }
            is_closing = true;
            connection.graceful_shutdown();
            timer.shorten();
        }
    }

    /// Serves a request in a task of its own.
    fn start(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let (parts, body) = request.into_parts();
        let head = Http2Head::read(parts);
        let guard = Arc::new(StreamGuard::new(head.form));
        let protocol = Protocol::Http2(Arc::clone(&guard));
        let connection = Connection::new(self.peer.clone(), self.transport.clone(), protocol);
        let session = Http2Session::new(head.header, body, respond, Arc::clone(&guard), self.idle);
        let session = ServerSession::new_custom(Box::new(session));
        let (app, stop) = (Arc::clone(&self.service.app), self.service.stop.clone());
        let stream = ActiveStream::new(&self.streams);
        drop(system::detach(connection.scope(async move {
            tokio::select! {
                biased;
                _ = app.process_new_http(session, &stop) => {}
                () = guard.close_timeout() => {}
            }
            drop(stream);
        })));
    }
}

/// Tells the client why the connection ends, and drops it.
async fn abort<S: IO>(mut connection: Http2Connection<S>, reason: Reason) {
    connection.abrupt_shutdown(reason);
    let flushed = async { while let Some(Ok(_)) = connection.accept().await {} };
    let _ = timeout(ABORT_TIME, flushed).await;
}

/// The streams of a connection that are being served.
struct Streams {
    active: AtomicUsize,
    /// When the last one ended.
    idle_since: Mutex<Instant>,
    /// Notified when none is left.
    none_left: Notify,
}

impl Streams {
    fn new() -> Self {
        Self {
            active: AtomicUsize::new(0),
            idle_since: Mutex::new(system::stopwatch()),
            none_left: Notify::new(),
        }
    }

    /// Since when no stream is being served; `None` where one is.
    fn idle_since(&self) -> Option<Instant> {
        let since = *self
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (self.active.load(Ordering::Acquire) == 0).then_some(since)
    }

    /// Completes when no stream is being served.
    async fn ended(&self) {
        while self.active.load(Ordering::Acquire) != 0 {
            self.none_left.notified().await;
        }
    }
}

/// A stream that is being served, until this is dropped.
struct ActiveStream(Arc<Streams>);

impl ActiveStream {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.active.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(streams))
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        let now = system::stopwatch();
        *self
            .0
            .idle_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        if self.0.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_one();
        }
    }
}

/// Limits how long a connection may be without a request. One timer serves all requests of a
/// connection, and is reset only when it fires.
struct CloseTimer {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl CloseTimer {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: Box::pin(tokio::time::sleep(limit)),
        }
    }

    /// From now on a connection without a request is closed soon.
    fn shorten(&mut self) {
        self.limit = CLOSE_TIME;
        self.timer.as_mut().reset(system::stopwatch() + self.limit);
    }

    /// Completes when there was no stream for as long as the limit.
    async fn idle(&mut self, streams: &Streams) {
        loop {
            self.timer.as_mut().await;
            let now = system::stopwatch();
            let since = streams.idle_since().unwrap_or(now);
            if now.duration_since(since) >= self.limit {
                return;
            }
            self.timer.as_mut().reset(since + self.limit);
        }
    }
}
