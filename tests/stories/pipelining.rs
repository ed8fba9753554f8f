//! Bytes behind a request that is still being answered: it gets its answer, and the next request
//! gets the next one.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{Line, Siege, Stage, with_line};

async fn open_house() -> Siege {
    Siege::lay_with(
        |config| config.replacen("landing =", "default_access = \"public\"\nlanding =", 1),
        |_| {},
    )
    .await
}

fn post(target: &str, body: &str) -> String {
    Siege::request(
        "POST",
        target,
        &format!("Content-Length: {}\r\n", body.len()),
    ) + body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_request_does_not_change_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstreams = format!(
        "upstreams = [\"http://{}\"]",
        listener.local_addr().unwrap()
    );
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let chunked =
        Siege::request("POST", "/", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n";
    for request in [post("/", "hello"), chunked, Siege::request("GET", "/", "")] {
        for behind in ["\r\n", "\n", "x", "GET / HTTP/1.1\r\n"] {
            let mut line = Line::to(stage.address).await;
            line.send(&request).await;
            let (mut application, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !String::from_utf8_lossy(&heard).contains("\r\n\r\n") {
                application.read_buf(&mut heard).await.unwrap();
            }
            // The application takes its time.
            line.send(behind).await;
            let early = tokio::time::timeout(Duration::from_millis(100), line.reply()).await;
            assert!(early.is_err(), "{request:?} {behind:?}: {early:?}");
            application
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .await
                .unwrap();
            let reply = line.reply().await.expect("an answer");
            assert_eq!(
                (reply.status, &*reply.body),
                (200, "ok"),
                "{request:?} {behind:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let siege = open_house().await;
    let requests = [
        Siege::request("GET", "/1", ""),
        post("/2", "a body"),
        // An empty line may stand before a request.
        "\r\n".to_owned() + &Siege::request("GET", "/_vestibule/nothing", ""),
        Siege::request("HEAD", "/login", ""),
        Siege::request("GET", "/3", ""),
    ];
    // Whole, then cut anywhere.
    let all = requests.concat();
    for step in [all.len(), 1, 7] {
        let mut line = siege.line().await;
        for part in all.as_bytes().chunks(step) {
            line.send(part).await;
        }
        assert_eq!(line.reply().await.unwrap().body, "seen /1", "{step}");
        assert_eq!(line.reply().await.unwrap().body, "seen /2", "{step}");
        assert_eq!(line.reply().await.unwrap().status, 404, "{step}");
        let head = line.head().await.unwrap();
        assert_eq!(head.status, 200, "{step}");
        assert_eq!(line.reply().await.unwrap().body, "seen /3", "{step}");
    }
    let seen = siege.witness.seen();
    let bodies: Vec<&[u8]> = seen.iter().map(|seen| &seen.body[..]).collect();
    assert_eq!(bodies, [b"", &b"a body"[..], b""].repeat(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_another_has_the_same_limits() {
    let siege = open_house().await;
    let field = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    for (second, status) in [
        (Siege::request("GET", "/x", &field(17 * 1024)), 431),
        (Siege::request("GET", "/x", &"X: y\r\n".repeat(100)), 431),
        (
            Siege::request("GET", &format!("/{}", "x".repeat(9000)), ""),
            414,
        ),
        (Siege::request("GET", "/a b", ""), 400),
        (Siege::request("GET", "/a", "bad header\r\n"), 400),
        ("\r\n".repeat(5) + &Siege::request("GET", "/a", ""), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (Siege::request("TRACE", "/a", ""), 405),
    ] {
        let mut line = siege.line().await;
        line.send(Siege::request("GET", "/1", "") + &second).await;
        let told = &second[..second.len().min(60)];
        assert_eq!(line.reply().await.unwrap().body, "seen /1", "{told:?}");
        let reply = line.reply().await.expect("an answer");
        assert_eq!(reply.status, status, "{told:?}");
        assert!(line.is_closed().await, "{told:?}");
    }
    assert!(
        siege
            .witness
            .seen()
            .iter()
            .all(|seen| seen.target() == "/1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_head_has_no_more_time_than_the_first() {
    let siege = Siege::lay_with(
        |config| {
            let limits = "[server.limits]\nheader_timeout = \"1s\"\n\n[providers.main]";
            config.replacen("[providers.main]", limits, 1)
        },
        |_| {},
    )
    .await;
    let mut line = siege.line().await;
    line.send(Siege::request("GET", "/", "") + "GET / HTTP/1.1\r\n")
        .await;
    assert_eq!(line.reply().await.unwrap().status, 200);
    assert!(line.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_a_chunked_body_is_not_served_on_this_connection() {
    let siege = open_house().await;
    let chunked =
        Siege::request("POST", "/1", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n";
    let mut line = siege.line().await;
    line.send(chunked + &Siege::request("GET", "/2", "")).await;
    let reply = line.reply().await.unwrap();
    assert_eq!(
        (&*reply.body, reply.header("connection")),
        ("seen /1", Some("close"))
    );
    assert!(line.is_closed().await);
    assert_eq!(siege.witness.count(), 1);
}
