//! The API as its callers see it: over HTTP, on a port of the system's choice.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::embedded::server::{self, Options, Statistics};
use crate::embedded::users::{
    AccountState, ChangeReason, DEMO_PASSWORD, DEMO_TOTP, User, Users, totp_code,
};
use crate::model::secret::Secret;
use crate::system::{Clock, detach};

mod new_password;
mod second_factor;

const STORE: &str = "3c219e58-ed0e-4b18-ad48-f4f92793ae32";
const KEY: (&str, &str) = ("Authorization", "the key");

struct Running {
    address: SocketAddr,
    clock: Clock,
    statistics: Arc<Statistics>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn start(directory: &Path, users: Users) -> Self {
        Self::start_with_key(directory, users, KEY.1)
    }

    fn start_with_key(directory: &Path, users: Users, key: &str) -> Self {
        let clock = Clock::new();
        let server = server::open(Options {
            users,
            state_dir: directory.to_owned(),
            issuer: "identity.test".to_owned(),
            api_key: Secret::new(key),
            clock: clock.clone(),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let statistics = server.statistics();
        let (stop, stopped) = oneshot::channel();
        let task = detach(server.serve(listener, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            clock,
            statistics,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    async fn call(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(&format!("POST {path}"), &[], &body.to_string())
            .await
    }

    async fn login(&self, login_id: &str, password: &str) -> (u16, Value) {
        let body = json!({ "loginId": login_id, "password": password, "applicationId": STORE });
        self.call("POST /api/login", &[KEY], &body.to_string())
            .await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        self.post("/api/jwt/refresh", json!({ "refreshToken": token }))
            .await
    }
}

fn claims(token: &Value) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(token.as_str().unwrap()).unwrap()
}

/// The demo's accounts, with `change` made to the shopper.
fn with_shopper(change: impl Fn(&mut User)) -> Users {
    let demo = Users::demo().unwrap();
    let mut users = Users::new(demo.policy);
    for user in demo.all() {
        let mut user = User::clone(user);
        if user.email == "shopper@example.com" {
            change(&mut user);
        }
        users.add(user).unwrap();
    }
    users
}

#[tokio::test]
async fn a_sign_in_brings_user_and_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    let (status, body) = server.login("Admin@example.com", DEMO_PASSWORD).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["user"]["email"], "admin@example.com");
    assert!(body["user"].get("password").is_none());
    let claims = claims(&body["token"]);
    assert_eq!(claims["aud"], STORE);
    assert_eq!(claims["iss"], "identity.test");
    assert_eq!(claims["sub"], body["user"]["id"]);
    assert_eq!(claims["sid"], body["refreshTokenId"]);
    assert_eq!(claims["roles"], json!(["admin"]));
    assert_eq!(claims["authenticationType"], "PASSWORD");
    assert_eq!(
        claims["exp"].as_u64().unwrap() * 1000,
        body["tokenExpirationInstant"].as_u64().unwrap()
    );
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );
    assert_eq!(server.statistics.logins.count(), 1);
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_a_wrong_key_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    assert_eq!(
        server.login("shopper@example.com", "wrong").await,
        (404, Value::Null)
    );
    assert_eq!(
        server.login("nobody@example.com", DEMO_PASSWORD).await,
        (404, Value::Null)
    );
    let body = json!({ "loginId": "shopper", "password": DEMO_PASSWORD }).to_string();
    for headers in [
        &[][..],
        &[("Authorization", "")],
        &[("Authorization", "another key")],
    ] {
        assert_eq!(
            server.call("POST /api/login", headers, &body).await,
            (401, Value::Null)
        );
    }
    let (status, body) = server
        .call("POST /api/login", &[KEY], "{\"loginId\":\"shopper\"}")
        .await;
    assert_eq!(
        (status, &body["fieldErrors"]["password"][0]["code"]),
        (400, &json!("[blank]password"))
    );
    assert_eq!(server.call("POST /api/login", &[KEY], "[").await.0, 400);
    let large = "x".repeat(64 * 1024 + 1);
    assert_eq!(server.call("POST /api/login", &[KEY], &large).await.0, 413);
}

#[tokio::test]
async fn an_empty_key_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start_with_key(directory.path(), Users::demo().unwrap(), "");
    for headers in [&[][..], &[("Authorization", "")]] {
        assert_eq!(
            server
                .call("GET /api/user?loginId=shopper", headers, "")
                .await
                .0,
            401
        );
    }
}

#[tokio::test]
async fn people_are_shown_without_their_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    let (_, signed_in) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let bearer = format!("Bearer {}", signed_in["token"].as_str().unwrap());
    let (status, body) = server
        .call("GET /api/user", &[("Authorization", &bearer)], "")
        .await;
    assert_eq!((status, &body["user"]), (200, &signed_in["user"]));
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(
        server
            .call("GET /api/user", &[("Authorization", &bearer)], "")
            .await
            .0,
        401
    );
    let (status, body) = server
        .call("GET /api/user?loginId=twofactor", &[KEY], "")
        .await;
    let shown = body.to_string();
    assert_eq!(
        (status, shown.contains(DEMO_TOTP), shown.contains("argon2")),
        (200, false, false),
        "{shown}"
    );
}

#[tokio::test]
async fn the_state_of_an_account_is_told_to_who_knows_the_password() {
    for expected in [423, 410, 409, 212, 213, 202] {
        let directory = tempfile::tempdir().unwrap();
        let users = with_shopper(|user| match expected {
            423 => user.state = AccountState::Locked,
            410 => user.state = AccountState::Expired,
            409 => user.state = AccountState::LoginPrevented,
            212 => user.email_verified = false,
            213 => user.unverified_applications = vec![STORE.to_owned()],
            _ => user.applications = Some(Vec::new()),
        });
        let server = Running::start(directory.path(), users);
        let (status, body) = server.login("shopper@example.com", DEMO_PASSWORD).await;
        assert_eq!(status, expected, "{body}");
        assert!(body.get("refreshToken").is_none());
        assert_eq!(server.login("shopper@example.com", "wrong").await.0, 404);
        if expected == 202 {
            let claims = claims(&body["token"]);
            assert!(
                claims.get("roles").is_none() && claims.get("applicationId").is_none(),
                "{claims}"
            );
        }
    }
}

#[tokio::test]
async fn a_code_completes_the_sign_in_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
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
    // The same code again, in another sign-in: seen over a shoulder.
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
async fn codes_cannot_be_tried_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
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

#[tokio::test]
async fn renewing_replaces_the_refresh_token_and_keeps_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    server.clock.advance(Duration::from_secs(5));
    let (status, second) = server.refresh(&first["refreshToken"]).await;
    assert_eq!(status, 200, "{second}");
    assert_ne!(second["refreshToken"], first["refreshToken"]);
    assert_eq!(second["refreshTokenId"], first["refreshTokenId"]);
    let (old, new) = (claims(&first["token"]), claims(&second["token"]));
    assert_eq!(
        (&new["sid"], &new["auth_time"]),
        (&old["sid"], &old["auth_time"])
    );
    assert_eq!(new["authenticationType"], "REFRESH_TOKEN");
    assert!(new["iat"].as_u64() > old["iat"].as_u64());
    // Within the grace period the used one brings the current one; nothing is replaced.
    assert_eq!(
        server.refresh(&first["refreshToken"]).await.1["refreshToken"],
        second["refreshToken"]
    );
    // After it, it is taken for stolen: nobody renews this session any more.
    server.clock.advance(Duration::from_secs(11));
    let (status, refused) = server.refresh(&first["refreshToken"]).await;
    assert_eq!(
        (status, &refused["fieldErrors"]["refreshToken"][0]["code"]),
        (400, &json!("[invalid]refreshToken"))
    );
    assert_eq!(server.refresh(&second["refreshToken"]).await.0, 400);
    assert_eq!(server.statistics.refreshes.count(), 4);
}

#[tokio::test]
async fn sessions_and_keys_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let users = Users::demo().unwrap();
    let server = Running::start(directory.path(), users.clone());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let (_, second) = server.refresh(&first["refreshToken"]).await;
    let keys = server.call("GET /.well-known/jwks.json", &[], "").await;
    server.stop().await;
    let server = Running::start(directory.path(), users);
    assert_eq!(
        server.call("GET /.well-known/jwks.json", &[], "").await,
        keys
    );
    // The answer to the first renewal was lost in the restart: the grace period holds across it.
    let (status, again) = server.refresh(&first["refreshToken"]).await;
    assert_eq!(
        (status, &again["refreshToken"]),
        (200, &second["refreshToken"])
    );
    let (status, third) = server.refresh(&second["refreshToken"]).await;
    assert_eq!(
        (status, &third["refreshTokenId"]),
        (200, &first["refreshTokenId"])
    );
    let bearer = format!("Bearer {}", first["token"].as_str().unwrap());
    let (status, validated) = server
        .call("GET /api/jwt/validate", &[("Authorization", &bearer)], "")
        .await;
    assert_eq!(
        (status, &validated["jwt"]["sub"]),
        (200, &first["user"]["id"])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_session_ends_by_logout_and_by_revocation() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    let tokens = async || server.login("shopper@example.com", DEMO_PASSWORD).await.1;
    let ended = async |token: &Value| server.refresh(token).await.0 == 400;

    let (one, other) = (tokens().await, tokens().await);
    assert_eq!(
        server
            .post(
                "/api/logout",
                json!({ "refreshToken": one["refreshToken"] })
            )
            .await
            .0,
        200
    );
    assert!(ended(&one["refreshToken"]).await);
    assert!(!ended(&other["refreshToken"]).await);
    let global = json!({ "refreshToken": other["refreshToken"], "global": true });
    let third = tokens().await;
    assert_eq!(server.post("/api/logout", global).await.0, 200);
    assert!(ended(&third["refreshToken"]).await);
    assert_eq!(server.call("POST /api/logout", &[], "").await.0, 200);

    let one = tokens().await;
    let by_token = format!(
        "DELETE /api/jwt/refresh?token={}",
        one["refreshToken"].as_str().unwrap()
    );
    assert_eq!(server.call(&by_token, &[], "").await.0, 401);
    assert!(!ended(&one["refreshToken"]).await);
    assert_eq!(server.call(&by_token, &[KEY], "").await.0, 200);
    assert!(ended(&one["refreshToken"]).await);
    assert_eq!(server.call(&by_token, &[KEY], "").await.0, 404);

    let one = tokens().await;
    let by_id = format!(
        "DELETE /api/jwt/refresh/{}",
        one["refreshTokenId"].as_str().unwrap()
    );
    assert_eq!(server.call(&by_id, &[KEY], "").await.0, 200);
    assert!(ended(&one["refreshToken"]).await);

    let one = tokens().await;
    let by_user = format!(
        "DELETE /api/jwt/refresh?userId={}",
        one["user"]["id"].as_str().unwrap()
    );
    let (_, admin) = server.login("admin@example.com", DEMO_PASSWORD).await;
    let bearer = format!("Bearer {}", admin["token"].as_str().unwrap());
    assert_eq!(
        server
            .call(&by_user, &[("Authorization", &bearer)], "")
            .await
            .0,
        401
    );
    assert_eq!(server.call(&by_user, &[KEY], "").await.0, 200);
    assert!(ended(&one["refreshToken"]).await);
    assert!(!ended(&admin["refreshToken"]).await);
    assert_eq!(
        server
            .call(
                &format!("DELETE /api/jwt/refresh?applicationId={STORE}"),
                &[KEY],
                ""
            )
            .await
            .0,
        200
    );
    assert!(ended(&admin["refreshToken"]).await);
}

#[tokio::test]
async fn the_refresh_grant_is_bound_to_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let token = first["refreshToken"].as_str().unwrap();
    let grant = async |form: String| {
        server
            .call(
                "POST /oauth2/token",
                &[("Content-Type", "application/x-www-form-urlencoded")],
                &form,
            )
            .await
    };
    let form =
        |client: &str| format!("grant_type=refresh_token&refresh_token={token}&client_id={client}");
    let (status, body) = grant(form("another")).await;
    assert_eq!(
        (status, &body["error_reason"]),
        (400, &json!("client_id_mismatch"))
    );
    let (status, body) = grant(form(STORE)).await;
    assert_eq!(
        (status, &body["userId"], &body["token_type"]),
        (200, &first["user"]["id"], &json!("Bearer"))
    );
    assert_eq!(
        body["expires_in"]
            .as_u64()
            .map(|seconds| (59..=60).contains(&seconds)),
        Some(true),
        "{body}"
    );
    let (status, body) =
        grant("grant_type=refresh_token&refresh_token=none&client_id=x".to_owned()).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    assert_eq!(
        grant("grant_type=password&client_id=x".to_owned()).await.1["error"],
        "unsupported_grant_type"
    );
}

#[tokio::test]
async fn a_cookie_wins_over_the_body_of_a_renewal() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path(), Users::demo().unwrap());
    let (_, first) = server.login("shopper@example.com", DEMO_PASSWORD).await;
    let cookie = format!(
        "a=b; refresh_token={}",
        first["refreshToken"].as_str().unwrap()
    );
    let (status, _) = server
        .call(
            "POST /api/jwt/refresh",
            &[("Cookie", &cookie)],
            "{\"refreshToken\":\"another\"}",
        )
        .await;
    assert_eq!(status, 200);
    let body = json!({ "refreshToken": first["refreshToken"], "timeToLiveInSeconds": 60 });
    let (status, body) = server.post("/api/jwt/refresh", body).await;
    assert_eq!(
        (
            status,
            body["fieldErrors"].get("timeToLiveInSeconds").is_some()
        ),
        (400, true),
        "{body}"
    );
}
