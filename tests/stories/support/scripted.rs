//! A provider that says what a story wants it to say, under its own key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use vestibule::system::Clock;

use super::{Application, Received, Stage, with_line};

/// Where a sign-in asks.
pub const LOGIN: &str = "/api/login";
/// Where a code is asked about.
pub const CODE: &str = "/api/two-factor/login";
/// Where a password is changed.
pub const CHANGE: &str = "/api/user/change-password";
/// Where a renewal asks.
pub const REFRESH: &str = "/api/jwt/refresh";
/// Where the keys are.
pub const KEYS: &str = "/.well-known/jwks.json";

type Saying = Arc<dyn Fn(&Received) -> (u16, Value) + Send + Sync>;

/// The provider; killed when dropped.
pub struct Scripted {
    application: Application,
    key: EcdsaKeyPair,
    /// The key that it changes to.
    newer: EcdsaKeyPair,
    sayings: Arc<Mutex<HashMap<String, Saying>>>,
}

impl Scripted {
    /// Publishes its key, and fails with 500 whatever it was not told to say.
    pub async fn open() -> Self {
        let application = Application::open().await;
        let new_key = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (key, newer) = (new_key(), new_key());
        let sayings: Arc<Mutex<HashMap<String, Saying>>> = Arc::default();
        let known = Arc::clone(&sayings);
        application.answers(move |received| {
            let saying = known.lock().unwrap().get(&received.target).cloned();
            let (status, body) = saying.map_or((500, json!({})), |saying| saying(received));
            let body = if body.is_null() {
                String::new()
            } else {
                body.to_string()
            };
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        let scripted = Self {
            application,
            key,
            newer,
            sayings,
        };
        scripted.publishes_its_key();
        scripted
    }

    pub fn publishes_its_key(&self) {
        self.says(KEYS, 200, json!({ "keys": [jwk(&self.key, "one")] }));
    }

    /// Its key and the one that it changes to.
    pub fn publishes_both_keys(&self) {
        let keys = [jwk(&self.key, "one"), jwk(&self.newer, "two")];
        self.says(KEYS, 200, json!({ "keys": keys }));
    }

    /// From now on it answers so; `null` stands for no body.
    pub fn says(&self, path: &str, status: u16, body: Value) {
        self.answers(path, move |_| (status, body.clone()));
    }

    /// From now on it answers what this makes of the request.
    pub fn answers(
        &self,
        path: &str,
        saying: impl Fn(&Received) -> (u16, Value) + Send + Sync + 'static,
    ) {
        self.sayings
            .lock()
            .unwrap()
            .insert(path.to_owned(), Arc::new(saying));
    }

    /// From now on it gives these claims and this refresh token.
    pub fn gives(&self, path: &str, claims: &Value, refresh: &str) {
        self.says(
            path,
            200,
            json!({ "token": self.token(claims), "refreshToken": refresh }),
        );
    }

    /// How often it was asked this.
    pub fn asked(&self, path: &str) -> usize {
        self.application
            .received()
            .iter()
            .filter(|received| received.target == path)
            .count()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        signed(&self.key, "one", claims)
    }

    /// A token with these claims, signed with the key that it changes to.
    pub fn newer_token(&self, claims: &Value) -> String {
        signed(&self.newer, "two", claims)
    }

    /// The refresh tokens that it was asked to renew with, in order.
    pub fn renewed_with(&self) -> Vec<String> {
        let asked = self.application.received();
        let asked = asked.iter().filter(|received| received.target == REFRESH);
        asked
            .map(|received| {
                let body: Value = serde_json::from_slice(&received.body).unwrap();
                body["refreshToken"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// A configuration that has this provider in the place of the identity server.
    pub fn in_place(&self, config: &str) -> String {
        with_line(
            config,
            "url",
            &format!("url = \"http://{}\"", self.application.address()),
        )
    }

    /// A stage whose people this provider vouches for.
    pub async fn stage(&self) -> Stage {
        Stage::set_with(|config| self.in_place(&config), |_| {}).await
    }
}

pub(super) fn jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = (
        URL_SAFE_NO_PAD.encode(&point[1..33]),
        URL_SAFE_NO_PAD.encode(&point[33..]),
    );
    json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig" })
}

pub(super) fn signed(key: &EcdsaKeyPair, kid: &str, claims: &Value) -> String {
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": kid }).to_string();
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// `body` as FusionAuth sends it with this status: most refusals have none, and a 400 has errors.
pub fn as_documented(status: u16, body: Value) -> Value {
    match status {
        400 => json!({ "fieldErrors": { "password": [{ "code": "[invalid]password" }] } }),
        404 | 410 | 421 | 423 => Value::Null,
        _ => body,
    }
}

/// The errors of a 400 that names this field.
pub fn field_error(field: &str) -> Value {
    json!({ "fieldErrors": { field: [{ "code": format!("[invalid]{field}") }] } })
}

/// Good claims of one person at the store, for 60 s.
pub fn claims(clock: &Clock) -> Value {
    let now = clock.now().secs();
    json!({
        "iss": "stories",
        "aud": "store-application",
        "sub": "6f1c2a10-6f0b-4c6e-9d6a-0d8f2a5e0e4b",
        "sid": "b1f9a4f6-55a2-4e4c-8f0e-37d6e3a1c9d2",
        "email": "scripted@example.com",
        "iat": now,
        "exp": now + 60,
    })
}
