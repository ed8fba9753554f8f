//! The end of a sign-in: here at once, everywhere, for good.

use std::time::Duration;

use serde_json::{Value, json};

use vestibule::config::{FakeEnvironment, check_text};
use vestibule::runtime;
use vestibule::system::Clock;

use super::support::{
    Browser, Holding, LOGIN, Listening, PASSWORD, Phone, REFRESH as RENEWAL, SHOPPER, Scripted,
    Stage, claims, until, with_line,
};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";

async fn sign_out(browser: &mut Browser) {
    let reply = browser.post("/logout", &[]).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
    assert_eq!(
        reply.header("clear-site-data"),
        Some("\"cache\", \"storage\"")
    );
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    assert_eq!(
        (browser.cookie(ACCESS), browser.cookie(REFRESH)),
        (None, None)
    );
}

/// Every saved copy of the cookies, alone and together, is refused.
async fn copies_are_refused(stage: &Stage, saved: &Browser) {
    let before = stage.requests("revoked").await;
    let (forwarded, renewed) = (stage.store.received().len(), stage.asked.refreshes.count());
    for copy in [&[ACCESS][..], &[REFRESH], &[ACCESS, REFRESH]] {
        let reply = saved.thief_of(copy).get("/orders").await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, Some("/login?return_to=/orders")),
            "{copy:?}"
        );
        let reply = saved.thief_of(copy).fetching().get("/orders").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "signed_out"),
            "{copy:?}"
        );
    }
    assert_eq!(stage.requests("revoked").await, before + 6);
    assert_eq!(stage.store.received().len(), forwarded);
    assert_eq!(
        stage.asked.refreshes.count(),
        renewed,
        "a copy is not shown to the provider"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_copy_of_any_cookie_is_refused_at_once() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let saved = browser.clone();
    sign_out(&mut browser).await;
    copies_are_refused(&stage, &saved).await;
    stage.expire_access_tokens();
    copies_are_refused(&stage, &saved).await;
    until("the word to the provider", || {
        stage.asked.logouts.count() == 1
    })
    .await;
    assert_eq!(
        stage.browser().sign_in(SHOPPER, PASSWORD).await.status,
        303,
        "the account itself is free"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_from_before_a_renewal_are_refused_too() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let before = browser.clone();
    stage.clock.advance(Duration::from_secs(45));
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_ne!(browser.cookie(ACCESS), before.cookie(ACCESS));
    let after = browser.clone();
    sign_out(&mut browser).await;
    copies_are_refused(&stage, &before).await;
    copies_are_refused(&stage, &after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_two_cookies_is_enough_to_sign_out() {
    let stage = Stage::set().await;
    for kept in [ACCESS, REFRESH] {
        let saved = stage.signed_in().await;
        sign_out(&mut saved.thief_of(&[kept])).await;
        copies_are_refused(&stage, &saved).await;
    }
    let mut expired = stage.signed_in().await;
    let saved = expired.clone();
    stage.expire_access_tokens();
    expired.forget(REFRESH);
    sign_out(&mut expired).await;
    copies_are_refused(&stage, &saved.thief_of(&[REFRESH, ACCESS])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_forgets_no_sign_out_and_no_sign_in() {
    let stage = Stage::set().await;
    let (mut gone, mut stays) = (stage.signed_in().await, stage.signed_in().await);
    let saved = gone.clone();
    sign_out(&mut gone).await;
    let text = stage
        .config
        .replace("landing = \"/shopping-cart\"", "landing = \"/welcome\"");
    let settings = check_text("stories.toml", &text, &FakeEnvironment::default()).unwrap();
    let built = runtime::build(
        settings,
        Some(&*stage.runtime_handle.current()),
        stage.clock.clone(),
    );
    stage
        .runtime_handle
        .replace(built.unwrap_or_else(|fault| panic!("{fault}")));
    assert_eq!(
        stays.get("/login").await.header("location"),
        Some("/welcome"),
        "the new configuration is in force"
    );
    copies_are_refused(&stage, &saved).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_told_which_token_to_end() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.gives(LOGIN, &claims(&stage.clock), "the-refresh-token");
    let (told, hears) = std::sync::mpsc::channel();
    provider.answers("/api/logout", move |received| {
        told.send(serde_json::from_slice::<Value>(&received.body).unwrap())
            .unwrap();
        (200, json!({}))
    });
    let mut browser = stage.browser();
    browser.sign_in("sam", "x").await;
    sign_out(&mut browser).await;
    until("the word to the provider", || {
        provider.asked("/api/logout") == 1
    })
    .await;
    assert_eq!(
        hears.recv().unwrap(),
        json!({ "global": false, "refreshToken": "the-refresh-token" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_missed_a_renewal_ends_the_renewed_token_too() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.gives(LOGIN, &claims(&stage.clock), "first");
    let (told, hears) = std::sync::mpsc::channel();
    provider.answers("/api/logout", move |received| {
        told.send(serde_json::from_slice::<Value>(&received.body).unwrap())
            .unwrap();
        (200, json!({}))
    });
    let mut browser = stage.browser();
    browser.sign_in("sam", "x").await;
    let mut behind = browser.clone();
    stage.expire_access_tokens();
    provider.gives("/api/jwt/refresh", &claims(&stage.clock), "second");
    assert_eq!(browser.get("/orders").await.status, 200);
    sign_out(&mut behind).await;
    until("the word to the provider", || {
        provider.asked("/api/logout") == 1
    })
    .await;
    assert_eq!(hears.recv().unwrap()["refreshToken"], "second");
    copies_are_refused(&stage, &browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_told_later() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let saved = browser.clone();
    stage.provider.shut();
    let knocks = stage.provider.knocks();
    sign_out(&mut browser).await;
    copies_are_refused(&stage, &saved).await;
    stage.provider.knocked_after(knocks).await;
    assert_eq!(stage.asked.logouts.count(), 0);
    stage.provider.open();
    until("the word to the provider", || {
        stage.asked.logouts.count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_wins_over_a_renewal_in_flight() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let (saved, mut renewing) = (browser.clone(), browser.clone());
    stage.expire_access_tokens();
    stage.provider.hold();
    let knocks = stage.provider.knocks();
    let flight = tokio::spawn(async move {
        let reply = renewing.get("/orders").await;
        (reply, renewing)
    });
    stage.provider.knocked_after(knocks).await;
    sign_out(&mut browser).await;
    stage.provider.open();
    let (reply, renewing) = flight.await.unwrap();
    assert_eq!(
        (reply.status, reply.header("location")),
        (302, Some("/login?return_to=/orders"))
    );
    assert_eq!(
        (renewing.cookie(ACCESS), renewing.cookie(REFRESH)),
        (None, None)
    );
    assert_eq!(stage.asked.refreshes.count(), 1);
    assert!(stage.store.received().is_empty());
    copies_are_refused(&stage, &saved).await;
    // Where the word of the sign-out overtakes the renewal, the provider refuses that and there is
    // one token to end.
    until("the end of what lives at the provider", || {
        stage.asked.logouts.count() >= 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_at_the_store_is_none_at_the_forum() {
    let stage = Stage::set().await;
    let mut store = stage.signed_in().await;
    let mut forum = stage.forum_browser();
    forum.sign_in(SHOPPER, PASSWORD).await;
    sign_out(&mut store).await;
    assert_eq!(forum.get("/posts").await.status, 200);
    stage.expire_access_tokens();
    assert_eq!(
        forum.get("/posts").await.status,
        200,
        "and its refresh token is good"
    );
    let mut other = stage.signed_in().await;
    assert_eq!(other.get("/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_out_by_another_site_or_by_made_up_cookies() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    for foreign in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let reply = browser.send("POST", "/logout", &[foreign], b"").await;
        assert_eq!(
            (reply.status, reply.all("set-cookie")),
            (403, vec![]),
            "{foreign:?}"
        );
    }
    let mut forger = stage.browser();
    let token = browser.cookie(ACCESS).unwrap();
    forger.set_cookie(ACCESS, &token[..=token.rfind('.').unwrap()]);
    forger.set_cookie(REFRESH, "made-up");
    sign_out(&mut forger).await;
    sign_out(&mut stage.browser()).await;
    assert_eq!(browser.get("/orders").await.status, 200);
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";

/// Access tokens that outlive the cookies: a sign-out holds until the last of them has expired.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_access_token_is_refused_until_its_end() {
    let (day, live) = (24 * 60 * 60, 60 * 24 * 60 * 60);
    for rotates in [true, false] {
        let provider = Scripted::open().await;
        let bearer = |config: String| {
            let config = config.replace("landing = ", "bearer = true\nlanding = ");
            provider.in_place(&config)
        };
        let stage = Stage::set_with(bearer, |_| {}).await;
        let long_lived = |clock: &Clock| {
            let mut claims = claims(clock);
            claims["exp"] = json!(clock.now().secs() + live);
            claims
        };
        provider.gives(LOGIN, &long_lived(&stage.clock), "first");
        let mut phone = Phone::new(stage.address);
        assert_eq!(phone.sign_in(SHOPPER).await.status, 200);
        let first_refresh = phone.tokens().1.unwrap().to_owned();
        // A client that is given another access token, in the last days of the first one.
        stage.clock.advance(Duration::from_secs(live - 30));
        let refresh = if rotates { "second" } else { "first" };
        provider.gives(RENEWAL, &long_lived(&stage.clock), refresh);
        assert_eq!(phone.get("/cart").await.status, 200);
        let access = phone.tokens().0.unwrap().to_owned();
        let refresh = phone.tokens().1.unwrap().to_owned();
        assert_eq!(refresh == first_refresh, !rotates);
        let body = json!({ "refreshToken": refresh });
        let reply = Phone::new(stage.address).post("/api/logout", &body).await;
        assert_eq!(reply.status, 204);
        for days in [0, 31, 28] {
            stage.clock.advance(Duration::from_secs(days * day));
            let reply = phone.holding(Some(&access), None).get("/cart").await;
            assert_eq!(reply.status, 401, "rotates: {rotates}, {days} days later");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_that_is_replayed_weeks_later_ends_the_sign_in() {
    let stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    let copy = browser.clone();
    stage.expire_access_tokens();
    assert_eq!(browser.get("/orders").await.status, 200);
    for days in [2, 10, 17] {
        stage
            .clock
            .advance(Duration::from_secs(days * 24 * 60 * 60));
        assert_eq!(
            browser.get("/orders").await.status,
            200,
            "{days} days later"
        );
    }
    let (refused, asked) = (
        stage.requests("revoked").await,
        stage.asked.refreshes.count(),
    );
    let reply = copy.thief_of(&[REFRESH]).get("/orders").await;
    assert_eq!(reply.status, 302);
    assert_eq!(
        browser.get("/orders").await.status,
        302,
        "the whole sign-in"
    );
    assert_eq!(stage.requests("revoked").await, refused + 2);
    assert_eq!(stage.asked.refreshes.count(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_no_sign_out_and_tells_the_provider() {
    let mut stage = Stage::set().await;
    let (mut browser, stays) = (stage.signed_in().await, stage.signed_in().await);
    let saved = browser.clone();
    stage.provider.shut();
    sign_out(&mut browser).await;
    stage.stop_gateway().await;
    stage.provider.open();
    let again = stage.start_again().await;
    for copy in [&[ACCESS][..], &[REFRESH], &[ACCESS, REFRESH]] {
        let reply = saved.thief_of(copy).at(again.address).get("/orders").await;
        assert_eq!(reply.status, 302, "{copy:?}");
    }
    assert_eq!(stays.at(again.address).get("/orders").await.status, 200);
    until("the word to the provider", || {
        stage.asked.logouts.count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_tells_the_provider_once_more() {
    let mut stage = Stage::set().await;
    let mut browser = stage.signed_in().await;
    stage.provider.shut();
    let knocks = stage.provider.knocks();
    sign_out(&mut browser).await;
    stage.provider.knocked_after(knocks).await;
    stage.provider.open();
    stage.stop_gateway().await;
    assert_eq!(stage.asked.logouts.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sign_outs_of_one_token_are_one_word_to_the_provider() {
    let stage = Stage::set().await;
    let saved = stage.signed_in().await;
    stage.provider.hold();
    let all: Vec<_> = (0..200)
        .map(|_| {
            let mut copy = saved.thief_of(&[REFRESH]);
            tokio::spawn(async move { copy.post("/logout", &[]).await.status })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 303);
    }
    stage.provider.open();
    until("the word to the provider", || {
        stage.asked.logouts.count() == 1
    })
    .await;
    assert_eq!(saved.clone().post("/logout", &[]).await.status, 303);
    // Others are told after it, so it would have been told by now.
    sign_out(&mut stage.signed_in().await).await;
    until("the next word", || stage.asked.logouts.count() >= 2).await;
    assert_eq!(stage.asked.logouts.count(), 2);
}

/// A gateway before an application that keeps its connections, and a stream of a signed-in visitor
/// through it.
async fn stream(
    says: &'static str,
    headers: &[(&str, &str)],
) -> (Stage, Holding, Browser, Listening) {
    let holding = Holding::saying(says).await;
    let (stage, browser, listening) = stream_before(&holding, headers).await;
    (stage, holding, browser, listening)
}

async fn stream_before(holding: &Holding, headers: &[(&str, &str)]) -> (Stage, Browser, Listening) {
    let upstreams = format!("upstreams = [\"http://{}\"]", holding.address());
    let stage = Stage::set_with(|config| with_line(&config, "upstreams", &upstreams), |_| {}).await;
    let browser = stage.signed_in().await;
    let request = String::from_utf8(browser.request("GET", "/stream", headers, b"")).unwrap();
    let request = match headers {
        [] => request,
        [..] => request.replace("Connection: close", "Connection: Upgrade"),
    };
    let mut listening = Listening::to(stage.address, request.as_bytes()).await;
    // Pingora 0.9.1 ends an upgrade whose 101 comes before it has noted that the request has no
    // body: a client of WebSockets connects again, and so does this one.
    let mut tries = 1;
    while !listening.hears("hello").await
        || stage.metric("vestibule_open_streams{site=\"store\"}").await < 1.0
    {
        tries += 1;
        assert!(tries < 10, "the stream does not open");
        listening = Listening::to(stage.address, request.as_bytes()).await;
    }
    (stage, browser, listening)
}

const WEBSOCKET: &[(&str, &str)] = &[
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Origin", "http://store.localhost:8080"),
];

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_of_the_session_are_closed() {
    for (says, headers) in [(EVENTS, &[][..]), (SWITCHED, WEBSOCKET)] {
        let (stage, _holding, mut browser, listening) = stream(says, headers).await;
        let before = stage.requests("signed_in").await;
        sign_out(&mut browser).await;
        assert!(listening.ends().await, "{says}");
        assert_eq!(
            stage.requests("signed_in").await,
            before + 1,
            "it is logged and counted like any other"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_stuck_is_closed_too() {
    // Whatever the visitor says, nobody takes it: the gateway waits for neither side to speak.
    let holding = Holding::deaf(SWITCHED).await;
    let (_stage, mut browser, mut listening) = stream_before(&holding, WEBSOCKET).await;
    listening.speaks_until_stuck().await;
    sign_out(&mut browser).await;
    assert!(listening.ends().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_of_other_sessions_stay() {
    let (stage, _holding, _browser, listening) = stream(EVENTS, &[]).await;
    let mut other = stage.signed_in().await;
    sign_out(&mut other).await;
    assert!(stage.metric("vestibule_open_streams{site=\"store\"}").await > 0.0);
    drop(listening);
}
