//! An OpenID Connect provider that does what a story wants: it vouches for one person, with a login
//! page that a story presses by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use vestibule::system::Clock;

use super::scripted::{jwk, signed};
use super::{Application, Browser, Received, Reply, Stage};

pub const CLIENT: &str = "vestibule";
pub const SECRET: &str = "the client's secret+";
/// The person who signs in.
pub const PERSON: &str = "6f1c2a10-6f0b-4c6e-9d6a-0d8f2a5e0e4b";
pub const TOKEN: &str = "/token";
pub const REVOKE: &str = "/revoke";

type Change = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// How the provider behaves.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a habit that providers have or not"
)]
pub struct Ways {
    /// A refresh token is good for one refresh.
    pub rotates: bool,
    /// It issues refresh tokens.
    pub refreshes: bool,
    /// Access tokens are no JWTs.
    pub opaque: bool,
    /// A refresh brings an ID token.
    pub id_token_at_refresh: bool,
    /// Responses name the issuer, and discovery says so.
    pub names_issuer: bool,
    /// The token endpoint answers this and nothing else.
    pub token_answer: Option<(u16, Value)>,
    /// Changes the claims of ID tokens.
    pub id_claims: Change,
    /// Changes the claims of access tokens.
    pub access_claims: Change,
    /// Changes the discovery document.
    pub document: Change,
}

struct State {
    ways: Ways,
    clock: Clock,
    issuer: String,
    key: EcdsaKeyPair,
    kid: String,
    /// The nonce, the code challenge and the redirect URI of each code.
    codes: HashMap<String, [String; 3]>,
    /// The refresh tokens that are good.
    refresh_tokens: Vec<String>,
    made: u32,
}

/// The provider; killed when dropped.
pub struct OpenId {
    application: Application,
    state: Arc<Mutex<State>>,
}

impl OpenId {
    /// Issues JWTs for a minute and one-time refresh tokens.
    pub async fn open() -> Self {
        let application = Application::open().await;
        let unchanged: Change = Arc::new(|_| {});
        let state = Arc::new(Mutex::new(State {
            ways: Ways {
                rotates: true,
                refreshes: true,
                opaque: false,
                id_token_at_refresh: true,
                names_issuer: true,
                token_answer: None,
                id_claims: Arc::clone(&unchanged),
                access_claims: Arc::clone(&unchanged),
                document: unchanged,
            },
            clock: Clock::new(),
            issuer: format!("http://{}", application.address()),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            kid: "one".into(),
            codes: HashMap::new(),
            refresh_tokens: Vec::new(),
            made: 0,
        }));
        let shared = Arc::clone(&state);
        application.answers(move |received| {
            let (status, body) = shared.lock().unwrap().answer(received);
            let mut response = Response::new(Body::from(body.to_string()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        Self { application, state }
    }

    /// Changes how it behaves.
    pub fn behaves(&self, change: impl FnOnce(&mut Ways)) {
        change(&mut self.state.lock().unwrap().ways);
    }

    /// Signs with another key from now on, and publishes the old one no more.
    pub fn changes_its_key(&self) {
        let mut state = self.state.lock().unwrap();
        state.key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        state.kid = state.make("key");
    }

    pub fn issuer(&self) -> String {
        self.state.lock().unwrap().issuer.clone()
    }

    /// How often this path was asked.
    pub fn asked(&self, path: &str) -> usize {
        let received = self.application.received();
        received.iter().filter(|it| it.target == path).count()
    }

    /// The last body that was posted to this path, as pairs.
    pub fn last_form(&self, path: &str) -> HashMap<String, String> {
        let received = self.application.received();
        let last = received.iter().rev().find(|it| it.target == path);
        fields(&last.expect("a request").body)
    }

    /// The last `Authorization` that was sent to this path.
    pub fn last_authorization(&self, path: &str) -> Option<String> {
        let received = self.application.received();
        let last = received.iter().rev().find(|it| it.target == path);
        let value = last.expect("a request").header("authorization");
        value.map(str::to_owned)
    }

    /// A configuration whose sites this provider vouches for, with more lines for the provider.
    pub fn in_place(&self, config: &str, lines: &str) -> String {
        let (before, rest) = config.split_once("[providers.main]").unwrap();
        let (_, sites) = rest.split_once("[[sites]]").unwrap();
        let sites: String = sites
            .lines()
            .filter(|line| !line.starts_with("application_id"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let issuer = self.issuer();
        format!(
            "{before}[providers.main]\nkind = \"oidc\"\nurl = \"{issuer}\"\nclient_id = \"{CLIENT}\"\n\
             client_secret = \"{SECRET}\"\n{lines}\n[[sites]]{sites}"
        )
    }

    /// A stage whose people sign in here.
    pub async fn stage(&self) -> Stage {
        self.stage_with(|config| config).await
    }

    /// The same with a changed configuration.
    pub async fn stage_with(&self, change: impl FnOnce(String) -> String) -> Stage {
        let stage = Stage::set_with(|config| change(self.in_place(&config, "")), |_| {}).await;
        self.follows(&stage);
        stage
    }

    /// A stage whose people sign in here, with more lines for the provider.
    pub async fn stage_of(&self, lines: &str) -> Stage {
        let stage = Stage::set_with(|config| self.in_place(&config, lines), |_| {}).await;
        self.follows(&stage);
        stage
    }

    /// The provider's clock is that of the stage.
    pub fn follows(&self, stage: &Stage) {
        self.state.lock().unwrap().clock = stage.clock.clone();
    }

    /// The person signs in at the address that the gateway sent the browser to. What the provider
    /// answers, as the target of the callback.
    pub fn signs_in(&self, address: &str) -> String {
        let mut state = self.state.lock().unwrap();
        let query = query_of(address);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        let code = state.make("code");
        let asked = ["nonce", "code_challenge", "redirect_uri"].map(|name| query[name].clone());
        state.codes.insert(code.clone(), asked);
        let mut answer = url::form_urlencoded::Serializer::new(String::new());
        answer.append_pair("code", &code);
        answer.append_pair("state", &query["state"]);
        if state.ways.names_issuer {
            answer.append_pair("iss", &state.issuer);
        }
        let target = query["redirect_uri"].splitn(4, '/').nth(3).unwrap();
        format!("/{target}?{}", answer.finish())
    }

    /// The person cancels, or another error happens.
    pub fn refuses(&self, address: &str, error: &str) -> String {
        let query = query_of(address);
        let issuer = self.issuer();
        format!(
            "/_vestibule/callback?error={error}&state={}&iss={issuer}",
            query["state"]
        )
    }

    /// A logout token for the gateway's client, with these claims too.
    pub fn logout_token(&self, claims: &Value) -> String {
        let mut state = self.state.lock().unwrap();
        let mut token = json!({
            "iss": state.issuer, "aud": CLIENT, "iat": state.clock.now().secs(),
            "jti": state.make("logout"),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        for (name, value) in claims.as_object().unwrap() {
            token[name] = value.clone();
        }
        signed(&state.key, "one", &token)
    }

    /// Opens the page and signs in on the way. What the callback answered.
    pub async fn sign_in(&self, browser: &mut Browser, target: &str) -> Reply {
        let address = self.leave(browser, target).await;
        let callback = self.signs_in(&address);
        browser.get(&callback).await
    }

    /// Opens the page, and follows to where the browser leaves for the provider.
    pub async fn leave(&self, browser: &mut Browser, target: &str) -> String {
        let mut reply = browser.get(target).await;
        for _ in 0..3 {
            let location = reply
                .header("location")
                .unwrap_or_else(|| panic!("{reply:?}"));
            if location.starts_with("http") {
                return location.to_owned();
            }
            let location = location.to_owned();
            reply = browser.get(&location).await;
        }
        panic!("the browser does not leave: {reply:?}");
    }
}

/// The parameters of an address.
pub fn query_of(address: &str) -> HashMap<String, String> {
    let url = url::Url::parse(address).unwrap();
    url.query_pairs().into_owned().collect()
}

fn fields(body: &[u8]) -> HashMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

impl State {
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}", self.made)
    }

    fn answer(&mut self, received: &Received) -> (u16, Value) {
        match received.target.as_str() {
            "/.well-known/openid-configuration" => {
                let at = |path: &str| format!("{}{path}", self.issuer);
                let mut document = json!({
                    "issuer": self.issuer,
                    "authorization_endpoint": at("/authorize"),
                    "token_endpoint": at(TOKEN),
                    "jwks_uri": at("/jwks"),
                    "revocation_endpoint": at(REVOKE),
                    "end_session_endpoint": at("/logout"),
                    "authorization_response_iss_parameter_supported": self.ways.names_issuer,
                });
                (self.ways.document)(&mut document);
                (200, document)
            }
            "/jwks" | "/.well-known/jwks.json" => {
                (200, json!({ "keys": [jwk(&self.key, &self.kid)] }))
            }
            TOKEN => self.tokens(received),
            REVOKE => {
                let token = &fields(&received.body)["token"];
                self.refresh_tokens.retain(|known| known != token);
                (200, json!({}))
            }
            _ => (404, json!({})),
        }
    }

    fn tokens(&mut self, received: &Received) -> (u16, Value) {
        if let Some(answer) = &self.ways.token_answer {
            return answer.clone();
        }
        let proof = |client: &str| {
            let pair = [client, SECRET].map(|text| {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            });
            format!("Basic {}", STANDARD.encode(pair.join(":")))
        };
        let presented = received.header("authorization");
        let fields = fields(&received.body);
        let by_form = fields.get("client_id").map(String::as_str) == Some(CLIENT)
            // The signature of an assertion is for the story to verify.
            && (fields.get("client_secret").map(String::as_str) == Some(SECRET)
                || fields.contains_key("client_assertion"));
        let mut clients = [CLIENT, "store-application"].iter();
        if !by_form && !clients.any(|client| presented == Some(&proof(client))) {
            return (401, json!({ "error": "invalid_client" }));
        }
        let no = (400, json!({ "error": "invalid_grant" }));
        match fields["grant_type"].as_str() {
            "authorization_code" => {
                let Some([nonce, challenge, redirect_uri]) = self.codes.remove(&fields["code"])
                else {
                    return no;
                };
                let hash = digest(&SHA256, fields["code_verifier"].as_bytes());
                if URL_SAFE_NO_PAD.encode(hash) != challenge
                    || fields["redirect_uri"] != redirect_uri
                {
                    return no;
                }
                self.issue(Some(&nonce))
            }
            "refresh_token" => {
                let token = &fields["refresh_token"];
                if !self.refresh_tokens.contains(token) {
                    return no;
                }
                if self.ways.rotates {
                    self.refresh_tokens.retain(|known| known != token);
                }
                self.issue(None)
            }
            "password" if fields["password"] == super::PASSWORD => self.issue(None),
            _ => no,
        }
    }

    fn issue(&mut self, nonce: Option<&str>) -> (u16, Value) {
        let now = self.clock.now().secs();
        let mut access = json!({
            "iss": self.issuer, "aud": ["account"], "azp": CLIENT, "typ": "Bearer",
            "sub": PERSON, "sid": "sid-1", "iat": now, "exp": now + 60,
            "email": "person@example.com", "jti": self.make("jti"),
        });
        (self.ways.access_claims)(&mut access);
        let access = if self.ways.opaque {
            self.make("opaque")
        } else {
            signed(&self.key, &self.kid, &access)
        };
        let mut body = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": 60,
        });
        if nonce.is_some() || self.ways.id_token_at_refresh {
            let hash = digest(&SHA256, access.as_bytes());
            let mut id = json!({
                "iss": self.issuer, "aud": CLIENT, "sub": PERSON, "sid": "sid-1",
                "iat": now, "exp": now + 60, "name": "A Person", "email": "person@example.com",
                "at_hash": URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]),
            });
            if let Some(nonce) = nonce {
                id["nonce"] = json!(nonce);
            }
            (self.ways.id_claims)(&mut id);
            body["id_token"] = json!(signed(&self.key, &self.kid, &id));
        }
        if self.ways.refreshes && (self.ways.rotates || nonce.is_some()) {
            let token = self.make("refresh");
            self.refresh_tokens.push(token.clone());
            body["refresh_token"] = json!(token);
        }
        (200, body)
    }
}
