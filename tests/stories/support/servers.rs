//! Servers of an application that can be killed and revived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A server that answers every request with its own port.
pub struct Server {
    address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    served: AtomicUsize,
    connections: AtomicUsize,
}

impl Server {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let counts = Arc::default();
        Self {
            address: listener.local_addr().unwrap(),
            task: tokio::spawn(accept(listener, Arc::clone(&counts))),
            counts,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it answered.
    pub fn served(&self) -> usize {
        self.counts.served.load(Ordering::SeqCst)
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Nobody listens there any more, and connections are cut in the middle of a request.
    pub async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = tokio::spawn(accept(listener, Arc::clone(&self.counts)));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(answer(stream, Arc::clone(&counts)));
    }
}

async fn answer(mut stream: TcpStream, counts: Arc<Counts>) {
    let port = stream.local_addr().unwrap().port().to_string();
    while read_head(&mut stream).await.is_some() {
        // The work: a kill may come in the middle of it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", port.len());
        if stream.write_all((head + &port).as_bytes()).await.is_err() {
            return;
        }
        counts.served.fetch_add(1, Ordering::SeqCst);
    }
}

/// Reads one head; `None` when the other side closes.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A client that keeps its connection.
pub struct Kept(BufReader<TcpStream>);

impl Kept {
    pub async fn to(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// The status and body of the answer to `request`.
    pub async fn ask(&mut self, request: &str) -> (u16, String) {
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut status = 0;
        let mut length = 0;
        let mut is_chunked = false;
        loop {
            let line = self.line().await;
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            is_chunked |= line == "transfer-encoding: chunked";
        }
        let mut body = Vec::new();
        while is_chunked || length > 0 {
            if is_chunked {
                let size = self.line().await;
                length = usize::from_str_radix(&size, 16).unwrap();
            }
            let start = body.len();
            body.resize(start + length, 0);
            self.0.read_exact(&mut body[start..]).await.unwrap();
            if !is_chunked {
                break;
            }
            self.line().await;
            if length == 0 {
                break;
            }
        }
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "hung up");
        line.trim_end().to_ascii_lowercase()
    }
}
