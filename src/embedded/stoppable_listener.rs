//! A listener that stops accepting before its server stops: a request on a connection that was just
//! accepted is answered, and later connections wait for the process that takes the socket over.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A listener that accepts nothing once `stop` is true.
pub(super) struct StoppableListener {
    pub(super) listener: TcpListener,
    pub(super) stop: watch::Receiver<bool>,
}

impl Listener for StoppableListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => {}
            accepted = Listener::accept(&mut self.listener) => return accepted,
        }
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
