//! The limits that a site sets for the size of its requests.

use super::support::{Nobody, Siege, Stage, ask, with_line};

/// More than all buffers between a client and the gateway hold.
const LARGE: usize = 12 << 20;

/// A siege whose store is public and has these limits.
async fn siege_with(limits: &str) -> Siege {
    let lines = format!("default_access = \"public\"\n{limits}\nlanding =");
    Siege::lay_with(|config| config.replacen("landing =", &lines, 1), |_| {}).await
}

fn target_of(length: usize) -> String {
    format!("/{}", "a".repeat(length - 1))
}

/// A head whose fields have this length in all.
fn head_of(length: usize, host: &str) -> String {
    let rest = format!("Host: {host}\r\nX: \r\n");
    let value = "y".repeat(length - rest.len());
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {value}\r\n\r\n")
}

async fn status(siege: &Siege, request: impl AsRef<[u8]>) -> u16 {
    let reply = ask(siege.stage.address, request).await;
    reply.expect("an answer").status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_sets_the_longest_target() {
    for (limits, longest) in [
        ("max_target = \"32KiB\"", 32 * 1024),
        ("max_target = \"64KiB\"", 65_534),
        ("max_target = \"1KiB\"", 1024),
    ] {
        let siege = siege_with(limits).await;
        let request = |length| Siege::request("GET", &target_of(length), "");
        assert_eq!(status(&siege, request(longest)).await, 200, "{limits}");
        let seen = siege.witness.last().target();
        assert_eq!(seen, target_of(longest), "{limits}");
        assert_eq!(status(&siege, request(longest + 1)).await, 414, "{limits}");
        assert_eq!(siege.witness.count(), 1, "{limits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_sets_the_largest_head() {
    for (limits, largest) in [
        ("max_head = \"64KiB\"", 64 * 1024),
        ("max_head = \"2KiB\"", 2048),
    ] {
        let siege = siege_with(limits).await;
        let request = |length| head_of(length, "store.localhost:8080");
        assert_eq!(status(&siege, request(largest)).await, 200, "{limits}");
        assert_eq!(status(&siege, request(largest + 1)).await, 431, "{limits}");
        assert_eq!(siege.witness.count(), 1, "{limits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_one_site_are_not_those_of_others() {
    let siege = siege_with("max_target = \"32KiB\"\nmax_head = \"32KiB\"").await;
    for host in ["forum.localhost:8080", "nowhere.example"] {
        let long = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", target_of(8193));
        assert_eq!(status(&siege, long).await, 414, "{host}");
        let large = head_of(16 * 1024 + 1, host);
        assert_eq!(status(&siege, large).await, 431, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_the_form_is_no_longer_than_the_site_accepts() {
    let lines = "max_target = \"1KiB\"\nlanding =";
    let stage = Stage::set_with(|config| config.replacen("landing =", lines, 1), |_| {}).await;
    let mut browser = stage.browser();
    let reply = browser.get(&format!("/orders?{}", "&".repeat(1000))).await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), Some("/login"));
}

fn chunked(head: &str, length: usize) -> Vec<u8> {
    let mut request = Siege::request("POST", head, "Transfer-Encoding: chunked\r\n").into_bytes();
    let mut left = length;
    while left > 0 {
        let size = left.min(4096);
        request.extend(format!("{size:x}\r\n{}\r\n", "a".repeat(size)).into_bytes());
        left -= size;
    }
    request.extend(b"0\r\n\r\n");
    request
}

fn announced(length: usize) -> Vec<u8> {
    let fields = format!("Content-Length: {length}\r\n");
    let head = Siege::request("POST", "/upload", &fields);
    [head.into_bytes(), vec![b'a'; length]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_sets_the_largest_body() {
    let limit = 100 * 1024;
    let siege = siege_with("max_body = \"100KiB\"").await;
    for request in [announced(limit), chunked("/upload", limit)] {
        assert_eq!(status(&siege, request).await, 200);
        assert_eq!(siege.witness.last().body.len(), limit);
    }
    for request in [
        announced(limit + 1),
        announced(LARGE),
        chunked("/upload", limit + 1),
        chunked("/upload", LARGE),
    ] {
        let mut line = siege.line().await;
        assert!(line.send(request).await, "the connection broke");
        let reply = line.reply().await.expect("an answer");
        assert_eq!(
            (reply.status, &*reply.code()),
            (413, "request_too_large"),
            "{}",
            reply.body
        );
        assert!(line.is_closed().await);
    }
    // The application got no whole body of them.
    assert_eq!(siege.witness.count(), 2);
    assert_eq!(siege.stage.requests("request_too_large").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_body_that_is_too_large_is_refused_before_it_is_sent() {
    let siege = siege_with("max_body = \"1MiB\"").await;
    let mut line = siege.line().await;
    let fields = "Content-Length: 2000000\r\nExpect: 100-continue\r\n";
    line.send(Siege::request("PUT", "/upload", fields)).await;
    assert_eq!(line.reply().await.expect("an answer").status, 413);
    assert_eq!(siege.witness.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_may_take_no_bodies() {
    let siege = siege_with("max_body = \"0B\"").await;
    assert_eq!(status(&siege, announced(0)).await, 200);
    assert_eq!(status(&siege, chunked("/upload", 0)).await, 200);
    assert_eq!(status(&siege, announced(1)).await, 413);
    assert_eq!(status(&siege, chunked("/upload", 1)).await, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_an_own_endpoint_does_not_count() {
    let lines = "max_body = \"1B\"\nlanding =";
    let stage = Stage::set_with(|config| config.replacen("landing =", lines, 1), |_| {}).await;
    let mut browser = stage.signed_in().await;
    let reply = browser.post("/orders", &[("note", "a form")]).await;
    assert_eq!(reply.status, 413);
}

/// Each try counts the body from its start.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_sent_to_a_second_upstream_counts_once() {
    let nobody = Nobody::there();
    let siege = Siege::lay_with(
        |config| {
            let own = config.lines().find(|line| line.starts_with("upstreams"));
            let both = own
                .unwrap()
                .replace('[', &format!("[\"http://{}\", ", nobody.address()));
            let lines = format!("{both}\ndefault_access = \"public\"\nmax_body = \"60KiB\"");
            with_line(&config, "upstreams", &lines)
        },
        |_| {},
    )
    .await;
    for _ in 0..4 {
        assert_eq!(status(&siege, announced(60 * 1024)).await, 200);
    }
}

/// A form that the site would refuse when it is sent again is not preserved.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_too_large_is_not_preserved() {
    let lines = "max_body = \"100B\"\nlanding =";
    let stage = Stage::set_with(|config| config.replacen("landing =", lines, 1), |_| {}).await;
    let mut browser = stage.signed_in().await;
    let cookies: Vec<String> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    stage.expire_access_tokens();
    for (length, is_preserved) in [(20, true), (200, false)] {
        let body = format!("note={}", "a".repeat(length));
        let fields = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Mode: navigate\r\n\
             Origin: http://store.localhost:8080\r\nCookie: {}\r\nTransfer-Encoding: chunked\r\n",
            cookies.join("; ")
        );
        let head = Siege::request("POST", "/orders", &fields);
        let request = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let reply = ask(stage.address, request).await.expect("an answer");
        let is_offered = reply.body.contains("name=\"unsent\"");
        assert_eq!(
            (reply.status, is_offered),
            (401, is_preserved),
            "{}",
            reply.body
        );
    }
}
