//! Second-factor codes, trusted devices, and the client metadata of a session.

use std::fs;

use super::*;
use crate::embedded::two_factor::TwoFactor;

const SEND: &str = "/api/two-factor/send/";

/// The accounts of the demo, where `shopper@example.com` can get codes by e-mail and SMS. Messages
/// are put into `directory`.
fn with_messages(directory: &Path, change: impl Fn(&mut User)) -> Users {
    let mut users = with_shopper(|user| {
        let (email, sms) = (
            "sam@shopper.example".to_owned(),
            "+1 555 555 5512".to_owned(),
        );
        user.two_factor = Some(TwoFactor {
            email: Some(email),
            sms: Some(sms),
            ..TwoFactor::default()
        });
        change(user);
    });
    users.outbox = Some(directory.join("outbox"));
    users
}

/// The messages that were sent, in order.
fn sent(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory.join("outbox")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// The code in the last message.
fn last_code(directory: &Path) -> String {
    let message = sent(directory).pop().expect("a message");
    let code = message
        .split("Your code is ")
        .nth(1)
        .unwrap()
        .get(..6)
        .unwrap();
    assert!(code.bytes().all(|byte| byte.is_ascii_digit()), "{message}");
    code.to_owned()
}

/// A code that differs from `code`.
fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

impl TestServer {
    /// Starts a login that requires a code, and returns its id.
    async fn start_login(&self) -> String {
        let (status, body) = self.login("shopper@example.com", DEMO_PASSWORD).await;
        assert_eq!(status, 242, "{body}");
        body["twoFactorId"].as_str().unwrap().to_owned()
    }

    async fn send(&self, id: &str, method: &str) -> (u16, Value) {
        self.post(&format!("{SEND}{id}"), json!({ "methodId": method }))
            .await
    }

    async fn complete(&self, id: &str, code: &str) -> (u16, Value) {
        let body = json!({ "twoFactorId": id, "code": code, "applicationId": STORE, "trustComputer": true });
        self.post("/api/two-factor/login", body).await
    }

    async fn login_trusted(&self, name: &str, trust: &Value) -> u16 {
        let body = json!({
            "loginId": name, "password": DEMO_PASSWORD, "applicationId": STORE, "twoFactorTrustId": trust,
        });
        self.call("POST /api/login", &[KEY], &body.to_string())
            .await
            .0
    }
}

#[tokio::test]
async fn a_sent_code_completes_the_login() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), with_messages(directory.path(), |_| {}));
    let (status, body) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let methods = json!([
        { "id": "EMAIL", "method": "email", "email": "s***@shopper.example", "lastUsed": true },
        { "id": "SMS", "method": "sms", "mobilePhone": "***12", "lastUsed": false },
    ]);
    assert_eq!((status, &body["methods"]), (242, &methods));
    let id = body["twoFactorId"].as_str().unwrap();
    assert!(
        sent(directory.path()).is_empty(),
        "no code was requested yet"
    );

    for (method, address) in [("EMAIL", "sam@shopper.example"), ("SMS", "+1 555 555 5512")] {
        assert_eq!(server.send(id, method).await, (200, Value::Null));
        let message = sent(directory.path()).pop().unwrap();
        assert!(
            message.starts_with(&format!("To: {address}\nSubject: Your sign-in code\n\n")),
            "{message}"
        );
    }
    let code = last_code(directory.path());
    assert_eq!(server.complete(id, &another(&code)).await.0, 421);
    assert_eq!(server.complete(id, &format!(" {code} ")).await.0, 200);
    assert_eq!(server.complete(id, &code).await.0, 404);
    assert_eq!(server.send(id, "EMAIL").await.0, 404);
    assert_eq!(server.statistics.code_requests.count(), 3);
}

#[tokio::test]
async fn only_the_last_code_of_the_same_login_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), with_messages(directory.path(), |_| {}));
    let (one, other) = (server.start_login().await, server.start_login().await);
    server.send(&one, "EMAIL").await;
    let first = last_code(directory.path());
    assert_eq!(server.complete(&other, &first).await.0, 421);
    server.send(&one, "SMS").await;
    let second = last_code(directory.path());
    if first != second {
        assert_eq!(server.complete(&one, &first).await.0, 421);
    }
    server.clock.advance(Duration::from_secs(300));
    assert_eq!(server.complete(&one, &second).await.0, 404);
    assert_eq!(server.send(&one, "SMS").await.0, 404);
}

#[tokio::test]
async fn codes_are_sent_by_the_offered_methods_and_limited_in_number() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(
        directory.path(),
        with_messages(directory.path(), |user| {
            if let Some(two_factor) = &mut user.two_factor {
                two_factor.sms = None;
                two_factor.totp = Some(Secret::new(DEMO_TOTP));
            }
        }),
    );
    let id = server.start_login().await;
    for (body, code) in [
        (json!({ "methodId": "TOTP" }), "[invalid]methodId"),
        (json!({ "methodId": "SMS" }), "[invalid]methodId"),
        (json!({}), "[blank]methodId"),
    ] {
        let (status, refused) = server.post(&format!("{SEND}{id}"), body).await;
        assert_eq!(
            (status, &refused["fieldErrors"]["methodId"][0]["code"]),
            (400, &json!(code))
        );
    }
    assert_eq!(server.send("made-up", "EMAIL").await, (404, Value::Null));
    for _ in 0..5 {
        assert_eq!(server.send(&id, "EMAIL").await.0, 200);
    }
    let code = last_code(directory.path());
    assert_eq!(server.send(&id, "EMAIL").await.0, 404);
    assert_eq!(sent(directory.path()).len(), 5);
    assert_eq!(
        server.complete(&id, &code).await.0,
        404,
        "the login must start again"
    );
    // The authenticator app still works.
    let id = server.start_login().await;
    let code = totp_code(DEMO_TOTP, server.clock.now()).unwrap();
    assert_eq!(server.complete(&id, &code).await.0, 200);
}

#[tokio::test]
async fn without_an_outbox_no_message_method_is_offered() {
    let directory = tempfile::tempdir().unwrap();
    let mut users = with_messages(directory.path(), |_| {});
    users.outbox = None;
    let server = TestServer::start(directory.path(), users);
    let (status, body) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    assert_eq!((status, &body["methods"]), (242, &json!([])));
    assert_eq!(
        server
            .send(body["twoFactorId"].as_str().unwrap(), "EMAIL")
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_trusted_device_needs_no_code_until_the_password_changes() {
    let directory = tempfile::tempdir().unwrap();
    let users = with_messages(directory.path(), |_| {});
    let server = TestServer::start(directory.path(), users.clone());
    let id = server.start_login().await;
    server.send(&id, "EMAIL").await;
    let (status, body) = server.complete(&id, &last_code(directory.path())).await;
    let trust = body["twoFactorTrustId"].clone();
    assert_eq!(
        (status, trust.as_str().is_some_and(|id| id.len() > 40)),
        (200, true)
    );
    assert_eq!(
        server.login_trusted("shopper@example.com", &trust).await,
        200
    );
    assert_eq!(
        server
            .login_trusted("shopper@example.com", &json!("made up"))
            .await,
        242
    );
    assert_eq!(
        server.login_trusted("twofactor@example.com", &trust).await,
        242,
        "a device of another user"
    );
    server.stop().await;

    let server = TestServer::start(directory.path(), users);
    assert_eq!(
        server.login_trusted("shopper@example.com", &trust).await,
        200,
        "a restart changes nothing"
    );
    server.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    assert_eq!(
        server.login_trusted("shopper@example.com", &trust).await,
        242
    );
    server.stop().await;

    // A new hash in the users file counts as a new password.
    let rehashed = Secret::new(hash_password(DEMO_PASSWORD).unwrap());
    let users = with_messages(directory.path(), |user| user.password = rehashed.clone());
    let server = TestServer::start(directory.path(), users);
    assert_eq!(
        server.login_trusted("shopper@example.com", &trust).await,
        242
    );
}

#[tokio::test]
async fn a_device_is_trusted_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), with_messages(directory.path(), |_| {}));
    let id = server.start_login().await;
    server.send(&id, "EMAIL").await;
    let body = json!({ "twoFactorId": id, "code": last_code(directory.path()) });
    let (status, body) = server.post("/api/two-factor/login", body).await;
    assert_eq!((status, body.get("twoFactorTrustId")), (200, None));
}

/// FusionAuth's order: the code first, then the new password.
#[tokio::test]
async fn a_new_password_can_be_required_after_the_code() {
    for reason in ["Administrative", "Breached", "Expired", "Validation"] {
        let directory = tempfile::tempdir().unwrap();
        let wanted: ChangeReason = serde_json::from_value(json!(reason)).unwrap();
        let users = with_messages(directory.path(), |user| {
            user.must_change_password = Some(wanted);
        });
        let server = TestServer::start(directory.path(), users);
        let id = server.start_login().await;
        server.send(&id, "EMAIL").await;
        let (status, body) = server.complete(&id, &last_code(directory.path())).await;
        assert_eq!(
            (status, &body["changePasswordReason"]),
            (203, &json!(reason))
        );
        assert!(
            body.get("token").is_none() && body.get("twoFactorTrustId").is_none(),
            "{body}"
        );
        let change =
            json!({ "changePasswordId": body["changePasswordId"], "password": "a new password" });
        let (_, changed) = server.post("/api/user/change-password", change).await;
        let once = json!({ "oneTimePassword": changed["oneTimePassword"], "applicationId": STORE })
            .to_string();
        assert_eq!(
            server.call("POST /api/login", &[KEY], &once).await.0,
            200,
            "{changed}"
        );
    }
}

#[tokio::test]
async fn a_session_is_listed_with_its_device() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let device =
        json!({ "name": "Firefox on Linux", "description": "Mozilla/5.0", "type": "BROWSER" });
    let body = json!({
        "loginId": "shopper", "password": DEMO_PASSWORD, "applicationId": STORE, "ipAddress": "192.0.2.7",
        "metaData": { "device": device },
    });
    let (_, signed_in) = server
        .call("POST /api/login", &[KEY], &body.to_string())
        .await;
    let (_, refreshed) = server.refresh(&signed_in["refreshToken"]).await;
    let path = format!(
        "GET /api/jwt/refresh?userId={}",
        signed_in["user"]["id"].as_str().unwrap()
    );
    assert_eq!(server.call(&path, &[], "").await.0, 401);
    let (status, listed) = server.call(&path, &[KEY], "").await;
    let shown = &listed["refreshTokens"][0]["metaData"]["device"];
    assert_eq!(
        (status, &listed["refreshTokens"][0]["id"]),
        (200, &refreshed["refreshTokenId"])
    );
    for (member, value) in device.as_object().unwrap() {
        assert_eq!(&shown[member], value);
    }
    assert_eq!(shown["lastAccessedAddress"], "192.0.2.7");
}

#[tokio::test]
async fn a_code_completes_a_login_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (status, body) = server.login("twofactor@example.com", DEMO_PASSWORD).await;
    assert_eq!(
        (status, &body["methods"][0]["method"]),
        (242, &json!("authenticator"))
    );
    assert!(body.get("token").is_none());
    let complete = async |id: &Value, code: &str| {
        server
            .post(
                "/api/two-factor/login",
                json!({ "twoFactorId": id, "code": code }),
            )
            .await
    };
    assert_eq!(
        complete(&body["twoFactorId"], "000000x").await,
        (421, Value::Null)
    );
    let code = totp_code(DEMO_TOTP, server.clock.now()).unwrap();
    let (status, signed_in) = complete(&body["twoFactorId"], &code).await;
    assert_eq!(
        (status, &claims(&signed_in["token"])["aud"]),
        (200, &json!(STORE))
    );
    assert_eq!(complete(&body["twoFactorId"], &code).await.0, 404);
    // The same code in another login: someone may have read it over the user's shoulder.
    let (_, body) = server.login("twofactor@example.com", DEMO_PASSWORD).await;
    assert_eq!(complete(&body["twoFactorId"], &code).await.0, 421);
    server.clock.advance(Duration::from_secs(90));
    let code = totp_code(DEMO_TOTP, server.clock.now()).unwrap();
    assert_eq!(complete(&body["twoFactorId"], &code).await.0, 200);
    let (_, body) = server.login("twofactor@example.com", DEMO_PASSWORD).await;
    server.clock.advance(Duration::from_secs(301));
    assert_eq!(complete(&body["twoFactorId"], &code).await.0, 404);
}

#[tokio::test]
async fn the_attempts_with_codes_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path(), Users::demo().unwrap());
    let (_, body) = server.login("twofactor@example.com", DEMO_PASSWORD).await;
    let attempt = json!({ "twoFactorId": body["twoFactorId"], "code": "wrong code" });
    for _ in 0..10 {
        assert_eq!(
            server
                .post("/api/two-factor/login", attempt.clone())
                .await
                .0,
            421
        );
    }
    assert_eq!(server.post("/api/two-factor/login", attempt).await.0, 404);
}
