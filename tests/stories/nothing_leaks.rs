//! Whoever reads the logs, at the most talkative level, after everything that can go wrong: no
//! secret is in them.

use std::fs;

use vestibule::embedded::identity_server as identity;
use vestibule::embedded::users::Users;
use vestibule::model::secret::Secret;
use vestibule::system::Clock;

use super::support::{Application, Browser, Door, PASSWORD, Process, SHOPPER, Witness, ask, run};

const API_KEY: &str = "api-key-hush-4711";
const SEALING_KEY: &str = "rw1ENEY/kvFmsA8fZDA1r7vO/wS5v/db/PY0LPpPXTg=";
const WRONG_PASSWORD: &str = "wrong-hush-0815";
const APPLICATION_COOKIE: &str = "application-hush-1234";
const HOSTILE: &str = "hostile-hush-5678";

fn config(provider: &Door, store: &Application, broken: &Witness) -> String {
    format!(
        r#"
state_dir = "{{state}}"

[server]
listen = ["127.0.0.1:0"]
admin = "{{admin}}"

[log]
level = "trace"

[cookies]
keys = ["{SEALING_KEY}"]

[providers.main]
kind = "fusionauth"
url = "http://{}"
api_key = "{API_KEY}"
issuer = "stories"
timeout = "2s"

[[sites]]
name = "store"
origin = "http://store.localhost:8080"
application_id = "store-application"
upstreams = ["http://{}"]
assertion = true
forward_token = true

[[sites.rules]]
path = "/products/*"
access = "optional"

[[sites]]
name = "broken"
origin = "http://broken.localhost:8080"
application_id = "store-application"
upstreams = ["http://{}"]
default_access = "public"
"#,
        provider.address(),
        store.address(),
        broken.address(),
    )
}

/// Every value that must not be printed, with its name.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        assert!(
            value.len() >= 8,
            "{name} is too short to be looked for: {value}"
        );
        self.0.push((name.to_owned(), value));
    }

    fn add_cookies(&mut self, browser: &Browser) {
        for (name, value) in &browser.cookies {
            self.add(name, value);
            // The signature alone is enough to look for a part of it.
            if let Some((_, signature)) = value.rsplit_once('.') {
                self.add(&format!("signature of {name}"), signature);
            }
        }
    }

    fn assert_absent(&self, printed: &str) {
        for (name, value) in &self.0 {
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            for form in [value.as_str(), &encoded, &value.escape_debug().to_string()] {
                if let Some(at) = printed.find(form) {
                    let line = printed[..at].lines().count();
                    panic!(
                        "{name} was printed on line {line}: {}",
                        printed.lines().nth(line - 1).unwrap_or_default()
                    );
                }
            }
        }
    }
}

/// An identity server behind a door, and with it what it was asked to keep to itself.
async fn provider(folder: &std::path::Path) -> Door {
    let server = identity::open(identity::Options {
        users: Users::demo().unwrap(),
        state_dir: folder.join("provider"),
        issuer: "stories".into(),
        api_key: Secret::new(API_KEY),
        clock: Clock::new(),
    })
    .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let door = Door::before(listener.local_addr().unwrap()).await;
    vestibule::system::detach(server.serve(listener, std::future::pending()));
    door
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_day_at_trace_tells_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let door = provider(folder.path()).await;
    let (store, broken) = (Application::open().await, Witness::open().await);
    let mut gateway = Process::serve(&config(&door, &store, &broken)).await;
    let mut secrets = Secrets::default();
    for (name, value) in [
        ("the password", PASSWORD),
        ("the wrong password", WRONG_PASSWORD),
        ("the API key", API_KEY),
        ("the sealing key", SEALING_KEY),
        ("the application's cookie", APPLICATION_COOKIE),
        ("a hostile client's words", HOSTILE),
    ] {
        secrets.add(name, value);
    }
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    sign_ins(&mut browser, &mut secrets).await;
    secrets.add_cookies(&browser);
    for login_id in ["twofactor@example.com", "newpassword@example.com"] {
        let mut other = Browser::new(gateway.address, "store.localhost:8080");
        let reply = other.sign_in(login_id, PASSWORD).await;
        secrets.add_cookies(&other);
        let page = reply.header("location").unwrap().to_owned();
        let (_, challenge) = page.split_once("challenge=").unwrap();
        secrets.add("the challenge", challenge);
        assert_eq!(other.get(&page).await.status, 200);
    }
    // Through to the application, which hears the token and the assertion.
    assert_eq!(
        browser
            .get(&format!("/orders?token={HOSTILE}"))
            .await
            .status,
        200
    );
    let told = store.last();
    secrets.add("the assertion", told.header("x-auth-assertion").unwrap());
    secrets.add(
        "the forwarded token",
        told.header("authorization")
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap(),
    );
    // Renewal: from an invalid token, from none, refused, and with a provider that is away.
    let mut late = browser.clone();
    late.set_cookie(
        "vestibule-access",
        &format!("eyJhbGciOiJFUzI1NiJ9.{HOSTILE}.{HOSTILE}"),
    );
    assert_eq!(late.get("/orders").await.status, 200);
    secrets.add_cookies(&late);
    late.forget("vestibule-access");
    assert_eq!(late.get("/orders").await.status, 200);
    secrets.add_cookies(&late);
    let mut forged = browser.clone();
    forged.forget("vestibule-access");
    forged.set_cookie(
        "vestibule-refresh",
        &format!("{HOSTILE}AAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    assert_eq!(forged.get("/orders").await.status, 302);
    door.shut();
    let mut away = late.clone();
    away.forget("vestibule-access");
    away.get("/orders").await;
    away.sign_in(SHOPPER, PASSWORD).await;
    secrets.add_cookies(&away);
    door.open();
    clumsy_answers(&gateway, &broken).await;
    hostile_requests(&gateway, &browser).await;
    reloads(&gateway, &secrets).await;
    // Sign-out, and back with what was signed out.
    let mut gone = browser.clone();
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    assert_eq!(gone.get("/orders").await.status, 302);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    let printed = gateway.printed();
    for event in ["signed_in", "sign_in_refused", "renewed", "signed_out"] {
        assert!(printed.contains(event), "nothing of {event} in {printed}");
    }
    secrets.assert_absent(&printed);
}

/// Wrong, in the wrong field, stale, cross-site, right.
async fn sign_ins(browser: &mut Browser, secrets: &mut Secrets) {
    secrets.add("csrf", browser.csrf().await);
    assert_eq!(browser.sign_in(SHOPPER, WRONG_PASSWORD).await.status, 401);
    assert_eq!(
        browser.sign_in(WRONG_PASSWORD, WRONG_PASSWORD).await.status,
        401
    );
    let stale = [
        ("loginId", SHOPPER),
        ("password", PASSWORD),
        ("csrf", HOSTILE),
    ];
    assert_eq!(browser.post("/login", &stale).await.status, 403);
    let foreign = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://evil.example"),
    ];
    let mut page = browser.clone();
    let reply = page.send("POST", "/login", &foreign, b"csrf=stale").await;
    assert_eq!(reply.status, 403);
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
}

/// An application that falls over its own feet, with a cookie in its hand.
async fn clumsy_answers(gateway: &Process, broken: &Witness) {
    for answer in [
        format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: s={APPLICATION_COOKIE}\r\nContent-Length: nonsense\r\n\r\n"
        ),
        format!("HTTP/1.1 2x0 OK\r\nSet-Cookie: s={APPLICATION_COOKIE}\r\n\r\n"),
        format!("Set-Cookie: s={APPLICATION_COOKIE}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nSet Cookie: s={APPLICATION_COOKIE}\r\n\r\n"),
        format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: s={APPLICATION_COOKIE}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
        ),
    ] {
        broken.answers(answer.as_bytes());
        let request = format!(
            "GET /?{HOSTILE} HTTP/1.1\r\nHost: broken.localhost:8080\r\nConnection: close\r\n\r\n"
        );
        let reply = ask(gateway.address, request).await;
        assert!(
            reply.is_none_or(|reply| reply.status == 502 || reply.status == 200),
            "{answer}"
        );
    }
}

/// Good and bad, the bad ones with a secret where none belongs.
async fn reloads(gateway: &Process, secrets: &Secrets) {
    let good = fs::read_to_string(gateway.config()).unwrap();
    gateway.rewrite(|text| text.replace(SEALING_KEY, HOSTILE));
    gateway.signal("HUP");
    gateway
        .until_printed("\"event\":\"reload_refused\"", 1)
        .await;
    gateway.rewrite(|text| {
        text.replace(
            &format!("api_key = \"{API_KEY}\""),
            &format!("api_kee = \"{API_KEY}\""),
        )
    });
    gateway.signal("HUP");
    gateway
        .until_printed("\"event\":\"reload_refused\"", 2)
        .await;
    let check = run(&["check", "--config", gateway.config().to_str().unwrap()]);
    secrets.assert_absent(&String::from_utf8_lossy(
        &[check.stdout, check.stderr].concat(),
    ));
    gateway.rewrite(|_| good + "\n");
    gateway.signal("HUP");
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;
}

/// What no honest client sends, each time with a word that is looked for.
async fn hostile_requests(gateway: &Process, browser: &Browser) {
    let cookies: Vec<String> = browser
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let cookies = format!("Cookie: {}; other={HOSTILE}", cookies.join("; "));
    let mut answered = 0;
    let host = "Host: store.localhost:8080";
    for request in [
        format!("GET /x?{HOSTILE} HTTP/1.1\r\n{host}\r\n{cookies}\r\nbad header\r\n\r\n"),
        format!("GET /x y HTTP/1.1\r\n{host}\r\n{cookies}\r\n\r\n"),
        format!("GET /../x?{HOSTILE} HTTP/1.1\r\n{host}\r\n{cookies}\r\n\r\n"),
        format!("G(T /x HTTP/1.1\r\n{host}\r\n{cookies}\r\n\r\n"),
        format!("GET /x HTTP/9.9\r\n{host}\r\n{cookies}\r\n\r\n"),
        format!(
            "POST /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nTransfer-Encoding: {HOSTILE}\r\n\r\n"
        ),
        format!(
            "POST /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nTransfer-Encoding: chunked\r\n\r\n{HOSTILE}\r\n"
        ),
        format!(
            "POST /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nContent-Length: {HOSTILE}\r\n\r\n"
        ),
        format!(
            "POST /login HTTP/1.1\r\n{host}\r\n{cookies}\r\nContent-Type: text/plain\r\nContent-Length: 17\r\n\r\n{HOSTILE}"
        ),
        format!(
            "GET /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nAuthorization: a\r\nAuthorization: Bearer {HOSTILE}\r\n\r\n"
        ),
        format!("GET /orders HTTP/1.1\r\nHost: {HOSTILE}.example\r\n{cookies}\r\n\r\n"),
        format!(
            "GET /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nX-Request-Id: {HOSTILE} x\r\nConnection: host\r\n\r\n"
        ),
        format!(
            "GET /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nX: {}\r\n\r\n",
            HOSTILE.repeat(2000)
        ),
        format!("TRACE /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\n\r\n"),
        format!("\x16\x03\x01{HOSTILE}\r\n\r\n"),
        format!("GET /orders HTTP/1.1\r\n{host}\r\n{cookies}\r\nX-Half: "),
    ] {
        let mut line = super::support::Line::to(gateway.address).await;
        line.send(request).await;
        line.finish().await;
        // Whoever was answered is in the log, by the answer's id.
        if let Some(id) = line
            .reply()
            .await
            .as_ref()
            .and_then(|reply| reply.header("x-request-id"))
        {
            gateway
                .until_printed(&format!("\"request_id\":\"{id}\""), 1)
                .await;
            answered += 1;
        }
    }
    assert!(answered >= 12, "only {answered} were answered");
}
