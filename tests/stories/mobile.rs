//! An application on a phone that keeps its tokens itself, step by step as FusionAuth's article on
//! this workflow has them (rows 1 to 22).

use axum::body::Body;
use axum::response::Response;
use serde_json::json;

use super::support::{
    Browser, Holding, LOGIN, Line, PASSWORD, Phone, REFRESH, SHOPPER, Scripted, Stage, claims,
    until, with_line,
};

const CART: &str = "/api/load-shopping-cart";

fn bearer(config: &str) -> String {
    config.replace("landing = ", "bearer = true\nlanding = ")
}

async fn set() -> Stage {
    Stage::set_with(|config| bearer(&config), |_| {}).await
}

async fn signed_in(stage: &Stage) -> Phone {
    let mut phone = Phone::new(stage.address);
    let reply = phone.sign_in(SHOPPER).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    phone
}

/// Rows 1 to 7.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_hands_the_tokens_over_and_every_request_carries_them() {
    let stage = set().await;
    let mut phone = Phone::new(stage.address);
    let reply = phone.sign_in(SHOPPER).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let said = reply.json();
    assert_eq!(said["user"]["email"], SHOPPER);
    assert_eq!(said.as_object().unwrap().len(), 4, "{said}");
    let left = said["tokenExpirationInstant"].as_u64().unwrap() - stage.clock.now().millis();
    assert!((50_000..=60_000).contains(&left), "{left} ms");
    assert_eq!(
        phone.tokens(),
        (said["token"].as_str(), said["refreshToken"].as_str())
    );
    assert_eq!(
        reply.header("vestibule-access-token"),
        None,
        "once is enough"
    );
    let reply = phone.get(CART).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(reply.header("vestibule-access-token"), None);
    let received = stage.store.last();
    assert_eq!(received.header("x-auth-email"), Some(SHOPPER));
    for ours in [
        "authorization",
        "vestibule-refresh-token",
        "vestibule-access-token",
    ] {
        assert_eq!(received.header(ours), None, "{ours}");
    }
    let reply = phone.get("/api/user").await;
    assert_eq!(reply.json()["user"], said["user"]);
    assert_eq!(
        (
            reply.json()["expiresInstant"].as_u64(),
            stage.asked.refreshes.count()
        ),
        (said["tokenExpirationInstant"].as_u64(), 0)
    );
}

/// Rows 8 to 11.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed_and_the_new_pair_comes_with_the_answer() {
    let stage = set().await;
    let mut phone = signed_in(&stage).await;
    let before = phone.clone();
    stage.expire_access_tokens();
    let reply = phone.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("private, no-store"))
    );
    assert_eq!(reply.all("set-cookie"), Vec::<&str>::new());
    assert!(
        reply.header("vestibule-access-token").is_some()
            && reply.header("vestibule-refresh-token").is_some()
    );
    assert_ne!(phone.tokens(), before.tokens());
    assert_eq!(
        (
            stage.requests("renewed").await,
            stage.asked.refreshes.count()
        ),
        (1, 1)
    );
    let reply = phone.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("vestibule-access-token")),
        (200, None)
    );
    let alone = phone.tokens().1.map(str::to_owned);
    let mut alone = phone.holding(None, alone.as_deref());
    assert_eq!(
        alone.get(CART).await.status,
        200,
        "the refresh token alone counts as an expired pair"
    );
    assert!(alone.access.is_some());
}

/// Rows 12 to 16.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_refresh_token_it_is_401() {
    let stage = set().await;
    let phone = signed_in(&stage).await;
    let mut nobody = Phone::new(stage.address);
    let reply = nobody.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    stage.expire_access_tokens();
    let reply = phone.holding(phone.tokens().0, None).get(CART).await;
    assert_eq!(
        (
            reply.status,
            reply.header("location"),
            reply.code().as_str()
        ),
        (401, None, "signed_out")
    );
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    stage
        .clock
        .advance(std::time::Duration::from_secs(31 * 24 * 3600));
    let reply = phone.clone().get(CART).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (401, vec![]));
    let mut again = phone.clone();
    assert_eq!(again.sign_in(SHOPPER).await.status, 200);
    assert_eq!(again.get(CART).await.status, 200);
}

/// Rows 17 to 22.
#[tokio::test(flavor = "multi_thread")]
async fn stolen_pieces_work_as_long_as_they_are_good() {
    let stage = set().await;
    let phone = signed_in(&stage).await;
    let mut thief = phone.holding(Some("eyJhbGciOiJub25lIn0.e30.c2ln"), phone.tokens().1);
    assert_eq!(thief.get(CART).await.status, 200);
    assert_eq!(stage.requests("renewed_from_invalid").await, 1);
    let mut thief = phone.holding(phone.tokens().0, None);
    assert_eq!(thief.get(CART).await.status, 200);
    stage.expire_access_tokens();
    assert_eq!(thief.get(CART).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_on_the_way_is_had_again_byte_for_byte() {
    let stage = set().await;
    let phone = signed_in(&stage).await;
    stage.expire_access_tokens();
    let mut first = phone.clone();
    assert_eq!(first.get(CART).await.status, 200);
    let mut again = phone.clone();
    assert_eq!(again.get(CART).await.status, 200);
    assert_eq!(again.tokens(), first.tokens());
    let mut by_body = phone.holding(None, None);
    let reply = by_body
        .post("/api/refresh", &json!({ "refreshToken": phone.refresh }))
        .await;
    assert_eq!(
        (
            reply.status,
            by_body.tokens(),
            stage.asked.refreshes.count()
        ),
        (200, first.tokens(), 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ahead_comes_with_the_answer_too() {
    let stage = set().await;
    let mut phone = signed_in(&stage).await;
    let before = phone.clone();
    stage.clock.advance(std::time::Duration::from_secs(45));
    let reply = phone.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("private, no-store"))
    );
    assert_ne!(phone.tokens(), before.tokens());
    assert_eq!(stage.requests("renewed_ahead").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_opened_with_the_new_pair() {
    const SWITCHED: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let holding = Holding::saying(SWITCHED).await;
    let upstreams = format!("upstreams = [\"http://{}\"]", holding.address());
    let stage = Stage::set_with(
        |config| bearer(&with_line(&config, "upstreams", &upstreams)),
        |_| {},
    )
    .await;
    let phone = signed_in(&stage).await;
    stage.expire_access_tokens();
    let handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    // Pingora 0.9.1 may end an upgrade whose 101 comes at once: the same tokens again bring the
    // same pair.
    let mut reply = None;
    for _ in 0..10 {
        let mut line = Line::to(stage.address).await;
        line.send(phone.request("GET", "/stream", &handshake, ""))
            .await;
        reply = line.reply().await;
        if reply.is_some() {
            break;
        }
    }
    let reply = reply.expect("an answer");
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (101, Some("private, no-store"))
    );
    let mut opened = phone.clone();
    opened.keep(&reply);
    assert_ne!(opened.tokens(), phone.tokens());
    assert_eq!(stage.asked.refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_out_of_reach_signs_nobody_out() {
    let stage = set().await;
    let mut phone = signed_in(&stage).await;
    stage.expire_access_tokens();
    stage.provider.shut();
    for reply in [
        phone.get(CART).await,
        phone
            .post("/api/refresh", &json!({ "refreshToken": phone.refresh }))
            .await,
    ] {
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "provider_unavailable")
        );
        assert!(reply.header("retry-after").is_some());
    }
    stage.provider_recovers();
    assert_eq!(phone.get(CART).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_for_the_asking_and_a_refusal() {
    let stage = set().await;
    let mut phone = signed_in(&stage).await;
    let before = phone.clone();
    for body in [json!({ "refreshToken": phone.refresh }), json!({})] {
        let reply = phone.post("/api/refresh", &body).await;
        assert_eq!(
            (reply.status, reply.header("cache-control")),
            (200, Some("no-store"))
        );
        assert_eq!(reply.json().as_object().unwrap().len(), 3, "{}", reply.body);
        assert_eq!(
            phone.tokens(),
            (
                reply.json()["token"].as_str(),
                reply.json()["refreshToken"].as_str()
            )
        );
        assert!(reply.json()["tokenExpirationInstant"].is_u64());
    }
    assert_eq!(
        stage.asked.refreshes.count(),
        2,
        "also while the token holds"
    );
    assert_ne!(phone.tokens(), before.tokens());
    let mut stranger = Phone::new(stage.address);
    for body in [
        json!({ "refreshToken": "made-up" }),
        json!({ "refreshToken": "" }),
        json!({}),
    ] {
        let reply = stranger.post("/api/refresh", &body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "signed_out"),
            "{body}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let two = json!({ "refreshToken": "another" });
    assert_eq!(
        phone.post("/api/refresh", &two).await.code(),
        "rejected_input",
        "who can say which?"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_stays_is_told_in_bodies_and_left_out_of_headers() {
    let provider = Scripted::open().await;
    let stage = Stage::set_with(|config| bearer(&provider.in_place(&config)), |_| {}).await;
    provider.gives(LOGIN, &claims(&stage.clock), "r");
    let mut phone = signed_in(&stage).await;
    let refresh = phone.refresh.clone();
    stage.expire_access_tokens();
    provider.gives(REFRESH, &claims(&stage.clock), "r");
    let reply = phone.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("vestibule-refresh-token")),
        (200, None)
    );
    assert!(reply.header("vestibule-access-token").is_some());
    let reply = phone
        .post("/api/refresh", &json!({ "refreshToken": refresh }))
        .await;
    assert_eq!(reply.json()["refreshToken"].as_str(), refresh.as_deref());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_by_headers_or_body_ends_every_copy() {
    let stage = set().await;
    for by_body in [true, false] {
        let told = stage.asked.logouts.count();
        let mut phone = signed_in(&stage).await;
        let copy = phone.clone();
        let body = json!({ "refreshToken": phone.refresh });
        let reply = if by_body {
            phone.holding(None, None).post("/api/logout", &body).await
        } else {
            phone.send("POST", "/api/logout", &[], "").await
        };
        assert_eq!((reply.status, reply.all("set-cookie")), (204, vec![]));
        for mut copy in [
            copy.clone(),
            copy.holding(copy.tokens().0, None),
            copy.holding(None, copy.tokens().1),
        ] {
            assert_eq!(copy.get(CART).await.status, 401);
            let reply = copy.post("/api/refresh", &json!({})).await;
            assert_eq!((reply.status, reply.code().as_str()), (401, "signed_out"));
        }
        until("the provider hears of it", || {
            stage.asked.logouts.count() > told
        })
        .await;
        assert_eq!(phone.post("/api/logout", &body).await.status, 204);
    }
    assert_eq!(
        Phone::new(stage.address)
            .send("POST", "/api/logout", &[], "")
            .await
            .status,
        204
    );
}

/// A seal of one kind is nothing to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_phones_tokens_are_no_cookies_and_cookies_are_no_phones_tokens() {
    let stage = set().await;
    let phone = signed_in(&stage).await;
    let mut browser = Browser::new(stage.address, "store.localhost:8080").fetching();
    browser.set_cookie("vestibule-refresh", phone.tokens().1.unwrap());
    assert_eq!(browser.get(CART).await.status, 401);
    let page = stage.signed_in().await;
    let mut thief = Phone::new(stage.address).holding(None, page.cookie("vestibule-refresh"));
    assert_eq!(thief.get(CART).await.status, 401);
    let body = json!({ "refreshToken": page.cookie("vestibule-refresh") });
    let reply = thief.holding(None, None).post("/api/refresh", &body).await;
    assert_eq!((reply.status, stage.asked.refreshes.count()), (401, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_not_enabled_no_token_is_handed_out_or_looked_at() {
    let stage = Stage::set().await;
    let mut phone = Phone::new(stage.address);
    let reply = phone.sign_in(SHOPPER).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "bearer_not_enabled")
    );
    let reply = phone
        .post("/api/refresh", &json!({ "refreshToken": "R" }))
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "bearer_not_enabled")
    );
    assert_eq!(
        phone
            .post("/api/logout", &json!({ "refreshToken": "R" }))
            .await
            .status,
        204
    );
    assert_eq!(
        (stage.asked.logins.count(), stage.asked.refreshes.count()),
        (0, 0)
    );
    let page = stage.signed_in().await;
    let mut phone = phone.holding(page.cookie("vestibule-access"), None);
    let reply = phone.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, Some("Cookie realm=\"store\""))
    );
    phone.get("/products/1").await;
    assert!(
        stage.store.last().header("authorization").is_some(),
        "it is the application's"
    );
    assert_eq!(stage.store.last().header("x-auth-email"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_hands_out_no_tokens_in_the_gateways_name() {
    let stage = set().await;
    stage.store.answers(|_| {
        let response = Response::builder().header("Vestibule-Access-Token", "theirs");
        response
            .header("Vestibule-Refresh-Token", "theirs")
            .body(Body::empty())
            .unwrap()
    });
    let mut phone = signed_in(&stage).await;
    let before = phone.clone();
    for path in [CART, "/", "/products/1"] {
        assert_eq!(phone.get(path).await.status, 200, "{path}");
        assert_eq!(phone.tokens(), before.tokens(), "{path}");
    }
}

/// A site with sessions for its pages has phones too.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_for_pages_and_tokens_for_phones_stand_side_by_side() {
    let stage = Stage::set_with(
        |config| bearer(&config.replace("landing = ", "credential = \"session\"\nlanding = ")),
        |_| {},
    )
    .await;
    let mut phone = signed_in(&stage).await;
    let mut page = stage.browser().fetching();
    assert_eq!(page.sign_in_by_script(SHOPPER, PASSWORD).await.status, 200);
    assert!(page.cookie("vestibule-session").is_some());
    stage.expire_access_tokens();
    assert_eq!(
        (phone.get(CART).await.status, page.get(CART).await.status),
        (200, 200)
    );
    let reply = phone.with("Cookie", "vestibule-session=x").get(CART).await;
    assert_eq!(
        (reply.status, reply.all("set-cookie")),
        (200, vec![]),
        "the phone's tokens come first"
    );
}
