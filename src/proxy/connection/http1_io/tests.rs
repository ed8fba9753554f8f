use std::future::poll_fn;
use std::task::Waker;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::proxy::connection::RequestBody;

/// A connection, and the client's end of it. Between them fit `capacity` bytes.
fn connection(capacity: usize) -> (Http1Io<DuplexStream>, DuplexStream, Arc<HeadGuard>) {
    let (socket, client) = duplex(capacity);
    let guard = Arc::new(HeadGuard::default());
    let mut io = Http1Io::new(socket, BytesMut::new(), Arc::clone(&guard));
    io.begin_request();
    (io, client, guard)
}

/// What a read with room for `room` bytes gives; `None` where it waits.
fn read(io: &mut Http1Io<DuplexStream>, room: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; room];
    let mut buf = ReadBuf::new(&mut bytes);
    let mut cx = Context::from_waker(Waker::noop());
    match io.poll_read(&mut cx, &mut buf) {
        Poll::Ready(result) => {
            result.unwrap();
            Some(buf.filled().to_vec())
        }
        Poll::Pending => None,
    }
}

/// Reads `length` bytes, for which the client sends more whenever the read waits.
async fn read_exactly(
    io: &mut Http1Io<DuplexStream>,
    client: &mut DuplexStream,
    pieces: &mut std::slice::Chunks<'_, u8>,
    length: usize,
) -> Vec<u8> {
    let mut seen = Vec::new();
    while seen.len() < length {
        match read(io, 16) {
            Some(more) => seen.extend(more),
            None => client.write_all(pieces.next().unwrap()).await.unwrap(),
        }
    }
    seen
}

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn each_request_is_handed_over_by_itself_however_it_arrives() {
    let requests: [(&[u8], &[u8]); 3] =
        [(HEAD, b"body"), (HEAD, b""), (b"GET / HTTP/1.1\n\n", b"x")];
    let all: Vec<u8> = requests
        .iter()
        .flat_map(|(head, body)| [*head, *body].concat())
        .collect();
    for step in [1, 10, 40, all.len()] {
        let (mut io, mut client, guard) = connection(4096);
        let mut pieces = all.chunks(step);
        for (head, body) in requests {
            let seen = read_exactly(&mut io, &mut client, &mut pieces, head.len()).await;
            assert_eq!(seen, head, "{step}");
            // Pingora is not shown what may be the next request.
            let length = u64::try_from(body.len()).unwrap();
            assert!(guard.finish_head(RequestBody::Length(length)));
            let seen = read_exactly(&mut io, &mut client, &mut pieces, body.len()).await;
            assert_eq!(seen, body, "{step}");
            assert_eq!(read(&mut io, 16), None, "{step}");
            io.begin_request();
        }
    }
}

#[tokio::test]
async fn a_head_is_handed_over_when_it_is_complete() {
    let (mut io, mut client, guard) = connection(4096);
    for byte in HEAD {
        assert_eq!(read(&mut io, 16), None);
        client.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(read(&mut io, 16).unwrap(), HEAD[..16]);
    assert_eq!(read(&mut io, 4096).unwrap(), HEAD[16..]);
    // Pingora parses it now. Should it ask for more, it has read another head.
    assert_eq!(read(&mut io, 16), None);
    assert!(guard.early_error().is_some());
}

#[tokio::test]
async fn nothing_is_read_of_a_head_that_was_refused() {
    let (mut io, mut client, guard) = connection(1 << 20);
    client.write_all(&vec![b'x'; 100_000]).await.unwrap();
    assert_eq!(read(&mut io, 4096), None);
    assert!(guard.early_error().is_some());
    assert_eq!(read(&mut io, 4096), None);
    assert!(io.received.len() < 30_000, "{}", io.received.len());
}

#[tokio::test]
async fn what_follows_a_request_waits_and_a_close_is_seen() {
    let (mut io, mut client, guard) = connection(1 << 20);
    client.write_all(HEAD).await.unwrap();
    assert_eq!(read(&mut io, 4096).unwrap(), HEAD);
    guard.finish_head(RequestBody::Length(0));
    assert_eq!(read(&mut io, 1), None);
    client.write_all(&vec![b'\n'; 100_000]).await.unwrap();
    assert_eq!(read(&mut io, 1), None);
    assert_eq!(read(&mut io, 1), None);
    assert_eq!(
        io.received.len(),
        PROBE,
        "no more is kept than was read once"
    );
    // Another protocol may have begun there.
    guard.switch_protocols();
    assert_eq!(read(&mut io, 4096).unwrap().len(), PROBE);

    let (mut io, mut client, guard) = connection(4096);
    client.write_all(HEAD).await.unwrap();
    read(&mut io, 4096);
    guard.finish_head(RequestBody::Length(0));
    drop(client);
    assert_eq!(read(&mut io, 1), Some(Vec::new()));
    assert!(!io.may_receive());
}

#[tokio::test]
async fn a_head_and_a_short_body_are_sent_together() {
    let (mut io, mut client, guard) = connection(1 << 20);
    guard.finish_head(RequestBody::Length(0));
    for (first, second, writes) in [(200, 3000, 1), (200, 60_000, 1), (60_000, 100, 2)] {
        let before = io.writes;
        for length in [first, second] {
            let mut left = length;
            while left > 0 {
                let part = vec![b'x'; left];
                left -= poll_fn(|cx| io.poll_write(cx, &part)).await.unwrap();
            }
        }
        poll_fn(|cx| io.poll_flush(cx)).await.unwrap();
        assert_eq!(io.writes - before, writes, "{first} {second}");
        let mut seen = vec![0; first + second];
        client.read_exact(&mut seen).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_written_is_sent_when_nothing_more_comes() {
    let (mut io, mut client, guard) = connection(10);
    guard.finish_head(RequestBody::Length(0));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(io.poll_write(&mut cx, b"some words").is_ready());
    // The task is woken once more; more may be on its way.
    io.poll_send_idle(&mut cx);
    assert_eq!(io.writes, 0);
    assert!(io.poll_write(&mut cx, b" and more").is_ready());
    io.poll_send_idle(&mut cx);
    assert_eq!(
        (io.writes, io.blocked_after()),
        (1, Some(1)),
        "a client that does not read"
    );
    let mut seen = [0; 10];
    client.read_exact(&mut seen).await.unwrap();
    io.poll_send_idle(&mut cx);
    io.poll_send_idle(&mut cx);
    assert_eq!((io.writes, io.blocked_after()), (2, None));
    assert!(io.unsent.is_empty());
}
