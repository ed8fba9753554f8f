use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use super::*;
use crate::model::algorithm::Algorithm;
use crate::model::identity::ClaimNames;
use crate::provider::Device;
use crate::provider::http_client::MAX_RESPONSE;

mod contract_suite;
mod new_password;
mod redirect;
mod refresh;
mod refusal_form;
mod steps;

const PASSWORD: &str = "pa\"ss wörd\\ ";
const CLIENT: &str = "::ffff:192.0.2.7";
const API_KEY: &str = "the-api-key";
const REFRESH: &str = "the-refresh-token";

/// The response of a server to every request, and the requests that it got.
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

/// The errors that come with a 400.
const ERRORS: &str = r#"{"fieldErrors":{"loginId":[{"code":"[blank]loginId"}]}}"#;

/// `body` as FusionAuth sends it with this status: most refusals have none.
fn as_documented(status: u16, body: &str) -> String {
    match status {
        400 => ERRORS,
        404 | 410 | 421 | 423 => "",
        _ => body,
    }
    .to_owned()
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
    (server_at(address, Disclosure::Hidden), script)
}

fn server_at(address: SocketAddr, disclosure: Disclosure) -> Fusionauth {
    let endpoint = Endpoint {
        url: format!("http://{address}"),
        api_key: Some(Secret::new(API_KEY)),
        tenant_id: Some("tenant-1".into()),
    };
    Fusionauth::new(
        &endpoint,
        &settings(&endpoint, disclosure),
        Arc::new(HttpClient::new().unwrap()),
        &Clock::new(),
    )
    .unwrap()
}

fn settings(endpoint: &Endpoint, disclosure: Disclosure) -> settings::Provider {
    settings::Provider {
        kind: settings::ProviderKind::Fusionauth {
            url: endpoint.url.clone(),
            api_key: Secret::new(API_KEY),
            tenant_id: None,
        },
        issuer: "https://id.example.com".into(),
        algorithms: vec![Algorithm::Es256],
        hmac_secret: None,
        timeout: Duration::from_secs(5),
        leeway: Duration::from_secs(30),
        reveal_account_state: disclosure == Disclosure::Revealed,
        claims: ClaimNames::default(),
        client: None,
        webhook_secret: None,
        public_hooks: false,
    }
}

async fn log_in(server: &Fusionauth) -> Result<TokenPair, ProviderError> {
    log_in_with(server, Device::default(), None)
        .await
        .map(|success| success.tokens)
}

async fn log_in_with(
    server: &Fusionauth,
    device: Device<'_>,
    trust: Option<&Secret>,
) -> Result<LoginSuccess, ProviderError> {
    let password = Secret::new(PASSWORD);
    let attempt = LoginAttempt {
        login_id: "a@b.example",
        password: &password,
        application_id: "store",
        client_address: CLIENT.parse().unwrap(),
        device,
        trust,
    };
    server.login(attempt).await
}

fn refused<T>(reason: Reason) -> Result<T, ProviderError> {
    Err(ProviderError::Refused(LoginRefused::new(reason)))
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, ProviderError>) -> bool {
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
async fn a_login_is_sent_as_documented() {
    let (server, script) = scripted(Script::saying(
        200,
        r#"{"token":"A","refreshToken":"R","user":{}}"#,
    ))
    .await;
    let pair = log_in(&server).await.unwrap();
    assert_eq!(
        pair,
        TokenPair::new(Secret::new("A"), Some(Secret::new("R")))
    );
    // The second call would carry the server's cookie if any were kept.
    log_in(&server).await.unwrap();
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
async fn every_status_of_a_login_has_its_reason() {
    let tokens = r#"{"token":"A","refreshToken":"R"}"#;
    for (status, hidden, revealed) in [
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
        for (disclosure, reason) in [
            (Disclosure::Hidden, hidden),
            (Disclosure::Revealed, revealed),
        ] {
            let script = Arc::new(Script::saying(status, as_documented(status, tokens)));
            let address = serve(Router::new().fallback(answer).with_state(script)).await;
            assert_eq!(
                log_in(&server_at(address, disclosure)).await,
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
        assert!(is_unavailable(&log_in(&server).await), "{status}");
    }
    let (server, _) = scripted(Script::saying(401, "")).await;
    assert!(is_misconfigured(&log_in(&server).await));
}

#[tokio::test]
async fn a_success_without_tokens_is_none() {
    for body in [
        "{}",
        r#"{"token":""}"#,
        r#"{"token":null,"refreshToken":"leaky"}"#,
    ] {
        let (server, _) = scripted(Script::saying(200, body)).await;
        assert!(is_misconfigured(&log_in(&server).await), "{body}");
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
        assert!(is_unavailable(&log_in(&server).await), "{body}");
        assert!(
            is_unavailable(&server.refresh(&Secret::new(REFRESH)).await),
            "{body}"
        );
    }
    let (server, _) = scripted(Script::saying(200, r#"{"token":"A"}"#)).await;
    assert_eq!(log_in(&server).await.unwrap().refresh, None);
}

#[tokio::test]
async fn failures_on_the_way_are_unavailable() {
    let refresh = Secret::new(REFRESH);
    let big = format!("{{\"token\":\"{}\"}}", "a".repeat(MAX_RESPONSE));
    let (elsewhere, other) = scripted(Script::saying(200, r#"{"token":"A"}"#)).await;
    let redirect = Script {
        location: Some(elsewhere.login.to_string()),
        ..Script::saying(307, "leaky")
    };
    for script in [Script::saying(200, big), redirect] {
        let (server, _) = scripted(script).await;
        assert!(is_unavailable(&log_in(&server).await));
        assert!(is_unavailable(&server.refresh(&refresh).await));
        assert!(is_unavailable(&server.revoke(&refresh).await));
        assert!(is_unavailable(&server.fetch_jwks().await));
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
    let answer = tokio::time::timeout(Duration::from_secs(10), log_in(&server))
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
    let answer = log_in(&server_at(closed, Disclosure::Hidden)).await;
    assert!(is_unavailable(&answer));
    assert!(format!("{answer:?}").contains("refused"), "{answer:?}");
}

#[test]
fn what_cannot_be_sent_is_reported_at_the_start() {
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
        let http = Arc::new(HttpClient::new().unwrap());
        let error = Fusionauth::new(
            &bad,
            &settings(&good, Disclosure::Hidden),
            http,
            &Clock::new(),
        )
        .err()
        .unwrap();
        assert!(
            matches!(&error, ProviderError::Misconfigured(what) if !what.contains("leaky")),
            "{error:?}"
        );
    }
}
