//! The end of a process, as load balancers and clients with open connections see it.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::support::http2::{Frames, GOAWAY, HEADERS, get, pseudo, status_of};
use super::support::{
    Application, Browser, Line, Pair, Process, Stage, Trust, USERS, ask, exchange, store_alone,
};
use super::tls;

const NEWS: &str = "GET /news/x HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
const HEALTH: &str = "GET /_vestibule/health HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n";

fn config(application: &Application, server: &str) -> String {
    store_alone(application, USERS, "").replacen("admin = ", &format!("{server}\nadmin = "), 1)
        + "\n[[sites.rules]]\npath = \"/news/*\"\naccess = \"public\"\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_hear_of_the_stop_while_connections_are_still_accepted() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(
        &application,
        "shutdown_delay = \"1h\"\ndrain = \"20s\"",
    ))
    .await;
    let mut kept = Line::to(gateway.address).await;
    kept.send(NEWS).await;
    assert_eq!(kept.reply().await.unwrap().status, 200);
    let mut admin = Browser::new(gateway.admin, "admin");
    assert_eq!(admin.get("/readyz").await.status, 200);
    gateway.signal("TERM");
    gateway.until_printed("not ready any more", 1).await;
    let ready = admin.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "stopping\n"));
    assert_eq!(admin.get("/healthz").await.status, 200);
    let health = ask(gateway.address, HEALTH).await.unwrap();
    assert_eq!((health.status, health.body.as_str()), (503, "stopping"));
    // Whoever comes is served, and sent away for the next request.
    let newcomer = ask(gateway.address, NEWS).await.unwrap();
    kept.send(NEWS).await;
    for reply in [newcomer, kept.reply().await.unwrap()] {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("connection"), Some("close"));
    }
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_its_way_when_accepting_ends_is_answered() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(&application, "")).await;
    let mut kept = Line::to(gateway.address).await;
    kept.send(NEWS).await;
    assert_eq!(kept.reply().await.unwrap().status, 200);
    let silent = Line::to(gateway.address).await;
    gateway.signal("TERM");
    gateway.until_printed("no new connections", 1).await;
    kept.send(NEWS).await;
    let reply = kept.reply().await.expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(gateway.ended().await.code(), Some(0));
    drop(silent);
}

/// Returns when the gateway does not listen any more.
async fn refused(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_of_a_connection_is_answered_when_accepting_has_ended() {
    let stage = Stage::set().await;
    let mut http1 = Line::to(stage.address).await;
    let mut http2 = Frames::silent(stage.address).await;
    // Accepted after both.
    assert_eq!(stage.browser().get("/").await.status, 200);
    let address = stage.address;
    let stopping = tokio::spawn(stage.stop());
    refused(address).await;
    http2
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    http2.send(&get(1, &pseudo("/")).bytes()).await;
    http1
        .send("GET / HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n")
        .await;
    let reply = http1.reply().await.expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    let head = http2.until(HEADERS).await.expect("an answer");
    assert_eq!(status_of(&head), *b"200");
    drop(http2);
    stopping.await.unwrap().unwrap();
}

/// On one thread, so that the gateway does not accept while the client connects.
#[tokio::test]
async fn a_connection_that_was_not_accepted_yet_is_answered() {
    let stage = Stage::set().await;
    let mut waiting = std::net::TcpStream::connect(stage.address).unwrap();
    let request = tls::request("store.localhost:8080", "/");
    waiting.write_all(&request).unwrap();
    stage.stop().await.unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_ends_late_is_followed_by_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::of(&["store.localhost"]);
    let stage = tls::stage(&[pair.write(folder.path(), "store")], "").await;
    let address = stage.addresses[1];
    let late = TcpStream::connect(address).await.unwrap();
    // Accepted after it. It stays open until connections without a request are closed.
    let mut idle = Frames::to(stage.addresses[0]).await;
    let trust = Trust::of(&[&pair]);
    let mut kept = trust.connect(address, "store.localhost").await.unwrap();
    let stopping = tokio::spawn(stage.stop());
    idle.until(GOAWAY).await.expect("a GOAWAY");
    let mut end = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut kept, &mut end)
        .await
        .ok();
    let stream = trust.connect_over(late, "store.localhost").await.unwrap();
    let reply = exchange(stream, &tls::request("store.localhost", "/")).await;
    assert_eq!(reply.status, 200);
    drop(idle);
    stopping.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_head_is_still_arriving_is_answered() {
    let stage = Stage::set().await;
    let mut slow = Line::to(stage.address).await;
    let mut idle = Line::to(stage.address).await;
    slow.send("GET / HTTP/1.1\r\nHost: store.local").await;
    // Read after it.
    idle.send("GET / HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n")
        .await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    let stopping = tokio::spawn(stage.stop());
    assert!(idle.reply().await.is_none(), "idle connections are closed");
    slow.send("host:8080\r\n\r\n").await;
    let reply = slow.reply().await.expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    stopping.await.unwrap().unwrap();
}
