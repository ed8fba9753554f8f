//! Requests that are refused while the client still sends: it gets the answer, and not a broken
//! connection.

use std::time::Duration;

use vestibule::system::stopwatch;

use super::support::{Nobody, Siege, Stage, ask, with_line};

/// More than all buffers between a client and the gateway hold.
const LARGE: usize = 12 << 20;

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_all_of_a_refused_body_gets_the_answer() {
    let siege = Siege::lay().await;
    let host = "Host: store.localhost:8080\r\n";
    let cross = format!("{host}{JSON}Origin: https://evil.example\r\n");
    for (line, fields, status) in [
        ("POST /orders", host.to_owned(), 401),
        ("POST /api/login", cross, 403),
        ("GET /_vestibule/nothing", host.to_owned(), 404),
        ("PUT /login", host.to_owned(), 405),
        ("POST /api/login", format!("{host}{FORM}"), 415),
        ("POST /api/login", format!("{host}{JSON}"), 413),
        ("POST /x", "Host: nowhere.example\r\n".to_owned(), 421),
        ("POST /x", format!("{host}{host}"), 400),
        ("POST /x", format!("{host}bad field\r\n"), 400),
        ("POST /x", format!("{host}Expect: wonders\r\n"), 417),
        (
            "POST /x",
            format!("{host}X: {}\r\n", "y".repeat(17_000)),
            431,
        ),
    ] {
        // One byte is not too large.
        for length in [LARGE, 1]
            .into_iter()
            .take(if status == 413 { 1 } else { 2 })
        {
            let head = format!("{line} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n");
            let mut client = siege.line().await;
            let sent = client
                .send([head.into_bytes(), vec![b'a'; length]].concat())
                .await;
            assert!(sent, "{line}: the connection broke");
            let reply = client.reply().await;
            let reply = reply.unwrap_or_else(|| panic!("{line} {length}: no answer"));
            assert_eq!(reply.status, status, "{line} {length}");
        }
    }
    assert_eq!(siege.witness.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_whoever_sends_a_large_body() {
    let nobody = Nobody::there();
    let upstreams = format!("upstreams = [\"http://{}\"]", nobody.address());
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let head = Siege::request("POST", "/", &format!("Content-Length: {LARGE}\r\n"));
    let reply = ask(
        stage.address,
        [head.into_bytes(), vec![b'a'; LARGE]].concat(),
    )
    .await;
    assert_eq!(reply.expect("an answer").status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused_before_it_ends() {
    let siege = Siege::lay().await;
    let host = "Host: store.localhost:8080\r\n";
    for (start, status, code) in [
        (
            format!("GET /{}", "x".repeat(8192)),
            414,
            "request_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\n{host}X: {}", "y".repeat(16_384)),
            431,
            "request_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\n{host}{}", "X: y\r\n".repeat(100)),
            431,
            "request_too_large",
        ),
        ("A".repeat(16_385), 431, "request_too_large"),
        ("\r\n".repeat(5), 400, "malformed_request"),
        ("\r".repeat(9), 400, "malformed_request"),
        ("\x16\x03\x01\x02".to_owned(), 400, "malformed_request"),
    ] {
        let told = &start[..start.len().min(40)];
        // In one go, and byte by byte.
        for step in [start.len(), 1] {
            let started = stopwatch();
            let mut client = siege.line().await;
            for part in start.as_bytes().chunks(step) {
                client.send(part).await;
            }
            let reply = client.reply().await.expect("an answer");
            assert_eq!(
                (reply.status, &*reply.code()),
                (status, code),
                "{told:?} {step}"
            );
            assert!(client.is_closed().await, "{told:?} {step}");
            assert!(
                started.elapsed() < Duration::from_secs(9),
                "{told:?} {step}"
            );
        }
    }
    let empty_lines = "\r\n".repeat(4) + &Siege::request("GET", "/", "");
    assert_eq!(
        ask(siege.stage.address, empty_lines).await.unwrap().status,
        200
    );
}
