//! The process that takes the place of this one: it gets the listening sockets, says when it can
//! serve, and accepts the connections from then on.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::runtime::RuntimeHandle;
use crate::runtime::handover::{Handover, Message, StateChanges};

use super::pass_sockets::{self, EmbeddedGreeting, Greeting};
use super::passed_servers::Roster;
use super::upgrade_socket::UpgradeSocket;

/// Whether another process takes the place of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    /// There is none.
    None,
    /// It has the listening sockets, and does not serve yet.
    Starting,
    /// It accepts the connections, and this process accepts none.
    Serving,
}

/// Copies of the listening sockets of the gateway, until it stops accepting.
#[derive(Clone)]
pub(super) struct PassedSockets(Arc<Mutex<Vec<TcpListener>>>);

impl PassedSockets {
    /// Copies of these sockets.
    ///
    /// # Errors
    /// A message for the operator: the process has no file descriptor left.
    pub(super) fn copies_of<'a>(
        sockets: impl Iterator<Item = &'a TcpListener>,
    ) -> Result<Self, String> {
        let copies = sockets.map(TcpListener::try_clone);
        let copies: io::Result<Vec<TcpListener>> = copies.collect();
        let copies = copies.map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Mutex::new(copies))))
    }

    /// Closes the copies.
    pub(super) fn close(&self) {
        self.sockets().clear();
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the next process gets of this one.
pub(super) struct Estate {
    pub sockets: PassedSockets,
    pub embedded: Roster,
    pub handover: Arc<Handover>,
}

impl Estate {
    /// Hands over to one process after the other, until `ended` turns true. Then the last one gets
    /// what this process has not told providers.
    pub(super) fn offer(
        self,
        runtime_handle: &RuntimeHandle,
        successor: watch::Sender<Successor>,
        ended: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        let state_dir = runtime_handle.current().settings().state_dir.clone();
        let socket = UpgradeSocket::open(&state_dir);
        async move {
            match socket {
                Ok(socket) => self.offer_at(socket, successor, ended).await,
                Err(error) => {
                    tracing::warn!(state_dir = %state_dir.display(), %error, "`serve --upgrade` will not find this process");
                }
            }
        }
    }

    async fn offer_at(
        self,
        socket: UpgradeSocket,
        successor: watch::Sender<Successor>,
        mut ended: watch::Receiver<bool>,
    ) {
        loop {
            let stream = tokio::select! {
                stream = socket.accept() => stream,
                _ = ended.wait_for(|ended| *ended) => return,
            };
            let outcome = match stream {
                Ok(stream) => self.hand_over(stream, &successor, &mut ended).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "the listening sockets could not be handed over");
            }
            if *ended.borrow() {
                return;
            }
            if successor.send_replace(Successor::None) == Successor::Serving {
                self.handover.take_back();
                self.embedded.keep_connections();
                tracing::error!(
                    "the process that had taken over is gone: this one accepts connections again, unless it was told to end"
                );
            } else {
                tracing::warn!("the process that was to take over is gone: this one serves on");
            }
        }
    }

    fn pass_to(&self, stream: &UnixStream) -> io::Result<()> {
        let mut sockets = {
            let gateway = self.sockets.sockets();
            let copies = gateway.iter().map(TcpListener::try_clone);
            copies.collect::<io::Result<Vec<_>>>()?
        };
        let mut embedded = Vec::new();
        for server in self.embedded.current()? {
            embedded.push(EmbeddedGreeting {
                name: server.name,
                api_key: server.api_key.expose().to_owned(),
            });
            sockets.push(server.listener);
        }
        let pid = std::process::id();
        pass_sockets::send(stream.as_fd(), &Greeting { pid, embedded }, &sockets)
    }

    /// Hands over to the process at the other end. Returns when that is gone, or this one ends.
    async fn hand_over(
        &self,
        stream: UnixStream,
        successor: &watch::Sender<Successor>,
        ended: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        stream.writable().await?;
        self.pass_to(&stream)?;
        successor.send_replace(Successor::Starting);
        tracing::info!("another process starts in place of this one");
        let (mut reader, mut writer) = stream.into_split();
        let ready = tokio::select! {
            message = Message::read(&mut reader) => message?,
            _ = ended.wait_for(|ended| *ended) => None,
        };
        if ready != Some(Message::Ready) {
            return Ok(());
        }
        successor.send_replace(Successor::Serving);
        self.handover.hand_over();
        self.embedded.close_connections();
        let (state, mut changes) = self.handover.follow();
        for message in state {
            message.write(&mut writer).await?;
        }
        Message::Go.write(&mut writer).await?;
        tracing::info!(
            "another process accepts the connections: SIGQUIT ends this one when its requests are finished"
        );
        let told = async {
            tokio::select! {
                told = tell(&mut changes, &mut writer) => told?,
                _ = ended.wait_for(|ended| *ended) => {}
            }
            self.handover.revocations().write(&mut writer).await
        };
        tokio::select! {
            told = told => told,
            heard = hear(&mut reader, &self.handover) => heard,
        }
    }
}

/// Tells the other process what changes here.
pub(super) async fn tell(
    changes: &mut StateChanges,
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(change) = changes.next().await {
        change.write(writer).await?;
    }
    Ok(())
}

/// Takes over what changes in the other process, until that is gone.
pub(super) async fn hear(
    reader: &mut (impl tokio::io::AsyncRead + Unpin),
    handover: &Handover,
) -> io::Result<()> {
    while let Some(message) = Message::read(reader).await? {
        handover.adopt(&message)?;
    }
    Ok(())
}
