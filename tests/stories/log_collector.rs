//! A log collector that reads the gateway's standard output, and stops.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use super::support::{Application, Browser, Process, USERS, free, store_alone, vestibule};

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_stops_reading_stops_nothing_else() {
    let application = Application::open().await;
    let folder = tempfile::tempdir().unwrap();
    let admin = free();
    let config = store_alone(&application, USERS, "")
        .replace("{admin}", &admin.to_string())
        .replace(
            "{state}",
            &folder.path().join("state").display().to_string(),
        );
    let path = folder.path().join("vestibule.toml");
    std::fs::write(&path, config).unwrap();
    let mut command = vestibule();
    command.args(["serve", "--config"]).arg(&path);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut collector = BufReader::new(child.stdout.take().unwrap());
    let mut process = Process::of(child, admin);
    process.address = serving(&mut collector);

    // Nobody reads from here on: a pipe holds 64 KiB, and a line has more than 200 bytes.
    let mut browser = Browser::new(process.address, "store.localhost:8080");
    for request in 0..600 {
        let asked = tokio::time::timeout(Duration::from_secs(20), browser.get("/login"));
        let reply = asked.await.expect("an answer");
        assert_eq!(reply.status, 200, "request {request}");
    }
    assert_eq!(
        Browser::new(admin, "admin").get("/healthz").await.status,
        200
    );
    assert!(process.metric("vestibule_log_lines_dropped_total").await > 100.0);
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), Some(0));
    drop(collector);
}

/// The address in the line that tells of the listeners.
fn serving(collector: &mut impl BufRead) -> SocketAddr {
    let mut lines = collector.by_ref().lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("\"serving\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    line["listen"].as_str().unwrap().parse().unwrap()
}
