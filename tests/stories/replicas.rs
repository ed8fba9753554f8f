//! Two gateways that share a Redis, and somebody who can write to it.

use std::time::Duration;

use super::support::{
    Browser, Holding, Listening, PASSWORD, Redis, SHOPPER, Stage, until, with_line,
};

const SESSION: &str = "vestibule-session";
const REFRESH: &str = "vestibule-refresh";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n";
/// An administrator of the demo's users.
const ADMIN: &str = "admin@example.com";

/// A stage whose state is in `redis`, with sessions.
async fn stage_with(redis: &Redis, more: impl FnOnce(String) -> String) -> Stage {
    let sessions = "landing = \"/shopping-cart\"\ncredential = \"session\"";
    let config = |text: String| {
        let text = text.replace("landing = \"/shopping-cart\"", sessions);
        redis.in_place(&more(text))
    };
    Stage::set_with(config, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_at_one_replica_closes_the_streams_at_the_others() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let holding = Holding::saying(STREAM).await;
    let upstreams = format!("upstreams = [\"http://{}\"]", holding.address());
    let stage = stage_with(&redis, |text| with_line(&text, "upstreams", &upstreams)).await;
    let other = stage.replica().await;
    let (mut browser, stays) = (stage.signed_in().await, stage.signed_in().await);
    let open = |browser: &Browser| {
        let request = browser.request("GET", "/stream", &[], b"");
        async move { Listening::to(other.address, &request).await }
    };
    let (mut ends, mut other_stream) = (open(&browser).await, open(&stays).await);
    assert!(ends.hears("hello").await && other_stream.hears("hello").await);
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    assert!(ends.ends().await, "within five seconds");
    assert_eq!(
        stays.clone().get("/login").await.status,
        303,
        "still signed in"
    );
}

/// The key under which the one session is stored that was not there before.
fn new_key(redis: &Redis, known: &[String]) -> String {
    let keys = redis.keys("vestibule:session:*");
    let mut new = keys.into_iter().filter(|key| !known.contains(key));
    let key = new.next().expect("a session");
    assert_eq!(new.next(), None);
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_copied_over_another_is_nobodys() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let stage = stage_with(&redis, |text| text).await;
    let mut mine = stage.signed_in().await;
    let my_key = new_key(&redis, &[]);
    let mut admin = stage.browser();
    assert_eq!(admin.sign_in(ADMIN, PASSWORD).await.status, 303);
    let admin_key = new_key(&redis, std::slice::from_ref(&my_key));
    let _: i64 = redis.ask(&[b"COPY", admin_key.as_bytes(), my_key.as_bytes(), b"REPLACE"]);
    // What was read within the last second may be served once more.
    stage.clock.advance(Duration::from_secs(2));
    let mut thief = mine.thief_of(&[SESSION]);
    assert_eq!(
        thief.get("/orders").await.status,
        302,
        "nobody is signed in"
    );
    assert_eq!(mine.get("/orders").await.status, 200, "a new session");
    assert_eq!(stage.store.last().header("x-auth-email"), Some(SHOPPER));
    assert_eq!(admin.get("/orders").await.status, 200);
    assert_eq!(stage.store.last().header("x-auth-email"), Some(ADMIN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_stored_end_was_moved_ends_all_the_same() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let lives = "\n[session]\nidle = \"10m\"\nabsolute = \"20m\"\n";
    let stage = stage_with(&redis, |text| text + lives).await;
    let mut browser = stage.signed_in().await;
    browser.forget(REFRESH);
    let key = new_key(&redis, &[]);
    // Both stored ends, in the far future.
    let far = b"00090000000000000009000000000000";
    let _: i64 = redis.ask(&[b"SETRANGE", key.as_bytes(), b"0", far]);
    stage.clock.advance(Duration::from_secs(19 * 60));
    assert_eq!(browser.get("/orders").await.status, 200);
    stage.clock.advance(Duration::from_secs(61));
    assert_eq!(browser.get("/orders").await.status, 302, "it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_could_not_tell_the_provider_another_one_tells() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let mut stage = stage_with(&redis, |text| text).await;
    let other = stage.replica().await;
    let mut browser = stage.signed_in().await;
    let saved = browser.clone();
    stage.provider.shut();
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    stage.stop_gateway().await;
    let left = || redis.ask::<i64>(&[b"HLEN", b"vestibule:pending"]);
    assert_eq!((left(), stage.asked.logouts.count()), (1, 0));
    stage.provider.open();
    until("the word to the provider", || {
        stage.asked.logouts.count() == 1 && left() == 0
    })
    .await;
    assert_eq!(saved.at(other.address).get("/orders").await.status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_without_redis_and_provider_survives_a_restart() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let mut stage = Stage::set_with(|text| redis.in_place(&text), |_| {}).await;
    let mut browser = stage.signed_in().await;
    let saved = browser.clone();
    stage.provider.shut();
    redis.stop();
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    stage.stop_gateway().await;
    redis.start_again().await;
    stage.provider.open();
    let again = stage.start_again().await;
    let other = stage.replica().await;
    assert_eq!(saved.at(again.address).get("/orders").await.status, 302);
    let elsewhere = saved.at(other.address).get("/orders").await;
    assert_eq!(elsewhere.status, 302, "published");
    until("the word to the provider", || {
        stage.asked.logouts.count() == 1
    })
    .await;
}

/// Nobody can read whose session it is, and the store still has it when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_of_a_session_while_redis_is_away_holds_when_it_is_back() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let stage = stage_with(&redis, |text| text).await;
    let other = stage.replica().await;
    let mut browser = stage.signed_in().await.thief_of(&[SESSION]);
    let saved = browser.clone();
    let mut stays = stage.signed_in().await.thief_of(&[SESSION]);
    let _: String = redis.ask(&[b"SAVE"]);
    redis.stop();
    // What was read within the last second is still known.
    stage.clock.advance(Duration::from_secs(2));
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    redis.start_again().await;
    stage.until_ready().await;
    other.until_ready().await;
    assert_eq!(redis.keys("vestibule:session:*").len(), 2, "still there");
    for gateway in [stage.address, other.address] {
        let reply = saved.clone().at(gateway).get("/orders").await;
        assert_eq!(reply.status, 302);
    }
    assert_eq!(stays.get("/orders").await.status, 200, "another session");
}

/// A late tab presents a used refresh token to a replica that cannot ask the store about it. Others
/// are renewed again a minute later, and who is active notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_ends_no_sign_in_and_does_not_stop_renewals() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let stage = Stage::set_with(|text| redis.in_place(&text), |_| {}).await;
    let other = stage.replica().await;
    let (mut browser, idle) = (stage.signed_in().await, stage.signed_in().await);
    stage.expire_access_tokens();
    let mut late = browser.clone().fetching().at(other.address);
    assert_eq!(browser.get("/orders").await.status, 200);
    redis.stop();
    for waiting in [&mut late, &mut idle.clone().fetching().at(other.address)] {
        let reply = waiting.get("/orders").await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "store_unavailable")
        );
    }
    assert_eq!(stage.asked.refreshes.count(), 1);
    // Its tokens were issued just before the store was lost, and have expired.
    stage.clock.advance(Duration::from_secs(50));
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(stage.asked.refreshes.count(), 2);
    stage.clock.advance(Duration::from_secs(50));
    assert_eq!(browser.get("/orders").await.status, 200, "not signed out");
    let mut idle = idle.at(other.address);
    assert_eq!(idle.get("/orders").await.status, 200);
}
