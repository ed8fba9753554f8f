//! An application on several servers, some of which fail.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::support::{
    Application, Browser, Holding, Kept, Nobody, Process, Server, Stage, USERS, raw, store_alone,
    with_line,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: store.localhost:8080\r\nContent-Length: 0\r\n\r\n";

const LAST_POST: &str = "POST / HTTP/1.1\r\nHost: store.localhost:8080\r\nContent-Length: 0\r\n\
                         Connection: close\r\n\r\n";

fn urls(addresses: &[SocketAddr]) -> String {
    let urls: Vec<String> = addresses
        .iter()
        .map(|address| format!("\"http://{address}\""))
        .collect();
    format!("upstreams = [{}]", urls.join(", "))
}

/// A stage whose store has these upstreams, and further keys of the site.
async fn before(addresses: &[SocketAddr], further: &str) -> Stage {
    let line = format!("{}\n{further}", urls(addresses));
    Stage::set_with(|text| with_line(&text, "upstreams", &line), |_| {}).await
}

async fn three() -> [Server; 3] {
    [
        Server::open().await,
        Server::open().await,
        Server::open().await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_servers_is_killed_and_revived_and_no_get_fails() {
    let mut servers = three().await;
    let addresses = servers.each_ref().map(Server::address);
    let stage = Arc::new(before(&addresses, "").await);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (address, stopped) = (stage.address, stopped.clone());
            tokio::spawn(async move {
                let mut client = Kept::to(address).await;
                let mut requests = 0;
                while !*stopped.borrow() {
                    let (status, body) = client.ask(GET).await;
                    assert_eq!(status, 200, "{body}");
                    requests += 1;
                }
                requests
            })
        })
        .collect();
    let served = |servers: &[Server; 3]| servers.each_ref().map(Server::served);
    let more = async |index: usize, many: usize, servers: &[Server; 3]| {
        let before = served(servers)[index];
        while served(servers)[index] < before + many {
            tokio::task::yield_now().await;
        }
    };
    more(0, 20, &servers).await;
    servers[0].kill().await;
    more(1, 50, &servers).await;
    servers[0].revive().await;
    // Ten seconds after it was taken out.
    more(0, 20, &servers).await;
    stop.send_replace(true);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_dead_first_address_costs_no_request() {
    // The system may list `::1` first, where nobody listens.
    let server = Server::open().await;
    let line = format!(
        "upstreams = [\"http://localhost:{}\"]",
        server.address().port()
    );
    let stage = Stage::set_with(|text| with_line(&text, "upstreams", &line), |_| {}).await;
    let mut client = Kept::to(stage.address).await;
    for _ in 0..20 {
        assert_eq!(client.ask(POST).await.0, 200);
    }
    let failed = stage
        .count("vestibule_upstream_errors_total", &["store", "refused"])
        .await;
    assert!(failed <= 1, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_failures_in_a_row_take_an_upstream_out() {
    let (good, bad) = (Server::open().await, Holding::breaking_off("").await);
    let stage = before(&[bad.address(), good.address()], "").await;
    let mut statuses = Vec::new();
    // What may have had an effect is not sent to the other one.
    for _ in 0..20 {
        statuses.push(raw(stage.address, LAST_POST.as_bytes()).await.status);
    }
    let failures = statuses.iter().filter(|status| **status == 502).count();
    assert_eq!((failures, statuses[10..].contains(&502)), (5, false));
    let healthy = |address: SocketAddr| {
        format!("vestibule_upstream_healthy{{site=\"store\",upstream=\"http://{address}\"}}")
    };
    assert!(stage.metric(&healthy(bad.address())).await < 0.5);
    assert!(stage.metric(&healthy(good.address())).await > 0.5);
    // The last one is never taken out.
    let stage = before(&[bad.address()], "").await;
    for _ in 0..7 {
        assert_eq!(raw(stage.address, LAST_POST.as_bytes()).await.status, 502);
    }
    assert!(stage.metric(&healthy(bad.address())).await > 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_gets_no_more_than_the_idle_one() {
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let idle = Server::open().await;
    let addresses = [busy.local_addr().unwrap(), idle.address()];
    let stage = before(&addresses, "balance = \"least_requests\"").await;
    let gateway = stage.address;
    let waiting = tokio::spawn(async move { Kept::to(gateway).await.ask(GET).await });
    let (mut held, _) = busy.accept().await.unwrap();
    assert_ne!(held.read_u8().await.unwrap(), 0);
    for _ in 0..6 {
        let (_, port) = Kept::to(gateway).await.ask(GET).await;
        assert_eq!(port, idle.address().port().to_string());
    }
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_stays_with_one_server_and_another_takes_over() {
    let mut servers = three().await;
    let addresses = servers.each_ref().map(Server::address);
    let stage = before(&addresses, "balance = \"sticky\"").await;
    let mut browser = stage.signed_in().await;
    let first = browser.get("/orders").await.body;
    for _ in 0..5 {
        assert_eq!(browser.get("/orders").await.body, first);
    }
    // Another visitor of the same address may be elsewhere, and stays there.
    let other = stage.browser().get("/").await.body;
    assert_eq!(stage.browser().get("/").await.body, other);
    let server = servers
        .iter_mut()
        .find(|server| server.address().port().to_string() == first);
    server.unwrap().kill().await;
    let second = browser.get("/orders").await;
    assert_eq!(second.status, 200);
    assert_ne!(second.body, first);
    assert_eq!(browser.get("/orders").await.body, second.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_decide_the_shares() {
    let servers = three().await;
    let tables: Vec<String> = servers
        .iter()
        .zip([3, 2, 1])
        .map(|(server, weight)| {
            format!(
                "{{ url = \"http://{}\", weight = {weight} }}",
                server.address()
            )
        })
        .collect();
    let line = format!("upstreams = [{}]", tables.join(", "));
    let stage = Stage::set_with(|text| with_line(&text, "upstreams", &line), |_| {}).await;
    let mut client = Kept::to(stage.address).await;
    for _ in 0..60 {
        assert_eq!(client.ask(GET).await.0, 200);
    }
    assert_eq!(servers.each_ref().map(Server::served), [30, 20, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_for_as_many_clients_as_there_are() {
    const CLIENTS: usize = 300;
    let server = Server::open().await;
    let stage = before(&[server.address()], "").await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Kept::to(stage.address).await);
    }
    for _ in 0..4 {
        let asking: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                tokio::spawn(async move {
                    assert_eq!(client.ask(GET).await.0, 200);
                    client
                })
            })
            .collect();
        clients = Vec::new();
        for asked in asking {
            clients.push(asked.await.unwrap());
        }
    }
    let opened = server.connections();
    assert!(
        opened <= CLIENTS,
        "{opened} for {} requests",
        server.served()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_take_servers_out_and_back_in() {
    let stage = Stage::set_with(
        |text| {
            let line = text.lines().find(|line| line.starts_with("upstreams"));
            let line = line.unwrap().replace(']', ", \"http://127.0.0.1:1\"]");
            let health = "health = { path = \"/healthz?deep=1\", interval = \"10ms\" }";
            with_line(&text, "upstreams", &format!("{line}\n{health}"))
        },
        |_| {},
    )
    .await;
    let upstream = format!("http://{}", stage.store.address());
    let healthy = |upstream: &str| {
        format!("vestibule_upstream_healthy{{site=\"store\",upstream=\"{upstream}\"}}")
    };
    // The first check decides at once.
    while stage.metric(&healthy("http://127.0.0.1:1")).await > 0.5 {}
    assert_eq!(stage.store.last().target, "/healthz?deep=1");
    assert_eq!(
        stage.store.last().header("host"),
        Some("store.localhost:8080")
    );
    stage.store.answers(|_| {
        let status = http::Response::builder().status(503);
        status.body(axum::body::Body::empty()).unwrap()
    });
    while stage.metric(&healthy(&upstream)).await > 0.5 {}
    stage
        .store
        .answers(|_| axum::response::Response::new(axum::body::Body::empty()));
    while stage.metric(&healthy(&upstream)).await < 0.5 {}
}

/// What the log says of the failed upstream of `site`.
fn failure(log: &str, site: &str) -> serde_json::Value {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let failed =
        |line: &serde_json::Value| line["message"] == "an upstream failed" && line["site"] == site;
    lines
        .into_iter()
        .find(failed)
        .unwrap_or_else(|| panic!("{site}: {log}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_metrics_name_the_address_and_the_cause() {
    let (nobody, application) = (Nobody::there(), Application::open().await);
    let (gone, silent) = (Holding::breaking_off("").await, Holding::saying("").await);
    let garbage = Holding::breaking_off("SSH-2.0 Set-Cookie: hush\r\n\r\n").await;
    let framing =
        Holding::breaking_off("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
            .await;
    let sites = [
        (
            "refused",
            nobody.address().to_string(),
            "refused",
            "Connection refused",
        ),
        ("dns", "does-not-exist.invalid:80".to_owned(), "dns", ""),
        (
            "reset",
            gone.address().to_string(),
            "reset",
            "closed the connection",
        ),
        (
            "timeout",
            silent.address().to_string(),
            "timeout",
            "upstream_idle",
        ),
        ("garbage", garbage.address().to_string(), "protocol", ""),
        ("framing", framing.address().to_string(), "protocol", ""),
    ];
    let limits = "[server.limits]\nupstream_idle = \"300ms\"\n";
    let table = |(name, address, _, _): &(&str, String, &str, &str)| {
        format!(
            "[[sites]]\nname = \"{name}\"\norigin = \"http://{name}.localhost:8080\"\n\
             application_id = \"{name}\"\ndefault_access = \"public\"\n\
             upstreams = [\"http://{address}\"]\n"
        )
    };
    let tables: Vec<String> = sites.iter().map(table).collect();
    let config = store_alone(&application, USERS, limits) + &tables.concat();
    let gateway = Process::serve(&config).await;
    for (name, address, error, cause) in &sites {
        let errors = format!(
            "vestibule_upstream_errors_total{{error=\"{error}\",site=\"{name}\",\
             upstream=\"http://{address}\"}}"
        );
        let metrics = Browser::new(gateway.admin, "admin").get("/metrics").await;
        assert!(metrics.body.contains(&format!("{errors} 0\n")), "{errors}");
        let host = format!("{name}.localhost:8080");
        let reply = Browser::new(gateway.address, &host).get("/").await;
        assert!(reply.status == 502 || reply.status == 504, "{name}");
        assert!(
            (gateway.metric(&errors).await - 1.0).abs() < 0.5,
            "{errors}"
        );
        let log = gateway.printed();
        let line = failure(&log, name);
        assert_eq!(line["error"], *error, "{line}");
        assert!(line["cause"].as_str().unwrap().contains(cause), "{line}");
        assert_eq!(line["upstream"], format!("http://{address}"), "{line}");
        if *error != "dns" {
            assert_eq!(line["address"], *address, "{line}");
            assert!(line["request_id"].is_string(), "{line}");
        }
        assert!(!log.contains("hush"), "{log}");
    }
    let seconds = format!(
        "vestibule_upstream_request_duration_seconds_count{{site=\"store\",upstream=\"http://{}\"}}",
        application.address()
    );
    assert!(gateway.metric(&seconds).await < 0.5);
    let reply = Browser::new(gateway.address, "store.localhost:8080")
        .fetching()
        .get("/")
        .await;
    assert_eq!(reply.status, 401);
}
