//! Listening sockets are passed from one process to the next one over a Unix socket
//! (`SCM_RIGHTS`, see `unix(7)`), with what the next one must know of them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// The most sockets of one message (`SCM_MAX_FD`).
const MAX_SOCKETS: usize = 253;
/// The most bytes of what is told with them.
const MAX_TEXT: usize = 64 * 1024;

/// What is told with the sockets.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// The process that passes its sockets.
    pub pid: u32,
    /// The embedded identity servers, whose sockets follow those of the gateway, in this order.
    pub embedded: Vec<EmbeddedGreeting>,
}

/// An embedded identity server that runs in the process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EmbeddedGreeting {
    /// The provider's name.
    pub name: String,
    /// The API key that it takes.
    pub api_key: String,
}

/// Sends the greeting and the sockets as one message.
///
/// # Errors
/// Where the other process is gone, or there are too many sockets.
pub(super) fn send(
    stream: impl AsFd,
    greeting: &Greeting,
    sockets: &[TcpListener],
) -> io::Result<()> {
    let text = serde_json::to_vec(greeting)?;
    if sockets.len() > MAX_SOCKETS || text.len() > MAX_TEXT {
        return Err(io::Error::other("there are too many listening sockets"));
    }
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&sockets));
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&text)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent == text.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Receives what [`send`] has sent.
///
/// # Errors
/// Where it is no greeting.
pub(super) fn receive(stream: impl AsFd) -> io::Result<(Greeting, Vec<TcpListener>)> {
    let mut text = vec![0; MAX_TEXT];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut text)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut sockets: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    let greeting = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default())?;
    Ok((
        greeting,
        sockets.into_iter().map(TcpListener::from).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sockets_arrive_as_the_same_sockets() {
        let (here, there) = UnixStream::pair().unwrap();
        let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = sockets.each_ref().map(|one| one.local_addr().unwrap());
        let greeting = Greeting {
            pid: 7,
            embedded: vec![EmbeddedGreeting {
                name: "local".into(),
                api_key: "key".into(),
            }],
        };
        send(&here, &greeting, &sockets).unwrap();
        drop(sockets);
        let (received, sockets) = receive(&there).unwrap();
        assert_eq!(received, greeting);
        for (socket, address) in sockets.iter().zip(addresses) {
            assert_eq!(socket.local_addr().unwrap(), address);
            std::net::TcpStream::connect(address).expect("it still listens");
        }
        assert_eq!(sockets.len(), addresses.len());
        drop(here);
        assert!(receive(&there).is_err(), "the end is no greeting");
    }
}
