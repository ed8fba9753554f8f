use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, Uri};
use serde_json::json;

use super::*;
use crate::model::timestamp::Timestamp;
use crate::provider::Device;
use crate::provider::algorithm::Algorithm;
use crate::provider::contract::{Known, holds};
use crate::provider::http_client::MAX_ANSWER;
use crate::provider::test_keys::TestKey;
use crate::provider::verify::Expectations;

mod steps;

const PASSWORD: &str = "pa\"ss wörd\\ ";
const CLIENT: &str = "::ffff:192.0.2.7";
const API_KEY: &str = "the-api-key";
const REFRESH: &str = "the-refresh-token";

/// What a server says to everything, and what it was asked.
struct Script {
    status: u16,
    location: Option<String>,
    body: String,
    silent: bool,
    asked: Mutex<Vec<(Parts, Bytes)>>,
}

async fn answer(State(script): State<Arc<Script>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    script.asked.lock().unwrap().push((parts, body));
    if script.silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Body::from(script.body.clone()));
    *response.status_mut() = StatusCode::from_u16(script.status).unwrap();
    response.headers_mut().insert(
        "set-cookie",
        "refresh_token=theirs; Path=/".parse().unwrap(),
    );
    if let Some(location) = &script.location {
        response
            .headers_mut()
            .insert("location", location.parse().unwrap());
    }
    response
}

impl Script {
    fn saying(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            location: None,
            body: body.into(),
            silent: false,
            asked: Mutex::default(),
        }
    }
}

/// Serves on a port of the system's choice until the test's runtime ends.
async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::runtime::Handle::current()
        .spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn scripted(script: Script) -> (Fusionauth, Arc<Script>) {
    let script = Arc::new(script);
    let address = serve(Router::new().fallback(answer).with_state(script.clone())).await;
    (server_at(address, false), script)
}

fn server_at(address: SocketAddr, reveal_account_state: bool) -> Fusionauth {
    let endpoint = Endpoint {
        url: format!("http://{address}"),
        api_key: Some(Secret::new(API_KEY)),
        tenant_id: Some("tenant-1".into()),
    };
    Fusionauth::new(
        &endpoint,
        &settings(&endpoint, reveal_account_state),
        Arc::new(HttpClient::new().unwrap()),
    )
    .unwrap()
}

fn settings(endpoint: &Endpoint, reveal_account_state: bool) -> settings::Provider {
    settings::Provider {
        kind: settings::ProviderKind::Fusionauth {
            url: endpoint.url.clone(),
            api_key: Secret::new(API_KEY),
            tenant_id: None,
        },
        issuer: "https://id.example.com".into(),
        algorithms: vec!["ES256".into()],
        hmac_secret: None,
        timeout: Duration::from_secs(5),
        leeway: Duration::from_secs(30),
        reveal_account_state,
    }
}

async fn sign_in(server: &Fusionauth) -> Result<TokenPair, ProviderError> {
    sign_in_with(server, Device::default(), None)
        .await
        .map(|admitted| admitted.tokens)
}

async fn sign_in_with(
    server: &Fusionauth,
    device: Device<'_>,
    trust: Option<&Secret>,
) -> Result<LoginSuccess, ProviderError> {
    let password = Secret::new(PASSWORD);
    let attempt = SignInAttempt {
        login_id: "a@b.example",
        password: &password,
        application_id: "store",
        client_address: CLIENT.parse().unwrap(),
        device,
        trust,
    };
    server.sign_in(attempt).await
}

fn refused<T>(reason: Reason) -> Result<T, ProviderError> {
    Err(ProviderError::Refused(LoginRefused::because(reason)))
}

fn is_trouble<T: std::fmt::Debug>(answer: &Result<T, ProviderError>) -> bool {
    let shown = format!("{answer:?}");
    for secret in [PASSWORD, API_KEY, REFRESH, "leaky", "http://", "127.0.0.1:"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    matches!(answer, Err(ProviderError::Unavailable(_)))
}

fn is_misconfigured<T: std::fmt::Debug>(answer: &Result<T, ProviderError>) -> bool {
    matches!(answer, Err(ProviderError::Misconfigured(_)))
}

#[tokio::test]
async fn a_sign_in_is_asked_for_as_documented() {
    let (server, script) = scripted(Script::saying(
        200,
        r#"{"token":"A","refreshToken":"R","user":{}}"#,
    ))
    .await;
    let pair = sign_in(&server).await.unwrap();
    assert_eq!(
        pair,
        TokenPair {
            access: Secret::new("A"),
            refresh: Some(Secret::new("R"))
        }
    );
    // The second call would carry the server's cookie if any were kept.
    sign_in(&server).await.unwrap();
    for (head, body) in script.asked.lock().unwrap().iter() {
        assert_eq!(
            (head.method.as_str(), head.uri.to_string()),
            ("POST", "/api/login".to_owned())
        );
        assert_eq!(head.headers["authorization"], API_KEY);
        assert_eq!(head.headers["x-fusionauth-tenantid"], "tenant-1");
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(
            head.headers["user-agent"],
            concat!("vestibule/", env!("CARGO_PKG_VERSION"))
        );
        assert!(!head.headers.contains_key("cookie"));
        let body: Value = serde_json::from_slice(body).unwrap();
        let wanted = json!({
            "loginId": "a@b.example", "password": PASSWORD, "applicationId": "store", "ipAddress": "192.0.2.7",
        });
        assert_eq!(body, wanted);
    }
}

#[tokio::test]
async fn every_status_of_a_sign_in_means_what_the_contract_says() {
    let tokens = r#"{"token":"A","refreshToken":"R"}"#;
    for (status, quiet, open) in [
        (202, Reason::NotRegistered, Reason::NotRegistered),
        (212, Reason::EmailUnverified, Reason::EmailUnverified),
        (
            213,
            Reason::RegistrationUnverified,
            Reason::RegistrationUnverified,
        ),
        (400, Reason::RejectedInput, Reason::RejectedInput),
        (404, Reason::InvalidCredentials, Reason::InvalidCredentials),
        (409, Reason::LoginPrevented, Reason::LoginPrevented),
        (410, Reason::InvalidCredentials, Reason::AccountExpired),
        (423, Reason::InvalidCredentials, Reason::AccountLocked),
    ] {
        // With tokens in it, so that a status that was taken for 200 shows.
        for (reveal, reason) in [(false, quiet), (true, open)] {
            let script = Arc::new(Script::saying(status, tokens));
            let address = serve(Router::new().fallback(answer).with_state(script)).await;
            assert_eq!(
                sign_in(&server_at(address, reveal)).await,
                refused(reason),
                "{status}"
            );
        }
    }
    for status in [
        201, 203, 204, 206, 242, 226, 300, 304, 402, 403, 405, 408, 418, 421, 429, 499, 500, 502,
        503, 504, 599,
    ] {
        let (server, _) = scripted(Script::saying(
            status,
            if status == 204 || status == 304 {
                ""
            } else {
                tokens
            },
        ))
        .await;
        assert!(is_trouble(&sign_in(&server).await), "{status}");
    }
    let (server, _) = scripted(Script::saying(401, "")).await;
    assert!(is_misconfigured(&sign_in(&server).await));
}

#[tokio::test]
async fn a_success_without_tokens_is_none() {
    for body in [
        "{}",
        r#"{"token":""}"#,
        r#"{"token":null,"refreshToken":"leaky"}"#,
    ] {
        let (server, _) = scripted(Script::saying(200, body)).await;
        assert!(is_misconfigured(&sign_in(&server).await), "{body}");
    }
    for body in [
        "",
        "leaky",
        "[\"leaky\"]",
        r#"{"token":{"leaky":1}}"#,
        r#"{"token":"leaky","token":"B"}"#,
        "<html>",
    ] {
        let (server, _) = scripted(Script::saying(200, body)).await;
        assert!(is_trouble(&sign_in(&server).await), "{body}");
        assert!(
            is_trouble(&server.refresh(&Secret::new(REFRESH)).await),
            "{body}"
        );
    }
    let (server, _) = scripted(Script::saying(200, r#"{"token":"A"}"#)).await;
    assert_eq!(sign_in(&server).await.unwrap().refresh, None);
}

#[tokio::test]
async fn trouble_on_the_way_is_trouble() {
    let refresh = Secret::new(REFRESH);
    let big = format!("{{\"token\":\"{}\"}}", "a".repeat(MAX_ANSWER));
    let (elsewhere, other) = scripted(Script::saying(200, r#"{"token":"A"}"#)).await;
    let redirect = Script {
        location: Some(elsewhere.login.to_string()),
        ..Script::saying(307, "leaky")
    };
    for script in [Script::saying(200, big), redirect] {
        let (server, _) = scripted(script).await;
        assert!(is_trouble(&sign_in(&server).await));
        assert!(is_trouble(&server.refresh(&refresh).await));
        assert!(is_trouble(&server.revoke(&refresh).await));
        assert!(is_trouble(&server.published_keys().await));
    }
    assert!(
        other.asked.lock().unwrap().is_empty(),
        "a redirect was followed"
    );

    let (mut server, script) = scripted(Script {
        silent: true,
        ..Script::saying(200, "{}")
    })
    .await;
    server.timeout = Duration::from_millis(200);
    let answer = tokio::time::timeout(Duration::from_secs(10), sign_in(&server))
        .await
        .expect("an answer in time");
    assert_eq!(
        answer,
        Err(ProviderError::Unavailable("no answer within 200ms".into()))
    );
    assert_eq!(
        script.asked.lock().unwrap().len(),
        1,
        "asked once, not again"
    );

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let answer = sign_in(&server_at(closed, false)).await;
    assert!(is_trouble(&answer));
    assert!(format!("{answer:?}").contains("refused"), "{answer:?}");
}

#[tokio::test]
async fn a_renewal_carries_the_token_and_nothing_else() {
    let (server, script) = scripted(Script::saying(200, r#"{"token":"A"}"#)).await;
    let pair = server.refresh(&Secret::new(REFRESH)).await.unwrap();
    assert_eq!(
        pair,
        TokenPair {
            access: Secret::new("A"),
            refresh: Some(Secret::new(REFRESH))
        }
    );
    server.revoke(&Secret::new(REFRESH)).await.unwrap();
    let asked = std::mem::take(&mut *script.asked.lock().unwrap());
    assert_eq!(asked.len(), 2);
    for ((head, body), (path, wanted)) in asked.iter().zip([
        ("/api/jwt/refresh", json!({ "refreshToken": REFRESH })),
        (
            "/api/logout",
            json!({ "global": false, "refreshToken": REFRESH }),
        ),
    ]) {
        assert_eq!(
            (head.method.as_str(), head.uri.to_string().as_str()),
            ("POST", path)
        );
        assert!(
            !head.headers.contains_key("authorization") && !head.headers.contains_key("cookie")
        );
        assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), wanted);
    }
    let (server, _) = scripted(Script::saying(200, r#"{"token":"A","refreshToken":"R2"}"#)).await;
    assert_eq!(
        server.refresh(&Secret::new(REFRESH)).await.unwrap().refresh,
        Some(Secret::new("R2"))
    );
}

#[tokio::test]
async fn only_a_definite_no_ends_a_session() {
    let refresh = Secret::new(REFRESH);
    let dead =
        r#"{"fieldErrors":{"refreshToken":[{"code":"[invalid]refreshToken","message":"leaky"}]}}"#;
    for (status, body) in [
        (400, dead),
        (400, ""),
        (400, "<html>"),
        (401, ""),
        (404, ""),
    ] {
        let (server, _) = scripted(Script::saying(status, body)).await;
        assert_eq!(
            server.refresh(&refresh).await,
            refused(Reason::SignedOut),
            "{status} {body}"
        );
    }
    for body in [
        r#"{"fieldErrors":{"timeToLiveInSeconds":[{"code":"[tooBig]"}]}}"#,
        r#"{"generalErrors":[{"message":"timeToLiveInSeconds is too large"}]}"#,
    ] {
        let (server, _) = scripted(Script::saying(400, body)).await;
        assert!(is_misconfigured(&server.refresh(&refresh).await), "{body}");
    }
    for status in [
        201, 202, 203, 242, 302, 402, 403, 409, 410, 423, 429, 500, 503,
    ] {
        let (server, _) = scripted(Script::saying(status, r#"{"token":"leaky"}"#)).await;
        assert!(is_trouble(&server.refresh(&refresh).await), "{status}");
    }
    for status in [202, 302, 400, 404, 429, 500] {
        let (server, _) = scripted(Script::saying(status, "")).await;
        assert!(is_trouble(&server.revoke(&refresh).await), "{status}");
        assert!(is_trouble(&server.published_keys().await), "{status}");
    }
}

#[test]
fn what_cannot_be_sent_is_told_at_the_start() {
    let good = Endpoint {
        url: "http://localhost:9011".into(),
        api_key: None,
        tenant_id: None,
    };
    for bad in [
        Endpoint {
            url: "no url".into(),
            ..good.clone()
        },
        Endpoint {
            api_key: Some(Secret::new("leaky\n")),
            ..good.clone()
        },
        Endpoint {
            tenant_id: Some("a\r\nb".into()),
            ..good.clone()
        },
    ] {
        let outbound = Arc::new(HttpClient::new().unwrap());
        let fault = Fusionauth::new(&bad, &settings(&good, false), outbound)
            .err()
            .unwrap();
        assert!(
            matches!(&fault, ProviderError::Misconfigured(what) if !what.contains("leaky")),
            "{fault:?}"
        );
    }
}

/// A server that keeps to the documentation, with one-time refresh tokens.
struct Documented {
    key: TestKey,
    alive: Mutex<Vec<String>>,
    issued: Mutex<u32>,
}

impl Documented {
    fn tokens(&self) -> Value {
        let mut issued = self.issued.lock().unwrap();
        *issued += 1;
        let refresh = format!("r{issued}");
        self.alive.lock().unwrap().push(refresh.clone());
        let claims = json!({ "iss": "https://id.example.com", "aud": "store", "sub": "u1", "exp": 2_000_000_000 });
        json!({ "token": self.key.token(&claims), "refreshToken": refresh })
    }

    /// Whether it was alive.
    fn end(&self, refresh: &Value) -> bool {
        let mut alive = self.alive.lock().unwrap();
        let before = alive.len();
        alive.retain(|token| token != refresh);
        alive.len() < before
    }
}

async fn documented(
    State(server): State<Arc<Documented>>,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, String) {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, answer) = match uri.path() {
        "/api/login" if body["loginId"] == "a@b.example" && body["password"] == PASSWORD => {
            (200, server.tokens())
        }
        // Nobody waits for a step here.
        "/api/login"
        | "/api/two-factor/login"
        | "/api/two-factor/send/made-up"
        | "/api/user/change-password" => (404, Value::Null),
        "/api/jwt/refresh" if server.end(&body["refreshToken"]) => (200, server.tokens()),
        "/api/jwt/refresh" => (400, json!({ "fieldErrors": {} })),
        "/api/logout" => {
            server.end(&body["refreshToken"]);
            (200, Value::Null)
        }
        "/.well-known/jwks.json" => (200, json!({ "keys": [server.key.jwk()] })),
        _ => (500, Value::Null),
    };
    (StatusCode::from_u16(status).unwrap(), answer.to_string())
}

#[tokio::test]
async fn it_keeps_to_the_contract_of_providers() {
    let server = Documented {
        key: TestKey::es256("k"),
        alive: Mutex::default(),
        issued: Mutex::default(),
    };
    let address = serve(
        Router::new()
            .fallback(documented)
            .with_state(Arc::new(server)),
    )
    .await;
    let expect = Expectations {
        issuer: "https://id.example.com".into(),
        audience: "store".into(),
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(30),
    };
    let known = Known {
        login_id: "a@b.example",
        password: PASSWORD,
        expect,
        now: Timestamp::from_secs(1_800_000_000),
    };
    holds(&server_at(address, false), &known).await;
}
