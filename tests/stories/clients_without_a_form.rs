//! Programs that send a name and a password with each request, as git, pip and calendar clients do.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::{
    Browser, LOGIN, PASSWORD, REFRESH, Reply, SHOPPER, Scripted, Stage, claims, raw, until,
    with_line,
};

const CHALLENGE: Option<&str> = Some("Basic realm=\"store\"");

fn with_basic(config: &str) -> String {
    config.replacen("landing =", "basic = true\nlanding =", 1)
}

async fn set() -> Stage {
    Stage::set_with(|config| with_basic(&config), |_| {}).await
}

/// A field with these credentials.
fn basic(user: &str, password: &str) -> String {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

/// A request as git sends it.
async fn ask(stage: &Stage, method: &str, target: &str, fields: &str) -> Reply {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: store.localhost:8080\r\nUser-Agent: git/2.39.5\r\n\
         Accept: */*\r\nConnection: close\r\n{fields}\r\n"
    );
    raw(stage.address, request.as_bytes()).await
}

async fn get(stage: &Stage, fields: &str) -> Reply {
    ask(stage, "GET", "/repos/a.git/info/refs", fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_for_a_password_and_comes_in_with_it() {
    let stage = set().await;
    let reply = get(&stage, "").await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, CHALLENGE)
    );
    assert_eq!(reply.code(), "signed_out");
    let wrong = get(&stage, &basic(SHOPPER, "wrong")).await;
    assert_eq!(
        (wrong.status, wrong.code().as_str()),
        (401, "invalid_credentials")
    );
    assert_eq!(wrong.header("www-authenticate"), CHALLENGE);
    assert!(stage.store.received().is_empty());
    let right = basic(SHOPPER, PASSWORD);
    for round in 0..3 {
        let reply = get(&stage, &right).await;
        assert_eq!(
            (reply.status, reply.all("set-cookie")),
            (200, vec![]),
            "{round}"
        );
        let seen = stage.store.last();
        assert_eq!(seen.header("x-auth-email"), Some(SHOPPER));
        assert_eq!(seen.header("authorization"), None);
    }
    assert_eq!(stage.asked.logins.count(), 2, "a wrong one and a right one");
    for target in ["/", "/products/1"] {
        assert_eq!(ask(&stage, "GET", target, &right).await.status, 200);
        let seen = stage.store.last();
        assert_eq!(seen.header("authorization"), None, "{target}");
        assert_eq!(seen.header("x-auth-user-id").is_some(), target != "/");
    }
    let wrong = ask(&stage, "GET", "/products/1", &basic(SHOPPER, "wrong")).await;
    assert_eq!(
        wrong.status, 401,
        "no program is served as a stranger by mistake"
    );
    let (logins, checks) = ("vestibule_logins_total", "vestibule_token_checks_total");
    assert_eq!(stage.count(logins, &["store", "success"]).await, 1);
    assert_eq!(
        stage.count(logins, &["store", "invalid_credentials"]).await,
        2
    );
    assert_eq!(stage.count(checks, &["remembered"]).await, 3);
    assert_eq!(stage.requests("signed_in").await, 4);
    let twice = get(&stage, &format!("{right}{right}")).await;
    assert_eq!(
        (twice.status, twice.code().as_str()),
        (400, "malformed_request")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_renewed_beneath_and_no_password_is_checked_for_it() {
    let stage = set().await;
    let right = basic(SHOPPER, PASSWORD);
    assert_eq!(get(&stage, &right).await.status, 200);
    for round in 1..4 {
        stage.expire_access_tokens();
        let reply = get(&stage, &right).await;
        assert_eq!((reply.status, reply.all("set-cookie")), (200, vec![]));
        assert_eq!(reply.header("vestibule-access-token"), None);
        assert_eq!(get(&stage, &right).await.status, 200);
        assert_eq!(stage.requests("renewed").await, round);
    }
    assert_eq!(
        (stage.asked.logins.count(), stage.asked.refreshes.count()),
        (1, 3)
    );
    // The provider is away: no wrong password.
    stage.expire_access_tokens();
    stage.provider.shut();
    let reply = get(&stage, &right).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("5"))
    );
    stage.provider_recovers();
    assert_eq!(get(&stage, &right).await.status, 200);
    assert_eq!(stage.asked.logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_soon_is_renewed_while_the_request_goes_on() {
    let stage = set().await;
    let right = basic(SHOPPER, PASSWORD);
    assert_eq!(get(&stage, &right).await.status, 200);
    stage.clock.advance(Duration::from_secs(45));
    for _ in 0..3 {
        assert_eq!(get(&stage, &right).await.status, 200);
    }
    until("the renewal", || stage.asked.refreshes.count() == 1).await;
    assert_eq!(stage.requests("renewed").await, 0, "no request waited");
    assert_eq!(stage.asked.logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_make_one_login() {
    let stage = set().await;
    stage.provider.hold();
    let knocks = stage.provider.knocks();
    let fields = basic(SHOPPER, PASSWORD);
    let request = format!(
        "GET /repos/a.git HTTP/1.1\r\nHost: store.localhost:8080\r\nConnection: close\r\n{fields}\r\n"
    );
    let address = stage.address;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move { raw(address, request.as_bytes()).await.status })
        })
        .collect();
    stage.provider.knocked_after(knocks).await;
    stage.provider.open();
    for answer in asking {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert_eq!(stage.asked.logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_passwords_are_passed_on_as_they_are() {
    let provider = Scripted::open().await;
    let stage = Stage::set_with(|config| with_basic(&provider.in_place(&config)), |_| {}).await;
    let token = json!({ "token": provider.token(&claims(&stage.clock)), "refreshToken": "r" });
    provider.answers(LOGIN, move |received| {
        let body: Value = serde_json::from_slice(&received.body).unwrap();
        let is_right = body["loginId"] == "änn" && body["password"] == " a:b::ü€ ";
        if is_right {
            (200, token.clone())
        } else {
            (404, Value::Null)
        }
    });
    assert_eq!(get(&stage, &basic("änn", " a:b::ü€ ")).await.status, 200);
    assert_eq!(get(&stage, &basic("änn", "a:b::ü€")).await.status, 401);
    let asked = provider.asked(LOGIN);
    for unusable in [
        "Authorization: Basic ?\r\n",
        &basic("", "x"),
        &basic("ann", ""),
    ] {
        let reply = get(&stage, unusable).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "invalid_credentials")
        );
    }
    assert_eq!(provider.asked(LOGIN), asked, "nobody has such credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_locked_or_changed_the_password_is_out_within_one_token() {
    let provider = Scripted::open().await;
    let stage = Stage::set_with(|config| with_basic(&provider.in_place(&config)), |_| {}).await;
    provider.gives(LOGIN, &claims(&stage.clock), "r");
    let old = basic("ann", "old");
    assert_eq!(get(&stage, &old).await.status, 200);
    // The account is locked.
    stage.expire_access_tokens();
    provider.says(REFRESH, 404, Value::Null);
    provider.says(LOGIN, 423, Value::Null);
    for _ in 0..2 {
        let reply = get(&stage, &old).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "invalid_credentials")
        );
    }
    assert_eq!(provider.asked(REFRESH), 1, "the login is forgotten");
    // Unlocked; then another password is used, and the old one is forgotten at once.
    provider.gives(LOGIN, &claims(&stage.clock), "r2");
    assert_eq!(get(&stage, &old).await.status, 200);
    assert_eq!(get(&stage, &basic("ann", "new")).await.status, 200);
    provider.says(LOGIN, 404, Value::Null);
    assert_eq!(get(&stage, &old).await.status, 401);
    assert_eq!(get(&stage, &basic("ann", "new")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_forgets_the_password_and_ends_the_login() {
    let stage = set().await;
    let right = basic(SHOPPER, PASSWORD);
    assert_eq!(get(&stage, &right).await.status, 200);
    let length = format!("{right}Content-Length: 0\r\n");
    let reply = ask(&stage, "POST", "/api/logout", &length).await;
    assert_eq!((reply.status, reply.all("set-cookie")), (204, vec![]));
    assert_eq!(get(&stage, &right).await.status, 200);
    assert_eq!(stage.asked.logins.count(), 2, "a new login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_passwords_is_throttled_and_costs_nobody_their_login() {
    let stage = Stage::set_with(
        |config| {
            let limit =
                "[login]\naddress_limit = { attempts = 8, per = \"1m\" }\n\n[providers.main]";
            with_basic(&config).replacen("[providers.main]", limit, 1)
        },
        |_| {},
    )
    .await;
    let right = basic(SHOPPER, PASSWORD);
    assert_eq!(get(&stage, &right).await.status, 200);
    let mut throttled = 0;
    for number in 0..20 {
        let reply = get(&stage, &basic(SHOPPER, &format!("wrong {number}"))).await;
        match reply.status {
            401 => assert_eq!(reply.code(), "invalid_credentials"),
            429 => {
                throttled += 1;
                assert_eq!(reply.code(), "throttled");
                let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&seconds), "{seconds}");
                assert_eq!(reply.header("www-authenticate"), None);
            }
            status => panic!("{status}"),
        }
    }
    assert_eq!(throttled, 15, "five wrong passwords an account");
    let elsewhere = get(&stage, &basic("nobody@example.com", "x")).await;
    assert_eq!(
        elsewhere.status, 429,
        "and the address has had its attempts"
    );
    assert_eq!(get(&stage, &right).await.status, 200, "remembered");
    assert_eq!(stage.asked.logins.count(), 6);
    assert_eq!(stage.requests("throttled").await, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_step_is_named_and_cannot_be_taken_so() {
    let stage = set().await;
    for (account, code) in [
        ("twofactor@example.com", "two_factor_required"),
        ("newpassword@example.com", "password_change_required"),
    ] {
        let reply = get(&stage, &basic(account, PASSWORD)).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, code));
        assert_eq!(reply.json().get("challenge"), None);
        assert_eq!(reply.header("www-authenticate"), CHALLENGE);
    }
    assert_eq!(
        get(&stage, &basic("twofactor@example.com", PASSWORD))
            .await
            .status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_no_dialog_and_its_basic_is_the_applications() {
    let stage = set().await;
    let mut browser = Browser::new(stage.address, "store.localhost:8080");
    let reply = browser.get("/orders").await;
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (302, None)
    );
    let reply = browser.clone().fetching().get("/orders").await;
    let cookie = Some("Cookie realm=\"store\"");
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, cookie)
    );
    // A browser that sends neither `Sec-Fetch-*` nor `Origin` loads an image.
    let agent = "User-Agent: Mozilla/5.0\r\n";
    let request = format!("GET /a.png HTTP/1.1\r\nHost: store.localhost:8080\r\n{agent}\r\n");
    let reply = super::support::ask(stage.address, request).await.unwrap();
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, cookie)
    );
    let mut signed_in = stage.signed_in().await;
    signed_in = signed_in.with("Authorization", "Basic YXBwOm93bg==");
    assert_eq!(signed_in.get("/orders").await.status, 200);
    let seen = stage.store.last();
    assert_eq!(seen.header("authorization"), Some("Basic YXBwOm93bg=="));
    assert_eq!(seen.header("x-auth-email"), Some(SHOPPER));
    assert_eq!(stage.asked.logins.count(), 1, "the form's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_says_where_passwords_are_taken_and_the_token_may_be_forwarded() {
    let rules = "forward_token = true\nlanding = \"/shopping-cart\"\n\n\
                 [[sites.rules]]\npath = \"/repos/*/info/refs\"\naccess = \"required\"\nbasic = true\n";
    let stage = Stage::set_with(|config| with_line(&config, "landing", rules), |_| {}).await;
    let right = basic(SHOPPER, PASSWORD);
    assert_eq!(get(&stage, &right).await.status, 200);
    let token = stage
        .store
        .last()
        .header("authorization")
        .unwrap()
        .to_owned();
    assert!(token.starts_with("Bearer ey"), "{token}");
    stage.expire_access_tokens();
    assert_eq!(get(&stage, &right).await.status, 200);
    let renewed = stage
        .store
        .last()
        .header("authorization")
        .unwrap()
        .to_owned();
    assert!(renewed.starts_with("Bearer ey") && renewed != token);
    let elsewhere = ask(&stage, "GET", "/products/1", &right).await;
    assert_eq!(elsewhere.status, 200);
    let seen = stage.store.last();
    assert_eq!(
        seen.header("authorization"),
        Some(right[15..].trim()),
        "the application's"
    );
    assert_eq!(seen.header("x-auth-email"), None);
    let refused = ask(&stage, "GET", "/orders", &right).await;
    let cookie = Some("Cookie realm=\"store\"");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, cookie)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_remembered_over_a_reload() {
    let stage = set().await;
    let right = basic(SHOPPER, PASSWORD);
    assert_eq!(get(&stage, &right).await.status, 200);
    let settings = vestibule::config::check_text(
        "stories.toml",
        &stage
            .config
            .replacen("landing =", "assertion = true\nlanding =", 1),
        &vestibule::config::FakeEnvironment::default(),
    )
    .unwrap_or_else(|e| panic!("{e}"));
    let before = stage.runtime_handle.current();
    let after = vestibule::runtime::build(settings, Some(&before), stage.clock.clone()).unwrap();
    stage.runtime_handle.replace(after);
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(get(&stage, &right).await.status, 200);
    assert_eq!(stage.asked.logins.count(), 1);
}
