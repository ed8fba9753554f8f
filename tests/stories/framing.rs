//! Where one request ends and the next begins: whatever two programs could disagree about. Whoever
//! asks is answered once, the application hears at most one request, and then the connection is
//! closed or in step.

use std::fmt::Write as _;
use std::time::Duration;

use vestibule::system::stopwatch;

use super::support::{Line, Siege, ask};

/// Stands at the end of what an attacker sends, to see as whose words it is taken.
const FOLLOW_UP: &str =
    "GET /follow-up HTTP/1.1\r\nHost: store.localhost:8080\r\nConnection: close\r\n\r\n";

async fn open_house() -> Siege {
    house("").await
}

async fn house(limits: &str) -> Siege {
    let limits = format!("[server.limits]\n{limits}\n[providers.main]");
    Siege::lay_with(
        |config| {
            let config = config.replacen("landing =", "default_access = \"public\"\nlanding =", 1);
            config.replacen("[providers.main]", &limits, 1)
        },
        |_| {},
    )
    .await
}

/// Sends an odd request and the follow-up in one go and reads what comes back. Gives the first
/// status.
async fn probe(siege: &Siege, odd: &[u8]) -> u16 {
    let told = odd[..odd.len().min(300)].escape_ascii().to_string();
    let before = siege.witness.count();
    let mut line = siege.line().await;
    line.send([odd, FOLLOW_UP.as_bytes()].concat()).await;
    // A gateway that waits for more is told that no more will come.
    let first = match tokio::time::timeout(Duration::from_secs(1), line.reply()).await {
        Ok(first) => first,
        Err(_) => {
            line.finish().await;
            line.reply().await
        }
    };
    let first = first.unwrap_or_default();
    let mut follow_ups = 0;
    while let Some(reply) = line.reply().await {
        assert_eq!(reply.body, "seen /follow-up", "{told}");
        follow_ups += 1;
    }
    let seen = siege.witness.seen().split_off(before);
    let others = seen
        .iter()
        .filter(|seen| seen.target() != "/follow-up")
        .count();
    assert!(others <= 1 && seen.len() - others <= 1, "{told}: {seen:?}");
    assert!(follow_ups <= 1, "{told}");
    for seen in &seen {
        assert!(
            !seen.mentions("smuggled") && !seen.mentions("evil"),
            "{told}: {seen:?}"
        );
    }
    first.status
}

/// A request whose first line, framing fields and body are the attacker's.
fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /x HTTP/1.1\r\nHost: store.localhost:8080\r\n{fields}\r\n{body}").into_bytes()
}

const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_end_is_in_doubt_is_refused() {
    let siege = open_house().await;
    let smuggled = SMUGGLED;
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "transfer-encoding: chunked\r\ncontent-length:6\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: evil\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: , chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding: CHUNKED\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: chun\tked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\r\n\tTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 7\r\n",
        "Content-Length: 6\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 006\r\n",
        "Content-Length: 6, 6\r\n",
        "Content-Length: 6,6\r\n",
        "Content-Length: 6, 7\r\n",
        "Content-Length: +6\r\n",
        "Content-Length: -6\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 0x6\r\n",
        "Content-Length: 6 6\r\n",
        "Content-Length: 6.0\r\n",
        "Content-Length: 6,\r\n",
        "Content-Length: ,6\r\n",
        "Content-Length:\r\n",
        "Content-Length: evil\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 6\r\n",
        "Content-Length: 6\r\n Content-Length: 7\r\n",
        "Content-Length:\r\n 6\r\n",
    ] {
        let before = siege.witness.count();
        let status = probe(&siege, &post(fields, smuggled)).await;
        assert_eq!(status, 400, "{fields:?}");
        assert_eq!(
            siege.witness.count(),
            before,
            "{fields:?} reached the application"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_read_strictly() {
    let siege = open_house().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let good = [
        "5\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-Auth-User-Id: evil\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ];
    for body in good {
        assert_eq!(probe(&siege, &post(chunked, body)).await, 200, "{body:?}");
        let seen = siege
            .witness
            .seen()
            .into_iter()
            .rfind(|seen| seen.target() == "/x")
            .unwrap();
        assert_eq!(seen.body, b"hello", "{body:?}");
    }
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ] {
        let before = siege.witness.count();
        let status = probe(&siege, &post(chunked, body)).await;
        assert!([0, 400].contains(&status), "{body:?}: {status}");
        assert_eq!(
            siege.witness.count(),
            before,
            "{body:?} reached the application"
        );
    }
    // Pingora takes an empty size for the last one and a bare LF for a part of the extension. What
    // it leaves on the wire, where another would have read on, must not be taken for a request.
    for body in ["\r\n5\r\nhello\r\n0\r\n\r\n", "5;\nx\r\nhello\r\n0\r\n\r\n"] {
        let mut line = siege.line().await;
        line.send(post(chunked, body)).await;
        assert_eq!(
            line.reply().await.expect("an answer").header("connection"),
            Some("close"),
            "{body:?}"
        );
        assert!(line.is_closed().await, "{body:?}");
    }
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(1 << 20));
    assert!([0, 400].contains(&probe(&siege, &post(chunked, &extension)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_read_strictly() {
    let siege = open_house().await;
    let host = "Host: store.localhost:8080\r\n";
    for head in [
        format!("POST /x HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X : y\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n {host}{host}\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X: y\r\n z\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X: y\rz\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X: y\0z\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X\0: y\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X(y): z\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}: evil\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}evil\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X: \x01\r\n\r\n"),
        format!("GET /x HTTP/1.1\r\n{host}X: \x7f\r\n\r\n"),
        format!("GET /x\r\n{host}\r\n"),
        format!("GET /x HTTP/1.1 evil\r\n{host}\r\n"),
        format!("GET /x HTTP/2.0\r\n{host}\r\n"),
        format!("GET /x HTTP/0.9\r\n{host}\r\n"),
        format!("GET /x HTTP/1.2\r\n{host}\r\n"),
        format!("GET /x http/1.1\r\n{host}\r\n"),
        format!("GET\t/x\tHTTP/1.1\r\n{host}\r\n"),
        format!("GET  /x HTTP/1.1\r\n{host}\r\n"),
        format!("GET /x  HTTP/1.1\r\n{host}\r\n"),
        format!(" GET /x HTTP/1.1\r\n{host}\r\n"),
        format!("G(T /x HTTP/1.1\r\n{host}\r\n"),
        format!("GET\0 /x HTTP/1.1\r\n{host}\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(),
        "evil\r\n\r\n".to_owned(),
    ] {
        let before = siege.witness.count();
        let status = probe(&siege, head.as_bytes()).await;
        assert!([0, 400].contains(&status), "{head:?}: {status}");
        assert_eq!(
            siege.witness.count(),
            before,
            "{head:?} reached the application"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_are_forwarded_but_for_two() {
    let siege = open_house().await;
    for method in ["TRACE", "CONNECT"] {
        let before = siege.witness.count();
        assert_eq!(
            probe(&siege, Siege::request(method, "/x", "").as_bytes()).await,
            405,
            "{method}"
        );
        assert_eq!(siege.witness.count(), before, "{method}");
    }
    let before = siege.witness.count();
    let connect = "CONNECT store.localhost:8080 HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
    let status = probe(&siege, connect.as_bytes()).await;
    assert!([400, 405].contains(&status), "{status}");
    assert_eq!(siege.witness.count(), before);
    let reply = ask(
        siege.stage.address,
        Siege::request("TRACE", "/x", "Cookie: a=evil\r\n"),
    )
    .await
    .expect("an answer");
    assert!(
        reply.header("allow").is_some() && !reply.body.contains("evil"),
        "{reply:?}"
    );
    for method in ["post", "Get", "trace", "connect", "oPTIONS"] {
        let before = siege.witness.count();
        assert_eq!(
            probe(&siege, Siege::request(method, "/x", "").as_bytes()).await,
            400,
            "{method}"
        );
        assert_eq!(siege.witness.count(), before, "{method}");
    }
    for method in ["PROPFIND", "purge", "M-SEARCH"] {
        assert_eq!(
            probe(&siege, Siege::request(method, "/x", "").as_bytes()).await,
            200,
            "{method}"
        );
    }
    let huge = Siege::request(&"A".repeat(100_000), "/x", "");
    let before = siege.witness.count();
    let status = probe(&siege, huge.as_bytes()).await;
    assert!([400, 431].contains(&status), "{status}");
    assert_eq!(siege.witness.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_its_limits_is_431() {
    let siege = open_house().await;
    let fields = |count: usize, value: &str| {
        (0..count).fold(String::new(), |mut fields, n| {
            write!(fields, "X-{n}: {value}\r\n").unwrap();
            fields
        })
    };
    let many = |count: usize| fields(count, "y");
    // With `Host` it is a hundred.
    assert_eq!(
        probe(&siege, Siege::request("GET", "/x", &many(99)).as_bytes()).await,
        200
    );
    assert_eq!(
        probe(
            &siege,
            Siege::request("GET", "/x", &format!("X: {}\r\n", "y".repeat(15_000))).as_bytes()
        )
        .await,
        200
    );
    let before = siege.witness.count();
    let long = |length: usize| format!("X: {}\r\n", "y".repeat(length));
    let wide = fields(90, &"y".repeat(200));
    for fields in [
        many(100),
        many(300),
        many(2000),
        long(17 * 1024),
        long(60_000),
        long(200_000),
        wide,
    ] {
        let request = Siege::request("GET", "/x", &fields);
        assert_eq!(
            probe(&siege, request.as_bytes()).await,
            431,
            "{} bytes",
            request.len()
        );
    }
    assert_eq!(siege.witness.count(), before);
    // Two megabytes: whatever is said of it, nobody keeps them.
    let status = probe(
        &siege,
        Siege::request("GET", "/x", &long(2 << 20)).as_bytes(),
    )
    .await;
    assert!([0, 400, 431].contains(&status), "{status}");
    assert_eq!(siege.witness.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_nothing_of_itself_behind() {
    let siege = Siege::lay().await;
    // The body of a request that is not let in is the next request of a careless gateway.
    let inner = "GET /smuggled HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
    for (method, target) in [
        ("POST", "/orders"),
        ("POST", "/nowhere"),
        ("PUT", "/login"),
        ("POST", "/login"),
        ("GET", "/orders"),
    ] {
        for fields in [
            format!("Content-Length: {}\r\n", inner.len()),
            format!(
                "Content-Length: {}\r\nExpect: 100-continue\r\n",
                inner.len()
            ),
            "Transfer-Encoding: chunked\r\n".to_owned(),
        ] {
            let body = if fields.starts_with("Transfer") {
                format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len())
            } else {
                inner.to_owned()
            };
            let request = Siege::request(method, target, &fields) + &body;
            let mut line = siege.line().await;
            line.send(request).await;
            let first = line.reply().await.expect("an answer");
            assert!(
                (100..500).contains(&first.status),
                "{method} {target}: {first:?}"
            );
            line.send(Siege::request("GET", "/", "")).await;
            while let Some(reply) = line.reply().await {
                if reply.body == "seen /" {
                    break;
                }
                assert!(
                    reply.status == 100 || reply.status >= 400,
                    "{method} {target}: {reply:?}"
                );
            }
        }
    }
    assert!(
        siege
            .witness
            .seen()
            .iter()
            .all(|seen| seen.target() == "/" && seen.method == "GET")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_refused_opens_no_tunnel() {
    let siege = Siege::lay().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n";
    for (method, target, fields) in [
        ("GET", "/orders", upgrade.to_owned()),
        ("GET", "/", upgrade.to_owned()),
        ("POST", "/", format!("{upgrade}Content-Length: 0\r\n")),
        (
            "GET",
            "/",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
                .to_owned(),
        ),
    ] {
        let request =
            Siege::request(method, target, &fields) + &Siege::request("GET", "/admin/smuggled", "");
        let mut line = siege.line().await;
        line.send(request).await;
        line.finish().await;
        while let Some(reply) = line.reply().await {
            assert_ne!(reply.status, 101, "{target}");
        }
    }
    for seen in siege.witness.seen() {
        assert_eq!(seen.target(), "/");
        assert!(
            seen.one("http2-settings").is_none()
                && seen.one("upgrade").is_none_or(|to| to == "websocket"),
            "{seen:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_are_hung_up_on_and_hold_nobody_up() {
    let siege = house("header_timeout = \"1s\"").await;
    let started = stopwatch();
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut line = siege.line().await;
        slow.push(vestibule::system::detach(async move {
            for byte in Siege::request("GET", "/x", "X: never-to-be-finished\r\n")
                .bytes()
                .cycle()
            {
                if !line.send([byte]).await {
                    break;
                }
                if tokio::time::timeout(
                    Duration::from_millis(if n % 2 == 0 { 50 } else { 400 }),
                    line.is_closed(),
                )
                .await
                .is_ok()
                {
                    break;
                }
            }
        }));
    }
    let reply = ask(
        siege.stage.address,
        Siege::request("GET", "/meanwhile", "Connection: close\r\n"),
    )
    .await
    .unwrap();
    assert_eq!(reply.body, "seen /meanwhile");
    for line in slow {
        line.await.unwrap();
    }
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    assert!(
        siege
            .witness
            .seen()
            .iter()
            .all(|seen| seen.target() == "/meanwhile")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_head_has_no_more_time_than_the_first() {
    let siege = house("header_timeout = \"1s\"").await;
    let mut line = siege.line().await;
    line.send(Siege::request("GET", "/x", "")).await;
    assert_eq!(line.reply().await.unwrap().status, 200);
    line.send("GET /y HTTP/1.1\r\n").await;
    let started = stopwatch();
    assert!(line.is_closed().await);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_lives_as_long_as_it_may() {
    let siege = house("header_timeout = \"200ms\"\nkeep_alive = \"2s\"").await;
    for asked_before in [false, true] {
        let mut line = siege.line().await;
        if asked_before {
            line.send(Siege::request("GET", "/x", "")).await;
            assert_eq!(line.reply().await.unwrap().status, 200);
        }
        let started = stopwatch();
        assert!(line.is_closed().await);
        let lived = started.elapsed();
        assert!(
            (Duration::from_millis(1500)..Duration::from_secs(5)).contains(&lived),
            "{asked_before} {lived:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_of_ten_megabytes_is_refused_at_once() {
    let siege = Siege::lay().await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://store.localhost:8080\r\n";
    let length = 10 << 20;
    let too_much = 1 << 30;
    // Announced and not sent: nobody waits for it.
    let announced = Siege::request(
        "POST",
        "/login",
        &format!("{form}Content-Length: {length}\r\n"),
    );
    let mut line = siege.line().await;
    let started = stopwatch();
    line.send(&announced).await;
    assert_eq!(line.reply().await.expect("an answer").status, 413);
    assert!(line.is_closed().await);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    // In pieces whose end nobody knows: the answer is there before the end, and what comes is
    // thrown away.
    let mut line = siege.line().await;
    line.send(Siege::request(
        "POST",
        "/login",
        &format!("{form}Transfer-Encoding: chunked\r\n"),
    ))
    .await;
    let piece = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let mut sent = 0;
    while sent < too_much && line.send(&piece).await {
        sent += 0x1000;
    }
    assert!(sent < too_much, "all of it was taken");
    // In one go, before any look at the answer.
    let mut line = siege.line().await;
    line.send([announced.into_bytes(), vec![b'a'; length]].concat())
        .await;
    assert_eq!(line.reply().await.expect("an answer").status, 413);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_in_the_middle_harms_nobody() {
    let siege = open_house().await;
    for fields in ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"] {
        for target in ["/x", "/login"] {
            for _ in 0..20 {
                let mut line = siege.line().await;
                line.send(Siege::request("POST", target, fields) + "3e8\r\nhalf")
                    .await;
                drop(line);
            }
        }
    }
    let mut line = Line::to(siege.stage.address).await;
    line.send(Siege::request("GET", "/after", "")).await;
    assert_eq!(line.reply().await.expect("an answer").body, "seen /after");
    assert!(
        siege
            .witness
            .seen()
            .iter()
            .all(|seen| seen.target() == "/after")
    );
}
