//! Heads that never reach the gateway's own rules: the answer, the log and the count are the same
//! as everywhere.

use std::time::Duration;

use vestibule::system::stopwatch;

use super::support::{Reply, Siege, ask};

const REQUESTS: &str = "vestibule_requests_total";

fn is_ours(reply: &Reply, code: &str, told: &str) {
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json"),
        "{told}"
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{told}");
    assert_eq!(reply.header("connection"), Some("close"), "{told}");
    assert_eq!(reply.header("server"), None, "{told}");
    let document: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(
        (document["code"].as_str(), document["status"].as_u64()),
        (Some(code), Some(reply.status.into()))
    );
    assert_eq!(
        document["requestId"].as_str(),
        reply.header("x-request-id"),
        "{told}"
    );
    assert!(
        reply.header("x-request-id").is_some_and(|id| id.len() > 20),
        "{told}"
    );
}

/// Backoff for the count: it is taken once the client has been let go.
async fn counted(siege: &Siege, code: &str, times: u64) {
    let deadline = stopwatch() + Duration::from_secs(20);
    loop {
        let count = siege.stage.count(REQUESTS, &["", "refused", code]).await;
        if count == times {
            return;
        }
        assert!(
            count < times && stopwatch() < deadline,
            "{code}: {count} for {times}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_read_is_answered_and_counted() {
    let siege = Siege::lay().await;
    let host = "Host: store.localhost:8080\r\n";
    let large = format!("X: {}\r\n", "y".repeat(60_000));
    for (head, status, code) in [
        ("evil\r\n\r\n".to_owned(), 400, "malformed_request"),
        (
            Siege::request("GET", "/x", "bad header\r\n"),
            400,
            "malformed_request",
        ),
        (
            Siege::request("POST", "/x", "Content-Length: evil\r\n"),
            400,
            "malformed_request",
        ),
        (
            format!("POST /x HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
            "malformed_request",
        ),
        (
            Siege::request("GET", "/x", &"X: y\r\n".repeat(300)),
            431,
            "request_too_large",
        ),
        (
            Siege::request("GET", "/x", &(large + "bad header\r\n")),
            431,
            "request_too_large",
        ),
    ] {
        let told = &head[..head.len().min(80)];
        let before = siege.stage.count(REQUESTS, &["", "refused", code]).await;
        let mut line = siege.line().await;
        line.send(&head).await;
        let reply = line.reply().await.expect("an answer");
        assert_eq!(reply.status, status, "{told}");
        is_ours(&reply, code, told);
        assert!(line.is_closed().await, "{told}");
        counted(&siege, code, before + 1).await;
    }
    assert_eq!(siege.witness.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_refused_in_our_own_words() {
    let siege = Siege::lay().await;
    let authority =
        "CONNECT store.localhost:8080 HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n".to_owned();
    for (n, connect) in (1..).zip([Siege::request("CONNECT", "/x", ""), authority]) {
        let reply = ask(siege.stage.address, &connect).await.expect("an answer");
        assert_eq!(reply.status, 405);
        is_ours(&reply, "method_not_allowed", &connect);
        assert!(
            reply
                .header("allow")
                .is_some_and(|allow| allow.contains("GET") && !allow.contains("CONNECT"))
        );
        counted(&siege, "method_not_allowed", n).await;
    }
    assert_eq!(siege.witness.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_behind_a_good_request_is_answered_too() {
    let siege = Siege::lay().await;
    let mut line = siege.line().await;
    line.send(Siege::request("GET", "/", "")).await;
    assert_eq!(line.reply().await.unwrap().status, 200);
    line.send("evil\r\n\r\n").await;
    is_ours(
        &line.reply().await.expect("an answer"),
        "malformed_request",
        "evil",
    );
    assert!(line.is_closed().await);
}
