//! An OpenID Connect provider in memory, for the contract suite.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::contract::ReturnedCode;
use super::http_client::{HttpError, Request, Response, Transport};
use super::test_keys::TestKey;
use super::verify::Expectations;
use crate::config::settings::{self, ClientProof, OidcClient, ProviderKind};
use crate::model::algorithm::Algorithm;
use crate::model::identity::ClaimNames;
use crate::model::secret::Secret;
use crate::model::site::SignIn;
use crate::model::timestamp::Timestamp;

pub const ISSUER: &str = "https://id.example.com/realms/shop";
/// The password of `a@b.example`.
pub const PASSWORD: &str = "pa ss&wörd";

/// A provider that answers as the specifications say.
pub struct Documented {
    key: TestKey,
    /// The nonce and the code challenge of each code.
    codes: Mutex<HashMap<String, [String; 2]>>,
    alive: Mutex<HashSet<String>>,
    issued: Mutex<u32>,
    /// The paths that were asked.
    pub asked: Mutex<Vec<String>>,
}

/// Carries requests to it.
#[derive(Clone)]
pub struct Wire(pub Arc<Documented>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Wire")
    }
}

#[async_trait]
impl Transport for Wire {
    async fn exchange(&self, request: Request) -> Result<Response, HttpError> {
        let fields = url::form_urlencoded::parse(&request.body)
            .into_owned()
            .collect();
        let path = request
            .url
            .path()
            .trim_start_matches("/realms/shop")
            .to_owned();
        self.0.asked.lock().unwrap().push(path.clone());
        let (status, body) = match path.as_str() {
            // FusionAuth's own API.
            "/api/logout" => self.0.log_out(&request.body),
            _ => self.0.answer(&path, &fields),
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        Ok(Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into_bytes(),
        })
    }
}

impl Documented {
    /// A server that knows one user.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            key: TestKey::es256("k"),
            codes: Mutex::default(),
            alive: Mutex::default(),
            issued: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    fn log_out(&self, body: &[u8]) -> (u16, Value) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let token = body["refreshToken"].as_str().unwrap();
        self.alive.lock().unwrap().remove(token);
        (200, Value::Null)
    }

    fn answer(&self, path: &str, fields: &HashMap<String, String>) -> (u16, Value) {
        match path {
            "/.well-known/openid-configuration" => {
                let at = |path: &str| format!("{ISSUER}{path}");
                let document = json!({
                    "issuer": ISSUER, "authorization_endpoint": at("/auth"), "jwks_uri": at("/jwks"),
                    "token_endpoint": at("/token"), "revocation_endpoint": at("/revoke"),
                    "end_session_endpoint": at("/logout"),
                    "authorization_response_iss_parameter_supported": true,
                });
                (200, document)
            }
            "/jwks" | "/.well-known/jwks.json" => (200, json!({ "keys": [self.key.jwk()] })),
            "/token" => self.tokens(fields),
            "/revoke" => {
                self.alive.lock().unwrap().remove(&fields["token"]);
                (200, Value::Null)
            }
            _ => (500, Value::Null),
        }
    }

    fn tokens(&self, fields: &HashMap<String, String>) -> (u16, Value) {
        let no = (400, json!({ "error": "invalid_grant" }));
        match fields["grant_type"].as_str() {
            "authorization_code" => {
                let Some([nonce, challenge]) = self.codes.lock().unwrap().remove(&fields["code"])
                else {
                    return no;
                };
                let verifier = &fields["code_verifier"];
                let hash = digest(&SHA256, verifier.as_bytes());
                if URL_SAFE_NO_PAD.encode(hash) == challenge {
                    self.issue(Some(&nonce))
                } else {
                    no
                }
            }
            "password" if fields["username"] == "a@b.example" && fields["password"] == PASSWORD => {
                self.issue(None)
            }
            "refresh_token" if self.alive.lock().unwrap().remove(&fields["refresh_token"]) => {
                self.issue(None)
            }
            _ => no,
        }
    }

    fn issue(&self, nonce: Option<&str>) -> (u16, Value) {
        let mut issued = self.issued.lock().unwrap();
        *issued += 1;
        let refresh = format!("refresh-{issued}");
        self.alive.lock().unwrap().insert(refresh.clone());
        let claims = json!({
            "iss": ISSUER, "aud": "vestibule", "sub": "u1", "iat": 1_800_000_000_u64,
            "exp": 1_800_000_060_u64, "jti": issued.to_string(), "nonce": nonce,
        });
        let mut access = claims.clone();
        access.as_object_mut().unwrap().remove("nonce");
        let answer = json!({
            "access_token": self.key.token(&access), "token_type": "Bearer", "expires_in": 60,
            "refresh_token": refresh, "id_token": self.key.token(&claims),
        });
        (200, answer)
    }

    /// The person signs in at this address.
    pub fn sign_in(&self, address: &str) -> ReturnedCode {
        let url = Url::parse(address).unwrap();
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let values = [query["nonce"].clone(), query["code_challenge"].clone()];
        let code = format!("code of {}", query["state"]);
        self.codes.lock().unwrap().insert(code.clone(), values);
        ReturnedCode {
            code: Secret::new(code),
            issuer: Some(ISSUER.into()),
        }
    }
}

/// The settings of its client.
pub fn settings(sign_in: SignIn) -> settings::Provider {
    settings::Provider {
        kind: ProviderKind::Oidc { url: ISSUER.into() },
        issuer: ISSUER.into(),
        algorithms: vec![Algorithm::Es256],
        hmac_secret: None,
        timeout: Duration::from_secs(5),
        leeway: Duration::from_secs(30),
        reveal_account_state: false,
        claims: ClaimNames::default(),
        client: Some(OidcClient {
            id: "vestibule".into(),
            proof: ClientProof::Secret(Secret::new("the-secret")),
            sign_in,
            scopes: vec!["openid".into()],
            acr_values: None,
            prompt: None,
            insecure: false,
        }),
        webhook_secret: None,
        public_hooks: false,
    }
}

/// What its tokens contain.
pub fn expect() -> Expectations {
    Expectations {
        issuer: ISSUER.into(),
        audience: "vestibule".into(),
        client: None,
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(30),
    }
}

/// When its tokens are valid.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
