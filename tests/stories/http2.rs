//! HTTP/2 with prior knowledge on the listener that speaks HTTP/1 too: the same requests, and what
//! only streams can do.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::http2::{
    Frame, Frames, GOAWAY, HEADERS, Http2Client, PING, RST_STREAM, get, next, pseudo, reset_reason,
    status_of, whole,
};
use super::support::{
    Browser, Holding, Pair, SecureServer, Siege, Stage, Trust, exchange, raw, with_line,
};

const JSON: (&str, &str) = ("content-type", "application/json");

fn cookie_of(browser: &Browser) -> String {
    let pairs: Vec<String> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_on_one_listener() {
    let stage = Stage::set().await;
    let mut client = Http2Client::to(stage.address).await;
    let reply = client.get("/").await;
    assert_eq!(
        (reply.status, &*reply.body),
        (200, "hello from the application")
    );
    let seen = stage.store.last();
    assert_eq!(seen.header("host"), Some("store.localhost:8080"));
    // The peer is the client's address, in every field that names it.
    for name in ["x-forwarded-for", "x-real-ip"] {
        assert_eq!(seen.header(name), Some("127.0.0.1"), "{name}");
    }
    assert_eq!(seen.header("via"), Some("2 vestibule"));
    // A request that is shorter than the preface of HTTP/2, and ones that begin as it does.
    for start in [
        "GET / HTTP/1.0\r\n",
        "PRI * HTTP/2.0\r\nX: y\r\n",
        "PUT / HTTP/1.0\r\n",
    ] {
        let reply = raw(stage.address, format!("{start}\r\n").as_bytes()).await;
        assert_eq!(reply.status, 400, "{start:?}");
    }
    // Byte by byte.
    let mut slow = TcpStream::connect(stage.address).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut settings = [0; 9];
    slow.read_exact(&mut settings).await.unwrap();
    assert_eq!(settings[3], 4, "the first frame is SETTINGS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_visitor_comes_with_crumbs() {
    let stage = Stage::set().await;
    let browser = stage.signed_in().await;
    let cookie = cookie_of(&browser) + "; theme=dark; a=b";
    let crumbs: Vec<(&str, &str)> = cookie.split("; ").map(|crumb| ("cookie", crumb)).collect();
    let mut client = Http2Client::to(stage.address).await;
    let orders = || Http2Client::at_store("GET", "/orders", &crumbs);
    assert_eq!(client.send(orders(), Bytes::new()).await.status, 200);
    let seen = stage.store.last();
    assert_eq!(seen.header("x-auth-email"), Some("shopper@example.com"));
    assert_eq!(seen.header("cookie"), Some("theme=dark; a=b"));
    // Many at once on one connection.
    let mut answers = Vec::new();
    for _ in 0..90 {
        answers.push(client.ask(orders()).await);
    }
    for answer in answers {
        assert_eq!(whole(answer).await.unwrap().status, 200);
    }
    // Ninety cookies are one field.
    let many: Vec<String> = (0..150).map(|n| format!("c{n}=v")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|crumb| ("cookie", &**crumb)).collect();
    let request = Http2Client::at_store("GET", "/", &many);
    assert_eq!(client.send(request, Bytes::new()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_the_host() {
    let stage = Stage::set().await;
    let mut client = Http2Client::to(stage.address).await;
    let mut with = async |uri: &str, hosts: &[&str]| {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let reply = client.send(request.body(()).unwrap(), Bytes::new()).await;
        let code = if reply.status == 200 {
            "ok".to_owned()
        } else {
            reply.code()
        };
        (reply.status, code)
    };
    let store = "http://store.localhost:8080/";
    for (uri, hosts, status, code) in [
        (store, &[][..], 200, "ok"),
        (store, &["store.localhost:8080"], 200, "ok"),
        (store, &["STORE.localhost:8080"], 200, "ok"),
        ("http://STORE.localhost:8080/", &[], 200, "ok"),
        (store, &["forum.localhost:8080"], 400, "malformed_request"),
        (store, &["store.localhost"], 400, "malformed_request"),
        (
            store,
            &["store.localhost:8080", "store.localhost:8080"],
            400,
            "malformed_request",
        ),
        ("http://nowhere.example/", &[], 421, "unknown_site"),
        (
            "http://me@store.localhost:8080/",
            &[],
            400,
            "malformed_request",
        ),
    ] {
        let expected = (status, code.to_owned());
        assert_eq!(with(uri, hosts).await, expected, "{uri} {hosts:?}");
    }
    assert!(stage.requests("public").await > 0);
    // Without an authority, `Host` is as good. The library never sends such a request.
    let mut frames = Frames::to(stage.address).await;
    let [method, scheme, _, path] = pseudo("/")[..] else {
        panic!()
    };
    let host = ("host", "store.localhost:8080");
    for (stream, fields, status) in [
        (1, vec![method, scheme, path, host], b"200"),
        (3, vec![method, scheme, path], b"400"),
        (5, vec![method, scheme, path, host, host], b"400"),
    ] {
        frames.send(&get(stream, &fields).bytes()).await;
        let answer = frames.until(HEADERS).await.unwrap();
        assert_eq!(answer.2, stream);
        assert_eq!(status_of(&answer), *status, "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_ends_its_stream_and_no_other() {
    let stage = Stage::set().await;
    let mut frames = Frames::to(stage.address).await;
    let with = |name, value| [pseudo("/"), vec![(name, value)]].concat();
    let bad = [
        with("connection", "close"),
        with("connection", "x-auth-user-id"),
        with("transfer-encoding", "chunked"),
        with("keep-alive", "timeout=5"),
        with("proxy-connection", "keep-alive"),
        with("upgrade", "websocket"),
        with("te", "gzip"),
        with(":path", "/other"),
        with("content-length", "5"),
        with("content-length", "-1"),
        pseudo("/a b"),
        pseudo("/\r\nX: y"),
        pseudo(""),
    ];
    for (stream, fields) in (1..).step_by(2).zip(&bad) {
        frames.send(&get(stream, fields).bytes()).await;
        let reset = frames.until(RST_STREAM).await;
        let reset = reset.unwrap_or_else(|| panic!("{fields:?} ended the connection"));
        assert_eq!((reset.2, reset.code()), (stream, 1), "{fields:?}");
    }
    assert!(stage.store.received().is_empty());
    // What the gateway's own rules refuse is answered.
    let stream = 101;
    for (more, fields) in [
        with("x", " blank"),
        with("x", "blank\t"),
        pseudo("/a/../b"),
        pseudo("/a%2fb"),
        pseudo("//a"),
        pseudo("/\u{e9}"),
        pseudo("/a\\b"),
        pseudo("http://store.localhost:8080/"),
    ]
    .iter()
    .enumerate()
    {
        let stream = stream + 2 * u32::try_from(more).unwrap();
        frames.send(&get(stream, fields).bytes()).await;
        loop {
            let answer = frames.next().await.expect("an answer");
            // A path that the library takes for none is a reset instead.
            if answer.0 == RST_STREAM || answer.0 == HEADERS {
                let told = (answer.0, status_of(&answer));
                assert!(answer.0 == RST_STREAM || told.1 == *b"400", "{fields:?}");
                break;
            }
        }
    }
    assert!(stage.store.received().is_empty());
    frames.send(&get(201, &pseudo("/")).bytes()).await;
    let answer = frames.until(HEADERS).await.unwrap();
    assert_eq!(status_of(&answer), *b"200");
    // A name that is none leaves the compression of all later heads in doubt.
    frames
        .send(&get(203, &with("X-Capital", "y")).bytes())
        .await;
    assert_ne!(frames.until(GOAWAY).await.unwrap().code(), 0);
}

/// A last frame without a byte must not end the body twice: the second end would be read as a
/// request, on a connection that the next visitor's request is sent on.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_ends_once_however_it_is_cut() {
    let siege = Siege::lay().await;
    let mut client = Http2Client::to(siege.stage.address).await;
    let post = |fields: &[(&str, &str)]| Http2Client::at_store("POST", "/", fields);
    for (pieces, ends_empty, length) in [
        (&["body"][..], true, None),
        (&["body"], false, None),
        (&["bo", "dy"], true, None),
        (&["body"], true, Some("4")),
        (&[], true, None),
        (&[], true, Some("0")),
    ] {
        let fields: Vec<_> = length
            .map(|length| ("content-length", length))
            .into_iter()
            .collect();
        let mut sending = client.begin(post(&fields)).await;
        let (last, first) = match pieces.split_last() {
            Some((last, first)) if !ends_empty => (*last, first),
            _ => ("", pieces),
        };
        for piece in first {
            sending
                .push(Bytes::from_static(piece.as_bytes()))
                .await
                .unwrap();
            // So that the last frame does not arrive with it.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sending
            .body
            .send_data(Bytes::from_static(last.as_bytes()), true)
            .unwrap();
        let reply = whole(sending.answer).await.unwrap();
        assert_eq!(reply.status, 200, "{pieces:?} {ends_empty} {length:?}");
        let seen = siege.witness.last();
        assert_eq!(seen.method, "POST", "{seen:?}");
        assert_eq!(seen.body, pieces.concat().as_bytes());
        // Whoever is next on that connection.
        assert_eq!(client.get("/next").await.status, 401);
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(siege.witness.last().method, "GET");
    }
    assert_eq!(siege.witness.count(), 12);
    // Bytes too many would cost one connection each time. The pool may get one back a moment after the
    // client has its answer, and then there are two.
    assert!(siege.witness.connections() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_connection_end_at_the_gateway() {
    let siege = Siege::lay().await;
    let mut client = Http2Client::to(siege.stage.address).await;
    let request = Http2Client::at_store("GET", "/", &[("te", "trailers"), ("trailer", "x")]);
    siege.witness.answers(
        b"HTTP/1.1 200 OK\r\nConnection: x-mine, close\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n\
          X-Yours: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let reply = client.send(request, Bytes::new()).await;
    assert_eq!((reply.status, &*reply.body), (200, "ok"));
    assert_eq!(reply.header("x-yours"), Some("2"));
    for name in ["connection", "keep-alive", "x-mine", "transfer-encoding"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    let seen = siege.witness.last();
    for name in ["te", "trailer", "connection", "upgrade", "http2-settings"] {
        assert!(seen.all(name).is_empty(), "{name}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_have_none() {
    let siege = Siege::lay().await;
    let mut client = Http2Client::to(siege.stage.address).await;
    siege
        .witness
        .answers(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
    let head = Http2Client::at_store("HEAD", "/", &[]);
    let reply = client.send(head, Bytes::new()).await;
    assert_eq!(
        (reply.status, reply.header("content-length")),
        (200, Some("12"))
    );
    for status in ["204 No Content", "304 Not Modified"] {
        siege
            .witness
            .answers(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        let reply = client.get("/").await;
        assert!(status.starts_with(&reply.status.to_string()));
        assert_eq!(reply.body, "");
    }
    let own = Http2Client::at_store("HEAD", "/login", &[("accept", "text/html")]);
    let reply = client.send(own, Bytes::new()).await;
    assert_eq!((reply.status, &*reply.body), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn informational_responses_arrive() {
    let siege = Siege::lay().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let answer = format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    siege.witness.answers(answer.as_bytes());
    let mut client = Http2Client::to(siege.stage.address).await;
    let mut answer = client.ask(Http2Client::at_store("GET", "/", &[])).await;
    let hint = poll_fn(|cx| answer.poll_informational(cx))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(hint.status(), StatusCode::EARLY_HINTS);
    assert_eq!(hint.headers()["link"], "</style.css>");
    assert_eq!(whole(answer).await.unwrap().status, 200);
    // Whoever waits before it sends a body is told to go on.
    let fields = [JSON, ("expect", "100-continue")];
    let login = Http2Client::at_store("POST", "/api/login", &fields);
    let mut sending = client.begin(login).await;
    let told = poll_fn(|cx| sending.answer.poll_informational(cx)).await;
    assert_eq!(told.unwrap().unwrap().status(), StatusCode::CONTINUE);
    sending
        .body
        .send_data(Bytes::from_static(b"{}"), true)
        .unwrap();
    assert_eq!(whole(sending.answer).await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_answered_and_the_connection_goes_on() {
    let stage = Stage::set().await;
    let mut client = Http2Client::to(stage.address).await;
    let large = Bytes::from(vec![b'a'; 3 << 20]);
    for (method, target, fields, status) in [
        ("POST", "/orders", &[][..], 401),
        ("PUT", "/login", &[], 405),
        ("POST", "/api/login", &[("content-type", "text/plain")], 415),
        ("POST", "/api/login", &[JSON], 413),
        ("POST", "/a/../b", &[], 400),
        ("POST", "/", &[("expect", "wonders")], 417),
    ] {
        let request = Http2Client::at_store(method, target, fields);
        let mut sending = client.begin(request).await;
        // Until nobody takes more of it.
        let stopped = match sending.push(large.clone()).await {
            Ok(()) => reset_reason(&mut sending.body).await,
            Err(error) => error.reason().expect("a reset"),
        };
        assert_eq!(stopped, Reason::NO_ERROR, "{target}");
        assert_eq!(
            whole(sending.answer).await.unwrap().status,
            status,
            "{target}"
        );
    }
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_the_event_stream_and_nothing_beside_it() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n";
    let application = Holding::saying(events).await;
    let upstreams = format!("upstreams = [\"http://{}\"]", application.address());
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let (mut leaving, staying) = (stage.signed_in().await, stage.signed_in().await);
    let mut client = Http2Client::to(stage.address).await;
    let mut streams = Vec::new();
    for browser in [&leaving, &staying, &leaving] {
        let cookie = cookie_of(browser);
        let request = Http2Client::at_store("GET", "/events", &[("cookie", &cookie)]);
        let mut body = client.ask(request).await.await.unwrap().into_body();
        assert_eq!(next(&mut body).await.unwrap().unwrap(), "data: hello\n\n");
        streams.push(body);
    }
    let open = "vestibule_open_streams{site=\"store\"}";
    assert!((stage.metric(open).await - 3.0).abs() < 0.1);
    assert_eq!(leaving.post("/logout", &[]).await.status, 303);
    for body in [0, 2] {
        let end = next(&mut streams[body]).await.unwrap_err();
        assert_eq!(end.reason(), Some(Reason::CANCEL));
    }
    while stage.metric(open).await > 1.5 {}
    let staying = tokio::time::timeout(Duration::from_millis(300), streams[1].data()).await;
    assert!(staying.is_err(), "the other visitor's stream has ended");
    assert_eq!(client.get("/login").await.status, 200);
    assert!(!client.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_does_not_look_complete() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let application = Holding::breaking_off(half).await;
    let upstreams = format!("upstreams = [\"http://{}\"]", application.address());
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let mut client = Http2Client::to(stage.address).await;
    let broken = whole(client.ask(Http2Client::at_store("GET", "/", &[])).await).await;
    assert_eq!(broken.unwrap_err().reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(client.get("/login").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_does_not_answer_is_told() {
    let silent = Holding::saying("").await;
    let upstreams = format!(
        "upstreams = [\"http://{}\"]\nupstream_idle = \"100ms\"",
        silent.address()
    );
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let mut client = Http2Client::to(stage.address).await;
    let reply = client.get("/").await;
    assert_eq!((reply.status, &*reply.code()), (504, "upstream_timeout"));
    let head = Http2Client::at_store("HEAD", "/", &[]);
    assert_eq!(client.send(head, Bytes::new()).await.status, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_frees_the_application() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstreams = format!(
        "upstreams = [\"http://{}\"]",
        listener.local_addr().unwrap()
    );
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let mut client = Http2Client::to(stage.address).await;
    let answer = client.ask(Http2Client::at_store("GET", "/", &[])).await;
    let (mut application, _) = listener.accept().await.unwrap();
    drop(answer);
    let mut all = Vec::new();
    let ended = application.read_to_end(&mut all);
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    assert!(ended.is_ok(), "the application still works for nobody");
    assert_eq!(client.get("/login").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_streams_finish_and_takes_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstreams = format!(
        "upstreams = [\"http://{}\"]",
        listener.local_addr().unwrap()
    );
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let mut frames = Frames::to(stage.address).await;
    let mut idle = Frames::to(stage.address).await;
    idle.until(4).await.unwrap();
    frames.send(&get(1, &pseudo("/")).bytes()).await;
    let (mut application, _) = listener.accept().await.unwrap();
    let stopping = tokio::spawn(stage.stop());
    let told = frames.until(GOAWAY).await.expect("a GOAWAY");
    assert_eq!(told.code(), 0);
    application
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(status_of(&frames.until(HEADERS).await.unwrap()), *b"200");
    // Neither client answers the PING that asks whether it has heard.
    let stopped = tokio::time::timeout(Duration::from_secs(15), stopping).await;
    stopped.expect("the gateway stops").unwrap().unwrap();
    assert_eq!(idle.end().await, Some(0));
}

/// As gRPC needs it.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_http_2_application_arrive() {
    let application = SecureServer::http2_in_the_clear().await;
    let upstreams = format!(
        "upstreams = [\"http://{}\"]\nupstream_protocol = \"h2\"",
        application.address
    );
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let mut client = Http2Client::to(stage.address).await;
    let fields = [("te", "trailers"), ("content-type", "application/grpc")];
    let mut sending = client
        .begin(Http2Client::at_store("POST", "/", &fields))
        .await;
    sending.push(Bytes::from_static(b"call")).await.unwrap();
    sending.finish();
    let mut body = sending.answer.await.unwrap().into_body();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "HTTP/2");
    assert!(next(&mut body).await.unwrap().is_none());
    let trailers = body.trailers().await.unwrap().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    let (request, body) = application.seen.http2.lock().unwrap().pop().unwrap();
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.uri().authority().unwrap(), "store.localhost:8080");
    assert_eq!(body, b"call");
    // Another request on that connection, without a body.
    assert_eq!(client.get("/").await.body, "HTTP/2");
}

/// Browsers send requests for several hosts over one connection where its certificate has them all.
#[tokio::test(flavor = "multi_thread")]
async fn alpn_chooses_http_2_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (store, forum) = (
        Pair::of(&["store.localhost"]),
        Pair::of(&["forum.localhost"]),
    );
    let both = [
        store.write(folder.path(), "store"),
        forum.write(folder.path(), "forum"),
    ];
    let stage = super::tls::stage(&both, "").await;
    let trust = Trust::of(&[&store, &forum]);
    let connect = async |protocols: &[&[u8]]| {
        let trust = trust.offering(protocols);
        let stream = trust
            .connect(stage.addresses[1], "store.localhost")
            .await
            .unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (stream, agreed)
    };
    let (stream, agreed) = connect(&[b"http/1.1", b"h2"]).await;
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
    let mut client = Http2Client::over(stream).await;
    for (uri, status) in [
        ("https://store.localhost/", 200),
        ("https://forum.localhost/", 421),
        ("https://store.localhost/", 200),
    ] {
        let request = Request::builder().uri(uri).body(()).unwrap();
        assert_eq!(
            client.send(request, Bytes::new()).await.status,
            status,
            "{uri}"
        );
    }
    let seen = stage.store.last();
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
    let listener = stage.addresses[1];
    let open = format!("vestibule_connections{{listener=\"{listener}\",protocol=\"h2\"}}");
    assert!((stage.metric(&open).await - 1.0).abs() < 0.1);
    let (stream, agreed) = connect(&[b"http/1.1"]).await;
    assert_eq!(agreed.as_deref(), Some(&b"http/1.1"[..]));
    let request = super::tls::request("store.localhost", "/");
    assert_eq!(exchange(stream, &request).await.status, 200);
    // The preface has to arrive in time over TLS too, and alone it says nothing without ALPN.
    let (stream, agreed) = connect(&[]).await;
    assert_eq!(agreed, None);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(exchange(stream, preface).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered() {
    let stage = Stage::set().await;
    let mut frames = Frames::to(stage.address).await;
    frames
        .send(&Frame(PING, 0, 0, b"12345678".to_vec()).bytes())
        .await;
    let pong = frames.until(PING).await.unwrap();
    assert_eq!((pong.1, &*pong.3), (1, &b"12345678"[..]));
}
