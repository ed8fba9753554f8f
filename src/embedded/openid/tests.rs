//! Sign-in by redirect over HTTP, as browsers and clients use it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::clients::{OpenIdSettings, RegisteredClient};
use crate::config::settings::{Backoff, Rate};
use crate::embedded::identity_server::{self, IdentityServer, Options};
use crate::embedded::users::{DEMO_PASSWORD, Users};
use crate::model::secret::Secret;
use crate::system::{Clock, detach};

mod codes;
mod logout;
mod sign_in;
mod sign_in_steps;

const ISSUER: &str = "http://id.localhost:8080";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const STORE: &str = "3c219e58-ed0e-4b18-ad48-f4f92793ae32";
const FORUM: &str = "85a03867-dccf-4882-adde-1a79aeec50df";
const SECRET: &str = "a secret of clients";
const SHOPPER: &str = "shopper@example.com";

/// A server with the accounts of the demo, and the store and the forum as clients.
struct TestProvider {
    server: IdentityServer,
    address: SocketAddr,
    clock: Clock,
    _directory: TempDir,
}

/// A response of the server.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").unwrap()
    }

    /// A parameter of the address that the browser is sent to.
    fn parameter(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(self.location()).unwrap();
        let mut pairs = url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .body
            .split_once(&start)
            .unwrap_or_else(|| panic!("{self:?}"));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl TestProvider {
    fn start() -> Self {
        Self::with_logouts_at(None)
    }

    /// As [`Self::start`]; the clients take logout tokens at `address`.
    fn with_logouts_at(address: Option<SocketAddr>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let mut users = Users::demo().unwrap();
        users.outbox = Some(directory.path().join("outbox"));
        let server = identity_server::open(Options {
            users,
            state_dir: directory.path().to_owned(),
            issuer: ISSUER.to_owned(),
            api_key: Secret::new("the key"),
            clock: clock.clone(),
        })
        .unwrap();
        let rate = |attempts| Rate {
            attempts,
            per: Duration::from_secs(60),
            waits: Backoff::Exponential,
        };
        let client = |id: &str, host: &str| {
            Arc::new(RegisteredClient {
                id: id.to_owned(),
                secret: Secret::new(SECRET),
                redirect_uris: vec![callback(host)],
                post_logout_redirect_uris: vec![format!("http://{host}.localhost:8080/")],
                backchannel_logout_uri: address.map(|address| format!("http://{address}/{host}")),
            })
        };
        server.set_openid(Some(OpenIdSettings {
            url: ISSUER.to_owned(),
            clients: vec![client(STORE, "store"), client(FORUM, "forum")],
            account_limit: rate(5),
            address_limit: rate(30),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(detach(
            server.clone().serve(listener, std::future::pending()),
        ));
        Self {
            server,
            address,
            clock,
            _directory: directory,
        }
    }

    async fn exchange(&self, line: &str, headers: &[(&str, String)], body: &str) -> Answer {
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// A call of a client with `client_secret_basic`.
    async fn call_as(&self, client: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let basic = STANDARD.encode(format!("{client}:{}", SECRET.replace(' ', "+")));
        let headers = [("Authorization", format!("Basic {basic}"))];
        self.post(path, &headers, form).await
    }

    async fn post(&self, path: &str, headers: &[(&str, String)], form: &[(&str, &str)]) -> Answer {
        let mut all = headers.to_vec();
        all.push(("Host", self.address.to_string()));
        let form_type = "application/x-www-form-urlencoded";
        all.push(("Content-Type", form_type.to_owned()));
        self.exchange(&format!("POST {path}"), &all, &encoded(form))
            .await
    }

    async fn exchange_code(&self, client: &str, code: &str) -> Answer {
        let host = if client == STORE { "store" } else { "forum" };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback(host)),
            ("code_verifier", VERIFIER),
        ];
        self.call_as(client, "/oauth2/token", &form).await
    }

    async fn refresh(&self, client: &str, token: &Value) -> Answer {
        let token = token.as_str().unwrap();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.call_as(client, "/oauth2/token", &form).await
    }
}

/// A browser with its cookies.
struct TestBrowser<'a> {
    provider: &'a TestProvider,
    cookies: BTreeMap<String, String>,
    address: &'static str,
}

impl<'a> TestBrowser<'a> {
    fn new(provider: &'a TestProvider) -> Self {
        Self {
            provider,
            cookies: BTreeMap::new(),
            address: "192.0.2.1",
        }
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        vec![
            ("Host", "id.localhost:8080".to_owned()),
            ("X-Real-IP", self.address.to_owned()),
            ("Cookie", cookies.join("; ")),
        ]
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.head.lines() {
            let Some(cookie) = line.strip_prefix("set-cookie: ") else {
                continue;
            };
            assert!(
                cookie.contains("; HttpOnly; Path=/; SameSite=Lax"),
                "{cookie}"
            );
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    async fn get(&mut self, path: &str) -> Answer {
        let line = format!("GET {path}");
        let answer = self.provider.exchange(&line, &self.headers(), "").await;
        self.keep_cookies(&answer);
        answer
    }

    async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut headers = self.headers();
        headers.push(("Origin", ISSUER.to_owned()));
        self.submit_with(path, &headers, form).await
    }

    async fn submit_with(
        &mut self,
        path: &str,
        headers: &[(&str, String)],
        form: &[(&str, &str)],
    ) -> Answer {
        let mut headers = headers.to_vec();
        let form_type = "application/x-www-form-urlencoded";
        headers.push(("Content-Type", form_type.to_owned()));
        let line = format!("POST {path}");
        let answer = self
            .provider
            .exchange(&line, &headers, &encoded(form))
            .await;
        self.keep_cookies(&answer);
        answer
    }

    /// Opens the form at `path` and submits it with a name and a password.
    async fn sign_in_at(&mut self, path: &str, login_id: &str, password: &str) -> Answer {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{page:?}");
        let csrf = page.field("csrf");
        let form = [
            ("csrf", csrf.as_str()),
            ("step", "password"),
            ("loginId", login_id),
            ("password", password),
        ];
        self.submit(path, &form).await
    }

    /// Signs the shopper in to `client`, and gives the tokens.
    async fn sign_in(&mut self, client: &str) -> Value {
        let answer = self
            .sign_in_at(&request_of(client, ""), SHOPPER, DEMO_PASSWORD)
            .await;
        self.tokens(client, &answer).await
    }

    /// Opens `client` without a form, and gives the tokens.
    async fn follow(&mut self, client: &str) -> Value {
        let answer = self.get(&request_of(client, "")).await;
        self.tokens(client, &answer).await
    }

    async fn tokens(&self, client: &str, answer: &Answer) -> Value {
        let code = answer.parameter("code").unwrap();
        let tokens = self.provider.exchange_code(client, &code).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        tokens.json()
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    body.finish()
}

fn callback(host: &str) -> String {
    format!("http://{host}.localhost:8080/_vestibule/callback")
}

/// The authorization request of the store or the forum, with `more` parameters.
fn request_of(client: &str, more: &str) -> String {
    let host = if client == STORE { "store" } else { "forum" };
    let query = encoded(&[
        ("client_id", client),
        ("redirect_uri", &callback(host)),
        ("response_type", "code"),
        ("scope", "openid profile email offline_access"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    format!("/oauth2/authorize?{query}{more}")
}

fn claims(token: &Value) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(token.as_str().unwrap()).unwrap()
}
