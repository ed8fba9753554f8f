//! A sign-in that waits for more than a password, gone on with by programs: pages' scripts, and
//! apps.

use serde_json::{Value, json};

use vestibule::embedded::totp::totp_code;
use vestibule::embedded::users::DEMO_TOTP;

use super::support::{
    Browser, CHANGE, CODE, LOGIN, PASSWORD, Phone, Reply, Scripted, Stage, as_documented, claims,
};

const TWO_FACTOR: &str = "twofactor@example.com";
const NEW_PASSWORD: &str = "newpassword@example.com";

fn code(stage: &Stage) -> String {
    totp_code(DEMO_TOTP, stage.clock.now()).unwrap()
}

/// A code of nobody's.
fn wrong(stage: &Stage) -> String {
    let right: u32 = code(stage).parse().unwrap();
    format!("{:06}", (right + 1) % 1_000_000)
}

async fn challenged(page: &mut Browser, login_id: &str) -> (Reply, Value) {
    let reply = page.sign_in_by_script(login_id, PASSWORD).await;
    let said = reply.json();
    (reply, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_completes_the_sign_in() {
    let stage = Stage::set().await;
    let mut page = stage.browser().fetching();
    let (reply, said) = challenged(&mut page, TWO_FACTOR).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (401, "two_factor_required")
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(
        reply.all("set-cookie").is_empty(),
        "nobody is signed in by half"
    );
    let method = &said["methods"][0];
    assert_eq!(
        (&method["method"], &method["label"]),
        (&json!("authenticator"), &Value::Null)
    );
    assert!(
        method["choice"]
            .as_str()
            .is_some_and(|choice| choice != "TOTP"),
        "sealed"
    );
    assert_eq!(page.get("/api/user").await.status, 404);
    let reply = page
        .call(
            "/api/login/two-factor",
            &json!({ "challenge": said["challenge"], "code": wrong(&stage) }),
        )
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "wrong_code"));
    let body = json!({ "challenge": said["challenge"], "code": code(&stage) });
    let reply = page.call("/api/login/two-factor", &body).await;
    assert_eq!(
        reply.status, 200,
        "a wrong code does not spend it: {}",
        reply.body
    );
    assert_eq!(reply.json()["user"]["email"], TWO_FACTOR);
    assert_eq!(
        reply.json().as_object().unwrap().len(),
        1,
        "tokens only in cookies"
    );
    assert!(
        reply
            .all("set-cookie")
            .iter()
            .any(|line| line.contains("Max-Age=2592000")),
        "remembered, as was chosen"
    );
    assert_eq!(page.get("/orders").await.status, 200);
    // The challenge is spent, for this code and for any other.
    let asked = stage.asked.two_factor_logins.count();
    for again in [code(&stage), wrong(&stage)] {
        let reply = page
            .call(
                "/api/login/two-factor",
                &json!({ "challenge": said["challenge"], "code": again }),
            )
            .await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "challenge_expired")
        );
    }
    assert_eq!(
        stage.asked.two_factor_logins.count(),
        asked,
        "without a call"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_good_for_its_own_site_step_and_time() {
    let stage = Stage::set().await;
    let mut page = stage.browser().fetching();
    let (_, said) = challenged(&mut page, TWO_FACTOR).await;
    let (_, other) = challenged(&mut page, NEW_PASSWORD).await;
    let (codes, passwords) = (
        stage.asked.two_factor_logins.count(),
        stage.asked.password_changes.count(),
    );
    let right = json!({ "challenge": said["challenge"], "code": code(&stage) });
    let mut forum = stage.forum_browser().fetching();
    let foreign = json!({ "challenge": other["challenge"], "code": code(&stage) });
    let choice = json!({ "challenge": other["challenge"], "choice": said["methods"][0]["choice"] });
    let forged = json!({ "challenge": format!("{}A", said["challenge"].as_str().unwrap()), "code": code(&stage) });
    for (reply, what) in [
        (
            forum.call("/api/login/two-factor", &right).await,
            "at the forum",
        ),
        (
            page.call("/api/login/two-factor", &foreign).await,
            "of another step",
        ),
        (
            page.call("/api/login/two-factor/send", &choice).await,
            "of another step, sent",
        ),
        (
            page.call(
                "/api/login/password",
                &json!({ "challenge": said["challenge"], "password": "a new one" }),
            )
            .await,
            "as a password",
        ),
        (page.call("/api/login/two-factor", &forged).await, "forged"),
        (
            page.call(
                "/api/login/two-factor",
                &json!({ "challenge": "", "code": "123456" }),
            )
            .await,
            "empty",
        ),
    ] {
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "challenge_expired"),
            "{what}"
        );
    }
    stage.clock.advance(std::time::Duration::from_secs(5 * 60));
    let reply = page
        .call(
            "/api/login/two-factor",
            &json!({ "challenge": said["challenge"], "code": code(&stage) }),
        )
        .await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (401, "challenge_expired"),
        "after five minutes"
    );
    let calls = (
        stage.asked.two_factor_logins.count(),
        stage.asked.password_changes.count(),
    );
    assert_eq!(
        calls,
        (codes, passwords),
        "none of these cost the provider a call"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_is_good_with_its_own_challenge() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let methods = json!([
        { "id": "A-1", "method": "authenticator" },
        { "id": "E-1", "method": "email", "email": "zoe@example.com" },
        { "id": "S-1", "method": "sms", "mobilePhone": "+1 555 555 5512" },
    ]);
    provider.says(
        LOGIN,
        242,
        json!({ "twoFactorId": "the-id", "methods": methods }),
    );
    provider.says("/api/two-factor/send/the-id", 200, json!({}));
    let mut page = stage.browser().fetching();
    let (_, said) = challenged(&mut page, "zoe").await;
    let (_, other) = challenged(&mut page, "zoe").await;
    let text = said.to_string();
    for secret in ["the-id", "E-1", "S-1", "zoe@example.com", "555 5512"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(
        (&said["methods"][1]["method"], &said["methods"][2]["method"]),
        (&json!("email"), &json!("sms"))
    );
    let send =
        |challenge: &Value, choice: &Value| json!({ "challenge": challenge, "choice": choice });
    let crossed = send(&said["challenge"], &other["methods"][1]["choice"]);
    let app = send(&said["challenge"], &said["methods"][0]["choice"]);
    for (body, what) in [
        (crossed, "another challenge's"),
        (app, "an app is sent nothing"),
    ] {
        let reply = page.call("/api/login/two-factor/send", &body).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "rejected_input"),
            "{what}"
        );
    }
    assert_eq!(provider.asked("/api/two-factor/send/the-id"), 0);
    let mail = send(&said["challenge"], &said["methods"][1]["choice"]);
    assert_eq!(
        page.call("/api/login/two-factor/send", &mail).await.status,
        204
    );
    assert_eq!(provider.asked("/api/two-factor/send/the-id"), 1);
    // Once in half a minute, whichever way and whichever challenge of the account.
    for body in [
        mail.clone(),
        send(&other["challenge"], &other["methods"][2]["choice"]),
    ] {
        let reply = page.call("/api/login/two-factor/send", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (429, "throttled"));
        assert_eq!(reply.header("retry-after"), Some("30"));
    }
    // Five in ten minutes.
    for _ in 0..4 {
        stage.clock.advance(std::time::Duration::from_secs(31));
        assert_eq!(
            page.call("/api/login/two-factor/send", &mail).await.status,
            204
        );
    }
    stage.clock.advance(std::time::Duration::from_secs(31));
    let reply = page.call("/api/login/two-factor/send", &mail).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, Some("445"))
    );
    assert_eq!(provider.asked("/api/two-factor/send/the-id"), 5);
    // What was not sent is not counted.
    stage.clock.advance(std::time::Duration::from_secs(446));
    let (_, said) = challenged(&mut page, "zoe").await;
    let mail = send(&said["challenge"], &said["methods"][1]["choice"]);
    provider.says("/api/two-factor/send/the-id", 500, json!({}));
    assert_eq!(
        page.call("/api/login/two-factor/send", &mail).await.code(),
        "provider_unavailable"
    );
    provider.says("/api/two-factor/send/the-id", 200, json!({}));
    assert_eq!(
        page.call("/api/login/two-factor/send", &mail).await.status,
        204
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_typed_once_and_signs_in() {
    let stage = Stage::set().await;
    let mut page = stage.browser().fetching();
    let (reply, said) = challenged(&mut page, NEW_PASSWORD).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (401, "password_change_required")
    );
    assert_eq!(
        (&said["changeReason"], said.get("methods")),
        (&json!("Administrative"), None)
    );
    let with = |password: &str| json!({ "challenge": said["challenge"], "password": password });
    let reply = page.call("/api/login/password", &with("short")).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "rejected_input")
    );
    assert_eq!(reply.json()["violations"][0]["rule"], "tooShort");
    let reply = page.call("/api/login/password", &with(PASSWORD)).await;
    assert_eq!(reply.json()["violations"][0]["rule"], "previouslyUsed");
    let reply = page
        .call("/api/login/password", &with("quite another"))
        .await;
    assert_eq!(
        (reply.status, &reply.json()["user"]["email"]),
        (200, &json!(NEW_PASSWORD)),
        "{}",
        reply.body
    );
    assert_eq!(page.get("/orders").await.status, 200);
    assert_eq!(
        page.call("/api/login/password", &with("yet another"))
            .await
            .code(),
        "challenge_expired"
    );
    assert_eq!(
        stage
            .browser()
            .sign_in(NEW_PASSWORD, "quite another")
            .await
            .status,
        303
    );
    assert_eq!(
        stage.browser().sign_in(NEW_PASSWORD, PASSWORD).await.status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_goes_through_both_steps_and_a_browser_cannot_take_its_place() {
    let bearer = |config: String| config.replace("landing = ", "bearer = true\nlanding = ");
    let stage = Stage::set_with(bearer, |_| {}).await;
    let mut phone = Phone::new(stage.address);
    let reply = phone.sign_in(TWO_FACTOR).await;
    assert_eq!((reply.status, phone.tokens()), (401, (None, None)));
    let body =
        json!({ "challenge": reply.json()["challenge"], "code": code(&stage), "trust": true });
    let script = stage
        .browser()
        .fetching()
        .call("/api/login/two-factor", &body)
        .await;
    assert_eq!(
        (script.status, script.code().as_str()),
        (403, "browser_tokens_refused")
    );
    let reply = phone.post("/api/login/two-factor", &body).await;
    assert_eq!(
        (reply.status, reply.all("set-cookie")),
        (200, vec![]),
        "{}",
        reply.body
    );
    assert!(phone.access.is_some() && phone.refresh.is_some());
    assert_eq!(phone.get("/orders").await.status, 200);
    let mut phone = Phone::new(stage.address);
    let challenge = phone.sign_in(NEW_PASSWORD).await.json()["challenge"].clone();
    let reply = phone
        .post(
            "/api/login/password",
            &json!({ "challenge": challenge, "password": "quite another" }),
        )
        .await;
    assert_eq!(
        (reply.status, reply.all("set-cookie")),
        (200, vec![]),
        "{}",
        reply.body
    );
    assert_eq!(phone.get("/orders").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_count_as_wrong_passwords_do() {
    let stage = Stage::set_with(
        |config| format!("{config}\n[login]\naccount_limit = {{ attempts = 3, per = \"5m\" }}\n"),
        |_| {},
    )
    .await;
    let mut page = stage.browser().fetching();
    let (_, said) = challenged(&mut page, TWO_FACTOR).await;
    let body = json!({ "challenge": said["challenge"], "code": wrong(&stage) });
    for _ in 0..3 {
        assert_eq!(
            page.call("/api/login/two-factor", &body).await.code(),
            "wrong_code"
        );
    }
    let asked = stage.asked.two_factor_logins.count();
    let right = json!({ "challenge": said["challenge"], "code": code(&stage) });
    let reply = page.call("/api/login/two-factor", &right).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "throttled"));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(
        page.sign_in_by_script(TWO_FACTOR, PASSWORD).await.code(),
        "throttled",
        "one count for both"
    );
    assert_eq!(stage.asked.two_factor_logins.count(), asked);
}

/// Every row of `docs/reference/endpoints.md#fusionauth-responses`, for both steps.
#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_the_provider_has_its_answer() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.says(CHANGE, 200, json!({ "oneTimePassword": "once" }));
    for (says, status, code) in [
        (200, 200, ""),
        (202, 403, "not_registered"),
        (203, 401, "password_change_required"),
        (212, 403, "email_unverified"),
        (213, 403, "registration_unverified"),
        (409, 403, "login_prevented"),
        (410, 401, "invalid_credentials"),
        (423, 401, "invalid_credentials"),
        (421, 401, "wrong_code"),
        (404, 401, "challenge_expired"),
        (400, 400, "rejected_input"),
        (429, 503, "provider_unavailable"),
        (500, 503, "provider_unavailable"),
        (504, 503, "provider_unavailable"),
        (302, 503, "provider_unavailable"),
    ] {
        let told = json!({
            "token": provider.token(&claims(&stage.clock)), "refreshToken": "r", "changePasswordId": "cp-2a5e",
        });
        let mut page = stage.browser().fetching();
        provider.says(LOGIN, 242, json!({ "twoFactorId": "tf-0d8f" }));
        let (_, said) = challenged(&mut page, &format!("{says}@example.com")).await;
        provider.says(CODE, says, as_documented(says, told.clone()));
        let reply = page
            .call(
                "/api/login/two-factor",
                &json!({ "challenge": said["challenge"], "code": "123456" }),
            )
            .await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str().unwrap_or("")),
            (status, code),
            "code: {says}"
        );
        assert_eq!(
            reply.header("retry-after").is_some(),
            status == 503,
            "{says}"
        );
        assert_eq!(reply.json()["challenge"].is_string(), says == 203, "{says}");
        let signed_in = reply
            .all("set-cookie")
            .iter()
            .any(|line| line.starts_with("vestibule-access"));
        assert_eq!(signed_in, says == 200, "{says}");
        for id in ["cp-2a5e", "tf-0d8f", "once"] {
            assert!(!reply.body.contains(id), "{says}: {id}");
        }
        // The same after a new password, which signs in by itself.
        if says == 421 {
            continue;
        }
        let mut page = stage.browser().fetching();
        provider.says(
            LOGIN,
            203,
            json!({ "changePasswordId": "cp-2a5e", "changePasswordReason": "Expired" }),
        );
        let (_, said) = challenged(&mut page, &format!("{says}@example.com")).await;
        provider.says(LOGIN, says, as_documented(says, told));
        let body = json!({ "challenge": said["challenge"], "password": "quite another" });
        let reply = page.call("/api/login/password", &body).await;
        assert_eq!(
            (reply.status, reply.json()["code"].as_str().unwrap_or("")),
            (status, code),
            "password: {says}"
        );
    }
}

/// A new password leads to a second factor, whose code leads to a new password: each with a
/// challenge of its own.
#[tokio::test(flavor = "multi_thread")]
async fn one_step_leads_to_the_next() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut page = stage.browser().fetching();
    provider.says(LOGIN, 203, json!({ "changePasswordId": "cp-1" }));
    let (_, first) = challenged(&mut page, "zoe").await;
    provider.says(CHANGE, 200, json!({ "oneTimePassword": "once" }));
    provider.says(LOGIN, 242, json!({ "twoFactorId": "tf-1" }));
    let body = json!({ "challenge": first["challenge"], "password": "quite another" });
    let second = page.call("/api/login/password", &body).await;
    assert_eq!(
        (second.status, second.code().as_str()),
        (401, "two_factor_required")
    );
    assert_eq!(
        page.call("/api/login/password", &body).await.code(),
        "challenge_expired",
        "it led on"
    );
    provider.says(
        CODE,
        203,
        json!({ "changePasswordId": "cp-2", "changePasswordReason": "Breached" }),
    );
    let body = json!({ "challenge": second.json()["challenge"], "code": "123456" });
    let third = page.call("/api/login/two-factor", &body).await;
    assert_eq!(
        (third.code().as_str(), &third.json()["changeReason"]),
        ("password_change_required", &json!("Breached"))
    );
    provider.gives(LOGIN, &claims(&stage.clock), "r");
    let body = json!({ "challenge": third.json()["challenge"], "password": "one more" });
    assert_eq!(page.call("/api/login/password", &body).await.status, 200);
    assert_eq!(page.get("/orders").await.status, 200);
    assert_eq!(
        (
            provider.asked(LOGIN),
            provider.asked(CODE),
            provider.asked(CHANGE)
        ),
        (3, 1, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_says_to_a_new_password_is_told_rule_by_rule() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let mut page = stage.browser().fetching();
    provider.says(LOGIN, 203, json!({ "changePasswordId": "cp-1" }));
    let (_, said) = challenged(&mut page, "zoe").await;
    let body = json!({ "challenge": said["challenge"], "password": "a" });
    let errors = json!({ "fieldErrors": { "password": [
        { "code": "[tooShort]password", "message": "between 8 and 256" }, { "code": "[requireNumber]password", "message": "" },
    ] } });
    provider.says(CHANGE, 400, errors);
    let reply = page.call("/api/login/password", &body).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (400, "rejected_input")
    );
    let violations = json!([{ "rule": "tooShort", "limit": 8 }, { "rule": "requireNumber" }]);
    assert_eq!(reply.json()["violations"], violations);
    for (says, status, code) in [
        (500, 503, "provider_unavailable"),
        (404, 401, "challenge_expired"),
    ] {
        provider.says(CHANGE, says, as_documented(says, json!({})));
        let reply = page.call("/api/login/password", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
    }
    let asked = provider.asked(CHANGE);
    assert_eq!(
        page.call("/api/login/password", &body).await.code(),
        "challenge_expired"
    );
    assert_eq!(
        provider.asked(CHANGE),
        asked,
        "what is over there is over here"
    );
}
