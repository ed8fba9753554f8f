//! The end of a process, as load balancers and clients with open connections see it.

use super::support::{Application, Browser, Line, Process, USERS, ask, store_alone};

const NEWS: &str = "GET /news/x HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
const HEALTH: &str = "GET /_vestibule/health HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n";

fn config(application: &Application, server: &str) -> String {
    store_alone(application, USERS, "").replacen("admin = ", &format!("{server}\nadmin = "), 1)
        + "\n[[sites.rules]]\npath = \"/news/*\"\naccess = \"public\"\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_hear_of_the_stop_while_connections_are_still_accepted() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(
        &application,
        "shutdown_delay = \"1h\"\ndrain = \"20s\"",
    ))
    .await;
    let mut kept = Line::to(gateway.address).await;
    kept.send(NEWS).await;
    assert_eq!(kept.reply().await.unwrap().status, 200);
    let mut admin = Browser::new(gateway.admin, "admin");
    assert_eq!(admin.get("/readyz").await.status, 200);
    gateway.signal("TERM");
    gateway.until_printed("not ready any more", 1).await;
    let ready = admin.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "stopping\n"));
    assert_eq!(admin.get("/healthz").await.status, 200);
    let health = ask(gateway.address, HEALTH).await.unwrap();
    assert_eq!((health.status, health.body.as_str()), (503, "stopping"));
    // Whoever comes is served, and sent away for the next request.
    let newcomer = ask(gateway.address, NEWS).await.unwrap();
    kept.send(NEWS).await;
    for reply in [newcomer, kept.reply().await.unwrap()] {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("connection"), Some("close"));
    }
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_its_way_when_accepting_ends_is_answered() {
    let application = Application::open().await;
    let mut gateway = Process::serve(&config(&application, "")).await;
    let mut kept = Line::to(gateway.address).await;
    kept.send(NEWS).await;
    assert_eq!(kept.reply().await.unwrap().status, 200);
    let silent = Line::to(gateway.address).await;
    gateway.signal("TERM");
    gateway.until_printed("no new connections", 1).await;
    kept.send(NEWS).await;
    let reply = kept.reply().await.expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(gateway.ended().await.code(), Some(0));
    drop(silent);
}
