//! Connections that are kept for the next request, on both sides of the gateway, and what must not
//! come of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{Stage, raw};

const HEAD: &str = "HTTP/1.1\r\nHost: store.localhost:8080\r\n";

/// Reads one head from `stream`; `None` when the other side closes.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// An application that answers the first request of each connection and closes on the second, as
/// one does whose patience ends just then.
async fn impatient() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                head(&mut stream).await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await
                    .unwrap();
                head(&mut stream).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_closes_a_kept_connection_costs_no_request() {
    let upstream = impatient().await;
    let stage = Stage::set_with(|config| with_store_at(&config, upstream), |_| {}).await;
    for _ in 0..3 {
        assert_eq!(
            raw(
                stage.address,
                format!("GET / {HEAD}Connection: close\r\n\r\n").as_bytes()
            )
            .await
            .status,
            200
        );
    }
    // What may have had an effect is not sent a second time.
    let post = format!("POST / {HEAD}Content-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(raw(stage.address, post.as_bytes()).await.status, 502);
}

fn with_store_at(config: &str, address: std::net::SocketAddr) -> String {
    let (before, rest) = config.split_once("upstreams = [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    format!("{before}upstreams = [\"http://{address}\"]{after}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_more_is_let_go() {
    let limits =
        "[server.limits]\nheader_timeout = \"30s\"\nkeep_alive = \"1s\"\n\n[providers.main]";
    let stage = Stage::set_with(|config| config.replace("[providers.main]", limits), |_| {}).await;
    // From the application, then of the gateway's own.
    for path in ["/", "/_vestibule/nothing"] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream
            .write_all(format!("GET {path} {HEAD}\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(15), stream.read_to_string(&mut answer)).await;
        assert!(ended.is_ok(), "{path}: still open");
        assert!(answer.contains("Connection: keep-alive\r\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_outlives_the_session_whose_event_stream_it_carried() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.store.answers(|_| {
        let events = http::Response::builder().header("content-type", "text/event-stream");
        events
            .header("content-length", 0)
            .body(axum::body::Body::empty())
            .unwrap()
    });
    let cookies: Vec<String> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let ask = format!("GET /events {HEAD}Cookie: {}\r\n\r\n", cookies.join("; "));
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
    while stage.metric("vestibule_open_streams{site=\"store\"}").await > 0.0 {}
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    stream
        .write_all(format!("GET / {HEAD}\r\n").as_bytes())
        .await
        .unwrap();
    assert!(head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_meets_an_event_stream_that_was_still_opening() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let stage = Stage::set_with(|config| with_store_at(&config, upstream), |_| {}).await;
    let mut browser = stage.signed_in().await;
    let mut tab = browser.clone();
    let opening = tokio::spawn(async move { tab.get("/events").await });
    let (mut application, _) = listener.accept().await.unwrap();
    assert!(
        head(&mut application)
            .await
            .unwrap()
            .starts_with("GET /events")
    );
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    let events =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    application.write_all(events).await.unwrap();
    // The application goes on holding its end open.
    let ended = tokio::time::timeout(Duration::from_secs(10), opening).await;
    assert!(ended.is_ok(), "the stream stays open");
}
