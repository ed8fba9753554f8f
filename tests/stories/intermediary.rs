//! What an intermediary owes to both sides (RFC 9110, section 7.6; RFC 9112, section 6): what is
//! meant for one hop ends there, and no message is passed on that has two meanings.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{PASSWORD, SHOPPER, Siege, Stage, ask};

async fn open_house() -> Siege {
    Siege::lay_with(
        |config| config.replacen("landing =", "default_access = \"public\"\nlanding =", 1),
        |_| {},
    )
    .await
}

/// Everything that comes back until the gateway hangs up.
async fn raw(siege: &Siege, request: &str) -> String {
    let mut stream = TcpStream::connect(siege.stage.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

fn get(target: &str) -> String {
    Siege::request("GET", target, "")
}

/// What stands behind a response whose end is in doubt, for whoever reads on.
const POISON: &str = "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

#[tokio::test(flavor = "multi_thread")]
async fn a_response_whose_end_is_in_doubt_is_502_and_ends_both_connections() {
    let siege = open_house().await;
    let (mut ended, mut kept) = (0, 0);
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 005\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{POISON}");
        siege.witness.answers(answer.as_bytes());
        let before = siege.witness.connections();
        let mut line = siege.line().await;
        line.send(get("/x") + &get("/y")).await;
        let reply = line.reply().await.expect("an answer");
        assert_eq!(reply.code(), "upstream_unavailable", "{fields:?}");
        assert_eq!(reply.status, 502, "{fields:?}");
        while let Some(reply) = line.reply().await {
            assert!(!reply.body.contains("poison"), "{fields:?}: {reply:?}");
        }
        siege.witness.answers(b"");
        let reply = ask(siege.stage.address, get("/next"))
            .await
            .expect("an answer");
        assert_eq!(reply.body, "seen /next", "{fields:?}");
        if siege.witness.connections() > before {
            ended += 1;
        } else {
            kept += 1;
        }
    }
    // A second connection may lie in the pool, and serve what comes next.
    assert!(ended > 7 && kept < 3, "{ended} ended, {kept} kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_a_body_has_no_fields_about_one() {
    let siege = open_house().await;
    for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let answer = format!("HTTP/1.1 204 No Content\r\n{fields}ETag: x\r\n\r\n");
        siege.witness.answers(answer.as_bytes());
        let all = raw(
            &siege,
            &Siege::request("GET", "/x", "Connection: close\r\n"),
        )
        .await;
        assert!(all.starts_with("HTTP/1.1 204 "), "{all}");
        let all = all.to_ascii_lowercase();
        assert!(all.contains("etag: x\r\n"), "{all}");
        assert!(
            !all.contains("content-length") && !all.contains("transfer-encoding"),
            "{all}"
        );
        let hints = format!("HTTP/1.1 103 Early Hints\r\n{fields}Link: </a>\r\n\r\n");
        let answer = hints + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        siege.witness.answers(answer.as_bytes());
        let all = raw(
            &siege,
            &Siege::request("GET", "/x", "Connection: close\r\n"),
        )
        .await;
        let (hints, rest) = all.split_once("\r\n\r\n").unwrap();
        let hints = hints.to_ascii_lowercase();
        assert!(
            hints.starts_with("http/1.1 103 ") && hints.contains("link: </a>"),
            "{all}"
        );
        assert!(
            !hints.contains("content-length") && !hints.contains("transfer-"),
            "{all}"
        );
        assert!(
            rest.starts_with("HTTP/1.1 200 ") && rest.ends_with("ok"),
            "{all}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_of_a_response_end_at_the_gateway() {
    let siege = open_house().await;
    siege.witness.answers(
        b"HTTP/1.1 200 OK\r\nConnection: X-Internal-Node, Upgrade, set-cookie\r\n\
          X-Internal-Node: 10.1.2.3\r\nUpgrade: h2c\r\nKeep-Alive: timeout=5\r\n\
          Proxy-Connection: keep-alive\r\nTE: x\r\nTrailer: x\r\nProxy-Authenticate: Basic\r\n\
          X-Stays: y\r\nContent-Length: 2\r\n\r\nok",
    );
    let reply = ask(siege.stage.address, get("/x"))
        .await
        .expect("an answer");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    for gone in [
        "x-internal-node",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "proxy-authenticate",
    ] {
        assert_eq!(reply.header(gone), None, "{gone}");
    }
    assert_eq!(reply.header("connection"), Some("keep-alive"));
    assert_eq!(reply.header("x-stays"), Some("y"));
    siege.witness.answers(
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
          Content-Length: 0\r\n\r\n",
    );
    let reply = ask(siege.stage.address, get("/x"))
        .await
        .expect("an answer");
    assert_eq!(
        (reply.status, reply.header("upgrade")),
        (426, Some("websocket"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nominated_fields_take_no_credentials_away() {
    let siege = Siege::lay().await;
    let cookies = siege.shopper().await;
    siege.stage.expire_access_tokens();
    siege.witness.answers(
        b"HTTP/1.1 200 OK\r\nConnection: set-cookie, cache-control\r\nSet-Cookie: a=b\r\n\
          Content-Length: 2\r\n\r\nok",
    );
    let fields = format!("Cookie: {cookies}\r\n");
    let request = Siege::request("GET", "/orders", &fields);
    let reply = ask(siege.stage.address, request).await.expect("an answer");
    let set = reply.all("set-cookie");
    assert!(
        set.iter().any(|line| line.starts_with("vestibule-access=")),
        "{reply:?}"
    );
    assert!(set.iter().all(|line| !line.starts_with("a=")), "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
}

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Node\r\n\
                      Upgrade: websocket\r\nX-Node: a\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn only_the_upgrade_that_was_asked_for_is_taken() {
    let siege = open_house().await;
    siege.witness.answers(SWITCH.as_bytes());
    let reply = ask(siege.stage.address, Siege::request("GET", "/x", HANDSHAKE))
        .await
        .expect("an answer");
    assert_eq!(
        (reply.status, reply.header("upgrade")),
        (101, Some("websocket"))
    );
    assert_eq!(reply.header("connection"), Some("Upgrade"));
    assert_eq!(reply.header("x-node"), None);
    let seen = siege.witness.last();
    assert_eq!(seen.one("upgrade").as_deref(), Some("websocket"));
    for (request, answer) in [
        (get("/x"), SWITCH.to_owned()),
        (
            Siege::request("GET", "/x", HANDSHAKE),
            SWITCH.replace("websocket", "h2c"),
        ),
        (
            Siege::request("GET", "/x", HANDSHAKE),
            SWITCH.replace("Upgrade: websocket\r\n", ""),
        ),
        (
            Siege::request("GET", "/x", HANDSHAKE),
            SWITCH.replace("HTTP/1.1", "HTTP/1.0"),
        ),
    ] {
        siege.witness.answers(answer.as_bytes());
        let reply = ask(siege.stage.address, &request).await.expect("an answer");
        assert_eq!(reply.status, 502, "{request:?} {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_was_not_asked_of_the_gateway_is_none() {
    let siege = open_house().await;
    let without_connection = HANDSHAKE.replace("Connection: Upgrade\r\n", "");
    let of_another_hop = HANDSHAKE.replace("Connection: Upgrade", "Connection: keep-alive");
    for request in [
        Siege::request("GET", "/x", &without_connection),
        Siege::request("GET", "/x", &of_another_hop),
        Siege::request("POST", "/x", HANDSHAKE),
        Siege::request("GET", "/x", &HANDSHAKE.replace("websocket", "h2c")),
        Siege::request("GET", "/x", HANDSHAKE).replace("HTTP/1.1", "HTTP/1.0"),
    ] {
        let reply = ask(siege.stage.address, &request).await.expect("an answer");
        assert_eq!(reply.status, 200, "{request:?}");
        let seen = siege.witness.last();
        assert_eq!(seen.one("upgrade"), None, "{request:?}");
        assert_eq!(seen.one("connection"), None, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_line_is_the_gateway_s() {
    let siege = open_house().await;
    siege
        .witness
        .answers(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let all = raw(
        &siege,
        &Siege::request("GET", "/x", "Connection: close\r\n"),
    )
    .await;
    assert!(
        all.starts_with("HTTP/1.1 200 ") && all.ends_with("\r\n\r\nok"),
        "{all}"
    );
    let old = |target: &str| get(target).replace("HTTP/1.1", "HTTP/1.0");
    let all = raw(&siege, &old("/x")).await;
    assert!(
        all.starts_with("HTTP/1.0 200 ") && all.ends_with("\r\n\r\nok"),
        "{all}"
    );
    let all = raw(&siege, &old("/_vestibule/none")).await;
    assert!(all.starts_with("HTTP/1.0 404 "), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_neither_chunks_nor_informational_responses() {
    let siege = open_house().await;
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    for keep_alive in ["", "Connection: keep-alive\r\n"] {
        let request = Siege::request("GET", "/x", keep_alive).replace("HTTP/1.1", "HTTP/1.0");
        for answer in [chunked.clone(), format!("{hints}{chunked}")] {
            siege.witness.answers(answer.as_bytes());
            let all = raw(&siege, &request).await;
            assert!(all.starts_with("HTTP/1.0 200 "), "{all}");
            assert!(all.ends_with("\r\n\r\nhello"), "{all}");
            let head = all.to_ascii_lowercase();
            assert!(!head.contains("transfer-encoding"), "{all}");
            assert!(head.contains("connection: close"), "{all}");
        }
    }
    // Their end is that of the connection, or they come from an older application.
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
    ] {
        for keep_alive in ["", "Connection: keep-alive\r\n"] {
            siege.witness.answers_and_closes(answer.as_bytes());
            let request = Siege::request("GET", "/x", keep_alive).replace("HTTP/1.1", "HTTP/1.0");
            let all = raw(&siege, &request).await;
            assert!(all.starts_with("HTTP/1.0 200 "), "{all}");
            assert!(all.ends_with("\r\n\r\nhello"), "{all}");
            assert!(
                !all.to_ascii_lowercase().contains("transfer-encoding"),
                "{all}"
            );
        }
    }
    // A length lets the connection live.
    siege
        .witness
        .answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let request = Siege::request("GET", "/x", "Connection: keep-alive\r\n");
    let request = request.replace("HTTP/1.1", "HTTP/1.0");
    let mut line = siege.line().await;
    for _ in 0..2 {
        line.send(&request).await;
        let reply = line.reply().await.expect("an answer");
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_continued_or_begun_anew() {
    let siege = open_house().await;
    let seen = |fields: &'static str| {
        let siege = &siege;
        async move {
            let reply = ask(siege.stage.address, Siege::request("GET", "/x", fields)).await;
            assert_eq!(reply.expect("an answer").status, 200, "{fields}");
            let seen = siege.witness.last();
            (seen.one("traceparent"), seen.one("tracestate"))
        }
    };
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
                  Tracestate: a=b\r\n";
    assert_eq!(seen(fields).await, (Some(good.into()), Some("a=b".into())));
    assert_eq!(seen("").await, (None, None));
    for fields in [
        "Traceparent: evil\r\nTracestate: a=b\r\n",
        "Traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n",
        "Tracestate: a=b\r\n",
        "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
         Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    ] {
        let (parent, state) = seen(fields).await;
        let parent = parent.expect("a new trace");
        assert!(parent.len() == 55 && parent != good, "{fields}: {parent}");
        assert_eq!(state, None, "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_bytes_of_a_client_do_not_hide_it_behind_a_trusted_proxy() {
    let siege = Siege::lay_with(
        |config| config.replacen("[server]", "[server]\ntrusted_proxies = [\"127.0.0.1\"]", 1),
        |_| {},
    )
    .await;
    let request = [
        &b"GET / HTTP/1.1\r\nHost: store.localhost:8080\r\nProxy: http://evil.example\r\n"[..],
        b"X-Forwarded-For: \xe9\r\nX-Forwarded-For: 192.0.2.7\r\n",
        b"Forwarded: for=\"evil\r\nForwarded: for=192.0.2.7\r\n\r\n",
    ]
    .concat();
    let reply = ask(siege.stage.address, request).await.expect("an answer");
    assert_eq!(reply.status, 200);
    let seen = siege.witness.last();
    assert_eq!(seen.one("x-real-ip").as_deref(), Some("192.0.2.7"));
    assert_eq!(
        seen.one("x-forwarded-for").as_deref(),
        Some("unknown, 192.0.2.7, 127.0.0.1")
    );
    assert_eq!(
        seen.one("forwarded").as_deref(),
        Some("for=192.0.2.7, for=127.0.0.1;host=\"store.localhost:8080\";proto=http")
    );
    assert_eq!(seen.one("proxy"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fields_that_occur_twice_none_counts_or_all_do() {
    let siege = Siege::lay().await;
    let origin = "Origin: http://store.localhost:8080\r\n";
    let request = Siege::request("GET", "/", &origin.repeat(2));
    let reply = ask(siege.stage.address, request).await.expect("an answer");
    assert_eq!(reply.status, 400);
    // The first line alone would make it an API call.
    let accepts = "Accept: application/json\r\nAccept: text/html\r\n";
    let request = Siege::request("GET", "/orders", accepts);
    let reply = ask(siege.stage.address, request).await.expect("an answer");
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/login?return_to=/orders"))
    );
    let cookies = siege.shopper().await;
    let sites = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n";
    let fields = format!("Cookie: {cookies}\r\nContent-Length: 0\r\n{sites}");
    let request = Siege::request("POST", "/orders", &fields);
    let reply = ask(siege.stage.address, request).await.expect("an answer");
    assert_eq!(reply.code(), "cross_site_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_401_has_a_challenge() {
    for (bearer, challenge) in [
        ("", "Cookie realm=\"store\""),
        ("bearer = true\n", "Bearer"),
    ] {
        let stage = Stage::set_with(
            |config| config.replacen("landing =", &format!("{bearer}landing ="), 1),
            |_| {},
        )
        .await;
        let json = |path: &str, body: &str| {
            let fields = format!(
                "Content-Type: application/json\r\nOrigin: http://store.localhost:8080\r\n\
                 Content-Length: {}\r\n",
                body.len()
            );
            Siege::request("POST", path, &fields) + body
        };
        let wrong = "{\"loginId\":\"shopper@example.com\",\"password\":\"wrong\"}";
        let second = format!(
            "{{\"loginId\":\"{}\",\"password\":\"{PASSWORD}\"}}",
            SHOPPER.replace("shopper", "two-factor")
        );
        let mut statuses = Vec::new();
        for request in [
            Siege::request("GET", "/orders", "Accept: application/json\r\n"),
            Siege::request("POST", "/orders", "Content-Length: 0\r\n"),
            json("/api/login", wrong),
            json("/api/refresh", "{}"),
            json("/api/login", &second),
        ] {
            let reply = ask(stage.address, &request).await.expect("an answer");
            statuses.push(reply.status);
            let expected = (reply.status == 401).then_some(challenge);
            assert_eq!(
                reply.header("www-authenticate"),
                expected,
                "{request} {reply:?}"
            );
        }
        assert_eq!(
            statuses.iter().filter(|status| **status == 401).count(),
            statuses.len()
        );
        // A page too.
        let mut browser = stage.browser();
        let reply = browser.sign_in(SHOPPER, "wrong").await;
        assert_eq!(
            (reply.status, reply.header("www-authenticate")),
            (401, Some(challenge))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_own_bearer_token_reaches_it() {
    let siege = Siege::lay_with(
        |config| config.replacen("landing =", "bearer = true\nlanding =", 1),
        |_| {},
    )
    .await;
    let own = "Authorization: Bearer glsa_own\r\n";
    let beside_cookies = format!("{own}Cookie: {}\r\n", siege.shopper().await);
    for (target, fields, is_signed_in) in [
        ("/products/1", own, false),
        ("/", own, false),
        ("/products/1", &*beside_cookies, true),
        ("/orders", &*beside_cookies, true),
    ] {
        let request = Siege::request("GET", target, fields);
        let reply = ask(siege.stage.address, request).await.expect("an answer");
        assert_eq!(reply.status, 200, "{target}");
        let seen = siege.witness.last();
        assert_eq!(
            seen.one("authorization").as_deref(),
            Some("Bearer glsa_own"),
            "{target}"
        );
        assert_eq!(seen.one("x-auth-user-id").is_some(), is_signed_in);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_accepted_target_leads_to_a_form_that_is_accepted() {
    let siege = Siege::lay().await;
    for (query, kept) in [("a=&".repeat(1300), true), ("&".repeat(4000), false)] {
        let request = Siege::request("GET", &format!("/orders?{query}"), "Accept: text/html\r\n");
        let reply = ask(siege.stage.address, request).await.expect("an answer");
        assert_eq!(reply.status, 302);
        let location = reply.header("location").unwrap();
        assert_eq!(location != "/login", kept);
        let form = ask(siege.stage.address, get(location))
            .await
            .expect("an answer");
        assert_eq!(form.status, 200, "{} bytes", location.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_an_upstream_by_any_of_its_addresses() {
    let siege = Siege::lay_with(
        |config| {
            let line = config.lines().find(|line| line.starts_with("upstreams"));
            let line = line.unwrap().to_owned();
            let named = line.replace("127.0.0.1", "localhost");
            // The name of the first does not resolve.
            let dead = named.replace('[', "[\"http://does-not-exist.invalid\", ");
            config.replacen(&line, &dead, 1)
        },
        |_| {},
    )
    .await;
    for _ in 0..4 {
        let reply = ask(siege.stage.address, get("/")).await.expect("an answer");
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_names_its_own_address_is_named_by_the_site() {
    for (setting, is_rewritten) in [("", true), ("rewrite = false\n", false)] {
        let siege = Siege::lay_with(
            |config| {
                let fields = format!("{setting}default_access = \"public\"\nlanding =");
                config.replacen("landing =", &fields, 1)
            },
            |_| {},
        )
        .await;
        let upstream = siege.witness.address();
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{upstream}/cart?a=b#c\r\n\
             Content-Location: //{upstream}//evil.example/\r\n\
             Set-Cookie: a=1; Domain={host}; Path=/\r\nSet-Cookie: b=2; Domain=x.example\r\n\
             Content-Length: 0\r\n\r\n",
            host = upstream.ip(),
        );
        siege.witness.answers(answer.as_bytes());
        let reply = ask(siege.stage.address, get("/x"))
            .await
            .expect("an answer");
        let cookies: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        let (first_cookie, origin) = if is_rewritten {
            (
                "a=1; Path=/".to_owned(),
                "http://store.localhost:8080".to_owned(),
            )
        } else {
            (
                format!("a=1; Domain={}; Path=/", upstream.ip()),
                format!("http://{upstream}"),
            )
        };
        assert_eq!(cookies, [first_cookie.as_str(), "b=2; Domain=x.example"]);
        let location = format!("{origin}/cart?a=b#c");
        assert_eq!(reply.header("location"), Some(location.as_str()));
        let content_location = if is_rewritten {
            format!("{origin}//evil.example/")
        } else {
            format!("//{upstream}//evil.example/")
        };
        assert_eq!(
            reply.header("content-location"),
            Some(content_location.as_str())
        );
    }
}
