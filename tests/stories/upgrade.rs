//! A new program takes the place of the running one, and nobody notices.

use vestibule::embedded::password_hasher::hash_password;

use super::support::{Application, Browser, Line, PASSWORD, Process, SHOPPER, free, store_alone};

const NEWS: &str = "GET /news/x HTTP/1.1\r\nHost: store.localhost:8080\r\n\r\n";
const HEALTH: &str = "GET /_vestibule/health HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n";

/// A gateway with an identity server of its own, on an address that stays the same, and the folder
/// of its users.
async fn gateway(application: &Application) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.toml");
    let hash = hash_password(PASSWORD).unwrap();
    let shopper = format!("[[users]]\nemail = \"{SHOPPER}\"\npassword = \"{hash}\"\n");
    std::fs::write(&users, shopper).unwrap();
    let address = free().to_string();
    let config = store_alone(application, users.to_str().unwrap(), "")
        .replace("127.0.0.1:0", &address)
        + "\n[[sites.rules]]\npath = \"/news/*\"\naccess = \"public\"\n";
    (Process::serve(&config).await, folder)
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/orders").await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_process_takes_the_sockets_and_the_old_one_finishes_its_requests() {
    let application = Application::open().await;
    let (mut old, _users) = gateway(&application).await;
    let mut browser = Browser::new(old.address, "store.localhost:8080");
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    let mut kept = Line::to(old.address).await;
    kept.send(NEWS).await;
    assert_eq!(kept.reply().await.unwrap().status, 200);
    let new = old.upgraded().await;
    // Whoever was connected is served, and led to the new process.
    kept.send(HEALTH).await;
    let health = kept.reply().await.unwrap();
    assert_eq!((health.status, health.body.as_str()), (200, "ok"));
    assert_eq!(health.header("connection"), Some("close"));
    let (entered, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    application.answers(move |received| {
        if received.target == "/news/slow" {
            entered.send(()).unwrap();
            tokio::task::block_in_place(|| gone.lock().unwrap().recv().unwrap());
        }
        axum::response::Response::new(axum::body::Body::from("served"))
    });
    old.signal("QUIT");
    assert_eq!(old.ended().await.code(), Some(0));
    // The identity server has moved too: it renews what the old one has issued.
    assert!(is_signed_in(&mut browser).await);
    new.until_printed("the embedded identity server runs here now", 1)
        .await;
    let mut other = Browser::new(new.address, "store.localhost:8080");
    assert_eq!(other.sign_in(SHOPPER, PASSWORD).await.status, 303);
    // Once more: the request in flight finishes in the process that took it.
    let mut slow = other.clone();
    let in_flight = vestibule::system::detach(async move { slow.get("/news/slow").await });
    waiting.recv().await.unwrap();
    let third = new.upgraded().await;
    new.signal("QUIT");
    new.until_printed("requests in flight finish", 1).await;
    go.send(()).unwrap();
    assert_eq!(in_flight.await.unwrap().body, "served");
    assert!(is_signed_in(&mut other).await);
    let mut new = new;
    assert_eq!(new.ended().await.code(), Some(0));
    third
        .until_printed("the process before this one has ended", 1)
        .await;
    assert_eq!(
        Browser::new(third.admin, "admin")
            .get("/readyz")
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_cannot_serve_leaves_the_old_one_alone() {
    let application = Application::open().await;
    let (mut old, _users) = gateway(&application).await;
    let mut browser = Browser::new(old.address, "store.localhost:8080");
    let good = std::fs::read_to_string(old.config()).unwrap();
    for (mistake, status) in [
        (
            good.replace("access = \"public\"", "access = \"publik\""),
            78,
        ),
        // Its listeners cannot all be opened.
        (good.replace("listen = [", "listen = [\"192.0.2.1:1\", "), 1),
    ] {
        old.rewrite(|_| mistake);
        let mut new = old.successor();
        assert_eq!(new.ended().await.code(), Some(status), "{}", new.printed());
        assert_eq!(browser.get("/news/x").await.status, 200);
    }
    assert!(old.is_running());
    old.rewrite(|_| good);
    let new = old.upgraded().await;
    old.signal("QUIT");
    assert_eq!(old.ended().await.code(), Some(0));
    assert_eq!(browser.at(new.address).get("/news/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_dies_gives_the_sockets_back() {
    let application = Application::open().await;
    let (old, _users) = gateway(&application).await;
    let mut new = old.upgraded().await;
    new.signal("KILL");
    new.ended().await;
    old.until_printed("this one accepts connections again", 1)
        .await;
    let mut browser = Browser::new(old.address, "store.localhost:8080");
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    assert_eq!(
        Browser::new(old.admin, "admin").get("/readyz").await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_in_one_process_is_known_in_the_other_and_after_both() {
    let application = Application::open().await;
    let (mut old, _users) = gateway(&application).await;
    let sign_in = async |at| {
        let mut browser = Browser::new(at, "store.localhost:8080");
        assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
        browser
    };
    let (before, mut during) = (sign_in(old.address).await, sign_in(old.address).await);
    let mut line = Line::to(old.address).await;
    line.send(NEWS).await;
    assert_eq!(line.reply().await.unwrap().status, 200);
    let mut new = old.upgraded().await;
    // In the old process, over a connection that it has kept.
    let cookies: Vec<String> = before
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let sign_out = format!(
        "POST /logout HTTP/1.1\r\nHost: store.localhost:8080\r\nContent-Length: 0\r\n\
         Origin: http://store.localhost:8080\r\nCookie: {}\r\n\r\n",
        cookies.join("; ")
    );
    line.send(sign_out).await;
    assert_eq!(line.reply().await.unwrap().status, 303);
    let mut copy = before.fetching();
    let deadline = vestibule::system::stopwatch() + std::time::Duration::from_secs(5);
    while is_signed_in(&mut copy).await {
        assert!(vestibule::system::stopwatch() < deadline, "still signed in");
    }
    // In the new one.
    let mut copy_of_second = during.clone().fetching();
    assert_eq!(during.post("/logout", &[]).await.status, 303);
    old.signal("QUIT");
    assert_eq!(old.ended().await.code(), Some(0));
    new.until_printed("the process before this one has ended", 1)
        .await;
    new.signal("TERM");
    assert_eq!(new.ended().await.code(), Some(0));
    let _after = new.upgraded().await;
    for copy in [&mut copy, &mut copy_of_second] {
        assert!(!is_signed_in(copy).await);
    }
}
