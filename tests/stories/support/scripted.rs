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
    sayings: Arc<Mutex<HashMap<String, Saying>>>,
}

impl Scripted {
    /// Publishes its key, and fails with 500 whatever it was not told to say.
    pub async fn open() -> Self {
        let application = Application::open().await;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let sayings: Arc<Mutex<HashMap<String, Saying>>> = Arc::default();
        let known = Arc::clone(&sayings);
        application.answers(move |received| {
            let saying = known.lock().unwrap().get(&received.target).cloned();
            let (status, body) = saying.map_or((500, json!({})), |saying| saying(received));
            let mut response = Response::new(Body::from(body.to_string()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        let scripted = Self {
            application,
            key,
            sayings,
        };
        scripted.publishes_its_key();
        scripted
    }

    pub fn publishes_its_key(&self) {
        let point = self.key.public_key().as_ref();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "one", "alg": "ES256", "use": "sig" });
        self.says(KEYS, 200, json!({ "keys": [jwk] }));
    }

    /// From now on it answers so.
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
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "one" }).to_string();
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), input.as_bytes())
            .unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
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
