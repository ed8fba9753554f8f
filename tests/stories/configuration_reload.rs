//! The operator: starts the gateway, changes its file, asks what it would do, and stops it.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vestibule::embedded::password_hasher::{PasswordHasher, hash_password};
use vestibule::model::secret::Secret;

use super::support::{
    Application, Browser, PASSWORD, Process, SHOPPER, USERS, ask, free, run, store_alone, vestibule,
};

fn config(application: &Application) -> String {
    store_alone(application, USERS, "")
        + "\n[[sites.rules]]\npath = \"/news/*\"\naccess = \"public\"\n"
}

fn opened(config: &str) -> String {
    config.replace("\"/news/*\"", "\"/*\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_swaps_the_rules_and_requests_in_flight_end_as_they_began() {
    let application = Application::open().await;
    let gateway = Process::serve(&config(&application)).await;
    let mut browser = Browser::new(gateway.address, "store.localhost:8080").fetching();
    assert_eq!(browser.get("/orders").await.status, 401);
    let (entered, waiting) = tokio::sync::mpsc::unbounded_channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    application.answers(move |received| {
        if received.target == "/news/slow" {
            entered.send(()).unwrap();
            tokio::task::block_in_place(|| gone.lock().unwrap().recv().unwrap());
        }
        axum::response::Response::new(axum::body::Body::from("done"))
    });
    let mut waiting = waiting;
    let mut slow = browser.clone();
    let in_flight = vestibule::system::detach(async move { slow.get("/news/slow").await });
    waiting.recv().await.unwrap();
    gateway.rewrite(|text| {
        opened(&text).replace("access = \"public\"", "access = \"public\"\n\n# Edited.")
    });
    gateway.signal("HUP");
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;
    assert_eq!(browser.get("/orders").await.status, 200);
    go.send(()).unwrap();
    let reply = in_flight.await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "done"));
    assert!(
        gateway
            .metric("vestibule_config_reloads_total{result=\"ok\"}")
            .await
            >= 1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_says_why() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(&application)).await;
    let mut browser = Browser::new(gateway.address, "store.localhost:8080").fetching();
    for (bad, words) in [
        ("access = \"publik\"", "publik"),
        ("acces = \"public\"", "acces"),
        ("access = \"public\"\nroles = [", ""),
        ("access = \"public\"\n[[sites]]\nname = \"store\"", "store"),
    ] {
        let before = gateway
            .metric("vestibule_config_reloads_total{result=\"refused\"}")
            .await;
        let printed = gateway
            .printed()
            .matches("\"event\":\"reload_refused\"")
            .count();
        gateway.rewrite(|text| opened(&text).replace("access = \"public\"", bad));
        gateway.signal("HUP");
        gateway
            .until_printed("\"event\":\"reload_refused\"", printed + 1)
            .await;
        assert!(
            gateway
                .metric("vestibule_config_reloads_total{result=\"refused\"}")
                .await
                > before
        );
        let log = gateway.printed();
        assert!(
            log.contains("a problem in the new configuration") && log.contains(words),
            "{log}"
        );
        assert_eq!(browser.get("/orders").await.status, 401, "{bad}");
        assert_eq!(browser.get("/news/today").await.status, 200, "{bad}");
        gateway.rewrite(|_| config(&application).replace("{admin}", &gateway.admin.to_string()));
    }
    fs::remove_file(gateway.config()).unwrap();
    let printed = gateway
        .printed()
        .matches("\"event\":\"reload_refused\"")
        .count();
    gateway.signal("HUP");
    gateway
        .until_printed("\"event\":\"reload_refused\"", printed + 1)
        .await;
    assert_eq!(browser.get("/news/today").await.status, 200);
    assert!(gateway.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_without_a_signal() {
    let application = Application::open().await;
    let gateway = Process::serve(&config(&application)).await;
    let mut browser = Browser::new(gateway.address, "store.localhost:8080").fetching();
    assert_eq!(browser.get("/orders").await.status, 401);
    gateway.rewrite(|text| opened(&text));
    let noticed = gateway.until_printed("\"event\":\"reloaded\"", 1);
    tokio::time::timeout(Duration::from_secs(5), noticed)
        .await
        .expect("noticed within five seconds");
    assert_eq!(browser.get("/orders").await.status, 200);
}

/// A file with a secret may come after the configuration that names it, and be replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_file_is_noticed_without_a_signal() {
    let application = Application::open().await;
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.toml");
    let hash = hash_password(PASSWORD).unwrap();
    let user = format!("[[users]]\nemail = \"{SHOPPER}\"\npassword = \"{hash}\"\n");
    fs::write(&users, user).unwrap();
    let config = store_alone(&application, users.to_str().unwrap(), "");
    let gateway = Process::serve(&config).await;
    let file = gateway.config().with_file_name("cookie.key");
    let write_new_key = || {
        let key: [u8; 32] = vestibule::system::random();
        let aside = file.with_file_name("aside.key");
        fs::write(&aside, STANDARD.encode(key)).unwrap();
        fs::rename(aside, &file).unwrap();
    };
    let reloaded = async |times| {
        let noticed = gateway.until_printed("\"event\":\"reloaded\"", times);
        let noticed = tokio::time::timeout(Duration::from_secs(5), noticed).await;
        assert!(noticed.is_ok(), "{times}: {}", gateway.printed());
    };
    gateway.rewrite(|text| text + "\n[cookies]\nkeys = [{ file = \"cookie.key\" }]\n");
    gateway
        .until_printed("\"event\":\"reload_refused\"", 1)
        .await;
    write_new_key();
    reloaded(1).await;
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    write_new_key();
    reloaded(2).await;
    browser
        .cookies
        .retain(|(name, _)| name != "vestibule-access");
    assert_eq!(
        browser.get("/orders").await.status,
        302,
        "sealed by the other key"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn termination_waits_for_a_slow_answer_and_takes_nothing_new() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(&application)).await;
    let (entered, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    application.answers(move |_| {
        entered.send(()).unwrap();
        tokio::task::block_in_place(|| gone.lock().unwrap().recv().unwrap());
        axum::response::Response::new(axum::body::Body::from("late"))
    });
    let mut browser = Browser::new(gateway.address, "store.localhost:8080");
    let in_flight = vestibule::system::detach(async move { browser.get("/news/slow").await });
    waiting.recv().await.unwrap();
    gateway.signal("TERM");
    gateway.until_printed("SIGTERM", 1).await;
    let address = gateway.address;
    gateway
        .until(|_| std::net::TcpStream::connect(address).is_err().then_some(()))
        .await;
    assert!(gateway.is_running());
    go.send(()).unwrap();
    let reply = in_flight.await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "late"));
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_visitor_does_not_hold_up_the_end() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(&application)).await;
    let mut line = super::support::Line::to(gateway.address).await;
    line.send("GET /news/x HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n")
        .await;
    assert_eq!(line.reply().await.unwrap().status, 200);
    let silent = super::support::Line::to(gateway.address).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    drop((line, silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_told() {
    let application = Application::open().await;
    let gateway = Process::serve(&config(&application)).await;
    for taken in [gateway.address, gateway.admin] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("second.toml");
        let other = free().to_string();
        let text = config(&application).replace("{state}", &folder.path().display().to_string());
        let text = if taken == gateway.admin {
            text.replace("{admin}", &taken.to_string())
        } else {
            text.replace("{admin}", &other)
                .replace("127.0.0.1:0", &taken.to_string())
        };
        fs::write(&path, text).unwrap();
        let output = run(&["serve", "--config", path.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains(&format!("cannot listen on {taken}")) && told.lines().count() == 1,
            "{told}"
        );
    }
}

#[test]
fn check_tells_every_problem_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let text = r#"state_dir = "state"
[server]
listen = ["nowhere"]
trusted_proxies = ["0.0.0.0/0"]
[providers.main]
kind = "fusionauth"
url = "http://id.example.com"
api_key = "hush-api-key"
issuer = "id"
[[sites]]
name = "Store"
origin = "https://store.example.com"
application_id = "a"
upstreams = ["ftp://127.0.0.1"]
headers = "remote-users"
[[sites.rules]]
path = "/a/**/b"
access = "public"
"#;
    fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    let output = run(&["check", "--config", file]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(output.stdout.is_empty());
    for line in [3, 4, 7, 11, 14, 15, 17] {
        assert!(
            told.lines()
                .any(|told| told.starts_with(&format!("{file}:{line}:"))),
            "line {line}: {told}"
        );
    }
    assert!(!told.contains("hush"), "{told}");
    for command in [&["serve"][..], &["explain", "--host", "a", "--path", "/"]] {
        let output = run(&[command, &["--config", file]].concat());
        assert_eq!(output.status.code(), Some(78), "{command:?}");
    }
    let missing = run(&["check", "--config", "/nowhere/at/all.toml"]);
    assert_eq!(missing.status.code(), Some(78));
    let good = run(&[
        "check",
        "--config",
        concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/embedded.toml"),
    ]);
    assert_eq!(
        good.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
}

#[test]
fn explain_says_what_would_happen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roles.toml");
    let text = r#"[providers.main]
kind = "fusionauth"
url = "http://127.0.0.1:9011"
api_key = "key"
issuer = "id"
[[sites]]
name = "store"
origin = "https://store.example"
application_id = "store"
upstreams = ["http://127.0.0.1:3001"]
default_access = "public"
[[sites.rules]]
path = "/admin/export"
from = ["10.0.0.0/8"]
header = "X-Api-Key"
access = "optional"
[[sites.rules]]
path = "/admin/*"
access = "required"
roles = ["admin"]
"#;
    fs::write(&path, text).unwrap();
    let (file, host) = (path.to_str().unwrap(), "store.example");
    let explain = |path: &str, more: &[&str]| {
        let output = run(&[
            &["explain", "--config", file, "--host", host, "--path", path],
            more,
        ]
        .concat());
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, json, problem) = explain("/admin/users?page=2", &["--json"]);
    assert_eq!(code, Some(0), "{problem}");
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for key in [
        "site",
        "rule",
        "access",
        "signed_out",
        "signed_in",
        "without_role",
    ] {
        assert!(!told[key].is_null(), "{key} in {json}");
    }
    assert_eq!(
        (&told["site"], &told["rule"], &told["access"]),
        (&"store".into(), &"/admin/*".into(), &"required".into())
    );
    let fate = |who: &str| {
        ["outcome", "reason", "status", "location"].map(|key| told[who][key].to_string())
    };
    let login = "\"/login?return_to=/admin/users?page=2\"";
    assert_eq!(
        fate("signed_out"),
        ["\"redirected\"", "\"signed_out\"", "302", login]
    );
    assert_eq!(
        fate("signed_in"),
        ["\"forwarded\"", "\"signed_in\"", "null", "null"]
    );
    assert_eq!(
        fate("without_role"),
        ["\"refused\"", "\"role_missing\"", "403", "null"]
    );
    let (code, told, _) = explain("/admin", &["--role", "nobody", "--method", "POST"]);
    assert_eq!(code, Some(0));
    assert!(
        told.contains("signed out") && told.contains("without role"),
        "{told}"
    );
    for (conditions, rule) in [
        (
            &["--from", "10.1.1.1", "--header", "x-api-key"][..],
            "/admin/export",
        ),
        (&["--from", "11.1.1.1", "--header", "x-api-key"], "/admin/*"),
        (&["--from", "10.1.1.1"], "/admin/*"),
        (&["--header", "X-Api-Key"], "/admin/*"),
    ] {
        let (_, told, problem) = explain("/admin/export", conditions);
        assert!(
            told.contains(&format!("rule          {rule} ")),
            "{told}{problem}"
        );
    }
    // What visitors are refused is not explained as if they were not.
    for path in [
        "/a/../b",
        "a",
        "//a",
        "/%00",
        "/admin;x/users",
        "/%2561dmin/users",
    ] {
        let (code, told, problem) = explain(path, &[]);
        assert_eq!((code, told.as_str()), (Some(1), ""), "{path}");
        assert!(problem.contains("malformed_request"), "{problem}");
    }
    let output = run(&[
        "explain",
        "--config",
        file,
        "--host",
        "nobody.example",
        "--path",
        "/",
    ]);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("unknown_site")
    );
}

#[test]
fn the_schema_is_json() {
    let output = run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(schema["properties"]["sites"].is_object(), "{schema}");
    assert!(output.status.success());
}

#[tokio::test]
async fn a_hashed_password_verifies_and_is_not_shown() {
    let hash = |typed: &str| {
        let mut child = vestibule()
            .arg("hash-password")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(typed.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), told.trim().to_owned())
    };
    let hasher = PasswordHasher::new(std::iter::empty());
    for (typed, password) in [
        ("correct horse\n", "correct horse"),
        ("correct horse", "correct horse"),
        (" pässword \r\n", " pässword "),
        ("two\nlines\n", "two"),
    ] {
        let (code, told) = hash(typed);
        assert_eq!(code, Some(0), "{told}");
        assert!(
            told.starts_with("$argon2id$") && !told.contains(password.trim()),
            "{told}"
        );
        assert!(
            hasher
                .verify(Some(told.clone()), Secret::new(password))
                .await,
            "{typed:?}"
        );
        assert!(
            !hasher
                .verify(Some(told), Secret::new(format!("{password}x")))
                .await
        );
    }
    assert_eq!(hash("\n").0, Some(1));
    assert_ne!(hash("a\n").1, hash("a\n").1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchers_door_is_not_on_a_site() {
    let application = Application::open().await;
    let gateway = Process::serve(
        &config(&application).replace("access = \"public\"", "access = \"public\"\n"),
    )
    .await;
    let file = gateway.config();
    let health = run(&["health", "--config", file.to_str().unwrap()]);
    assert_eq!(health.status.code(), Some(0));
    let mut watcher = Browser::new(gateway.admin, "admin");
    for (path, words) in [
        ("/metrics", "vestibule_build_info"),
        ("/healthz", ""),
        ("/readyz", ""),
    ] {
        let reply = watcher.get(path).await;
        assert!(
            reply.status == 200 && reply.body.contains(words),
            "{path}: {reply:?}"
        );
        // At the site it is the application's, under the site's rules; at no site it is nobody's.
        let mut visitor = Browser::new(gateway.address, "store.localhost:8080").fetching();
        assert_eq!(visitor.get(path).await.code(), "signed_out", "{path}");
        let bare = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            gateway.admin
        );
        assert_eq!(
            ask(gateway.address, bare).await.unwrap().code(),
            "unknown_site",
            "{path}"
        );
    }
    assert_eq!(watcher.get("/login").await.status, 404);
    gateway.signal("TERM");
    let mut gateway = gateway;
    gateway.ended().await;
    let health = run(&["health", "--config", file.to_str().unwrap()]);
    assert_eq!(health.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named() {
    let application = Application::open().await;
    let gateway = Process::serve(&config(&application)).await;
    gateway.rewrite(|text| {
        let other = text.replace("[server]\n", "[server]\nworkers = 3\ndrain = \"1s\"\n");
        other + "\n[log]\nlevel = \"warn\"\n"
    });
    gateway.signal("HUP");
    gateway
        .until_printed("\"keys\":\"server.workers log.level\"", 1)
        .await;
    gateway.until_printed("\"event\":\"reloaded\"", 1).await;
    let reloaded = gateway
        .metric("vestibule_config_last_reload_successful")
        .await;
    assert!((reloaded - 1.0).abs() < f64::EPSILON);
}

/// The sign-in key is gone: the log answers why the visitor has to sign in again.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_has_a_cause_in_log_and_metrics() {
    let application = Application::open().await;
    let gateway = Process::serve(&config(&application)).await;
    let request = "GET /orders HTTP/1.1\r\nHost: store.localhost:8080\r\n\
                   Cookie: vestibule-refresh=made-up\r\n\r\n";
    let reply = ask(gateway.address, request).await.unwrap();
    assert_eq!(reply.status, 401);
    gateway
        .until_printed(
            "\"event\":\"refresh_token_unreadable\",\"site\":\"store\"",
            1,
        )
        .await;
    let count = gateway
        .metric("vestibule_unexpected_sign_outs_total{cause=\"unreadable_cookie\",site=\"store\"}")
        .await;
    assert!((count - 1.0).abs() < f64::EPSILON);
}
