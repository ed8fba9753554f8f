//! A browser small enough to be read: one connection per request, a cookie jar, and the raw socket
//! beneath.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Trust;
use super::http2::ask_gateway;

/// An answer, parsed.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// The first value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The `code` of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        self.json()["code"].as_str().expect("a code").to_owned()
    }

    /// Reads a whole response.
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        // Informational heads come before the one that counts.
        let mut rest: &str = &text;
        loop {
            let Some((head, body)) = rest.split_once("\r\n\r\n") else {
                return Self::default();
            };
            let mut lines = head.lines();
            let status = lines
                .next()
                .and_then(|line| line.split(' ').nth(1)?.parse().ok())
                .unwrap_or(0);
            if (100..200).contains(&status) && status != 101 {
                rest = body;
                continue;
            }
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let chunked = headers
                .iter()
                .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
            let body = if chunked {
                dechunk(body)
            } else {
                body.to_owned()
            };
            return Self {
                status,
                headers,
                body,
            };
        }
    }
}

fn dechunk(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}

/// Sends these bytes over a new connection and reads until the other side is done with it, at most
/// 20 s.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Reply {
    let stream = TcpStream::connect(address).await.expect("a connection");
    exchange(stream, bytes).await
}

/// The same over this stream.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Reply {
    // The other side may answer and close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    Reply::read(&answer)
}

/// A browser with one tab at one host. Requests navigate unless told otherwise.
#[derive(Clone, Debug)]
pub struct Browser {
    address: SocketAddr,
    host: String,
    /// Name and value.
    pub cookies: Vec<(String, String)>,
    /// Sent with every request, after the browser's own.
    pub extra: Vec<(String, String)>,
    /// Whether requests look like navigations; otherwise like a script's `fetch`.
    pub navigates: bool,
    /// Whom it trusts, where it speaks TLS.
    pub trust: Option<Trust>,
}

impl Browser {
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            cookies: Vec::new(),
            extra: Vec::new(),
            navigates: true,
            trust: None,
        }
    }

    /// The same browser speaking TLS.
    pub fn trusting(mut self, trust: &Trust) -> Self {
        self.trust = Some(trust.clone());
        self
    }

    /// The origin of the site's pages.
    fn origin(&self) -> String {
        let scheme = if self.trust.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.host)
    }

    /// The same browser making a script's calls.
    pub fn fetching(mut self) -> Self {
        self.navigates = false;
        self
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// The names of the cookies that are left, but for the device's, which a sign-out leaves.
    pub fn kept(&self) -> Vec<&str> {
        self.cookies
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !name.ends_with("vestibule-device"))
            .collect()
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.forget(name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    pub fn forget(&mut self, name: &str) {
        self.cookies.retain(|(have, _)| have != name);
    }

    pub async fn get(&mut self, target: &str) -> Reply {
        self.send("GET", target, &[], b"").await
    }

    /// The same browser, led to another gateway.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// A browser that has a copy of this one's cookies of these names and nothing else.
    pub fn thief_of(&self, names: &[&str]) -> Self {
        let mut thief = Self::new(self.address, &self.host);
        thief.cookies = self
            .cookies
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .cloned()
            .collect();
        thief
    }

    /// Posts a form of this site's own page.
    pub async fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let origin = self.origin();
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", &origin),
        ];
        self.send("POST", target, &headers, body.as_bytes()).await
    }

    /// Posts JSON as a script of this site's own page does.
    pub async fn call(&mut self, target: &str, body: &Value) -> Reply {
        let origin = self.origin();
        let headers = [
            ("Content-Type", "application/json"),
            ("Origin", &origin),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        self.send("POST", target, &headers, body.to_string().as_bytes())
            .await
    }

    /// Signs in as a script of this site's own page does.
    pub async fn sign_in_by_script(&mut self, login_id: &str, password: &str) -> Reply {
        self.call(
            "/api/login",
            &json!({ "loginId": login_id, "password": password }),
        )
        .await
    }

    /// Opens the form and posts it.
    pub async fn sign_in(&mut self, login_id: &str, password: &str) -> Reply {
        let csrf = self.csrf().await;
        self.post(
            "/login",
            &[
                ("loginId", login_id),
                ("password", password),
                ("csrf", &csrf),
            ],
        )
        .await
    }

    /// The token of a freshly opened form.
    pub async fn csrf(&mut self) -> String {
        let form = self.get("/login").await;
        field(&form.body, "csrf")
    }

    /// Sends a request and keeps the cookies of the answer.
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let request = self.request(method, target, headers, body);
        let reply = match &self.trust {
            None => ask_gateway(self.address, &request).await,
            Some(trust) => {
                let name = self.host.split(':').next().unwrap_or_default();
                let stream = trust
                    .connect(self.address, name)
                    .await
                    .expect("a handshake");
                exchange(stream, &request).await
            }
        };
        self.keep(&reply);
        reply
    }

    /// The bytes of a request.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.host
        );
        if self.navigates {
            head.push_str("Accept: text/html,*/*;q=0.8\r\nSec-Fetch-Mode: navigate\r\n");
        } else {
            head.push_str("Accept: application/json\r\nSec-Fetch-Mode: cors\r\n");
        }
        let own = self
            .extra
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            head.extend(["Cookie: ", &pairs.join("; "), "\r\n"]);
        }
        if !body.is_empty() || method == "POST" {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }

    /// Keeps, changes and forgets cookies as the answer says.
    pub fn keep(&mut self, reply: &Reply) {
        for line in reply.all("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            if attributes.contains("Max-Age=0") {
                self.forget(name);
            } else {
                self.set_cookie(name, value);
            }
        }
    }
}

/// The value of a form's field.
pub fn field(html: &str, name: &str) -> String {
    let from = html.find(&format!("name=\"{name}\"")).expect("the field");
    let rest = &html[from..];
    let value = rest.split("value=\"").nth(1).expect("a value");
    let escaped = value.split('"').next().unwrap_or_default();
    let signs = [
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    signs
        .iter()
        .fold(escaped.to_owned(), |text, (sign, plain)| {
            text.replace(sign, plain)
        })
}
