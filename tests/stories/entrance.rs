//! What connections and requests pass before anybody asks who sent them: https, the PROXY protocol,
//! and limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::support::{Line, Pair, Stage, Trust, ask, exchange};
use super::tls::request;

const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The stage with both sites under https, a TLS listener, and further keys: of the server, of the
/// TLS listener, and of the store.
async fn stage(pair: &Pair, server: &str, listener: &str, store: &str) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let entry = pair.write(folder.path(), "store");
    let tls = format!(
        "{server}\n[[server.tls]]\nlisten = \"127.0.0.1:0\"\ncertificates = [{entry}]\n{listener}\n\n\
         [providers.main]"
    );
    Stage::set_with(
        |config| {
            config
                .replace("[providers.main]", &tls)
                .replace("name = \"store\"", &format!("name = \"store\"\n{store}"))
                .replace("http://store.localhost:8080", "https://store.localhost")
                .replace(
                    "http://forum.localhost:8080",
                    "https://forum.localhost:8443",
                )
        },
        |_| {},
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_the_clear_are_sent_to_https() {
    let pair = Pair::of(&["store.localhost"]);
    let aliases = "aliases = [\"shop.localhost\"]";
    let stage = stage(&pair, "trusted_proxies = [\"127.0.0.1\"]", "", aliases).await;
    for (host, target, location) in [
        ("store.localhost", "/", "https://store.localhost/"),
        (
            "STORE.localhost:80",
            "/login?return_to=%2Fa",
            "https://store.localhost/login?return_to=%2Fa",
        ),
        ("shop.localhost", "/a%20b", "https://shop.localhost/a%20b"),
        (
            "forum.localhost:8443",
            "/posts",
            "https://forum.localhost:8443/posts",
        ),
        (
            "forum.localhost",
            "/posts",
            "https://forum.localhost:8443/posts",
        ),
        (
            "store.localhost:8080",
            "/posts",
            "https://store.localhost/posts",
        ),
    ] {
        let reply = ask(stage.address, request(host, target)).await.unwrap();
        assert_eq!(reply.status, 308, "{host} {target}: {reply:?}");
        assert_eq!(reply.header("location"), Some(location));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("strict-transport-security"), None);
    }
    let redirected = stage
        .count(
            "vestibule_requests_total",
            &["store", "redirected", "own_endpoint"],
        )
        .await;
    assert_eq!(redirected, 4);
    for (target, status) in [("/_vestibule/health", 200), ("/a/../b", 400)] {
        let reply = ask(stage.address, request("store.localhost", target))
            .await
            .unwrap();
        assert_eq!(reply.status, status, "{target}");
    }
    let unknown = ask(stage.address, request("unknown.localhost", "/")).await;
    assert_eq!(unknown.unwrap().status, 421);
    // A trusted proxy that received TLS is served. What others say of it counts for nothing.
    let forwarded = b"GET / HTTP/1.1\r\nHost: store.localhost\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert_eq!(ask(stage.address, forwarded).await.unwrap().status, 200);
    let mut stranger = Line::from(STRANGER, stage.address).await;
    stranger.send(forwarded).await;
    assert_eq!(stranger.reply().await.unwrap().status, 308);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_may_be_served_in_the_clear() {
    let pair = Pair::of(&["store.localhost"]);
    let stage = stage(&pair, "", "", "redirect_to_https = false\nhsts = \"180d\"").await;
    let reply = ask(stage.address, request("store.localhost", "/"))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("strict-transport-security"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_over_https_says_for_how_long() {
    let pair = Pair::of(&["store.localhost", "forum.localhost"]);
    let stage = stage(&pair, "", "", "hsts = \"180d\"").await;
    stage.store.answers(|_| {
        let builder = axum::response::Response::builder();
        let builder = builder.header("strict-transport-security", "max-age=1");
        builder.body(axum::body::Body::empty()).unwrap()
    });
    let trust = Trust::of(&[&pair]);
    for (host, target, expected) in [
        ("store.localhost", "/", Some("max-age=15552000")),
        ("store.localhost", "/login", Some("max-age=15552000")),
        ("store.localhost", "/api/user", Some("max-age=15552000")),
        ("store.localhost", "/orders", Some("max-age=15552000")),
        // Without `hsts` the gateway's own pages have one of their own.
        ("forum.localhost:8443", "/", None),
        ("forum.localhost:8443", "/login", Some("max-age=31536000")),
    ] {
        let stream = trust.connect(stage.addresses[1], host.split(':').next().unwrap());
        let reply = exchange(stream.await.unwrap(), &request(host, target)).await;
        let hsts = reply.header("strict-transport-security");
        assert_eq!(hsts, expected, "{host} {target}: {reply:?}");
    }
}

/// A header of version 2 that names `192.0.2.9`.
const VERSION_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x09\x7f\x00\x00\x01\x10\x00\x01\xbb";
/// A header of version 2 by which the proxy speaks for itself.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
const VERSION_1: &[u8] = b"PROXY TCP6 2001:db8::9 ::1 4096 443\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_names_the_client_in_the_proxy_protocol() {
    let pair = Pair::of(&["store.localhost"]);
    let stage = stage(
        &pair,
        "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true",
        "proxy_protocol = true",
        "redirect_to_https = false",
    )
    .await;
    let trust = Trust::of(&[&pair]);
    let get = request("store.localhost", "/");
    for (header, client) in [
        (VERSION_1, "2001:db8::9"),
        (VERSION_2, "192.0.2.9"),
        (LOCAL, "127.0.0.1"),
    ] {
        let plain = ask(stage.address, [header, &get].concat()).await.unwrap();
        assert_eq!(plain.status, 200);
        assert_eq!(stage.store.last().header("x-real-ip"), Some(client));
        let mut stream = TcpStream::connect(stage.addresses[1]).await.unwrap();
        stream.write_all(header).await.unwrap();
        let stream = trust.connect_over(stream, "store.localhost").await.unwrap();
        assert_eq!(exchange(stream, &get).await.status, 200);
        assert_eq!(stage.store.last().header("x-real-ip"), Some(client));
    }
    // In pieces.
    let mut line = Line::to(stage.address).await;
    for byte in VERSION_1 {
        line.send([*byte]).await;
    }
    line.send(&get).await;
    assert_eq!(line.reply().await.unwrap().status, 200);
    // The address of the client is not that of a trusted proxy.
    let forged = b"GET / HTTP/1.1\r\nHost: store.localhost\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n";
    ask(stage.address, [VERSION_2, forged].concat())
        .await
        .unwrap();
    assert_eq!(stage.store.last().header("x-real-ip"), Some("192.0.2.9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_is_required_from_trusted_proxies_and_not_taken_from_others() {
    let pair = Pair::of(&["store.localhost"]);
    let server = "trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true";
    let stage = stage(&pair, server, "", "redirect_to_https = false").await;
    let get = request("store.localhost", "/");
    for bytes in [&get[..], b"\r\n\r\n\0\r\nQUIT\n\x22", b"PROXY TCP9 \r\n"] {
        assert!(ask(stage.address, bytes).await.is_none());
    }
    let mut stranger = Line::from(STRANGER, stage.address).await;
    stranger.send(&get).await;
    assert_eq!(stranger.reply().await.unwrap().status, 200);
    assert_eq!(stage.store.last().header("x-real-ip"), Some("127.0.0.2"));
    let mut stranger = Line::from(STRANGER, stage.address).await;
    stranger.send([VERSION_1, &get].concat()).await;
    assert_eq!(stranger.reply().await.unwrap().status, 400);
}

/// Whether a new connection from `source` is served.
async fn is_served(source: IpAddr, address: SocketAddr) -> Option<Line> {
    let mut line = Line::from(source, address).await;
    line.send("GET /_vestibule/health HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    line.reply().await.map(|_| line)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_only_so_many_connections() {
    let pair = Pair::of(&["store.localhost"]);
    let server = "trusted_proxies = [\"127.0.0.9\"]\nlimits = { connections_per_address = 2 }";
    let stage = stage(&pair, server, "", "").await;
    let (one, two) = (
        is_served(STRANGER, stage.address).await,
        is_served(STRANGER, stage.address).await,
    );
    assert!(one.is_some() && two.is_some());
    assert!(is_served(STRANGER, stage.address).await.is_none());
    assert!(
        is_served(Ipv4Addr::new(127, 0, 0, 3).into(), stage.address)
            .await
            .is_some()
    );
    let mut trusted = Vec::new();
    for _ in 0..4 {
        trusted.push(
            is_served(Ipv4Addr::new(127, 0, 0, 9).into(), stage.address)
                .await
                .unwrap(),
        );
    }
    drop(one);
    let listener = format!("{}", stage.address);
    let open = || async {
        stage
            .metric(&format!(
                "vestibule_connections{{listener=\"{listener}\",protocol=\"http1\"}}"
            ))
            .await
    };
    while open().await > 5.0 {
        tokio::task::yield_now().await;
    }
    assert!(is_served(STRANGER, stage.address).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_connections_in_all() {
    let pair = Pair::of(&["store.localhost"]);
    let stage = stage(&pair, "limits = { connections = 1 }", "", "").await;
    let mut line = Line::to(stage.address).await;
    let health = "GET /_vestibule/health HTTP/1.1\r\nHost: x\r\n\r\n";
    line.send(health).await;
    assert!(line.reply().await.is_some());
    // A connection too many is closed, on every listener, and those that are open go on.
    assert!(ask(stage.address, health).await.is_none());
    assert!(Line::to(stage.addresses[1]).await.is_closed().await);
    line.send(health).await;
    assert!(line.reply().await.is_some());
    drop(line);
    while ask(stage.address, health).await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_handshakes_and_certificates_are_counted() {
    let pair = Pair::of(&["store.localhost"]);
    let stage = stage(&pair, "", "", "").await;
    let listener = stage.addresses[1].to_string();
    let handshakes = |result: &'static str| {
        let values = [listener.clone(), result.to_owned()];
        let stage = &stage;
        async move {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            stage.count("vestibule_tls_handshakes_total", &values).await
        }
    };
    let stream = Trust::of(&[&pair])
        .connect(stage.addresses[1], "store.localhost")
        .await
        .unwrap();
    assert!(
        ask(stage.addresses[1], "GET / HTTP/1.1\r\n\r\n")
            .await
            .is_none()
    );
    while handshakes("failed").await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (handshakes("ok").await, handshakes("timeout").await),
        (1, 0)
    );
    let open = format!("vestibule_connections{{listener=\"{listener}\",protocol=\"http1\"}}");
    while stage.metric(&open).await < 1.0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let expiry = "vestibule_certificate_expiry_timestamp_seconds{name=\"store.localhost\"}";
    assert!(stage.metric(expiry).await > 4e9);
}
