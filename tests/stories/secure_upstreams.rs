//! TLS and HTTP/2 to an application's servers.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::support::{
    Application, Authority, Browser, Kept, Process, SecureServer, Stage, USERS, store_alone,
    with_line,
};

const GET: &str = "GET /orders?a=1 HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";

/// A folder with PEM files, and what a site says of its upstreams.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// The line of `upstreams` for a server at this address, with more keys.
fn upstream(address: SocketAddr, more: &str) -> String {
    format!("upstreams = [{{ url = \"https://{address}\"{more} }}]\ndefault_access = \"public\"")
}

async fn stage(line: &str) -> Stage {
    Stage::set_with(|text| with_line(&text, "upstreams", line), |_| {}).await
}

async fn tls_errors(stage: &Stage) -> u64 {
    stage
        .count("vestibule_upstream_errors_total", &["store", "tls"])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_chooses_the_protocol_of_a_verified_upstream() {
    let (authority, files) = (Authority::new(), Files::new());
    files.write("ca.pem", &authority.pem());
    let ca = format!(", ca = \"{}\"", files.path("ca.pem"));
    let pair = authority.issue("127.0.0.1");
    for (protocols, expected) in [
        (&["h2", "http/1.1"][..], "HTTP/2"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let server = SecureServer::open(&pair, protocols, None).await;
        let stage = stage(&upstream(server.address, &ca)).await;
        let mut client = Kept::to(stage.address).await;
        for _ in 0..3 {
            assert_eq!(client.ask(GET).await, (200, expected.to_owned()));
        }
        assert_eq!(server.seen.connections.load(Ordering::SeqCst), 1);
        assert_eq!(tls_errors(&stage).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_and_another_name_are_refused() {
    let (authority, other, files) = (Authority::new(), Authority::new(), Files::new());
    files.write("ca.pem", &authority.pem());
    files.write("other.pem", &other.pem());
    let ca = format!(", ca = \"{}\"", files.path("ca.pem"));
    let other = format!(", ca = \"{}\"", files.path("other.pem"));
    let named = authority.issue("app.internal");
    let server = SecureServer::open(&named, &["h2"], None).await;
    let with_name = |name: &str| format!("{ca}, server_name = \"{name}\"");
    for (more, status) in [
        (with_name("app.internal"), 200),
        // Its certificate does not name the address.
        (ca.clone(), 502),
        (with_name("other.internal"), 502),
        (with_name("127.0.0.1"), 502),
        (format!("{other}, server_name = \"app.internal\""), 502),
        // The system's roots know nothing of it.
        (", server_name = \"app.internal\"".to_owned(), 502),
    ] {
        let stage = stage(&upstream(server.address, &more)).await;
        let (answered, _) = Kept::to(stage.address).await.ask(GET).await;
        assert_eq!(answered, status, "{more}");
        let refused = u64::from(status == 502);
        assert_eq!(tls_errors(&stage).await, refused, "{more}");
    }
    // Two that differ in nothing but the authority share no connection.
    let line = format!(
        "upstreams = [\n{{ url = \"https://{0}\"{ca}, server_name = \"app.internal\" }}]\n\
         default_access = \"public\"",
        server.address
    );
    let stage = stage(&line).await;
    let forum = format!(
        "upstreams = [{{ url = \"https://{}\"{other}, server_name = \"app.internal\" }}]\n\
         default_access = \"public\"",
        server.address
    );
    assert_eq!(Kept::to(stage.address).await.ask(GET).await.0, 200);
    let (first, second) = stage.config.split_once("name = \"forum\"").unwrap();
    let config = format!(
        "{first}name = \"forum\"{}",
        with_line(second, "upstreams", &forum)
    );
    reload(&stage, &config);
    assert_eq!(Kept::to(stage.address).await.ask(GET).await.0, 200);
    let get = GET.replace("store", "forum");
    assert_eq!(Kept::to(stage.address).await.ask(&get).await.0, 502);
}

fn reload(stage: &Stage, config: &str) {
    let environment = vestibule::config::SystemEnvironment;
    let settings = vestibule::config::check_text("stories.toml", config, &environment)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let current = stage.runtime_handle.current();
    let runtime = vestibule::runtime::build(settings, Some(&current), stage.clock.clone());
    stage.runtime_handle.replace(runtime.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_shows_its_certificate() {
    let (authority, files) = (Authority::new(), Files::new());
    let (server, gateway) = (authority.issue("127.0.0.1"), authority.issue("gateway"));
    files.write("ca.pem", &authority.pem());
    files.write("cert.pem", &gateway.cert_pem);
    files.write("key.pem", &gateway.key_pem());
    let ca = format!(", ca = \"{}\"", files.path("ca.pem"));
    let with_certificate = format!(
        "{ca}, cert = \"{}\", key = \"{}\"",
        files.path("cert.pem"),
        files.path("key.pem")
    );
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = SecureServer::open(&server, protocols, Some(&authority)).await;
        for (more, status) in [(&with_certificate, 200), (&ca, 502)] {
            let stage = stage(&upstream(server.address, more)).await;
            let (answered, _) = Kept::to(stage.address).await.ask(GET).await;
            assert_eq!(answered, status, "{more}");
            assert_eq!(tls_errors(&stage).await, u64::from(status == 502), "{more}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_read_again_when_their_files_change() {
    let (authority, files) = (Authority::new(), Files::new());
    files.write("ca.pem", &Authority::new().pem());
    let server = SecureServer::open(&authority.issue("127.0.0.1"), &["h2"], None).await;
    let application = Application::open().await;
    let config = store_alone(&application, USERS, "");
    let more = format!(", ca = \"{}\"", files.path("ca.pem"));
    let config = with_line(&config, "upstreams", &upstream(server.address, &more));
    let gateway = Process::serve(&config).await;
    let status = async || {
        let mut browser = Browser::new(gateway.address, "store.localhost:8080");
        browser.get("/").await.status
    };
    assert_eq!(status().await, 502);
    let log = gateway.printed();
    assert!(
        log.contains("\"error\":\"tls\"") && log.contains("\"cause\":\"invalid peer certificate: "),
        "{log}"
    );
    let aside = files.path("aside.pem");
    fs::write(&aside, authority.pem()).unwrap();
    fs::rename(&aside, Path::new(&files.path("ca.pem"))).unwrap();
    gateway.until_printed("reloaded", 1).await;
    assert_eq!(status().await, 200);
    // What is no certificate leaves the last good ones in force.
    files.write("ca.pem", "no certificate");
    gateway.until_printed("has no certificates in it", 1).await;
    assert_eq!(status().await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_in_the_clear_carries_many_requests_on_few_connections() {
    let server = SecureServer::http2_in_the_clear().await;
    let line = format!(
        "upstreams = [\"http://{}\"]\nupstream_protocol = \"h2\"\ndefault_access = \"public\"",
        server.address
    );
    let stage = stage(&line).await;
    let body = "x".repeat(100_000);
    let post = format!(
        "POST /orders?a=1 HTTP/1.1\r\nHost: store.localhost:8080\r\nTE: trailers\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Kept::to(stage.address).await.ask(&post).await;
    assert_eq!(answer, (200, "HTTP/2".to_owned()));
    {
        let seen = server.seen.http2.lock().unwrap();
        let (request, received) = &seen[0];
        assert_eq!(request.uri().path_and_query().unwrap(), "/orders?a=1");
        assert_eq!(request.uri().authority().unwrap(), "store.localhost:8080");
        assert_eq!(request.uri().scheme_str(), Some("http"));
        assert_eq!(received.len(), body.len());
        assert!(!request.headers().contains_key("host"));
        assert_eq!(request.headers()["x-auth-site"], "store");
    }
    server.seen.together.store(51, Ordering::SeqCst);
    let address = stage.address;
    let clients: Vec<_> = (0..50)
        .map(|_| tokio::spawn(async move { Kept::to(address).await.ask(GET).await }))
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), (200, "HTTP/2".to_owned()));
    }
    // Each one that finds the connection taken at that moment opens another.
    let connections = server.seen.connections.load(Ordering::SeqCst);
    assert!(connections < 25, "{connections}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_speak_the_protocol_of_the_requests() {
    let (authority, files) = (Authority::new(), Files::new());
    files.write("ca.pem", &authority.pem());
    let pair = authority.issue("127.0.0.1");
    let secure = SecureServer::open(&pair, &["h2"], None).await;
    let clear = SecureServer::http2_in_the_clear().await;
    let ca = format!(", ca = \"{}\"", files.path("ca.pem"));
    for (server, line) in [
        (&secure, upstream(secure.address, &ca)),
        (
            &clear,
            format!(
                "upstreams = [\"http://{}\"]\nupstream_protocol = \"h2\"",
                clear.address
            ),
        ),
    ] {
        let health = "health = { path = \"/healthz?deep=1\", interval = \"10ms\" }";
        let stage = stage(&format!("{line}\n{health}")).await;
        while server.seen.http2.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        let uri = server.seen.http2.lock().unwrap()[0].0.uri().clone();
        assert_eq!(uri.path_and_query().unwrap(), "/healthz?deep=1");
        assert_eq!(uri.authority().unwrap(), "store.localhost:8080");
        let name = stage.runtime_handle.current().sites()[0]
            .load_balancer
            .all()[0]
            .name
            .clone();
        let healthy = format!("vestibule_upstream_healthy{{site=\"store\",upstream=\"{name}\"}}");
        assert!(stage.metric(&healthy).await > 0.5);
    }
}
