//! Clients that speak HTTP/2 with prior knowledge: one that a library helps, and one that sends any
//! frame.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Reply, raw};

/// Nothing that is waited for takes this long.
const LONG: Duration = Duration::from_secs(20);

/// What a browser's request becomes on the wire, as `STORIES_OVER` says: `http2`, else HTTP/1.1.
/// Requests to the admin listener and WebSocket handshakes are HTTP/1.1 in any case.
pub async fn ask_gateway(address: SocketAddr, request: &[u8]) -> Reply {
    let is_asked = std::env::var_os("STORIES_OVER").is_some_and(|protocol| protocol == "http2");
    match parse(request).filter(|_| is_asked) {
        Some((head, body)) => {
            let mut client = Http2Client::to(address).await;
            let reply = client.send(head, body).await;
            client.closed().await;
            reply
        }
        None => raw(address, request).await,
    }
}

/// A request of HTTP/1.1 as one of HTTP/2; `None` where there is none. Cookies come in a field
/// each, as browsers send them.
fn parse(request: &[u8]) -> Option<(Request<()>, Bytes)> {
    let end = request
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    let (head, body) = request.split_at(end + 4);
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut builder = Request::builder().method(method);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "host" if value == "admin" => return None,
            "host" => builder = builder.uri(format!("http://{value}{target}")),
            "upgrade" => return None,
            "connection" => {}
            "cookie" => {
                for cookie in value.split("; ") {
                    builder = builder.header("cookie", cookie);
                }
            }
            name => builder = builder.header(name, value),
        }
    }
    Some((builder.body(()).ok()?, Bytes::copy_from_slice(body)))
}

/// A client with one connection.
pub struct Http2Client {
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    /// The same connection without TLS, to see the other side close it.
    socket: Option<std::net::TcpStream>,
}

/// A request whose body is still being sent.
pub struct Sending {
    pub answer: ResponseFuture,
    pub body: SendStream<Bytes>,
}

impl Http2Client {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let socket = stream.into_std().unwrap();
        let stream = TcpStream::from_std(socket.try_clone().unwrap()).unwrap();
        Self {
            socket: Some(socket),
            ..Self::over(stream).await
        }
    }

    /// A client over this stream.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        Self {
            sender,
            connection: tokio::spawn(connection),
            socket: None,
        }
    }

    /// Closes the connection and waits until the other side does: it has written its records then.
    pub async fn closed(self) {
        drop(self.sender);
        let _ = timeout(LONG, self.connection).await;
        if let Some(socket) = self.socket {
            let mut socket = TcpStream::from_std(socket).unwrap();
            let _ = timeout(LONG, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await;
        }
    }

    /// A request at the store.
    pub fn at_store(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
        let uri = format!("http://store.localhost:8080{target}");
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    /// Begins a request with a body.
    pub async fn begin(&mut self, request: Request<()>) -> Sending {
        let mut sender = self.sender.clone().ready().await.expect("a free stream");
        let (answer, body) = sender.send_request(request, false).unwrap();
        Sending { answer, body }
    }

    /// Begins a request without a body.
    pub async fn ask(&mut self, request: Request<()>) -> ResponseFuture {
        let mut sender = self.sender.clone().ready().await.expect("a free stream");
        sender.send_request(request, true).unwrap().0
    }

    /// Sends a whole request and reads the whole answer.
    pub async fn send(&mut self, request: Request<()>, body: Bytes) -> Reply {
        if body.is_empty() {
            let answer = self.ask(request).await;
            return whole(answer).await.expect("an answer");
        }
        let mut sending = self.begin(request).await;
        // The other side may answer without reading it.
        let _ = sending.body.send_data(body, true);
        whole(sending.answer).await.expect("an answer")
    }

    pub async fn get(&mut self, target: &str) -> Reply {
        self.send(Self::at_store("GET", target, &[]), Bytes::new())
            .await
    }

    /// How the connection ended; `None` where it was closed as it should.
    pub async fn end(self) -> Option<Reason> {
        drop(self.sender);
        let ended = timeout(LONG, self.connection)
            .await
            .expect("an end in time");
        ended.unwrap().err().and_then(|error| error.reason())
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }
}

impl Sending {
    /// Sends a piece of the body once there is room for it. Fails when the other side resets the
    /// stream.
    pub async fn push(&mut self, mut data: Bytes) -> Result<(), h2::Error> {
        while !data.is_empty() {
            self.body.reserve_capacity(data.len());
            let Some(room) = poll_fn(|cx| self.body.poll_capacity(cx)).await else {
                return Err(reset_reason(&mut self.body).await.into());
            };
            let part = data.split_to(room?.min(data.len()));
            if let Err(error) = self.body.send_data(part, false) {
                // A reset that has just arrived is told as a wrong use of the stream.
                let is_reset = error.reason().is_none() && !error.is_io();
                return Err(if is_reset {
                    reset_reason(&mut self.body).await.into()
                } else {
                    error
                });
            }
        }
        Ok(())
    }

    /// Ends the body with an empty frame.
    pub fn finish(&mut self) {
        self.body.send_data(Bytes::new(), true).unwrap();
    }
}

/// Why the other side has reset a stream.
pub async fn reset_reason(stream: &mut SendStream<Bytes>) -> Reason {
    timeout(LONG, poll_fn(|cx| stream.poll_reset(cx)))
        .await
        .expect("a reset in time")
        .unwrap()
}

/// A whole answer.
pub async fn whole(answer: ResponseFuture) -> Result<Reply, h2::Error> {
    let answer = timeout(LONG, answer).await.expect("an answer in time")?;
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = next(&mut body).await? {
        bytes.extend(chunk);
    }
    Ok(reply(&Response::from_parts(head, ()), &bytes))
}

/// The next piece of a body; `None` at its end.
pub async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let chunk = timeout(LONG, body.data()).await.expect("a piece in time");
    let chunk = chunk.transpose()?;
    if let Some(chunk) = &chunk {
        body.flow_control().release_capacity(chunk.len())?;
    }
    Ok(chunk)
}

fn reply(head: &Response<()>, body: &[u8]) -> Reply {
    let headers: &HeaderMap = head.headers();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Reply {
        status: head.status().as_u16(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    }
}

/// A frame: its type, flags, stream and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub u8, pub u8, pub u32, pub Vec<u8>);

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

impl Frame {
    pub fn bytes(&self) -> Vec<u8> {
        let Self(kind, flags, stream, payload) = self;
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[*kind, *flags], &stream.to_be_bytes()].concat();
        [head, payload.clone()].concat()
    }

    /// The code of a `RST_STREAM` or `GOAWAY`.
    pub fn code(&self) -> u32 {
        let at = if self.0 == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.3[at..at + 4].try_into().unwrap())
    }
}

/// The status of a head: an index of the static table, or a literal.
pub fn status_of(head: &Frame) -> [u8; 3] {
    match head.3[0] {
        0x88 => *b"200",
        0x8c => *b"400",
        _ => *b"???",
    }
}

/// A field section without compression (RFC 7541, section 6.2.2).
pub fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // A length of up to 7 bits, and what is beyond them in one or two more bytes.
            let length = text.len();
            if length < 127 {
                bytes.push(u8::try_from(length).unwrap());
            } else {
                let mut rest = length - 127;
                bytes.push(127);
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).unwrap());
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// The pseudo-header fields of a `GET` at the store.
pub fn pseudo(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "store.localhost:8080"),
        (":path", path),
    ]
}

/// A whole request without a body.
pub fn get(stream: u32, fields: &[(&str, &str)]) -> Frame {
    Frame(HEADERS, END_STREAM | END_HEADERS, stream, section(fields))
}

/// A client that sends what it is told.
pub struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// A connection on which nothing was sent.
    pub async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream }
    }

    /// A connection after the preface.
    pub async fn to(address: SocketAddr) -> Self {
        let mut client = Self::silent(address).await;
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client
            .send(&Frame(SETTINGS, 0, 0, Vec::new()).bytes())
            .await;
        client
    }

    /// Sends; returns whether the other side still takes it.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = timeout(LONG, self.stream.read_exact(&mut head)).await;
        read.expect("a frame in time").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame(head[3], head[4], stream, payload))
    }

    /// The next frame of this type; `None` when the connection ends before.
    pub async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.0 == kind {
                return Some(frame);
            }
        }
    }

    /// The code that the connection ends with: that of the last `GOAWAY`.
    pub async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.0 == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}
