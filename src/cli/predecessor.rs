//! The process whose place this one takes (`serve --upgrade`).

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::model::secret::Secret;
use crate::proxy::connection::{Giver, Sockets};
use crate::runtime::RuntimeHandle;
use crate::runtime::handover::{Handover, Message, StateChanges};

use super::pass_sockets::{self, Greeting};
use super::passed_servers::PassedServer;
use super::successor::{hear, tell};
use super::upgrade_socket::FILE;

/// How long the running process may take to pass its sockets.
const PASS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long this process may take until it can serve.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked meanwhile.
const READY_POLL: Duration = Duration::from_millis(50);

/// The running process, which passes its listening sockets to this one.
pub(super) struct Predecessor {
    stream: StdUnixStream,
    greeting: Greeting,
    /// Those of the gateway, then those of the embedded identity servers.
    sockets: Vec<TcpListener>,
}

/// The running process, after this one has begun to accept its connections.
pub(super) struct Retiring {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    changes: StateChanges,
    handover: Arc<Handover>,
    pid: u32,
}

impl Predecessor {
    /// Takes the listening sockets of the gateway that runs with this `state_dir`. `None` where
    /// none runs.
    ///
    /// # Errors
    /// A message for the operator. The running process serves on.
    pub(super) fn find(state_dir: &Path) -> Result<Option<Self>, String> {
        let path = state_dir.join(FILE);
        let failed = |error: io::Error| {
            format!(
                "the running gateway does not hand over its listening sockets ({}): {error}; it \
                 serves on",
                path.display()
            )
        };
        let stream = match StdUnixStream::connect(&path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let received = stream
            .set_read_timeout(Some(PASS_TIMEOUT))
            .and_then(|()| pass_sockets::receive(&stream));
        let (greeting, sockets) = received.map_err(failed)?;
        Ok(Some(Self {
            stream,
            greeting,
            sockets,
        }))
    }

    /// Adds the listening sockets of the gateway to `sockets`, and returns its embedded identity
    /// servers.
    ///
    /// # Errors
    /// A message for the operator.
    pub(super) fn pass_to(&mut self, sockets: &mut Sockets) -> Result<Vec<PassedServer>, String> {
        let embedded = std::mem::take(&mut self.greeting.embedded);
        let gateway = self.sockets.len().checked_sub(embedded.len());
        let gateway = gateway.ok_or("the running gateway passes too few listening sockets")?;
        let of_embedded = self.sockets.split_off(gateway);
        for listener in self.sockets.drain(..) {
            let given = sockets.give(listener, Giver::Predecessor);
            given.map_err(|error| error.to_string())?;
        }
        let passed = embedded.into_iter().zip(of_embedded);
        let passed = passed.map(|(greeting, listener)| PassedServer {
            name: greeting.name,
            api_key: Secret::new(greeting.api_key),
            listener,
        });
        Ok(passed.collect())
    }

    /// Waits until this process can serve, and then until the running one has stopped accepting
    /// connections. If it is gone, there is nothing to wait for.
    ///
    /// # Errors
    /// A message for the operator, where this process cannot serve. The running process serves on.
    pub(super) async fn take_over(
        self,
        runtime_handle: &RuntimeHandle,
    ) -> Result<Retiring, String> {
        let Self {
            stream, greeting, ..
        } = self;
        let ready = async {
            while runtime_handle.current().status.ready().await.is_err() {
                tokio::time::sleep(READY_POLL).await;
            }
        };
        if tokio::time::timeout(READY_TIMEOUT, ready).await.is_err() {
            let missing = runtime_handle.current().status.ready().await.err();
            return Err(format!(
                "not ready after {} s: {}; the running gateway (process {}) serves on",
                READY_TIMEOUT.as_secs(),
                missing.unwrap_or_default(),
                greeting.pid
            ));
        }
        let handover = Arc::clone(runtime_handle.current().handover());
        let told = async {
            stream.set_read_timeout(None)?;
            stream.set_nonblocking(true)?;
            let (mut reader, mut writer) = UnixStream::from_std(stream)?.into_split();
            Message::Ready.write(&mut writer).await?;
            while let Some(message) = Message::read(&mut reader).await? {
                if message == Message::Go {
                    break;
                }
                handover.adopt(&message)?;
            }
            Ok((reader, writer))
        };
        let (reader, writer) = told.await.map_err(|error: io::Error| {
            format!(
                "the running gateway (process {}) does not hand over: {error}",
                greeting.pid
            )
        })?;
        // The running process knows what this one knew until now.
        let (_, changes) = handover.follow();
        Ok(Retiring {
            reader,
            writer,
            changes,
            handover,
            pid: greeting.pid,
        })
    }
}

impl Retiring {
    /// Exchanges what changes with the process before this one, until that has ended.
    pub(super) async fn until_ended(mut self) {
        let told = async {
            // An error means that it has gone. What it said last is still to be read.
            let _ = tell(&mut self.changes, &mut self.writer).await;
            std::future::pending().await
        };
        let outcome = tokio::select! {
            heard = hear(&mut self.reader, &self.handover) => heard,
            never = told => never,
        };
        self.handover.completed();
        match outcome {
            Ok(()) => tracing::info!(pid = self.pid, "the process before this one has ended"),
            Err(error) => {
                tracing::warn!(pid = self.pid, %error, "the process before this one is lost");
            }
        }
    }
}
