//! A sign-in that waits for more than a password, gone on with by people who fill in forms.

use std::time::Duration;

use serde_json::json;

use vestibule::embedded::totp::totp_code;
use vestibule::embedded::users::{DEMO_TOTP, User, Users};
use vestibule::model::secret::Secret;

use super::support::{
    Browser, CHANGE, CODE, LOGIN, PASSWORD, Reply, Scripted, Stage, as_documented, claims, field,
};

const TWO_FACTOR: &str = "twofactor@example.com";
const NEW_PASSWORD: &str = "newpassword@example.com";
const CODE_FORM: &str = "/login/two-factor";
const SEND_FORM: &str = "/login/two-factor/send";
const PASSWORD_FORM: &str = "/login/password";

fn code(stage: &Stage) -> String {
    totp_code(DEMO_TOTP, stage.clock.now()).unwrap()
}

/// The sign-in form, opened on the way to a page and posted.
async fn first_step(browser: &mut Browser, login_id: &str) -> Reply {
    let form = browser
        .get("/login?return_to=%2Forders%3Fpage%3D2%23last")
        .await;
    let (csrf, return_to) = (field(&form.body, "csrf"), field(&form.body, "return_to"));
    let fields = [
        ("loginId", login_id),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("return_to", &return_to),
    ];
    let reply = browser.post("/login", &fields).await;
    follow(browser, reply).await
}

/// The page of the step that `reply` redirects to; other replies as they are.
async fn follow(browser: &mut Browser, reply: Reply) -> Reply {
    match reply.header("location") {
        Some(page) if page.starts_with("/login/") => {
            assert_eq!(reply.status, 303);
            browser.get(page).await
        }
        Some(_) | None => reply,
    }
}

/// Fills in the form of the step that `shown` is.
async fn fill_in(
    browser: &mut Browser,
    shown: &Reply,
    (path, name, value): (&str, &str, &str),
) -> Reply {
    let (csrf, challenge) = (field(&shown.body, "csrf"), field(&shown.body, "challenge"));
    browser
        .post(
            path,
            &[("csrf", &csrf), ("challenge", &challenge), (name, value)],
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_leads_on_to_where_the_visitor_wanted_to_go() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, TWO_FACTOR).await;
    assert_eq!(
        (shown.status, shown.header("cache-control")),
        (200, Some("no-store"))
    );
    assert!(
        shown.body.contains("One more step")
            && shown.body.contains("autocomplete=\"one-time-code\"")
    );
    assert!(
        !browser
            .cookies
            .iter()
            .any(|(name, _)| name.contains("access") || name.contains("refresh"))
    );
    let again = fill_in(&mut browser, &shown, (CODE_FORM, "code", "abc-wrong")).await;
    assert_eq!(again.status, 401);
    assert!(again.body.contains("That code is not right.") && !again.body.contains("abc-wrong"));
    let spaced = code(&stage);
    let (left, right) = spaced.split_at(3);
    let reply = fill_in(
        &mut browser,
        &again,
        (CODE_FORM, "code", &format!(" {left} {right} ")),
    )
    .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2#last")),
        "{}",
        reply.body
    );
    let browsers = reply
        .all("set-cookie")
        .into_iter()
        .filter(|line| line.contains("access"));
    assert!(
        browsers.into_iter().all(|line| !line.contains("Max-Age")),
        "as long as the browser, as was chosen"
    );
    assert_eq!(browser.get("/orders").await.status, 200);
    // The back button brings the form back, but not the step.
    let reply = fill_in(&mut browser, &again, (CODE_FORM, "code", &code(&stage))).await;
    assert_eq!(reply.status, 401);
    assert!(
        reply.body.contains("That step took too long.")
            && reply.body.contains(&format!("value=\"{TWO_FACTOR}\""))
    );
    assert_eq!(field(&reply.body, "return_to"), "/orders?page=2#last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_cannot_be_forged_or_carried_elsewhere() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, TWO_FACTOR).await;
    let challenge = field(&shown.body, "challenge");
    let asked = stage.asked.two_factor_logins.count();
    let mut forum = stage.forum_browser();
    let csrf = forum.csrf().await;
    let there = [
        ("csrf", csrf.as_str()),
        ("challenge", &challenge),
        ("code", &code(&stage)),
    ];
    let reply = forum.post(CODE_FORM, &there).await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("That step took too long.") && !reply.body.contains(TWO_FACTOR));
    let csrf = field(&shown.body, "csrf");
    let elsewhere = [
        ("csrf", csrf.as_str()),
        ("challenge", &challenge),
        ("password", "quite another"),
    ];
    assert_eq!(browser.post(PASSWORD_FORM, &elsewhere).await.status, 401);
    // In another browser it is worth nothing, whatever else is right.
    let mut stranger = stage.browser();
    let csrf = stranger.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("challenge", &challenge),
        ("code", &code(&stage)),
    ];
    let reply = stranger.post(CODE_FORM, &fields).await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("That step took too long.") && !reply.body.contains(TWO_FACTOR));
    let reply = stranger.get(&page_of(&challenge)).await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("That step took too long.") && !reply.body.contains(TWO_FACTOR));
    // Without the form's own proof, the same form again; with it, what was typed counts.
    let csrf = field(&shown.body, "csrf");
    let unproven = [("csrf", ""), ("challenge", &challenge), ("code", "1")];
    let reply = browser.post(CODE_FORM, &unproven).await;
    assert_eq!(reply.status, 403);
    let reply = fill_in(&mut browser, &reply, (CODE_FORM, "code", "")).await;
    assert_eq!(reply.status, 400, "with a fresh proof, but nothing typed");
    let fields = [
        ("csrf", csrf.as_str()),
        ("challenge", &challenge),
        ("code", &code(&stage)),
    ];
    // From another site's page nothing is looked at.
    let origin = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "http://evil.example"),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let reply = browser
        .send("POST", CODE_FORM, &origin, body.as_bytes())
        .await;
    assert_eq!(
        (reply.status, stage.requests("cross_site_request").await),
        (403, 1)
    );
    let twice = format!("{body}&code=1");
    let own = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "http://store.localhost:8080"),
    ];
    assert_eq!(
        browser
            .send("POST", CODE_FORM, &own, twice.as_bytes())
            .await
            .status,
        400
    );
    assert_eq!(
        browser
            .send("POST", CODE_FORM, &[own[1]], body.as_bytes())
            .await
            .status,
        415
    );
    stage.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(browser.post(CODE_FORM, &fields).await.status, 401);
    assert_eq!(
        stage.asked.two_factor_logins.count(),
        asked,
        "none of these cost the provider a call"
    );
    let get = browser.get(&page_of(&challenge)).await;
    assert_eq!(get.status, 401, "its time is over");
    let get = browser.get(SEND_FORM).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

fn page_of(challenge: &str) -> String {
    format!("{CODE_FORM}?challenge={challenge}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_back_button_meets_no_posted_form() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let csrf = browser.csrf().await;
    let fields = [
        ("loginId", TWO_FACTOR),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("return_to", "/orders#last"),
    ];
    let reply = browser.post("/login", &fields).await;
    let page = reply.header("location").expect("a page").to_owned();
    assert_eq!(
        (reply.status, reply.header("cache-control")),
        (303, Some("no-store"))
    );
    assert!(page.starts_with("/login/two-factor?challenge="), "{page}");
    assert!(!page.contains("twofactor"), "{page}");
    for _ in 0..2 {
        let shown = browser.get(&page).await;
        assert_eq!(shown.status, 200);
        assert_eq!(
            shown.header("referrer-policy"),
            Some("strict-origin"),
            "the application hears of no challenge"
        );
    }
    let shown = browser.get(&page).await;
    let reply = fill_in(&mut browser, &shown, (CODE_FORM, "code", &code(&stage))).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders#last"))
    );
    stage.clock.advance(Duration::from_secs(5 * 60));
    let reply = browser.get(&page).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders#last")),
        "who has signed in is led on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_no_address_can_hold_is_shown_at_once() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    provider.says(LOGIN, 242, json!({ "twoFactorId": "the-id" }));
    let shown = first_step(&mut stage.browser(), &"z".repeat(7_000)).await;
    assert_eq!(shown.status, 401);
    assert!(!field(&shown.body, "challenge").is_empty());
}

fn with_recovery_codes(users: &mut Users) {
    let mut user = User::clone(users.by_login("twofactor").unwrap());
    user.id = vestibule::embedded::ids::uuid_of_email("lost@example.com");
    (user.email, user.username) = ("lost@example.com".into(), None);
    user.two_factor.as_mut().unwrap().recovery_codes = vec![Secret::new("JSNK-84QL")];
    users.add(user).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_is_typed_in_the_same_place() {
    let stage = Stage::set_with(|config| config, with_recovery_codes).await;
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, "lost@example.com").await;
    let reply = fill_in(&mut browser, &shown, (CODE_FORM, "code", " JSNK-84QL ")).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2#last")),
        "{}",
        reply.body
    );
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, "lost@example.com").await;
    assert_eq!(
        fill_in(&mut browser, &shown, (CODE_FORM, "code", "JSNK-84QL"))
            .await
            .status,
        401,
        "once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_asked_for_with_its_reason_and_its_rules() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, NEW_PASSWORD).await;
    assert_eq!(shown.status, 200);
    assert!(
        shown
            .body
            .contains("The people who look after your account ask you to choose a new password.")
    );
    assert!(shown.body.contains("autocomplete=\"new-password\""));
    let again = fill_in(&mut browser, &shown, (PASSWORD_FORM, "password", "short")).await;
    assert_eq!(again.status, 400);
    assert!(
        again.body.contains("<li>It ") && !again.body.contains("short\""),
        "{}",
        again.body
    );
    let again = fill_in(&mut browser, &again, (PASSWORD_FORM, "password", PASSWORD)).await;
    assert!(again.body.contains("<li>It was in use before.</li>"));
    let reply = fill_in(
        &mut browser,
        &again,
        (PASSWORD_FORM, "password", " quite another "),
    )
    .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2#last")),
        "{}",
        reply.body
    );
    assert_eq!(browser.get("/orders").await.status, 200);
    assert_eq!(
        stage
            .browser()
            .sign_in(NEW_PASSWORD, " quite another ")
            .await
            .status,
        303,
        "byte for byte"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_where_the_visitor_chooses() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    let methods = json!([
        { "id": "E-1", "method": "email", "email": "zoe@example.com" },
        { "id": "S-1", "method": "sms", "mobilePhone": "+1 555 555 5512" },
    ]);
    provider.says(
        LOGIN,
        242,
        json!({ "twoFactorId": "the-id", "methods": methods }),
    );
    provider.answers("/api/two-factor/send/the-id", |received| {
        let said: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
        (if said["methodId"] == "E-1" { 200 } else { 500 }, json!({}))
    });
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, "zoe@example.com").await;
    assert!(shown.body.contains("z***@example.com") && shown.body.contains("***12"));
    assert!(!shown.body.contains("E-1") && !shown.body.contains("the-id"));
    let choice = field(&shown.body, "choice");
    let sent = fill_in(&mut browser, &shown, (SEND_FORM, "choice", &choice)).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    let sent = follow(&mut browser, sent).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert!(sent.body.contains("A code is on its way to") && sent.body.contains("Send it again"));
    let again = fill_in(
        &mut browser,
        &sent,
        (SEND_FORM, "choice", &field(&sent.body, "choice")),
    )
    .await;
    assert_eq!(
        (again.status, again.header("retry-after")),
        (429, Some("30"))
    );
    assert!(again.body.contains("Please try again in 30 seconds."));
    provider.gives(CODE, &claims(&stage.clock), "r");
    let reply = fill_in(&mut browser, &again, (CODE_FORM, "code", "123456")).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2#last"))
    );
    assert_eq!(provider.asked("/api/two-factor/send/the-id"), 1);
    let after = fill_in(&mut browser, &shown, (SEND_FORM, "choice", &choice)).await;
    assert_eq!(after.status, 401, "a spent challenge sends nothing");
    assert_eq!(provider.asked("/api/two-factor/send/the-id"), 1);
}

/// Every row of `docs/reference/endpoints.md#fusionauth-responses`: the form that is shown and its
/// status.
#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_the_provider_has_its_page() {
    let provider = Scripted::open().await;
    let stage = provider.stage().await;
    for (says, status, words) in [
        (202, 403, "This account has no access here yet"),
        (203, 200, "Choose a new password"),
        (212, 403, "Please confirm your e-mail address"),
        (213, 403, "Please confirm your registration"),
        (409, 403, "This account cannot sign in at the moment."),
        (410, 401, "That did not match."),
        (423, 401, "That did not match."),
        (421, 401, "That code is not right."),
        (404, 401, "That step took too long."),
        (400, 400, "That could not be read."),
        (429, 503, "Signing in is not working right now."),
        (500, 503, "Signing in is not working right now."),
        (302, 503, "Signing in is not working right now."),
    ] {
        let mut browser = stage.browser();
        provider.says(LOGIN, 242, json!({ "twoFactorId": "tf-0d8f" }));
        let shown = first_step(&mut browser, &format!("{says}@example.com")).await;
        let token = provider.token(&claims(&stage.clock));
        provider.says(
            CODE,
            says,
            as_documented(
                says,
                json!({ "token": token, "refreshToken": "r", "changePasswordId": "cp-1" }),
            ),
        );
        let before = browser.cookies.clone();
        let reply = fill_in(&mut browser, &shown, (CODE_FORM, "code", "123456")).await;
        let reply = follow(&mut browser, reply).await;
        assert_eq!(reply.status, status, "{says}");
        assert!(reply.body.contains(words), "{says}: {}", reply.body);
        assert_eq!(browser.cookies, before, "{says}: nobody is signed in");
        assert!(
            !reply.body.contains("cp-1") && !reply.body.contains("123456"),
            "{says}"
        );
    }
    provider.says(
        LOGIN,
        203,
        json!({ "changePasswordId": "cp-1", "changePasswordReason": "Expired" }),
    );
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, "zoe@example.com").await;
    for (says, status, words) in [
        (500, 503, "Signing in is not working right now."),
        (400, 400, "This password cannot be used."),
        (404, 401, "That step took too long."),
    ] {
        provider.says(CHANGE, says, as_documented(says, json!({})));
        let reply = fill_in(
            &mut browser,
            &shown,
            (PASSWORD_FORM, "password", "quite another"),
        )
        .await;
        assert_eq!(reply.status, status, "{says}");
        assert!(reply.body.contains(words), "{says}: {}", reply.body);
    }
}

async fn with_trust(browser: &mut Browser, shown: &Reply, code: &str) -> Reply {
    let (csrf, challenge) = (field(&shown.body, "csrf"), field(&shown.body, "challenge"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("challenge", &challenge),
        ("code", code),
        ("trust", "true"),
    ];
    browser.post(CODE_FORM, &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_device_is_not_asked_again_and_nobody_elses_is_trusted() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, TWO_FACTOR).await;
    let again = with_trust(&mut browser, &shown, "000000").await;
    assert!(again.status == 401 && again.body.contains("name=\"trust\" value=\"true\" checked"));
    assert_eq!(
        browser.cookie("vestibule-device"),
        None,
        "a wrong code earns no trust"
    );
    assert_eq!(
        with_trust(&mut browser, &again, &code(&stage)).await.status,
        303
    );
    assert!(browser.cookie("vestibule-device").is_some());
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    let reply = first_step(&mut browser, TWO_FACTOR).await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/orders?page=2#last")),
        "{}",
        reply.body
    );
    // At another browser, with another name at this one, and at another site a code is asked for.
    assert_eq!(
        first_step(&mut stage.browser(), TWO_FACTOR).await.status,
        200
    );
    let mut forum = stage.forum_browser();
    forum.set_cookie(
        "vestibule-device",
        browser.cookie("vestibule-device").unwrap(),
    );
    let reply = forum.sign_in(TWO_FACTOR, PASSWORD).await;
    assert!(
        reply
            .header("location")
            .is_some_and(|page| page.starts_with(CODE_FORM)),
        "{reply:?}"
    );
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    assert_eq!(
        browser.sign_in(TWO_FACTOR, "wrong").await.status,
        401,
        "a password it takes all the same"
    );
}

/// What was written when the session ended comes through the second step as well.
#[tokio::test(flavor = "multi_thread")]
async fn lost_work_comes_along() {
    let stage = Stage::set().await;
    let mut browser = stage.browser();
    let shown = first_step(&mut browser, TWO_FACTOR).await;
    assert_eq!(
        fill_in(&mut browser, &shown, (CODE_FORM, "code", &code(&stage)))
            .await
            .status,
        303
    );
    browser.forget("vestibule-access");
    browser.forget("vestibule-refresh");
    let form = browser.post("/posts", &[("text", "hours of work")]).await;
    assert_eq!(form.status, 401, "{}", form.body);
    let (csrf, unsent) = (field(&form.body, "csrf"), field(&form.body, "unsent"));
    let fields = [
        ("loginId", TWO_FACTOR),
        ("password", PASSWORD),
        ("csrf", &csrf),
        ("unsent", &unsent),
    ];
    let shown = browser.post("/login?unsent", &fields).await;
    assert!(
        shown.body.contains("action=\"/login/two-factor?unsent\""),
        "{}",
        shown.body
    );
    // The next code of the app: each is good once.
    stage.clock.advance(Duration::from_secs(30));
    let (csrf, challenge) = (field(&shown.body, "csrf"), field(&shown.body, "challenge"));
    let (code, unsent) = (code(&stage), field(&shown.body, "unsent"));
    let fields = [
        ("csrf", csrf.as_str()),
        ("challenge", &challenge),
        ("code", &code),
        ("unsent", &unsent),
    ];
    let page = browser.post("/login/two-factor?unsent", &fields).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("hours of work"));
    assert_eq!(browser.get("/orders").await.status, 200);
}
