//! Answers that come in pieces, stall, or break off, and clients that do not read them: what has
//! arrived is passed on, and nobody holds a connection for ever.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::support::{Browser, Holding, Listening, Siege, Stage, with_line};

/// Nothing that is waited for takes this long.
const LONG: Duration = Duration::from_secs(20);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";

async fn stage_before(application: SocketAddr) -> Stage {
    let upstreams = format!("upstreams = [\"http://{application}\"]");
    Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await
}

/// Reads one head from `stream`.
async fn head(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_trickling_answer_arrives_before_the_next_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = stage_before(listener.local_addr().unwrap()).await;
    for start in [
        "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ] {
        let mut client = Listening::to(stage.address, GET).await;
        let (mut application, _) = listener.accept().await.unwrap();
        head(&mut application).await;
        application.write_all(start.as_bytes()).await.unwrap();
        assert!(client.hears("\r\n\r\n").await, "the head");
        for part in ["part one..", "part two..", "part three"] {
            application.write_all(part.as_bytes()).await.unwrap();
            assert!(client.hears(part).await, "{part}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_cookies_arrive_though_the_body_stalls() {
    let says = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe first words";
    let holding = Holding::saying(says).await;
    let stage = stage_before(holding.address()).await;
    let browser = stage.signed_in().await;
    stage.expire_access_tokens();
    let request = browser.request("GET", "/orders", &[], b"");
    let mut client = Listening::to(stage.address, &request).await;
    assert!(client.hears("et-Cookie: vestibule-access=").await);
    assert!(client.hears("the first words").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_that_breaks_off_all_that_arrived_is_passed_on_and_it_is_seen_as_broken() {
    for says in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n",
    ] {
        let holding = Holding::breaking_off(says).await;
        let stage = stage_before(holding.address()).await;
        for _ in 0..20 {
            let mut client = TcpStream::connect(stage.address).await.unwrap();
            client.write_all(GET).await.unwrap();
            let mut answer = String::new();
            tokio::time::timeout(LONG, client.read_to_string(&mut answer))
                .await
                .expect("an end")
                .expect("no reset before the last byte");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
            assert!(head.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
            assert!(body.contains("half of it"), "{answer:?}");
            assert!(!body.ends_with("0\r\n\r\n"), "{answer:?}");
        }
    }
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n";

async fn sign_out(browser: &mut Browser) {
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_behind_an_informational_answer_ends_with_the_session() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = stage_before(listener.local_addr().unwrap()).await;
    for interim in ["100 Continue", "102 Processing", "103 Early Hints"] {
        let mut browser = stage.signed_in().await;
        let request = browser.request("GET", "/events", &[("Expect", "100-continue")], b"");
        let mut client = Listening::to(stage.address, &request).await;
        let (mut application, _) = listener.accept().await.unwrap();
        head(&mut application).await;
        let informational = format!("HTTP/1.1 {interim}\r\n\r\n");
        application
            .write_all(informational.as_bytes())
            .await
            .unwrap();
        assert!(client.hears(interim).await, "{interim}");
        application.write_all(EVENTS.as_bytes()).await.unwrap();
        assert!(client.hears("data: hello").await, "{interim}");
        sign_out(&mut browser).await;
        assert!(client.ends().await, "{interim}");
    }
}

/// Sends requests and reads nothing until the other side is gone.
async fn is_let_go(address: SocketAddr, request: &[u8]) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(address).await.unwrap();
    let asking = async { while client.write_all(request).await.is_ok() {} };
    tokio::time::timeout(LONG, asking).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_let_go() {
    let siege = Siege::lay_with(
        |config| {
            let limits = "[server.limits]\nupstream_idle = \"1s\"\n\n[providers.main]";
            config.replacen("[providers.main]", limits, 1)
        },
        |_| {},
    )
    .await;
    let body = "x".repeat(100_000);
    siege.witness.answers(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    // Redirects, which have no body; pages of our own; answers of the application.
    let long = format!("/orders?{}", "a".repeat(3000));
    for (target, fields) in [
        (long.as_str(), "Accept: text/html\r\n"),
        ("/login", "Accept: text/html\r\n"),
        ("/", ""),
    ] {
        let request = Siege::request("GET", target, fields);
        assert!(
            is_let_go(siege.stage.address, request.as_bytes()).await,
            "{target:.20}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_be_silent_for_longer_than_a_client_may_not_read() {
    let holding = Holding::saying(EVENTS).await;
    let upstreams = format!("upstreams = [\"http://{}\"]", holding.address());
    let stage = Stage::set_with(
        |config| {
            let limits = "[server.limits]\nupstream_idle = \"3s\"\n\n[providers.main]";
            with_line(&config, "upstreams", &upstreams).replacen("[providers.main]", limits, 1)
        },
        |_| {},
    )
    .await;
    let mut client = Listening::to(stage.address, GET).await;
    assert!(client.hears("data: hello").await);
    // The limit is that of the application's silence, and not shorter.
    let silent = tokio::time::timeout(Duration::from_secs(2), client.hears("data: more")).await;
    assert!(silent.is_err(), "the stream was closed");
}
