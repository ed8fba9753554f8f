//! A single-page application that drives the sign-in itself, step by step as FusionAuth's article
//! on this workflow has them (rows 1 to 37).

use serde_json::json;
use tokio::task::JoinSet;

use super::support::{Browser, PASSWORD, Reply, SHOPPER, Stage};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";
const SESSION: &str = "vestibule-session";
const CART: &str = "/api/load-shopping-cart";

/// A page at the store that has signed in as the shopper.
async fn signed_in(stage: &Stage) -> Browser {
    let mut page = stage.browser().fetching();
    let reply = page.sign_in_by_script(SHOPPER, PASSWORD).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    page
}

async fn with_sessions() -> Stage {
    let sessions =
        |config: String| config.replace("landing = ", "credential = \"session\"\nlanding = ");
    Stage::set_with(sessions, |_| {}).await
}

/// No JWT, no sealed token, no id of a session.
fn holds_no_token(reply: &Reply, page: &Browser) {
    assert!(!reply.body.contains("eyJ"), "{}", reply.body);
    for (name, value) in &page.cookies {
        assert!(
            !reply.body.contains(value.as_str()),
            "{name} in {}",
            reply.body
        );
    }
    for name in [
        "vestibule-access-token",
        "vestibule-refresh-token",
        "authorization",
    ] {
        assert_eq!(reply.header(name), None);
    }
}

/// Rows 1 to 11.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_starts_asks_and_signs_in() {
    let stage = Stage::set().await;
    let mut page = stage.browser().fetching();
    assert_eq!(stage.browser().get("/").await.status, 200);
    let reply = page.get("/api/user").await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (404, "signed_out"),
        "404, not 401"
    );
    assert_eq!(
        (reply.header("cache-control"), reply.all("set-cookie")),
        (Some("no-store"), vec![])
    );
    let reply = page.sign_in_by_script(SHOPPER, PASSWORD).await;
    assert_eq!((reply.status, reply.header("location")), (200, None));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    let user = reply.json()["user"].clone();
    assert_eq!(user["email"], SHOPPER);
    assert_eq!(
        (&user["emailVerified"], &user["username"]),
        (&json!(true), &json!("shopper"))
    );
    assert!(user["id"].is_string() && user["roles"].is_array(), "{user}");
    assert_eq!(
        reply.json().as_object().unwrap().len(),
        1,
        "tokens only in cookies"
    );
    holds_no_token(&reply, &page);
    for name in [ACCESS, REFRESH] {
        let line = reply
            .all("set-cookie")
            .into_iter()
            .find(|line| line.starts_with(name))
            .expect(name)
            .to_owned();
        assert!(
            line.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000"),
            "remembered by default: {line}"
        );
    }
    let reply = page.get("/api/user").await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("no-store"))
    );
    assert_eq!(reply.json()["user"], user);
    let left = reply.json()["expiresInstant"].as_u64().unwrap() - stage.clock.now().millis();
    assert!((50_000..=60_000).contains(&left), "{left} ms");
    holds_no_token(&reply, &page);
    assert_eq!(
        stage.store.received().len(),
        1,
        "the application saw none of it"
    );
    let reply = page.get(CART).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
    assert_eq!(
        (
            stage.store.last().target.as_str(),
            stage.asked.refreshes.count()
        ),
        (CART, 0)
    );
}

/// Rows 12 to 15.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed_on_the_very_call() {
    let stage = Stage::set().await;
    let mut page = signed_in(&stage).await;
    let before = page.cookie(ACCESS).unwrap().to_owned();
    stage.expire_access_tokens();
    let reply = page.get(CART).await;
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (200, Some("private, no-store"))
    );
    assert_ne!(page.cookie(ACCESS), Some(before.as_str()));
    assert_eq!(
        (
            stage.requests("renewed").await,
            stage.asked.refreshes.count()
        ),
        (1, 1)
    );
    stage.expire_access_tokens();
    let reply = page.get("/api/user").await;
    assert_eq!(
        (reply.status, stage.asked.refreshes.count()),
        (200, 2),
        "the endpoint renews too"
    );
    assert!(
        reply
            .all("set-cookie")
            .iter()
            .all(|line| line.contains("Max-Age=2592000")),
        "as was chosen"
    );
}

/// Rows 16 to 20.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refresh_token_is_401_and_never_a_redirect() {
    let stage = Stage::set().await;
    let mut page = signed_in(&stage).await;
    stage
        .clock
        .advance(std::time::Duration::from_secs(31 * 24 * 3600));
    let reply = page.get(CART).await;
    assert_eq!(
        (
            reply.status,
            reply.header("location"),
            reply.code().as_str()
        ),
        (401, None, "signed_out")
    );
    assert_eq!((page.cookie(ACCESS), page.cookie(REFRESH)), (None, None));
    assert_eq!(page.get("/api/user").await.status, 404);
    assert_eq!(page.sign_in_by_script(SHOPPER, PASSWORD).await.status, 200);
    assert_eq!(page.get(CART).await.status, 200);
}

/// Rows 21 to 31.
#[tokio::test(flavor = "multi_thread")]
async fn the_forum_knows_nothing_of_the_stores_sign_in() {
    let stage = Stage::set().await;
    let store = signed_in(&stage).await;
    let mut forum = stage.forum_browser().fetching();
    assert_eq!(forum.get("/api/user").await.status, 404);
    forum.cookies.clone_from(&store.cookies);
    assert_eq!(
        forum.get("/api/user").await.status,
        404,
        "the store's cookies are no proof here"
    );
    assert_eq!(forum.sign_in_by_script(SHOPPER, PASSWORD).await.status, 200);
    assert_eq!(forum.get("/api/load-posts").await.status, 200);
    assert_eq!(stage.forum.last().header("x-auth-email"), Some(SHOPPER));
}

/// Rows 32 to 37.
#[tokio::test(flavor = "multi_thread")]
async fn stolen_pieces_work_as_they_do_for_pages() {
    let stage = Stage::set().await;
    let page = signed_in(&stage).await;
    let mut thief = page.thief_of(&[REFRESH]).fetching();
    thief.set_cookie(ACCESS, "bad");
    assert_eq!(thief.get(CART).await.status, 200);
    assert!(
        thief
            .cookie(ACCESS)
            .is_some_and(|token| token.starts_with("ey"))
    );
    assert_eq!(stage.requests("renewed_from_invalid").await, 1);
    let mut thief = page.thief_of(&[ACCESS]).fetching();
    assert_eq!(thief.get(CART).await.status, 200);
    stage.expire_access_tokens();
    assert_eq!(thief.get(CART).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_every_other_answer_is_a_problem_with_its_code() {
    let stage = Stage::set().await;
    let mut page = stage.browser().fetching();
    for (name, password, status, code) in [
        (SHOPPER, "wrong", 401, "invalid_credentials"),
        ("nobody@example.com", PASSWORD, 401, "invalid_credentials"),
        (
            "twofactor@example.com",
            PASSWORD,
            401,
            "two_factor_required",
        ),
        (
            "newpassword@example.com",
            PASSWORD,
            401,
            "password_change_required",
        ),
    ] {
        let reply = page.sign_in_by_script(name, password).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{name}"
        );
        assert_eq!(
            (reply.all("set-cookie"), reply.header("cache-control")),
            (vec![], Some("no-store")),
            "{name}"
        );
        let why = reply.json()["changeReason"].clone();
        assert_eq!(
            why.is_string(),
            code == "password_change_required",
            "{}",
            reply.body
        );
        assert_eq!(reply.json()["status"], status);
        assert!(reply.json()["requestId"].is_string());
    }
    for attempt in 1..=4 {
        assert_eq!(
            page.sign_in_by_script(SHOPPER, "wrong").await.status,
            401,
            "{attempt}"
        );
    }
    let reply = page.sign_in_by_script(SHOPPER, PASSWORD).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "throttled"));
    assert!(
        reply
            .header("retry-after")
            .is_some_and(|wait| wait.parse::<u32>().unwrap() > 0)
    );
    stage.provider.shut();
    let reply = page.sign_in_by_script("admin@example.com", PASSWORD).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (503, "provider_unavailable")
    );
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_had_for_the_asking() {
    for stage in [Stage::set().await, with_sessions().await] {
        let mut page = signed_in(&stage).await;
        let before = page.cookies.clone();
        let reply = page.call("/api/refresh", &json!({})).await;
        assert_eq!(
            (
                reply.status,
                reply.body.as_str(),
                reply.header("content-length")
            ),
            (204, "", None)
        );
        assert_eq!(
            stage.asked.refreshes.count(),
            1,
            "also while the token holds"
        );
        assert!(
            page.cookies
                .iter()
                .zip(&before)
                .all(|(now, before)| now != before),
            "every cookie is new"
        );
        assert_eq!(page.get(CART).await.status, 200);
        let mut other_tab = page.clone();
        other_tab.cookies = before;
        let reply = other_tab.send("POST", "/api/refresh", &[], b"").await;
        assert_eq!(
            (reply.status, stage.asked.refreshes.count()),
            (204, 1),
            "a moment later it is the same pair"
        );
        assert_eq!(other_tab.cookies, page.cookies);
        stage.provider.shut();
        let reply = page.call("/api/refresh", &json!({})).await;
        assert_eq!((reply.status, reply.all("set-cookie")), (503, vec![]));
        stage.provider.open();
        stage
            .clock
            .advance(std::time::Duration::from_secs(31 * 24 * 3600));
        let reply = page.call("/api/refresh", &json!({})).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "signed_out"));
        assert_eq!(page.kept(), Vec::<&str>::new());
    }
    let stage = Stage::set().await;
    let reply = stage
        .browser()
        .fetching()
        .call("/api/refresh", &json!({}))
        .await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, Some("Cookie realm=\"store\""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_ends_everything_and_needs_nothing_to_end() {
    for stage in [Stage::set().await, with_sessions().await] {
        let mut page = signed_in(&stage).await;
        let copy = page.clone();
        let reply = page.send("POST", "/api/logout", &[], b"").await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""));
        assert_eq!(page.kept(), Vec::<&str>::new());
        assert_eq!(
            copy.clone().get(CART).await.status,
            401,
            "a saved copy is refused at once"
        );
        assert_eq!(copy.clone().get("/api/user").await.status, 404);
        super::support::until("the provider hears of it", || {
            stage.asked.logouts.count() == 1
        })
        .await;
        let reply = page.call("/api/logout", &json!({})).await;
        assert_eq!((reply.status, reply.all("set-cookie")), (204, vec![]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_replaces_the_session_that_was_there() {
    let stage = with_sessions().await;
    let mut page = signed_in(&stage).await;
    let mut copy = page.thief_of(&[SESSION]).fetching();
    assert_eq!(
        (copy.get(CART).await.status, page.cookie(ACCESS)),
        (200, None)
    );
    let reply = page.sign_in_by_script(SHOPPER, PASSWORD).await;
    assert_eq!(reply.status, 200);
    holds_no_token(&reply, &page);
    assert_eq!(
        (copy.get(CART).await.status, page.get(CART).await.status),
        (401, 200)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_calls_share_one_renewal() {
    let stage = Stage::set().await;
    let page = signed_in(&stage).await;
    stage.expire_access_tokens();
    let mut calls = JoinSet::new();
    for number in 0..60 {
        let mut call = page.clone();
        calls.spawn(async move {
            let reply = match number % 3 {
                0 => call.get(CART).await,
                1 => call.get("/api/user").await,
                _ => call.call("/api/refresh", &json!({})).await,
            };
            (reply.status / 100, call.cookies)
        });
    }
    let got = calls.join_all().await;
    assert!(
        got.iter().all(|one| *one == (2, got[0].1.clone())),
        "{got:?}"
    );
    assert_eq!(stage.asked.refreshes.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_these_paths_are_the_gateways_and_they_may_have_another_name() {
    let own =
        |config: String| config.replace("landing = ", "paths = { api = \"/gate/v1\" }\nlanding = ");
    let stage = Stage::set_with(own, |_| {}).await;
    let mut page = stage.browser().fetching();
    let login = json!({ "loginId": SHOPPER, "password": PASSWORD });
    assert_eq!(page.get("/gate/v1/user").await.status, 404);
    assert_eq!(page.call("/gate/v1/login", &login).await.status, 200);
    for theirs in [
        "/api/user",
        "/gate/v1",
        "/gate/v1/",
        "/gate/v1/users",
        "/gate/v1/user/",
        "/gate/v1/login/other",
    ] {
        assert_eq!(
            page.get(theirs).await.body,
            "hello from the application",
            "{theirs}"
        );
    }
    for (method, path, allow) in [
        ("GET", "/gate/v1/login", "POST"),
        ("GET", "/gate/v1/login/two-factor", "POST"),
        ("GET", "/gate/v1/login/two-factor/send", "POST"),
        ("GET", "/gate/v1/login/password", "POST"),
        ("PUT", "/gate/v1/refresh", "POST"),
        ("DELETE", "/gate/v1/logout", "POST"),
        ("POST", "/gate/v1/user", "GET, HEAD"),
        ("OPTIONS", "/gate/v1/user", "GET, HEAD"),
    ] {
        let reply = page.send(method, path, &[], b"").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
        assert_eq!(reply.code(), "method_not_allowed");
    }
    let reply = page.send("HEAD", "/gate/v1/user", &[], b"").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
}
