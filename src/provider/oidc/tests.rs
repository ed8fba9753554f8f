use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::config::settings::{ClientProof, ProviderKind};
use crate::model::algorithm::Algorithm;
use crate::model::identity::ClaimNames;
use crate::model::timestamp::Timestamp;
use crate::provider::contract::{self, KnownUser, RedirectUser, ReturnedCode};
use crate::provider::http_client::{HttpError, Transport};
use crate::provider::test_keys::TestKey;
use crate::provider::verify::Expectations;

const ISSUER: &str = "https://id.example.com/realms/shop";
const PASSWORD: &str = "pa ss&wörd";

/// A provider that answers as the specifications say.
struct Documented {
    key: TestKey,
    /// The nonce and the code challenge of each code.
    codes: Mutex<HashMap<String, [String; 2]>>,
    alive: Mutex<HashSet<String>>,
    issued: Mutex<u32>,
    asked: Mutex<Vec<String>>,
}

/// Carries requests to it.
#[derive(Clone)]
struct Wire(Arc<Documented>);

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
        let (status, body) = self.0.answer(&path, &fields);
        Ok(Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_string().into_bytes(),
        })
    }
}

impl Documented {
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
            "/jwks" => (200, json!({ "keys": [self.key.jwk()] })),
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
                let verifier = Secret::new(fields["code_verifier"].as_str());
                if address::challenge(&verifier) == challenge {
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
    fn sign_in(&self, address: &str) -> ReturnedCode {
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

fn settings(sign_in: SignIn) -> settings::Provider {
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

fn provider(sign_in: SignIn) -> (Oidc, Arc<Documented>) {
    let documented = Arc::new(Documented {
        key: TestKey::es256("k"),
        codes: Mutex::default(),
        alive: Mutex::default(),
        issued: Mutex::default(),
        asked: Mutex::default(),
    });
    let http = Arc::new(HttpClient::with_transport(Wire(Arc::clone(&documented))));
    let settings = settings(sign_in);
    let client = settings.client.clone().unwrap();
    let document = document_url(ISSUER);
    let provider = Oidc::new(&document, &settings, &client, http, Clock::new()).unwrap();
    (provider, documented)
}

fn expect() -> Expectations {
    Expectations {
        issuer: ISSUER.into(),
        audience: "vestibule".into(),
        client: None,
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(30),
    }
}

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

#[tokio::test]
async fn it_passes_the_contract_suite_with_the_password_grant() {
    let known = KnownUser {
        login_id: "a@b.example",
        password: PASSWORD,
        expect: expect(),
        now: NOW,
    };
    let (provider, _) = provider(SignIn::Form);
    assert!(provider.redirect().is_none());
    contract::check(&provider, &known).await;
}

#[tokio::test]
async fn it_passes_the_contract_suite_by_redirect() {
    let (provider, documented) = provider(SignIn::Redirect);
    let known = RedirectUser {
        sign_in: &|address| documented.sign_in(address),
        expect: expect(),
        now: NOW,
    };
    contract::check_redirect(&provider, &known).await;
}

#[tokio::test]
async fn discovery_is_fetched_once_and_again_with_the_keys() {
    let (provider, documented) = provider(SignIn::Redirect);
    let fetched = || {
        let asked = documented.asked.lock().unwrap();
        asked
            .iter()
            .filter(|path| path.contains("well-known"))
            .count()
    };
    for _ in 0..3 {
        assert!(provider.refresh(&Secret::new("made-up")).await.is_err());
    }
    assert_eq!(fetched(), 1);
    provider.fetch_jwks().await.unwrap();
    assert_eq!(fetched(), 2);
}
