//! Providers that end sign-ins: FusionAuth's webhooks and OIDC back-channel logout.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{
    Browser, Holding, LOGIN, LOGOUT, Listening, Message, Phone, REFRESH, Redis, Reply, Scripted,
    Stage, claims, raw, with_line,
};

const USER: &str = "6f1c2a10-6f0b-4c6e-9d6a-0d8f2a5e0e4b";
const SESSION: &str = "b1f9a4f6-55a2-4e4c-8f0e-37d6e3a1c9d2";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n";
const SECRET: &str = "shared-with-fusionauth";

/// A stage of this provider, whose people it knows.
async fn set(provider: &Scripted, more: impl FnOnce(String) -> String) -> Stage {
    let stage = Stage::set_with(|config| more(provider.in_place(&config)), |_| {}).await;
    logs_in(provider, &stage, SESSION);
    stage
}

/// From now on a sign-in begins this session, now.
fn logs_in(provider: &Scripted, stage: &Stage, session: &str) {
    let mut claims = claims(&stage.clock);
    claims["sid"] = json!(session);
    claims["exp"] = json!(stage.clock.now().secs() + 600);
    provider.gives(LOGIN, &claims, &format!("R-{session}"));
    // It would renew: what ends is ended here.
    provider.gives(REFRESH, &claims, &format!("R-{session}"));
}

fn with_bearer(config: &str) -> String {
    config.replacen("landing =", "bearer = true\nbasic = true\nlanding =", 1)
}

/// An event that happened just now.
fn event(stage: &Stage, kind: &str, id: &str, members: &Value) -> Value {
    let mut event = json!({
        "type": kind,
        "id": id,
        "createInstant": stage.clock.now().millis(),
        "tenantId": "t1",
    });
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn user() -> Value {
    json!({ "user": { "id": USER, "active": true } })
}

/// A logout token of the provider, with these claims in place of its own.
fn logout_token(provider: &Scripted, stage: &Stage, changes: &Value) -> String {
    let mut claims = json!({
        "iss": "stories",
        "aud": "store-application",
        "iat": stage.clock.now().secs(),
        "jti": "j1",
        "sub": USER,
        "sid": SESSION,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    provider.token(&claims)
}

async fn status(browser: &Browser, address: SocketAddr) -> u16 {
    browser.at(address).fetching().get("/orders").await.status
}

fn said(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_is_out_everywhere_and_on_every_replica() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let provider = Scripted::open().await;
    let holding = Holding::saying(STREAM).await;
    let upstreams = format!("upstreams = [\"http://{}\"]", holding.address());
    let config = |text: String| {
        let text = with_line(&text, "upstreams", &upstreams);
        redis.in_place(&with_bearer(&text))
    };
    let stage = set(&provider, config).await;
    let other = stage.replica().await;
    let browser = stage.signed_in().await;
    let mut phone = Phone::new(stage.address);
    assert_eq!(phone.sign_in("scripted@example.com").await.status, 200);
    let basic = |address: SocketAddr, target: &'static str| {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: store.localhost:8080\r\nConnection: close\r\n\
             Authorization: Basic c2NyaXB0ZWQ6cGFzc3dvcmQ=\r\n\r\n"
        );
        (address, request.into_bytes())
    };
    let request = browser.request("GET", "/stream", &[], b"");
    let mut streams = Vec::new();
    for (address, request) in [
        (stage.address, request.clone()),
        (other.address, request),
        basic(other.address, "/stream"),
    ] {
        let mut stream = Listening::to(address, &request).await;
        assert!(stream.hears("hello").await);
        streams.push(stream);
    }
    let copy = browser.thief_of(&["vestibule-access"]);
    // After the second of the sign-ins.
    stage.clock.advance(Duration::from_secs(1));
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let message = Message::signed_event(&provider, &lock);
    let reply = message.send(other.admin).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    for stream in streams {
        assert!(stream.ends().await, "within five seconds");
    }
    provider.says(LOGIN, 404, Value::Null);
    for address in [stage.address, other.address] {
        for held in [&browser, &copy] {
            assert_eq!(status(held, address).await, 401);
        }
        let (address, request) = basic(address, "/orders");
        let reply = raw(address, &request).await;
        assert_eq!(said(&reply), (401, "invalid_credentials".into()));
    }
    assert_eq!(phone.get("/orders").await.status, 401);
    assert_eq!(provider.asked(REFRESH), 0, "nothing was asked for");
    let hooks = ["main", "user.deactivate", "ok"];
    assert_eq!(stage.count("vestibule_hooks_total", &hooks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_ends_what_it_names_and_no_more() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| text).await;
    let revoke = "jwt.refresh-token.revoke";
    let by_user = json!({ "userId": USER });
    let cases = [
        (
            revoke,
            json!({ "userId": USER, "applicationId": "store-application", "refreshToken": { "id": "s0" } }),
            true,
        ),
        (
            revoke,
            json!({ "userId": USER, "refreshToken": { "id": "another" } }),
            false,
        ),
        (revoke, by_user.clone(), true),
        (revoke, json!({ "userId": "another" }), false),
        (
            revoke,
            json!({ "userId": USER, "applicationId": "store-application" }),
            true,
        ),
        (
            revoke,
            json!({ "userId": USER, "applicationId": "forum-application" }),
            false,
        ),
        (
            revoke,
            json!({ "applicationId": "store-application" }),
            true,
        ),
        (
            revoke,
            json!({ "applicationId": "forum-application" }),
            false,
        ),
        (revoke, json!({}), true),
        ("user.deactivate", user(), true),
        ("user.delete", user(), true),
        ("user.password.update", user(), true),
        (
            "user.password.update",
            json!({ "user": { "id": "another" } }),
            false,
        ),
        (
            "user.registration.delete",
            json!({ "user": { "id": USER }, "applicationId": "store-application" }),
            true,
        ),
        (
            "user.registration.delete",
            json!({ "user": { "id": USER }, "applicationId": "forum-application" }),
            false,
        ),
        ("user.login.success", user(), false),
        ("user.update", user(), false),
    ];
    for (number, (kind, members, ends)) in cases.iter().enumerate() {
        stage.clock.advance(Duration::from_secs(2));
        logs_in(&provider, &stage, &format!("s{number}"));
        let browser = stage.signed_in().await;
        assert_eq!(status(&browser, stage.address).await, 200);
        stage.clock.advance(Duration::from_secs(2));
        let happened = event(&stage, kind, &format!("e{number}"), members);
        let reply = Message::signed_event(&provider, &happened)
            .send(stage.admin)
            .await;
        assert_eq!(reply.status, 200, "{kind} {members}");
        let expected = if *ends { 401 } else { 200 };
        assert_eq!(
            status(&browser, stage.address).await,
            expected,
            "{kind} {members}"
        );
        // Who signs in afterwards is in.
        stage.clock.advance(Duration::from_secs(2));
        logs_in(&provider, &stage, &format!("after-{number}"));
        let later = stage.signed_in().await;
        assert_eq!(status(&later, stage.address).await, 200, "{kind} {members}");
    }
    assert_eq!(stage.count("vestibule_hooks_total", &["ok"]).await, 15);
    assert_eq!(
        stage
            .count("vestibule_hooks_total", &["other", "ignored"])
            .await,
        2
    );
    let ended = cases.iter().filter(|(.., ends)| *ends).count();
    assert_eq!(stage.requests("revoked").await, ended as u64);
}

/// `iat` has whole seconds: of a token from the very second of the event nobody can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_of_the_same_second_goes_by_when_it_was_made() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |config| with_bearer(&config)).await;
    // To the middle of a second.
    let into = stage.clock.now().millis() % 1000;
    stage
        .clock
        .advance(Duration::from_millis(1000 - into + 500));
    logs_in(&provider, &stage, "before");
    let before = stage.signed_in().await;
    stage.clock.advance(Duration::from_millis(10));
    let changed = event(&stage, "user.password.update", "e1", &user());
    stage.clock.advance(Duration::from_millis(10));
    logs_in(&provider, &stage, "after");
    let (mut after, mut phone) = (stage.signed_in().await, Phone::new(stage.address));
    assert_eq!(phone.sign_in("scripted@example.com").await.status, 200);
    let access = phone.tokens().0.map(str::to_owned);
    let reply = Message::signed_event(&provider, &changed)
        .send(stage.admin)
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(status(&before, stage.address).await, 401);
    assert_eq!(provider.asked(REFRESH), 0);
    // Its refresh token was issued after the event: it leads to a later token.
    stage.clock.advance(Duration::from_secs(1));
    logs_in(&provider, &stage, "after");
    for round in 0..2 {
        assert_eq!(after.get("/orders").await.status, 200, "{round}");
        assert_eq!(phone.get("/orders").await.status, 200, "{round}");
    }
    assert_eq!(provider.asked(REFRESH), 2);
    let alone = Phone::new(stage.address).holding(access.as_deref(), None);
    assert_eq!(
        alone.clone().get("/orders").await.status,
        401,
        "without it, a sign-in"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_by_the_provider_changes_nothing() {
    let (provider, stranger) = (Scripted::open().await, Scripted::open().await);
    let config = |text: String| {
        text.replacen(
            "timeout =",
            &format!("webhook_secret = \"{SECRET}\"\ntimeout ="),
            1,
        )
    };
    let stage = set(&provider, config).await;
    let browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(1));
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let unsigned = || Message::event(&lock);
    let signed = || unsigned().signed_by(&provider);
    let changed = |message: Message| Message {
        body: [message.body, b" ".to_vec()].concat(),
        ..message
    };
    let bearer = |secret: &str| unsigned().with("Authorization", &format!("Bearer {secret}"));
    let access = browser.cookie("vestibule-access").unwrap().to_owned();
    let signature = "X-FusionAuth-Signature-JWT";
    let twice = || {
        signed()
            .fields
            .into_iter()
            .find(|(name, _)| name == signature)
    };
    let forged = [
        (unsigned(), 401),
        (unsigned().signed_by(&stranger), 401),
        (changed(signed()), 401),
        (unsigned().with(signature, &access), 401),
        (unsigned().with(signature, ""), 401),
        (signed().with(signature, &twice().unwrap().1), 401),
        (bearer("another"), 401),
        (bearer(""), 401),
        (unsigned().with("Authorization", SECRET), 401),
        (
            unsigned().with("Authorization", &format!("Basic {SECRET}")),
            401,
        ),
        (bearer(SECRET).signed_by(&stranger), 401),
        (bearer(SECRET).with("Authorization", "Bearer another"), 401),
        (signed().without("Content-Type"), 415),
        (
            signed()
                .without("Content-Type")
                .with("Content-Type", "text/plain"),
            415,
        ),
        (signed().with("Content-Type", "application/json"), 415),
    ];
    let mut refused = 0;
    for (message, expected) in forged {
        let reply = message.send(stage.admin).await;
        assert_eq!(reply.status, expected, "{:?}", message.fields);
        let challenge = reply.header("www-authenticate");
        assert_eq!(challenge.is_some(), expected == 401);
        if expected == 401 {
            assert_eq!(reply.code(), "hook_refused");
        }
        refused += 1;
    }
    let large = Message {
        body: vec![b' '; 256 * 1024 + 1],
        ..signed()
    };
    assert_eq!(large.send(stage.admin).await.status, 413);
    refused += 1;
    let other_method = Browser::new(stage.admin, "admin")
        .get("/hooks/fusionauth")
        .await;
    assert_eq!(other_method.status, 405);
    assert_eq!(status(&browser, stage.address).await, 200);
    let counted = stage
        .count("vestibule_hooks_total", &["main", "other", "refused"])
        .await;
    assert_eq!(counted, refused);
    // The secret alone is as good as a signature.
    assert_eq!(bearer(SECRET).send(stage.admin).await.status, 200);
    assert_eq!(status(&browser, stage.address).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_wrong_in_turn_changes_nothing_and_a_message_counts_once() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| text).await;
    let browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(1));
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let now = stage.clock.now().millis();
    let day = 24 * 60 * 60 * 1000;
    let wrong = [
        ("type", json!(7)),
        ("type", json!(null)),
        ("id", json!(7)),
        ("id", json!("")),
        ("createInstant", json!("now")),
        ("createInstant", json!(now * 1000)),
        ("createInstant", json!(now / 1000)),
        ("createInstant", json!(now + 2 * 60 * 60 * 1000)),
        ("createInstant", json!(now - 31 * day)),
        ("tenantId", json!([])),
        ("user", json!(USER)),
        ("user", json!({ "id": [USER] })),
        ("userId", json!(false)),
        ("applicationTimeToLiveInSeconds", json!({ "store": "60" })),
    ];
    for (name, value) in &wrong {
        let mut event = lock.clone();
        event[*name] = value.clone();
        let reply = Message::signed_event(&provider, &event)
            .send(stage.admin)
            .await;
        assert_eq!(said(&reply), (400, "hook_refused".into()), "{name} {value}");
    }
    for body in [
        "",
        "{}",
        "[]",
        "{\"event\":{\"type\":\"a\",\"type\":\"b\"}}",
    ] {
        let message = Message {
            body: body.into(),
            ..Message::event(&lock)
        };
        let reply = message.signed_by(&provider).send(stage.admin).await;
        assert_eq!(said(&reply), (400, "hook_refused".into()), "{body}");
    }
    assert_eq!(status(&browser, stage.address).await, 200);
    let message = Message::signed_event(&provider, &lock);
    assert_eq!(message.send(stage.admin).await.status, 200);
    let replayed = message.send(stage.admin).await;
    assert_eq!(said(&replayed), (400, "hook_refused".into()));
    assert_eq!(status(&browser, stage.address).await, 401);
    // What a replay would end was issued later.
    stage.clock.advance(Duration::from_secs(2));
    logs_in(&provider, &stage, "later");
    let later = stage.signed_in().await;
    assert_eq!(message.send(stage.admin).await.status, 400);
    assert_eq!(status(&later, stage.address).await, 200);
    let counted = ["main", "user.deactivate", "refused"];
    assert!(stage.count("vestibule_hooks_total", &counted).await >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_another_is_none_of_ours() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| {
        text.replacen("timeout =", "tenant_id = \"T1\"\ntimeout =", 1)
    })
    .await;
    let browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(1));
    let mut of_another = event(&stage, "jwt.refresh-token.revoke", "e1", &json!({}));
    of_another["tenantId"] = json!("t2");
    let reply = Message::signed_event(&provider, &of_another)
        .send(stage.admin)
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(status(&browser, stage.address).await, 200);
    let ours = event(&stage, "jwt.refresh-token.revoke", "e2", &json!({}));
    assert_eq!(
        Message::signed_event(&provider, &ours)
            .send(stage.admin)
            .await
            .status,
        200
    );
    assert_eq!(status(&browser, stage.address).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_ended_stays_ended_over_a_restart() {
    let provider = Scripted::open().await;
    let mut stage = set(&provider, |text| text).await;
    let browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(1));
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let message = Message::signed_event(&provider, &lock);
    assert_eq!(message.send(stage.admin).await.status, 200);
    stage.stop_gateway().await;
    let again = stage.start_again().await;
    assert_eq!(status(&browser, again.address).await, 401);
    let replayed = message.send(again.admin).await;
    assert_eq!(replayed.status, 400, "its id too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_cannot_be_stored_is_asked_for_again() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| redis.in_place(&text)).await;
    let browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(1));
    redis.stop();
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let message = Message::signed_event(&provider, &lock);
    let reply = message.send(stage.admin).await;
    assert_eq!(said(&reply), (503, "store_unavailable".into()));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(status(&browser, stage.address).await, 401, "here at once");
    redis.start_again().await;
    stage.until_ready().await;
    assert_eq!(
        message.send(stage.admin).await.status,
        200,
        "the same message"
    );
    assert_eq!(message.send(stage.admin).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_ends_a_session_or_a_user() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| text).await;
    let by_sid = stage.signed_in().await;
    let token = logout_token(&provider, &stage, &json!({}));
    let reply = Message::logout_token(&token).send(stage.admin).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(status(&by_sid, stage.address).await, 401);
    let replayed = Message::logout_token(&token).send(stage.admin).await;
    assert_eq!(
        (replayed.status, replayed.header("cache-control")),
        (400, Some("no-store"))
    );
    assert_eq!(replayed.json()["error"], "invalid_request");
    logs_in(&provider, &stage, "another");
    let by_sub = stage.signed_in().await;
    assert_eq!(
        status(&by_sub, stage.address).await,
        200,
        "the session was another"
    );
    stage.clock.advance(Duration::from_secs(1));
    let of_user = json!({ "sid": null, "jti": "j2" });
    let token = logout_token(&provider, &stage, &of_user);
    assert_eq!(
        Message::logout_token(&token).send(stage.admin).await.status,
        200
    );
    assert_eq!(status(&by_sub, stage.address).await, 401);
    stage.clock.advance(Duration::from_secs(1));
    logs_in(&provider, &stage, "later");
    let later = stage.signed_in().await;
    assert_eq!(status(&later, stage.address).await, 200);
    let hooks = ["main", "backchannel_logout", "ok"];
    assert_eq!(stage.count("vestibule_hooks_total", &hooks).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_logout_token_changes_nothing() {
    let (provider, stranger) = (Scripted::open().await, Scripted::open().await);
    let stage = set(&provider, |text| text).await;
    let browser = stage.signed_in().await;
    let now = stage.clock.now().secs();
    let good = logout_token(&provider, &stage, &json!({}));
    let access = browser.cookie("vestibule-access").unwrap().to_owned();
    let mut tokens = vec![
        String::new(),
        "a.b.c".to_owned(),
        access,
        logout_token(&stranger, &stage, &json!({})),
    ];
    for changes in [
        json!({ "iss": "another" }),
        json!({ "aud": "another" }),
        json!({ "nonce": "n" }),
        json!({ "events": null }),
        json!({ "events": {} }),
        json!({ "iat": null }),
        json!({ "iat": now - 151 }),
        json!({ "iat": now + 60 }),
        json!({ "exp": now - 60 }),
        json!({ "jti": null }),
        json!({ "sid": 7 }),
        json!({ "sid": null, "sub": null }),
    ] {
        tokens.push(logout_token(&provider, &stage, &changes));
    }
    for token in &tokens {
        let reply = Message::logout_token(token).send(stage.admin).await;
        assert_eq!(reply.status, 400, "{token}");
        assert_eq!(reply.json()["error"], "invalid_request");
    }
    let form = |body: String| Message {
        body: body.into_bytes(),
        ..Message::logout_token("")
    };
    for body in [
        String::new(),
        format!("token={good}"),
        format!("logout_token={good}&logout_token={good}"),
    ] {
        assert_eq!(form(body).send(stage.admin).await.status, 400);
    }
    assert_eq!(
        form("x".repeat(16 * 1024 + 1))
            .send(stage.admin)
            .await
            .status,
        413
    );
    let json = Message::logout_token(&good)
        .without("Content-Type")
        .with("Content-Type", "application/json");
    assert_eq!(json.send(stage.admin).await.status, 415);
    let of_another = Message {
        target: LOGOUT.replace("main", "another"),
        ..Message::logout_token(&good)
    };
    let unknown = of_another.send(stage.admin).await;
    assert_eq!(said(&unknown), (404, "hook_refused".into()));
    assert_eq!(status(&browser, stage.address).await, 200);
    assert_eq!(
        Message::logout_token(&good).send(stage.admin).await.status,
        200
    );
    assert_eq!(status(&browser, stage.address).await, 401);
}

/// Ten thousand messages that are nobody's cost fifty checks a second, and a renewal goes on beside
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forged_hooks_is_refused_unread() {
    let (provider, stranger) = (Scripted::open().await, Scripted::open().await);
    let stage = set(&provider, |text| text).await;
    let mut browser = stage.signed_in().await;
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let forged = Message::event(&lock).signed_by(&stranger);
    for _ in 0..60 {
        assert!(matches!(forged.send(stage.admin).await.status, 401 | 429));
    }
    let (refused, throttled) = (
        stage.count("vestibule_hooks_total", &["refused"]).await,
        stage.count("vestibule_hooks_total", &["throttled"]).await,
    );
    assert_eq!(refused + throttled, 60);
    stage.clock.advance(Duration::from_secs(700));
    logs_in(&provider, &stage, SESSION);
    assert_eq!(browser.get("/orders").await.status, 200, "renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_user_trusted_before_is_forgotten() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| text).await;
    let presented: Arc<Mutex<Vec<Value>>> = Arc::default();
    let heard = Arc::clone(&presented);
    let mut claims = claims(&stage.clock);
    claims["exp"] = json!(stage.clock.now().secs() + 600);
    let body = json!({
        "token": provider.token(&claims),
        "refreshToken": "R",
        "twoFactorTrustId": "trusted",
    });
    provider.answers(LOGIN, move |received| {
        let asked: Value = serde_json::from_slice(&received.body).unwrap();
        heard
            .lock()
            .unwrap()
            .push(asked["twoFactorTrustId"].clone());
        (200, body.clone())
    });
    let mut browser = stage.browser();
    let mut rounds = Vec::new();
    for event_before in [None, None, Some("another"), Some(USER)] {
        stage.clock.advance(Duration::from_secs(1));
        if let Some(user) = event_before {
            let members = json!({ "user": { "id": user } });
            let happened = event(&stage, "user.password.update", user, &members);
            let message = Message::signed_event(&provider, &happened);
            assert_eq!(message.send(stage.admin).await.status, 200);
        }
        stage.clock.advance(Duration::from_secs(1));
        browser.forget("vestibule-access");
        browser.forget("vestibule-refresh");
        let reply = browser.sign_in("scripted@example.com", "password").await;
        assert_eq!(reply.status, 303);
        rounds.extend(presented.lock().unwrap().drain(..));
    }
    let trusted = json!("trusted");
    assert_eq!(rounds, [Value::Null, trusted.clone(), trusted, Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_on_a_site_where_the_provider_is_elsewhere() {
    let provider = Scripted::open().await;
    let config = |text: String| {
        let text = text.replacen("timeout =", "public_hooks = true\ntimeout =", 1);
        let origins = "allowed_origins = [\"http://app.localhost:3000\"]\nlanding =";
        text.replacen("landing =", origins, 1)
    };
    let stage = set(&provider, config).await;
    let mut browser = stage.signed_in().await;
    stage.clock.advance(Duration::from_secs(1));
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let host = "store.localhost:8080";
    let unsigned = Message::event(&lock)
        .at_site(host)
        .with("Origin", "http://app.localhost:3000")
        .with(
            "Cookie",
            &format!(
                "vestibule-access={}",
                browser.cookie("vestibule-access").unwrap()
            ),
        );
    let reply = unsigned.send(stage.address).await;
    assert_eq!(said(&reply), (401, "hook_refused".into()));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("access-control-allow-origin"), None);
    assert!(reply.all("set-cookie").is_empty());
    let large = Message {
        body: vec![b' '; 256 * 1024 + 1],
        ..Message::signed_event(&provider, &lock).at_site(host)
    };
    assert_eq!(
        said(&large.send(stage.address).await),
        (413, "request_too_large".into())
    );
    let of_another = Message {
        target: "/_vestibule/hooks/backchannel-logout/another".into(),
        ..Message::logout_token("a.b.c").at_site(host)
    };
    assert_eq!(of_another.send(stage.address).await.status, 404);
    assert_eq!(
        browser.get("/_vestibule/hooks/fusionauth").await.status,
        405
    );
    assert_eq!(status(&browser, stage.address).await, 200);
    let message = Message::signed_event(&provider, &lock).at_site(host);
    let reply = message.send(stage.address).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(status(&browser, stage.address).await, 401);
    let again = message.at_site("unused");
    let on_admin = Message {
        target: "/hooks/fusionauth".into(),
        host: "admin",
        ..again
    };
    assert_eq!(
        on_admin.send(stage.admin).await.status,
        400,
        "received before"
    );
    logs_in(&provider, &stage, SESSION);
    let other = stage.signed_in().await;
    let token = logout_token(&provider, &stage, &json!({}));
    let logout = Message::logout_token(&token).at_site("forum.localhost:8080");
    assert_eq!(logout.send(stage.address).await.status, 200);
    assert_eq!(status(&other, stage.address).await, 401);
    assert_eq!(stage.requests("hook_refused").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_on_no_site_unless_they_are_public() {
    let provider = Scripted::open().await;
    let stage = set(&provider, |text| text).await;
    let lock = event(&stage, "user.deactivate", "e1", &user());
    let message = Message::signed_event(&provider, &lock).at_site("store.localhost:8080");
    assert_eq!(message.send(stage.address).await.status, 404);
    let mut browser = stage.browser().fetching();
    assert_eq!(
        browser.get("/_vestibule/hooks/fusionauth").await.status,
        404
    );
}
