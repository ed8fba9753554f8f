//! Both ends of a connection, byte by byte: for what stays open, and for what never answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// An application that says the same bytes to every request and then holds the connection open.
pub struct Holding {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Holding {
    pub async fn saying(bytes: &'static str) -> Self {
        Self::open(bytes, Ears::Open).await
    }

    /// Hears nothing of what follows the request.
    pub async fn deaf(bytes: &'static str) -> Self {
        Self::open(bytes, Ears::ChallengeError).await
    }

    /// Hangs up as soon as it has spoken.
    pub async fn breaking_off(bytes: &'static str) -> Self {
        Self::open(bytes, Ears::Gone).await
    }

    async fn open(bytes: &'static str, ears: Ears) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hold(stream, bytes, ears));
            }
        });
        Self { address, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Copy)]
enum Ears {
    Open,
    ChallengeError,
    Gone,
}

async fn hold(mut stream: TcpStream, bytes: &'static str, ears: Ears) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => heard.push(byte),
            Err(_) => return,
        }
    }
    if stream.write_all(bytes.as_bytes()).await.is_ok() {
        match ears {
            // Until the other side ends it.
            Ears::Open => drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await),
            Ears::ChallengeError => std::future::pending().await,
            Ears::Gone => {}
        }
    }
}

/// A client that listens for as long as it is spoken to.
pub struct Listening {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Listening {
    pub async fn to(address: SocketAddr, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request).await.unwrap();
        Self {
            stream,
            heard: Vec::new(),
        }
    }

    /// Backoff until this was said; `false` when the other side ends it before.
    pub async fn hears(&mut self, text: &str) -> bool {
        while !String::from_utf8_lossy(&self.heard).contains(text) {
            let read = tokio::time::timeout(
                Duration::from_secs(20),
                self.stream.read_buf(&mut self.heard),
            )
            .await;
            if !matches!(read.expect("a word"), Ok(1..)) {
                return false;
            }
        }
        true
    }

    /// Speaks on until nobody has taken anything for half a second.
    pub async fn speaks_until_stuck(&mut self) {
        let words = vec![b'x'; 64 * 1024];
        while let Ok(said) =
            tokio::time::timeout(Duration::from_millis(500), self.stream.write(&words)).await
        {
            said.expect("the other side still listens");
        }
    }

    /// Whether the other side ends it within five seconds.
    pub async fn ends(mut self) -> bool {
        let end = async { while matches!(self.stream.read_buf(&mut self.heard).await, Ok(1..)) {} };
        tokio::time::timeout(Duration::from_secs(5), end)
            .await
            .is_ok()
    }
}

/// An address that is taken and where nobody listens.
pub struct Nobody(TcpSocket);

impl Nobody {
    pub fn there() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
