//! Something behind the gateway is down: nobody is signed out for it, and it heals by itself.

use super::support::{
    Application, Browser, Holding, KEYS, LOGIN, Listening, Nobody, PASSWORD, SHOPPER, Scripted,
    Stage, claims, field, with_line,
};

const ACCESS: &str = "vestibule-access";

/// A stage whose store has these upstreams, asked within 300 ms.
async fn stage_before(upstreams: &[std::net::SocketAddr]) -> Stage {
    let urls: Vec<String> = upstreams
        .iter()
        .map(|address| format!("\"http://{address}\""))
        .collect();
    let line = format!("upstreams = [{}]", urls.join(", "));
    let limits = "[server.limits]\nupstream_idle = \"300ms\"\n\n[providers.main]";
    let config =
        |text: String| with_line(&text, "upstreams", &line).replace("[providers.main]", limits);
    Stage::set_with(config, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_signs_nobody_out() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let before = browser.cookies.clone();
    stage.expire_access_tokens();
    stage.provider.shut();
    let page = browser.get("/orders").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (503, Some("text/html; charset=utf-8"))
    );
    let problem = browser.clone().fetching().get("/orders").await;
    assert_eq!(
        (problem.status, problem.code().as_str()),
        (503, "provider_unavailable")
    );
    for reply in [&page, &problem] {
        assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        assert_eq!(
            (reply.all("set-cookie"), reply.header("cache-control")),
            (vec![], Some("no-store"))
        );
    }
    assert_eq!(browser.cookies, before);
    assert!(stage.store.received().is_empty());
    assert_eq!(
        stage
            .count(
                "vestibule_requests_total",
                &["failed", "provider_unavailable"]
            )
            .await,
        2
    );
    stage.provider_recovers();
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(stage.asked.refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_holds_needs_no_provider() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.provider.shut();
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optional_page_goes_on_without_a_name() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.expire_access_tokens();
    stage.provider.shut();
    let reply = browser.get("/products/1").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(stage.store.last().header("x-auth-user-id"), None);
    assert_eq!(stage.requests("anonymous").await, 1);
    stage.provider_recovers();
    let reply = browser.get("/products/1").await;
    assert_eq!((reply.status, reply.all("set-cookie").len()), (200, 2));
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_meanwhile_keeps_what_was_typed() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    stage.provider.shut();
    // More often than anybody may guess: no password was judged.
    for _ in 0..7 {
        let reply = browser.sign_in(SHOPPER, PASSWORD).await;
        assert_eq!(
            (reply.status, field(&reply.body, "loginId").as_str()),
            (503, SHOPPER)
        );
        assert!(reply.header("retry-after").is_some() && !reply.body.contains(PASSWORD));
    }
    stage.provider.open();
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_down_does_not_cost_the_new_cookies() {
    let (nobody, silent) = (Nobody::there(), Holding::saying("").await);
    for (upstream, status, code) in [
        (nobody.address(), 502, "upstream_unavailable"),
        (silent.address(), 504, "upstream_timeout"),
    ] {
        let stage = stage_before(&[upstream]).await;
        let mut browser = stage.signed_in().await;
        let before = browser.clone();
        stage.expire_access_tokens();
        let reply = browser.clone().fetching().get("/orders").await;
        browser.keep(&reply);
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
        assert_eq!(reply.header("cache-control"), Some("private, no-store"));
        assert_ne!(browser.cookie(ACCESS), before.cookie(ACCESS));
        let reply = browser.get("/orders").await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, Some("text/html; charset=utf-8"))
        );
        assert_eq!(reply.all("set-cookie"), Vec::<&str>::new());
        assert_eq!(stage.asked.refreshes.count(), 1);
        assert_eq!(stage.requests(code).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_can_wait_less_for_its_application_than_others() {
    let silent = Holding::saying("").await;
    let site = format!(
        "upstreams = [\"http://{}\"]\nupstream_idle = \"100ms\"",
        silent.address()
    );
    let config = |text: String| with_line(&text, "upstreams", &site);
    let stage = Stage::set_with(config, |_| {}).await;
    let reply = stage.browser().fetching().get("/").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (504, "upstream_timeout")
    );
}

/// The same where the renewal ran beside the call that failed.
#[tokio::test(flavor = "multi_thread")]
async fn nor_those_of_a_renewal_ahead() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.store.kill();
    stage.clock.advance(std::time::Duration::from_secs(45));
    let reply = browser.get("/orders").await;
    assert_eq!((reply.status, reply.all("set-cookie").len()), (502, 2));
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    assert_eq!(stage.asked.refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_upstream_is_tried_when_one_refuses() {
    let (there, nobody) = (
        Application::open().await,
        [Nobody::there(), Nobody::there()],
    );
    let stage = stage_before(&[nobody[0].address(), there.address(), nobody[1].address()]).await;
    let mut browser = stage.signed_in().await;
    for round in 1..=6 {
        let body = browser
            .send(
                "POST",
                "/orders",
                &[("Origin", "http://store.localhost:8080")],
                b"one order",
            )
            .await;
        assert_eq!(body.status, 200);
        assert_eq!(there.received().len(), round);
        assert_eq!(
            (there.last().method.as_str(), there.last().body.as_slice()),
            ("POST", &b"one order"[..])
        );
        assert_eq!(there.last().all("x-auth-email"), [SHOPPER]);
        assert_eq!(there.last().all("via").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_take_turns() {
    let both = [Application::open().await, Application::open().await];
    let stage = stage_before(&both.each_ref().map(Application::address)).await;
    let mut browser = stage.browser();
    for _ in 0..10 {
        assert_eq!(browser.get("/").await.status, 200);
    }
    assert_eq!(both.each_ref().map(|one| one.received().len()), [5, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nobody_is_judged() {
    let provider = Scripted::open().await;
    provider.says(KEYS, 500, serde_json::json!({}));
    let stage = Stage::begin(|config| provider.in_place(&config), |_| {}, |_| {}).await;
    provider.gives(LOGIN, &claims(&stage.clock), "r");
    let mut browser = stage.browser();
    browser.set_cookie(ACCESS, &provider.token(&claims(&stage.clock)));
    let reply = browser.get("/orders").await;
    assert_eq!((reply.status, reply.all("set-cookie")), (503, vec![]));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(stage.browser().sign_in("sam", "x").await.status, 503);
    provider.publishes_its_key();
    stage.until_ready().await;
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(stage.browser().sign_in("sam", "x").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_counted_as_a_failure() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (says, broken_off) in [(whole, 0), (long, 1), (chunked, 1)] {
        let application = Holding::breaking_off(says).await;
        let stage = stage_before(&[application.address()]).await;
        let request = b"GET / HTTP/1.1\r\nHost: store.localhost:8080\r\nConnection: close\r\n\r\n";
        let mut listening = Listening::to(stage.address, request).await;
        // What comes before the break may be lost with it.
        assert!(listening.hears("hello").await || broken_off > 0, "{says}");
        assert!(
            !listening.hears("\r\n0\r\n\r\n").await,
            "{says}: it must not look whole"
        );
        let counted = ["store", "failed", "upstream_unavailable"];
        assert_eq!(
            stage.count("vestibule_requests_total", &counted).await,
            broken_off,
            "{says}"
        );
        assert_eq!(
            stage
                .count("vestibule_requests_total", &["store", "forwarded"])
                .await,
            1 - broken_off,
            "{says}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_starts_before_its_provider() {
    let stage = Stage::begin(|config| config, |_| {}, super::support::Door::shut).await;
    let mut watcher = Browser::new(stage.admin, "admin");
    assert_eq!(
        (
            watcher.get("/healthz").await.status,
            watcher.get("/readyz").await.status
        ),
        (200, 503)
    );
    let mut browser = stage.browser();
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 503);
    stage.provider.open();
    stage.until_ready().await;
    assert_eq!(watcher.get("/readyz").await.status, 200);
    assert_eq!(browser.sign_in(SHOPPER, PASSWORD).await.status, 303);
    assert_eq!(browser.get("/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_being_served_when_the_gateway_stops_is_served() {
    let stage = Stage::set().await;
    let (came, arrivals) = std::sync::mpsc::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    stage.store.answers(move |_| {
        came.send(()).unwrap();
        tokio::task::block_in_place(|| waits.lock().unwrap().recv().unwrap());
        axum::response::Response::new("late, but whole".into())
    });
    let (mut browser, address) = (stage.browser(), stage.address);
    let served = tokio::spawn(async move { browser.get("/").await });
    tokio::task::block_in_place(|| arrivals.recv().unwrap());
    let mut stopped = tokio::spawn(stage.stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut stopped).await;
    assert!(early.is_err(), "it stops only when everybody is served");
    go_on.send(()).unwrap();
    let reply = served.await.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "late, but whole")
    );
    assert_eq!(stopped.await.unwrap(), Ok(()));
}
