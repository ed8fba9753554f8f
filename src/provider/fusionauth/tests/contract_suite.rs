//! The contract suite of providers, against a server that works as documented.

use http::Uri;

use super::*;
use crate::model::timestamp::Timestamp;
use crate::provider::contract::{self, KnownUser};
use crate::provider::test_keys::TestKey;
use crate::provider::verify::Expectations;

/// A server that works as documented, with one-time refresh tokens.
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

    /// Whether it was alive until now.
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
        // No login requires a further step here.
        "/api/login"
        | "/api/two-factor/login"
        | "/api/two-factor/send/made-up"
        | "/api/user/change-password" => (404, Value::Null),
        "/api/jwt/refresh" if server.end(&body["refreshToken"]) => (200, server.tokens()),
        "/api/jwt/refresh" => {
            let errors = json!({ "refreshToken": [{ "code": "[invalid]refreshToken" }] });
            (400, json!({ "fieldErrors": errors }))
        }
        "/api/logout" => {
            server.end(&body["refreshToken"]);
            (200, Value::Null)
        }
        "/.well-known/jwks.json" => (200, json!({ "keys": [server.key.jwk()] })),
        _ => (500, Value::Null),
    };
    let body = if answer.is_null() {
        String::new()
    } else {
        answer.to_string()
    };
    (StatusCode::from_u16(status).unwrap(), body)
}

#[tokio::test]
async fn it_passes_the_contract_suite() {
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
        client: None,
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(30),
    };
    let known = KnownUser {
        login_id: "a@b.example",
        password: PASSWORD,
        expect,
        now: Timestamp::from_secs(1_800_000_000),
    };
    contract::check(&server_at(address, Disclosure::Hidden), &known).await;
}
