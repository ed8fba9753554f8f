//! What the provider may answer to a password, and what the person at the form sees of it.

use serde_json::{Value, json};

use vestibule::embedded::users::{AccountState, ChangeReason, User, Users};

use super::support::{LOGIN, PASSWORD, Reply, Scripted, Stage, as_documented, claims};

async fn logins(stage: &Stage, result: &str) -> u64 {
    stage
        .count("vestibule_logins_total", &["store", result])
        .await
}

/// What every answer has that is no sign-in.
fn nobody_is_signed_in(reply: &Reply, what: &str) {
    assert!(
        !reply
            .all("set-cookie")
            .iter()
            .any(|line| line.contains("access") || line.contains("refresh")),
        "{what}"
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    assert!(!reply.body.contains(PASSWORD), "{what}");
}

/// An account like the shopper's, changed.
fn add(users: &mut Users, name: &str, change: impl FnOnce(&mut User)) {
    let mut user = User::clone(users.by_login("shopper").unwrap());
    user.id = vestibule::embedded::ids::uuid_of_email(&format!("{name}@example.com"));
    user.email = format!("{name}@example.com");
    user.username = None;
    change(&mut user);
    users.add(user).unwrap();
}

fn special_people(users: &mut Users) {
    add(users, "guest", |user| {
        user.applications = Some(vec!["forum-application".into()]);
    });
    add(users, "unconfirmed", |user| user.email_verified = false);
    add(users, "unregistered", |user| {
        user.unverified_applications = vec!["store-application".into()];
    });
    add(users, "breached", |user| {
        user.must_change_password = Some(ChangeReason::Breached);
    });
    add(users, "prevented", |user| {
        user.state = AccountState::LoginPrevented;
    });
    add(users, "locked", |user| user.state = AccountState::Locked);
    add(users, "expired", |user| user.state = AccountState::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_special_account_is_told_what_is_the_matter() {
    let stage = Stage::set_with(|config| config, special_people).await;
    for (name, status, code, words) in [
        (
            "twofactor",
            303,
            "two_factor_required",
            "Enter the code that your authenticator app shows",
        ),
        (
            "newpassword",
            303,
            "password_change_required",
            "The people who look after your account ask",
        ),
        (
            "breached",
            303,
            "password_change_required",
            "it appears in a list of passwords stolen elsewhere",
        ),
        (
            "guest",
            403,
            "not_registered",
            "not registered for this site",
        ),
        (
            "unconfirmed",
            403,
            "email_unverified",
            "confirm your e-mail address",
        ),
        (
            "unregistered",
            403,
            "registration_unverified",
            "confirm your registration",
        ),
        (
            "prevented",
            403,
            "login_prevented",
            "This account cannot sign in at the moment",
        ),
        ("locked", 401, "invalid_credentials", "That did not match"),
        ("expired", 401, "invalid_credentials", "That did not match"),
    ] {
        let before = logins(&stage, code).await;
        let mut browser = stage.browser();
        let reply = browser
            .sign_in(&format!("{name}@example.com"), PASSWORD)
            .await;
        assert_eq!(reply.status, status, "{name}");
        let page = match reply.header("location") {
            Some(step) => browser.get(step).await,
            None => reply.clone(),
        };
        assert!(page.body.contains(words), "{name}: {}", page.body);
        assert_eq!(logins(&stage, code).await, before + 1, "{name}");
        nobody_is_signed_in(&reply, name);
        assert_eq!(browser.get("/orders").await.status, 302, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_the_provider_has_its_answer() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let id = "0d8f2a5e-6f0b-4c6e-9d6a-0e4b6f1c2a10";
    for (says, status, code) in [
        (202, 403, "not_registered"),
        (203, 303, "password_change_required"),
        (212, 403, "email_unverified"),
        (213, 403, "registration_unverified"),
        (242, 303, "two_factor_required"),
        (404, 401, "invalid_credentials"),
        (409, 403, "login_prevented"),
        (410, 401, "invalid_credentials"),
        (423, 401, "invalid_credentials"),
        (400, 400, "rejected_input"),
        (401, 500, "provider_misconfigured"),
        (429, 503, "provider_unavailable"),
        (500, 503, "provider_unavailable"),
        (504, 503, "provider_unavailable"),
        (302, 503, "provider_unavailable"),
        (204, 503, "provider_unavailable"),
    ] {
        let before = logins(&stage, code).await;
        // Tokens where there must be none are not taken.
        let token = provider.token(&claims(&stage.clock));
        let tokens = json!({ "token": token, "refreshToken": "r", "twoFactorId": id, "changePasswordId": id });
        provider.says(LOGIN, says, as_documented(says, tokens));
        let reply = stage
            .browser()
            .sign_in(&format!("{says}@example.com"), PASSWORD)
            .await;
        assert_eq!(reply.status, status, "{says}");
        assert_eq!(
            reply.header("retry-after").is_some(),
            status == 503,
            "{says}"
        );
        assert_eq!(logins(&stage, code).await, before + 1, "{says}");
        assert!(
            !reply.body.contains(id) && !reply.headers.iter().any(|(_, value)| value.contains(id)),
            "{says}: the provider's own ids stay here"
        );
        nobody_is_signed_in(&reply, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_account_is_told_where_the_operator_wants_it() {
    let provider = Scripted::open().await;
    let reveal = |config: String| {
        provider
            .in_place(&config)
            .replacen("issuer =", "reveal_account_state = true\nissuer =", 1)
    };
    let stage = Stage::set_with(reveal, |_| {}).await;
    for (says, code) in [(410, "account_expired"), (423, "account_locked")] {
        provider.says(LOGIN, says, json!(null));
        let reply = stage.browser().sign_in("sam", PASSWORD).await;
        assert_eq!(
            (reply.status, logins(&stage, code).await),
            (403, 1),
            "{says}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_cannot_be_used_is_no_sign_in() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let with = |name: &str, value: Value| {
        let mut claims = claims(&stage.clock);
        claims[name] = value;
        json!({ "token": provider.token(&claims), "refreshToken": "r" })
    };
    let forged = format!("{}A", provider.token(&claims(&stage.clock)));
    for (what, body, code) in [
        (
            "no token",
            json!({ "refreshToken": "r" }),
            "provider_misconfigured",
        ),
        (
            "another audience",
            with("aud", json!("forum-application")),
            "provider_misconfigured",
        ),
        (
            "another issuer",
            with("iss", json!("elsewhere")),
            "provider_misconfigured",
        ),
        (
            "a token of the past",
            with("exp", json!(1)),
            "provider_misconfigured",
        ),
        (
            "a forged token",
            json!({ "token": forged, "refreshToken": "r" }),
            "provider_misconfigured",
        ),
        (
            "a line feed",
            with("email", json!("a@b\nX-Auth-Roles: admin")),
            "provider_misconfigured",
        ),
        (
            "a null byte",
            with("roles", json!(["a\u{0}"])),
            "provider_misconfigured",
        ),
        (
            "too large",
            with("groups", json!("g".repeat(5_700))),
            "tokens_too_large",
        ),
    ] {
        let before = logins(&stage, code).await;
        provider.says(LOGIN, 200, body);
        let reply = stage.browser().sign_in("sam", PASSWORD).await;
        assert_eq!(
            (reply.status, logins(&stage, code).await),
            (500, before + 1),
            "{what}"
        );
        nobody_is_signed_in(&reply, what);
    }
    provider.gives(LOGIN, &claims(&stage.clock), "r");
    assert_eq!(stage.browser().sign_in("sam", PASSWORD).await.status, 303);
}

/// The provider is asked for exactly what was typed, and for this site's application.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_reaches_the_provider_byte_for_byte() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let good = json!({ "token": provider.token(&claims(&stage.clock)), "refreshToken": "r" });
    let password = format!(" pä\u{200b}+%20&\"{} ", "x".repeat(200));
    let expected = password.clone();
    provider.answers(LOGIN, move |received| {
        let said: Value = serde_json::from_slice(&received.body).unwrap();
        let right = said["password"] == json!(expected)
            && said["loginId"] == json!(" Sam ")
            && said["applicationId"] == json!("store-application")
            && said["ipAddress"] == json!("127.0.0.1")
            && received.header("authorization") == Some("stories-api-key");
        if right {
            (200, good.clone())
        } else {
            (404, json!(null))
        }
    });
    assert_eq!(
        stage.browser().sign_in(" Sam ", &password).await.status,
        303
    );
    assert_eq!(
        stage
            .browser()
            .sign_in(" Sam ", password.trim())
            .await
            .status,
        401
    );
}

/// Whoever looks at their sessions at the provider knows this one by its device.
#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_told_the_device() {
    const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let good = json!({ "token": provider.token(&claims(&stage.clock)), "refreshToken": "r" });
    let (named, unnamed) = (good.clone(), good);
    provider.answers(LOGIN, move |received| {
        let said: Value = serde_json::from_slice(&received.body).unwrap();
        let device = json!({ "name": "Firefox on Linux", "description": AGENT, "type": "BROWSER" });
        if said["metaData"] == json!({ "device": device }) {
            (200, named.clone())
        } else {
            (404, json!(null))
        }
    });
    assert_eq!(
        stage
            .browser()
            .with("User-Agent", AGENT)
            .sign_in("sam", PASSWORD)
            .await
            .status,
        303
    );
    assert_eq!(
        stage
            .browser()
            .with("User-Agent", AGENT)
            .sign_in_by_script("sam", PASSWORD)
            .await
            .status,
        200
    );
    provider.answers(LOGIN, move |received| {
        let said: Value = serde_json::from_slice(&received.body).unwrap();
        if said.get("metaData").is_none() {
            (200, unnamed.clone())
        } else {
            (404, json!(null))
        }
    });
    assert_eq!(
        stage.browser().sign_in("sam", PASSWORD).await.status,
        303,
        "nothing is made up"
    );
}
