//! The bare wire on both sides of the gateway: a client that sends exactly these bytes, and an
//! application that writes down exactly which bytes came.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Reply;

/// Nothing that is waited for takes this long.
const LONG: Duration = Duration::from_secs(20);

/// A request as it stood on the wire before the application.
#[derive(Clone)]
pub struct Seen {
    pub method: String,
    pub target: Vec<u8>,
    /// Names as written.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Seen {
    /// Every value of a header, whatever the case of its name.
    pub fn all(&self, name: &str) -> Vec<String> {
        let same = self
            .fields
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name));
        same.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// The one value of a header.
    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "{name} came more than once: {self:?}");
        all.pop()
    }

    pub fn target(&self) -> String {
        String::from_utf8_lossy(&self.target).into_owned()
    }

    /// Whether these letters stand anywhere in the head.
    pub fn mentions(&self, text: &str) -> bool {
        let inside = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
        inside(&self.target)
            || self
                .fields
                .iter()
                .any(|(name, value)| name.contains(text) || inside(value))
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "{} {}", self.method, self.target())?;
        for (name, value) in &self.fields {
            writeln!(out, "{name}: {}", value.escape_ascii())?;
        }
        write!(out, "{}", self.body.escape_ascii())
    }
}

/// An application that trusts nobody's parser but its own. Answers `200` with the target it saw.
pub struct Witness {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Mutex<Answer>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What a witness answers.
#[derive(Clone, Default)]
struct Answer {
    bytes: Vec<u8>,
    closes: bool,
}

impl Witness {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let answer: Arc<Mutex<Answer>> = Arc::default();
        let (book, words) = (Arc::clone(&seen), Arc::clone(&answer));
        let connections: Arc<AtomicUsize> = Arc::default();
        let accepted = Arc::clone(&connections);
        let task = vestibule::system::detach(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                accepted.fetch_add(1, Ordering::Relaxed);
                vestibule::system::detach(listen_to(stream, Arc::clone(&book), Arc::clone(&words)));
            }
        });
        Self {
            address,
            seen,
            answer,
            connections,
            task,
        }
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every request is answered with these bytes; with nothing, with `200` and the
    /// target.
    pub fn answers(&self, bytes: &[u8]) {
        *self.answer.lock().unwrap() = Answer {
            bytes: bytes.to_vec(),
            closes: false,
        };
    }

    /// The same, and each connection is closed behind its answer.
    pub fn answers_and_closes(&self, bytes: &[u8]) {
        *self.answer.lock().unwrap() = Answer {
            bytes: bytes.to_vec(),
            closes: true,
        };
    }

    /// What came so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the application got a request")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen_to(mut stream: TcpStream, book: Arc<Mutex<Vec<Seen>>>, answer: Arc<Mutex<Answer>>) {
    let mut bytes = Vec::new();
    loop {
        let Some(seen) = request(&mut stream, &mut bytes).await else {
            return;
        };
        let body = format!("seen {}", seen.target());
        book.lock().unwrap().push(seen);
        let Answer {
            bytes: mut reply,
            closes,
        } = answer.lock().unwrap().clone();
        if reply.is_empty() {
            reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes();
        }
        if stream.write_all(&reply).await.is_err() || closes {
            return;
        }
    }
}

/// Whatever has a blank line behind it counts as a request here, however odd it looks.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Seen> {
    let end = until(stream, bytes, b"\r\n\r\n").await?;
    let head: Vec<u8> = bytes.drain(..end).collect();
    let mut lines = head
        .split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next()?;
    let mut words = first.split(|b| *b == b' ');
    let method = String::from_utf8_lossy(words.next()?).into_owned();
    let target = words.next().unwrap_or_default().to_vec();
    let fields: Vec<(String, Vec<u8>)> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|b| *b == b':')?;
            Some((
                String::from_utf8_lossy(&line[..colon]).into_owned(),
                line[colon + 1..].trim_ascii().to_vec(),
            ))
        })
        .collect();
    let mut seen = Seen {
        method,
        target,
        fields,
        body: Vec::new(),
    };
    if seen.one("transfer-encoding").is_some() {
        loop {
            let end = until(stream, bytes, b"\r\n").await?;
            let line: Vec<u8> = bytes.drain(..end).collect();
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16)
                .expect("a chunk's size");
            fill(stream, bytes, size + 2).await?;
            seen.body.extend(bytes.drain(..size + 2).take(size));
            if size == 0 {
                return Some(seen);
            }
        }
    }
    let length = seen
        .one("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    fill(stream, bytes, length).await?;
    seen.body = bytes.drain(..length).collect();
    Some(seen)
}

async fn until(stream: &mut TcpStream, bytes: &mut Vec<u8>, mark: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = bytes.windows(mark.len()).position(|window| window == mark) {
            return Some(at + mark.len());
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn fill(stream: &mut TcpStream, bytes: &mut Vec<u8>, length: usize) -> Option<()> {
    while bytes.len() < length {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// A client's connection.
pub struct Line {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Line {
    pub async fn to(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.expect("a connection"),
            bytes: Vec::new(),
        }
    }

    /// A connection of a client with the IPv4 address `source`.
    pub async fn from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        Self {
            stream: socket.connect(address).await.expect("a connection"),
            bytes: Vec::new(),
        }
    }

    /// Sends; the other side may have hung up already.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next response, whole; `None` when the connection ends instead.
    pub async fn reply(&mut self) -> Option<Reply> {
        timeout(LONG, self.read_reply())
            .await
            .expect("an answer in time")
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let end = until(&mut self.stream, &mut self.bytes, b"\r\n\r\n").await?;
        let mut whole: Vec<u8> = self.bytes.drain(..end).collect();
        let head = String::from_utf8_lossy(&whole).to_lowercase();
        if let Some((_, rest)) = head.split_once("content-length:") {
            let length: usize = rest
                .lines()
                .next()
                .unwrap_or_default()
                .trim()
                .parse()
                .expect("a length");
            fill(&mut self.stream, &mut self.bytes, length).await?;
            whole.extend(self.bytes.drain(..length));
        } else if head.contains("transfer-encoding: chunked") {
            let end = until(&mut self.stream, &mut self.bytes, b"0\r\n\r\n").await?;
            whole.extend(self.bytes.drain(..end));
        }
        Some(Reply::read(&whole))
    }

    /// The next head, informational ones too, whatever follows it; `None` when the connection ends
    /// instead.
    pub async fn head(&mut self) -> Option<Reply> {
        let end = until(&mut self.stream, &mut self.bytes, b"\r\n\r\n");
        let end = timeout(LONG, end).await.expect("a head in time")?;
        let head: Vec<u8> = self.bytes.drain(..end).collect();
        let mut reply = Reply::read(&head);
        if reply.status == 0 {
            // It was informational.
            let status = String::from_utf8_lossy(&head);
            reply.status = status.split(' ').nth(1)?.parse().ok()?;
        }
        Some(reply)
    }

    /// Whether the other side hangs up without another byte.
    pub async fn is_closed(&mut self) -> bool {
        if !self.bytes.is_empty() {
            return false;
        }
        // A reset is an end too.
        timeout(LONG, self.stream.read_buf(&mut self.bytes))
            .await
            .is_ok_and(|read| read.unwrap_or(0) == 0)
    }

    /// Nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

/// The first answer to these bytes over a connection of their own; `None` when it ends without one.
pub async fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Reply> {
    let mut line = Line::to(address).await;
    line.send(bytes).await;
    line.reply().await
}
