//! Listening sockets: those that the process was given when it started, and those that it opens.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How many connections may wait to be accepted; the system may allow fewer. The standard library
/// asks for 128: of a larger crowd some would try again only after a second.
pub(super) const BACKLOG: i32 = 4096;

/// Where listening sockets come from. Each address is listened on with a socket that was given to
/// the process for it, and else with a new one.
#[derive(Debug, Default)]
pub struct Sockets {
    given: Vec<GivenSocket>,
}

#[derive(Debug)]
struct GivenSocket {
    address: SocketAddr,
    listener: TcpListener,
    from: Giver,
}

/// Who gives a socket to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Giver {
    /// systemd. Each socket must become a listener.
    Systemd,
    /// The process whose place this one takes. What the configuration no longer has is closed.
    Predecessor,
}

/// A problem with a listening socket. The text is for an operator.
#[derive(Debug)]
pub enum BindError {
    /// An address that cannot be listened on.
    Address(SocketAddr, std::io::Error),
    /// What systemd passed cannot be used.
    Given(std::io::Error),
    /// Sockets that were passed, and that no listener of the configuration has.
    Unclaimed(Vec<SocketAddr>),
}

impl Sockets {
    /// The sockets that systemd passed to this process (`LISTEN_FDS`, see `sd_listen_fds(3)`). None
    /// where it passed none.
    ///
    /// # Errors
    /// [`BindError::Given`] for one that is no TCP socket.
    pub fn from_systemd() -> Result<Self, BindError> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let taken = passed.take_tcp_listener(index);
            if let Some(listener) = taken.map_err(BindError::Given)? {
                sockets.give(listener, Giver::Systemd)?;
            }
        }
        Ok(sockets)
    }

    /// Adds a socket that listens already.
    ///
    /// # Errors
    /// [`BindError::Given`] where it has no address.
    pub fn give(&mut self, listener: TcpListener, from: Giver) -> Result<(), BindError> {
        let address = listener.local_addr().map_err(BindError::Given)?;
        self.given.push(GivenSocket {
            address,
            listener,
            from,
        });
        Ok(())
    }

    /// A listener for each address.
    ///
    /// # Errors
    /// [`BindError::Address`] for the first address that cannot be listened on.
    pub fn listen(&mut self, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
        let listeners = addresses.iter().map(|&address| {
            let given = self.given.iter().position(|given| given.address == address);
            match given {
                Some(index) => Ok(self.given.remove(index).listener),
                None => bind(address).map_err(|error| BindError::Address(address, error)),
            }
        });
        listeners.collect()
    }

    /// Checks that every socket that systemd gave has become a listener. A client that connects to
    /// another one would wait for an answer that never comes.
    ///
    /// # Errors
    /// [`BindError::Unclaimed`] with the addresses of the others.
    pub fn all_claimed(&self) -> Result<(), BindError> {
        let unclaimed: Vec<SocketAddr> = self
            .given
            .iter()
            .filter(|given| given.from == Giver::Systemd)
            .map(|given| given.address)
            .collect();
        if unclaimed.is_empty() {
            Ok(())
        } else {
            Err(BindError::Unclaimed(unclaimed))
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier process that are still closing do not prevent a start.
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl std::fmt::Display for BindError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address, error) => {
                write!(out, "cannot listen on {address}: {error}; ")?;
                out.write_str(&hint(*address, error.kind()))
            }
            Self::Given(error) => write!(
                out,
                "a socket that systemd passed cannot be used: {error}; pass TCP sockets only \
                 (ListenStream= with an address and a port)"
            ),
            Self::Unclaimed(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(
                    out,
                    "systemd passed sockets that no listener of the configuration has: {}; write \
                     `listen` and `admin` exactly like that, or remove ListenStream= from the \
                     socket unit",
                    addresses.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for BindError {}

/// What an operator can do about an address that cannot be listened on.
fn hint(address: SocketAddr, error: ErrorKind) -> String {
    let port = address.port();
    if error == ErrorKind::AddrInUse {
        format!(
            "another program listens there (`ss -ltnp 'sport = :{port}'` names it); a running \
             gateway is replaced with `serve --upgrade`"
        )
    } else if error == ErrorKind::PermissionDenied {
        format!(
            "ports below 1024, such as {port}, need root or the capability CAP_NET_BIND_SERVICE: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit, `setcap \
             cap_net_bind_service=+ep` on the program, or a socket of systemd"
        )
    } else if error == ErrorKind::AddrNotAvailable {
        "this machine does not have that address (`ip address` lists those it has)".to_owned()
    } else {
        "check the address".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    #[test]
    fn an_address_takes_the_socket_that_was_given_for_it() {
        let (mut sockets, (address, given)) = (Sockets::default(), listener());
        sockets.give(given, Giver::Predecessor).unwrap();
        // A new socket would find the address in use.
        let listeners = sockets.listen(&[address]).unwrap();
        assert_eq!(listeners[0].local_addr().unwrap(), address);
        assert!(sockets.all_claimed().is_ok());
    }

    #[test]
    fn a_socket_that_no_listener_has_is_named() {
        let (mut sockets, (address, given)) = (Sockets::default(), listener());
        sockets.give(given, Giver::Systemd).unwrap();
        sockets.give(listener().1, Giver::Predecessor).unwrap();
        let other = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(sockets.listen(&[other]).unwrap().len(), 1);
        let error = sockets.all_claimed().unwrap_err().to_string();
        assert!(error.contains(&format!("has: {address};")), "{error}");
    }

    #[test]
    fn an_error_says_what_to_do() {
        let (address, _taken) = listener();
        let error = Sockets::default().listen(&[address]).unwrap_err();
        assert!(error.to_string().contains("ss -ltnp"), "{error}");
        let https = SocketAddr::from(([0, 0, 0, 0], 443));
        for (kind, words) in [
            (ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (ErrorKind::AddrNotAvailable, "ip address"),
        ] {
            let error = BindError::Address(https, kind.into()).to_string();
            assert!(
                error.contains("0.0.0.0:443") && error.contains(words),
                "{error}"
            );
        }
    }
}
