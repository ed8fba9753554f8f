//! What an HTTP/2 client may not do: heads without end, bodies that stall, and frames by the
//! thousand. Its connection ends, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

use super::support::http2::{
    CONTINUATION, DATA, END_HEADERS, Frame, Frames, GOAWAY, HEADERS, Http2Client, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, get, pseudo, reset_reason, section, whole,
};
use super::support::{Siege, Stage, ask};

/// The code of `ENHANCE_YOUR_CALM`.
const CALM: Option<u32> = Some(0xb);

async fn stage_with(limits: &str) -> Stage {
    let limits = format!("[server.limits]\n{limits}\n\n[providers.main]");
    Stage::set_with(|config| config.replace("[providers.main]", &limits), |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_the_limits_of_http_1() {
    let siege = Siege::lay().await;
    let address = siege.stage.address;
    let mut client = Http2Client::to(address).await;
    let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
    let fields = |count: usize| -> Vec<(&str, &str)> {
        names
            .iter()
            .take(count)
            .map(|name| (&**name, "y"))
            .collect()
    };
    let (fits, large) = ("y".repeat(15_900), "y".repeat(16_400));
    let (longest, longer) = (
        format!("/{}", "a".repeat(8191)),
        format!("/{}", "a".repeat(8192)),
    );
    let huge = "y".repeat(70_000);
    for (target, fields, status) in [
        // `Host` is the hundredth.
        ("/", fields(99), 200),
        ("/", fields(100), 431),
        ("/", vec![("x", &*fits)], 200),
        ("/", vec![("x", &*large)], 431),
        ("/", vec![("x", &*huge)], 431),
        (&*longest, vec![], 401),
        (&*longer, vec![], 414),
    ] {
        let request = Http2Client::at_store("GET", target, &fields);
        let reply = client.send(request, Bytes::new()).await;
        assert_eq!(
            reply.status,
            status,
            "{} {}: {reply:?}",
            target.len(),
            fields.len()
        );
    }
    let settings = Frames::to(address).await.until(SETTINGS).await.unwrap();
    let announced: Vec<(u16, u32)> = settings
        .3
        .chunks(6)
        .map(|one| {
            let id = u16::from_be_bytes([one[0], one[1]]);
            (id, u32::from_be_bytes(one[2..].try_into().unwrap()))
        })
        .collect();
    // Streams, and the list of fields.
    assert!(announced.contains(&(3, 100)), "{announced:?}");
    assert!(announced.contains(&(6, 65_536)), "{announced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_the_connection_and_nothing_else() {
    let stage = Stage::set().await;
    let data = |flags| Frame(DATA, flags, 1, Vec::new()).bytes();
    let ping = Frame(PING, 0, 0, vec![0; 8]).bytes();
    let settings = Frame(SETTINGS, 0, 0, Vec::new()).bytes();
    let window = Frame(WINDOW_UPDATE, 0, 0, vec![0, 0, 0, 1]).bytes();
    let unknown = Frame(0xee, 0, 0, Vec::new()).bytes();
    let priority = Frame(2, 0, 1, vec![0, 0, 0, 3, 16]).bytes();
    let open = Frame(HEADERS, END_HEADERS, 1, section(&pseudo("/"))).bytes();
    let begin = Frame(HEADERS, 0, 1, section(&pseudo("/"))).bytes();
    let more = Frame(CONTINUATION, 0, 1, section(&[("x", "y")])).bytes();
    let none = Frame(CONTINUATION, 0, 1, Vec::new()).bytes();
    let rapid_reset: Vec<u8> = (1..20_001)
        .step_by(2)
        .flat_map(|stream| {
            let reset = Frame(RST_STREAM, 0, stream, vec![0, 0, 0, 8]).bytes();
            [get(stream, &pseudo("/")).bytes(), reset].concat()
        })
        .collect();
    let malformed: Vec<u8> = (1..6001)
        .step_by(2)
        .flat_map(|stream| get(stream, &[(":method", "GET")]).bytes())
        .collect();
    for (name, start, flood) in [
        ("PING", &[][..], ping.repeat(10_000)),
        ("SETTINGS", &[], settings.repeat(10_000)),
        ("WINDOW_UPDATE", &[], window.repeat(10_000)),
        ("unknown", &[], unknown.repeat(10_000)),
        ("PRIORITY", &open, priority.repeat(10_000)),
        ("empty DATA", &open, data(0).repeat(10_000)),
        ("CONTINUATION", &begin, more.repeat(100_000)),
        ("empty CONTINUATION", &begin, none.repeat(100_000)),
        ("RST_STREAM", &[], rapid_reset),
        ("malformed", &[], malformed),
    ] {
        let mut client = Frames::to(stage.address).await;
        client.send(start).await;
        // The other side may hang up before it has all of it.
        let sent = client.send(&flood).await;
        let end = client.end().await;
        // What it said last may be lost to a reset, when it hung up while this was sent.
        assert!(end == CALM || !sent || end.is_none(), "{name}: {end:?}");
        let mut victim = Http2Client::to(stage.address).await;
        assert_eq!(victim.get("/").await.status, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_told_to_calm_down() {
    let stage = Stage::set().await;
    let mut client = Frames::to(stage.address).await;
    // No more than the gateway reads before it ends the connection.
    client
        .send(&Frame(PING, 0, 0, vec![0; 8]).bytes().repeat(1001))
        .await;
    assert_eq!(client.end().await, CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_to_arrive_in_time() {
    let stage = stage_with("header_timeout = \"500ms\"").await;
    let head = get(1, &pseudo("/")).bytes();
    let begun = Frame(HEADERS, 0, 1, section(&pseudo("/"))).bytes();
    for (name, start) in [
        ("a frame that does not end", &head[..head.len() - 1]),
        ("a head that does not end", &begun),
    ] {
        let mut client = Frames::to(stage.address).await;
        client.send(start).await;
        assert!(client.until(GOAWAY).await.is_some(), "{name}");
        assert_eq!(client.end().await, None, "{name}");
    }
    // A preface that does not end.
    let mut client = Frames::silent(stage.address).await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM").await;
    assert_eq!(client.next().await, None);
    // A body may take longer.
    let mut client = Http2Client::to(stage.address).await;
    let mut sending = client.begin(Http2Client::at_store("POST", "/", &[])).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    sending.finish();
    assert_eq!(whole(sending.answer).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stalls_ends_its_stream() {
    let stage = stage_with("upstream_idle = \"500ms\"").await;
    let mut client = Http2Client::to(stage.address).await;
    // For the application, and for the gateway itself.
    for target in ["/", "/api/login"] {
        let json = [("content-type", "application/json")];
        let mut sending = client
            .begin(Http2Client::at_store("POST", target, &json))
            .await;
        sending.push(Bytes::from_static(b"{")).await.unwrap();
        let reason = reset_reason(&mut sending.body).await;
        assert!(
            matches!(reason, Reason::CANCEL | Reason::NO_ERROR),
            "{target}: {reason:?}"
        );
    }
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_ends_its_stream() {
    let stage = stage_with("upstream_idle = \"500ms\"").await;
    stage
        .store
        .answers(|_| axum::response::Response::new(vec![b'a'; 4 << 20].into()));
    let mut client = Http2Client::to(stage.address).await;
    let answer = client
        .ask(Http2Client::at_store("GET", "/", &[]))
        .await
        .await
        .unwrap();
    let mut body = answer.into_body();
    // Nothing is released, so the window closes.
    let end = loop {
        let piece = tokio::time::timeout(Duration::from_secs(10), body.data()).await;
        match piece.expect("an end in time").expect("no end of the body") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(end.reason(), Some(Reason::INTERNAL_ERROR));
    drop(body);
    assert_eq!(client.get("/login").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_let_go() {
    let stage = stage_with("keep_alive = \"1s\"").await;
    let mut client = Http2Client::to(stage.address).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(client.end().await, None);
    // One that asks whether anybody is there does not stay for that.
    let mut frames = Frames::to(stage.address).await;
    for _ in 0..5 {
        frames.send(&Frame(PING, 0, 0, vec![0; 8]).bytes()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(frames.until(GOAWAY).await.unwrap().code(), 0);
    // HTTP/1 is as ever.
    let host = "Host: store.localhost:8080\r\nConnection: close\r\n";
    let reply = ask(stage.address, format!("GET / HTTP/1.1\r\n{host}\r\n")).await;
    assert_eq!(reply.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_hundred_streams_are_open() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstreams = format!(
        "upstreams = [\"http://{}\"]",
        listener.local_addr().unwrap()
    );
    let stage = Stage::set_with(
        |config| super::support::with_line(&config, "upstreams", &upstreams),
        |_| {},
    )
    .await;
    let mut client = Frames::to(stage.address).await;
    for number in 0..101 {
        client
            .send(&get(2 * number + 1, &pseudo("/")).bytes())
            .await;
    }
    let refused = client.until(RST_STREAM).await.unwrap();
    // `REFUSED_STREAM`: it may be sent again.
    assert_eq!((refused.2, refused.code()), (201, 7));
}
