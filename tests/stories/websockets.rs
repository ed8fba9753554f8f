//! WebSockets whose server is faster than the gateway looks.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Stage, read_head, with_line};

const HANDSHAKE: &str = "GET /live HTTP/1.1\r\nHost: store.localhost:8080\r\n\
                         Connection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\n\r\n\x81\x02hi";
const FRAME: &[u8] = b"\x81\x85\0\0\0\0there";

/// An application that has said everything before it reads the request, and then echoes.
async fn hasty() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(SWITCH).await.unwrap();
                read_head(&mut stream).await;
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_comes_at_once_is_not_lost() {
    let line = format!(
        "upstreams = [\"http://{}\"]\ndefault_access = \"public\"",
        hasty().await
    );
    let stage = Stage::set_with(|text| with_line(&text, "upstreams", &line), |_| {}).await;
    for round in 0..100 {
        let mut client = TcpStream::connect(stage.address).await.unwrap();
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let head = read_head(&mut client).await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101"), "{round}: {head}");
        let mut hello = [0; 4];
        client.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"\x81\x02hi", "{round}");
        for _ in 0..3 {
            client.write_all(FRAME).await.unwrap();
            let mut echo = [0; FRAME.len()];
            client.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, FRAME, "{round}");
        }
    }
}
