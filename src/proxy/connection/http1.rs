//! Serving one HTTP/1 connection, request after request.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::IO;
use pingora::protocols::http::ServerSession;
use tokio::time::Sleep;

use crate::system;

use super::http1_guard::HeadGuard;
use super::http1_io::Http1Io;
use super::http1_stream::SharedStream;
use super::{Connection, Peer, Protocol, Service, Transport};

/// Serves the connection over `stream`, of which `received` was read, until it is closed.
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
    let limits = service.runtime_handle.current().largest_head();
    let guard = Arc::new(HeadGuard::new(limits));
    let connection = Connection::new(peer, transport, Protocol::Http1(Arc::clone(&guard)));
    let stream = SharedStream::new(Http1Io::new(stream, received, Arc::clone(&guard)));
    let requests = serve_requests(service, &guard, &stream);
    Arc::clone(&connection).scope(requests).await;
    let send_timeout = {
        let runtime = service.runtime_handle.current();
        if let Some(error) = guard.early_error() {
            error.record(&runtime, connection.peer.address);
        }
        runtime.settings().server.limits.upstream_idle
    };
    stream.close(send_timeout).await;
}

/// Serves one request after the other, until the connection is to be closed.
async fn serve_requests<A, S>(service: &Service<A>, guard: &HeadGuard, stream: &SharedStream<S>)
where
    A: HttpServerApp + Send + Sync + 'static,
    S: IO + 'static,
{
    let limits = service.runtime_handle.current().settings().server.limits;
    let mut keep_alive = KeepAliveTimer::new(limits.keep_alive.max(Duration::from_secs(1)));
    let mut session = ServerSession::new_http1(Box::new(stream.clone()));
    loop {
        // Kept without a timeout of Pingora's: `keep_alive` limits the wait.
        session.set_keepalive(Some(0));
        stream.begin_request();
        // Called here, so that the session is in the box of Pingora's future alone: every copy in a
        // future of ours would add to what an idle connection takes.
        let first = service.app.process_new_http(session, &service.stop);
        let request = serve_request(service, guard, stream, first);
        let reused = tokio::select! {
            biased;
            reused = request => reused,
            () = stream.keep_sending(limits.upstream_idle) => None,
            () = guard.refused() => None,
            () = keep_alive.expired(guard) => None,
            () = guard.header_timeout(limits.header_timeout) => None,
            () = guard.close_timeout() => None,
        };
        let Some((stream, settings)) = reused.map(ReusedHttpStream::consume) else {
            return;
        };
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

/// Serves one request with `first`. Pingora gives up a head that is still arriving when idle connections are
/// closed at the end of the process: the request has begun, and is served once its head is there.
async fn serve_request<A, S>(
    service: &Service<A>,
    guard: &HeadGuard,
    stream: &SharedStream<S>,
    first: impl Future<Output = Option<ReusedHttpStream>>,
) -> Option<ReusedHttpStream>
where
    A: HttpServerApp + Send + Sync + 'static,
    S: IO + 'static,
{
    let reused = first.await;
    if reused.is_some() || !guard.is_reading_head() {
        return reused;
    }
    stream.head_arrived().await;
    let session = ServerSession::new_http1(Box::new(stream.clone()));
    service.app.process_new_http(session, &service.stop).await
}

/// Limits how long a connection may wait for its next request. One timer serves all requests of a
/// connection, and is reset only when it fires; Pingora would create and drop one for each request.
struct KeepAliveTimer {
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether `timer` was polled, and so knows the task to wake.
    is_armed: bool,
}

impl KeepAliveTimer {
    fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            timer: Box::pin(tokio::time::sleep(timeout)),
            is_armed: false,
        }
    }

    /// Completes when the timeout has passed since the call and no byte of a request has arrived.
    /// The same task must poll every call.
    async fn expired(&mut self, guard: &HeadGuard) {
        let due = system::stopwatch() + self.timeout;
        poll_fn(|cx| {
            if self.is_armed && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                let now = system::stopwatch();
                if !guard.is_idle() {
                    // The next wait starts after now, so it does not end before this.
                    self.timer.as_mut().reset(now + self.timeout);
                } else if now < due {
                    self.timer.as_mut().reset(due);
                } else {
                    return Poll::Ready(());
                }
            }
            self.is_armed = true;
            Poll::Pending
        })
        .await;
    }
}
