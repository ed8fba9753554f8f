//! A renewal that the provider granted and that cannot be used yet: nobody is signed out for it,
//! and no refresh token is presented twice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::{
    Browser, KEYS, LOGIN, REFRESH as ASK, Scripted, Stage, claims, field_error, with_line,
};

const ACCESS: &str = "vestibule-access";
const REFRESH: &str = "vestibule-refresh";
const SECOND: Duration = Duration::from_secs(1);

/// A script that has signed in with the refresh token `r0`, and whose access token has expired.
async fn expired(provider: &Scripted, stage: &Stage) -> Browser {
    provider.gives(LOGIN, &claims(&stage.clock), "r0");
    let mut browser = stage.browser();
    assert_eq!(browser.sign_in("sam", "x").await.status, 303);
    stage.expire_access_tokens();
    browser.fetching()
}

/// Good claims for an hour.
fn long_claims(stage: &Stage) -> Value {
    let mut claims = claims(&stage.clock);
    claims["exp"] = json!(stage.clock.now().secs() + 3600);
    claims
}

/// What the browser gets, and that it loses nothing.
async fn gets(browser: &mut Browser, status: u16, code: &str) {
    let before = browser.cookies.clone();
    let reply = browser.get("/orders").await;
    assert_eq!((reply.status, reply.code().as_str()), (status, code));
    assert_eq!(browser.cookies, before, "{code}");
}

async fn is_served(browser: &mut Browser) {
    let reply = browser.get("/orders").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

/// Uses up the one fetch of keys that presented tokens may cause in ten seconds.
async fn made_up_token(provider: &Scripted, stage: &Stage) {
    let mut stranger = stage.browser().fetching();
    stranger.set_cookie(ACCESS, &provider.newer_token(&claims(&stage.clock)));
    let asked = provider.asked(KEYS);
    assert_eq!(stranger.get("/orders").await.code(), "signed_out");
    assert_eq!(provider.asked(KEYS), asked + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_costs_nobody_a_sign_in() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut browser = expired(&provider, &stage).await;
    made_up_token(&provider, &stage).await;
    provider.publishes_both_keys();
    let token = provider.newer_token(&claims(&stage.clock));
    provider.says(ASK, 200, json!({ "token": token, "refreshToken": "r1" }));
    is_served(&mut browser).await;
    assert_eq!(browser.cookie(ACCESS), Some(token.as_str()));
    assert_eq!(provider.renewed_with(), ["r0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_does_not_prevent_a_sign_in() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    stage.clock.advance(SECOND * 10);
    made_up_token(&provider, &stage).await;
    let token = provider.newer_token(&claims(&stage.clock));
    provider.says(LOGIN, 200, json!({ "token": token, "refreshToken": "r0" }));
    let reply = stage.browser().sign_in_by_script("sam", "x").await;
    let code = (reply.status, reply.code());
    assert_eq!(code, (503, "provider_unavailable".to_owned()), "not yet");
    provider.publishes_both_keys();
    assert_eq!(stage.browser().sign_in("sam", "x").await.status, 303);
}

/// The application's own replica has renewed with the new key; this gateway has just fetched the
/// old ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_presented_token_of_a_key_not_looked_up_is_neither_good_nor_bad() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut browser = expired(&provider, &stage).await;
    made_up_token(&provider, &stage).await;
    provider.publishes_both_keys();
    let token = provider.newer_token(&long_claims(&stage));
    let mut alone = stage.browser().fetching();
    alone.set_cookie(ACCESS, &token);
    gets(&mut alone, 503, "provider_unavailable").await;
    browser.set_cookie(ACCESS, &token);
    provider.says(ASK, 200, json!({ "token": token, "refreshToken": "r1" }));
    is_served(&mut browser).await;
    is_served(&mut alone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_fetched_keep_the_new_pair() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut browser = expired(&provider, &stage).await;
    provider.says(KEYS, 503, json!({}));
    let token = provider.newer_token(&long_claims(&stage));
    provider.says(ASK, 200, json!({ "token": token, "refreshToken": "r1" }));
    for _ in 0..3 {
        gets(&mut browser, 503, "provider_unavailable").await;
        // Longer than the reuse window.
        stage.clock.advance(SECOND * 300);
    }
    provider.publishes_both_keys();
    is_served(&mut browser).await;
    assert_eq!(browser.cookie(ACCESS), Some(token.as_str()));
    assert_eq!(provider.renewed_with(), ["r0"]);
}

/// Nobody can tell whose token it is. Of a sign-out with it, the token alone is remembered.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_with_a_token_that_cannot_be_checked_holds_once_it_can() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    // A new key, while the gateway may not ask for keys again.
    stage.clock.advance(SECOND * 11);
    made_up_token(&provider, &stage).await;
    let token = |jti: &str| {
        let mut claims = long_claims(&stage);
        claims["jti"] = json!(jti);
        provider.newer_token(&claims)
    };
    let holding = |token: &str| {
        let mut browser = stage.browser().fetching();
        browser.set_cookie(ACCESS, token);
        browser
    };
    let (by_page, by_script, stays) = (token("page"), token("script"), token("stays"));
    gets(&mut holding(&by_page), 503, "provider_unavailable").await;
    assert_eq!(holding(&by_page).post("/logout", &[]).await.status, 303);
    let signed_out = holding(&by_script).call("/api/logout", &json!({})).await;
    assert_eq!(signed_out.status, 204);
    provider.publishes_both_keys();
    stage.clock.advance(SECOND * 11);
    is_served(&mut holding(&stays)).await;
    for ended in [&by_page, &by_script] {
        assert_eq!(holding(ended).get("/orders").await.code(), "signed_out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_keeps_the_new_pair() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut browser = expired(&provider, &stage).await;
    let mut ahead = long_claims(&stage);
    ahead["iat"] = json!(stage.clock.now().secs() + 45);
    provider.gives(ASK, &ahead, "r1");
    gets(&mut browser, 500, "provider_misconfigured").await;
    let mut alone = stage.browser().fetching();
    alone.set_cookie(ACCESS, &provider.token(&ahead));
    gets(&mut alone, 500, "provider_misconfigured").await;
    stage.clock.advance(SECOND * 20);
    is_served(&mut browser).await;
    is_served(&mut alone).await;
    assert_eq!(provider.renewed_with(), ["r0"]);
}

/// One-time refresh tokens: only the last one is good.
fn rotates(provider: &Scripted, token: impl Fn(usize) -> String + Send + Sync + 'static) {
    let current = Arc::new(Mutex::new(0_usize));
    provider.answers(ASK, move |received| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let mut current = current.lock().unwrap();
        if body["refreshToken"] != json!(format!("r{current}")) {
            return (400, field_error("refreshToken"));
        }
        *current += 1;
        let answer = json!({ "token": token(*current), "refreshToken": format!("r{current}") });
        (200, answer)
    });
}

/// Eight renewals in a row bring tokens that cannot be used, then the operator has mended it.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cannot_be_used_cost_nobody_a_sign_in() {
    const ATTEMPTS: usize = 8;
    let (misconfigured, too_large) = ("provider_misconfigured", "tokens_too_large");
    for (what, claim, value, code) in [
        ("a control character", "email", json!("a\nb"), misconfigured),
        (
            "too large for cookies",
            "more",
            json!("x".repeat(5_600)),
            too_large,
        ),
        ("above 8 KiB", "more", json!("x".repeat(8_000)), too_large),
        ("expired on arrival", "exp", json!(1), misconfigured),
        ("no subject", "sub", json!(null), misconfigured),
    ] {
        let provider = Scripted::open().await;
        let stage = provider.stage().await;
        let mut browser = expired(&provider, &stage).await;
        let (good, mut bad) = (claims(&stage.clock), claims(&stage.clock));
        bad[claim] = value;
        let (good, bad) = (provider.token(&good), provider.token(&bad));
        let mended = good.clone();
        rotates(&provider, move |number| {
            let token = if number > ATTEMPTS { &mended } else { &bad };
            token.clone()
        });
        for _ in 0..ATTEMPTS {
            gets(&mut browser, 500, code).await;
            stage.clock.set_forward(-15_000);
            stage.clock.advance(SECOND * 15);
        }
        is_served(&mut browser).await;
        assert_eq!(browser.cookie(ACCESS), Some(good.as_str()), "{what}");
        let asked = provider.renewed_with();
        let wanted: Vec<_> = (0..=ATTEMPTS).map(|number| format!("r{number}")).collect();
        assert_eq!(asked, wanted, "{what}: each refresh token once");
        is_served(&mut browser).await;
    }
}

/// The tokens cannot be used yet when the gateway stops, and can be when it has started again.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_cannot_be_used_survive_a_restart() {
    let provider = Scripted::open().await;
    let mut stage = provider.stage().await;
    let mut browser = expired(&provider, &stage).await;
    let mut ahead = long_claims(&stage);
    ahead["iat"] = json!(stage.clock.now().secs() + 45);
    let token = provider.token(&ahead);
    provider.says(ASK, 200, json!({ "token": token, "refreshToken": "r1" }));
    gets(&mut browser, 500, "provider_misconfigured").await;
    stage.stop_gateway().await;
    let again = stage.start_again().await;
    stage.clock.advance(SECOND * 20);
    let mut browser = browser.at(again.address);
    is_served(&mut browser).await;
    assert_eq!(browser.cookie(ACCESS), Some(token.as_str()));
    assert_eq!(provider.renewed_with(), ["r0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_in_trouble_is_not_asked_by_every_request() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let browser = expired(&provider, &stage).await;
    provider.says(ASK, 503, json!({}));
    for _ in 0..3 {
        let (before, started) = (provider.asked(ASK), stage.clock.monotonic());
        let mut requests = JoinSet::new();
        for _ in 0..200 {
            let mut tab = browser.clone();
            requests.spawn(async move { gets(&mut tab, 503, "provider_unavailable").await });
        }
        requests.join_all().await;
        let asked = u64::try_from(provider.asked(ASK) - before).unwrap();
        // The clock runs on, and a busy machine may take longer than the shortest pause, of 1 s.
        let took = stage.clock.monotonic().saturating_sub(started);
        let most = 1 + took.as_secs();
        assert!((1..=most).contains(&asked), "{asked} of {most}");
        stage.clock.advance(SECOND * 15);
    }
    let asked = provider.asked(ASK);
    provider.gives(ASK, &claims(&stage.clock), "r1");
    is_served(&mut browser.clone()).await;
    assert_eq!(provider.asked(ASK), asked + 1);
}

/// The access token has 15 s left, and the provider hangs.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_ahead_that_hangs_holds_one_request_up() {
    let slow = |config: String| with_line(&config, "timeout", "timeout = \"2s\"");
    let stage = Stage::set_with(slow, |_| {}).await;
    let mut browser = stage.signed_in().await;
    stage.clock.advance(SECOND * 45);
    stage.provider.hold();
    let knocks = stage.provider.knocks();
    let mut first = browser.clone();
    let first = tokio::spawn(async move { first.get("/orders").await.status });
    stage.provider.knocked_after(knocks).await;
    assert_eq!(browser.get("/orders").await.status, 200);
    assert!(!first.is_finished(), "the first one waits, no other does");
    assert_eq!(first.await.unwrap(), 200);
    let knocks = stage.provider.knocks();
    for _ in 0..5 {
        assert_eq!(browser.get("/orders").await.status, 200);
    }
    assert_eq!(stage.provider.knocks(), knocks, "it rests");
    stage.provider.open();
    stage.clock.advance(SECOND);
    assert_eq!(browser.get("/orders").await.all("set-cookie").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_not_registered_any_more_is_not_renewed() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut registered = claims(&stage.clock);
    registered["applicationId"] = json!("store-application");
    provider.gives(LOGIN, &registered, "r0");
    let mut browser = stage.browser();
    assert_eq!(browser.sign_in("sam", "x").await.status, 303);
    let mut browser = browser.fetching();
    let mut other_tab = browser.clone();
    provider.gives(ASK, &claims(&stage.clock), "r1");
    provider.says("/api/logout", 200, json!(null));
    stage.clock.advance(SECOND * 45);
    // Served for the last time: the renewal beside the request learns it.
    is_served(&mut browser).await;
    assert_eq!(browser.cookie(REFRESH), None);
    let reply = other_tab.get("/orders").await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "signed_out"));
    assert_eq!(
        (other_tab.cookie(ACCESS), other_tab.cookie(REFRESH)),
        (None, None)
    );
    assert_eq!(stage.requests("revoked").await, 1);
    super::support::until("the end at the provider", || {
        provider.asked("/api/logout") == 1
    })
    .await;
}

/// A machine that was suspended, or a time server, sets the clock forward by two minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_the_clock_does_not_make_a_late_tab_a_thief() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut browser = expired(&provider, &stage).await;
    let mut late = browser.clone();
    provider.gives(ASK, &long_claims(&stage), "r1");
    is_served(&mut browser).await;
    stage.clock.set_forward(120_000);
    is_served(&mut late).await;
    assert_eq!(late.cookies, browser.cookies);
    assert_eq!(provider.renewed_with(), ["r0"]);
}
