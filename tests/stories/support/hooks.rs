//! What a provider sends to the gateway.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Reply, Scripted, raw};

/// Where FusionAuth's webhooks go.
pub const WEBHOOK: &str = "/hooks/fusionauth";
/// Where logout tokens go.
pub const LOGOUT: &str = "/hooks/backchannel-logout/main";

/// A message and the fields that it is sent with.
pub struct Message {
    pub target: String,
    pub host: &'static str,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// An event that nobody has signed.
    pub fn event(event: &Value) -> Self {
        Self {
            target: WEBHOOK.to_owned(),
            host: "admin",
            fields: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: json!({ "event": event }).to_string().into_bytes(),
        }
    }

    /// An event that `provider` has signed.
    pub fn signed_event(provider: &Scripted, event: &Value) -> Self {
        Self::event(event).signed_by(provider)
    }

    /// A form with this logout token.
    pub fn logout_token(token: &str) -> Self {
        Self {
            target: LOGOUT.to_owned(),
            host: "admin",
            fields: vec![(
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            )],
            body: format!("logout_token={token}").into_bytes(),
        }
    }

    /// The same, signed.
    pub fn signed_by(self, provider: &Scripted) -> Self {
        let hash = STANDARD.encode(digest(&SHA256, &self.body));
        let signature = provider.token(&json!({ "request_body_sha256": hash }));
        self.with("X-FusionAuth-Signature-JWT", &signature)
    }

    /// The same with another field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a field.
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    /// The same to a site, where hooks are public.
    pub fn at_site(mut self, host: &'static str) -> Self {
        self.target.insert_str(0, "/_vestibule");
        self.host = host;
        self
    }

    pub async fn send(&self, address: SocketAddr) -> Reply {
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.target,
            self.host,
            self.body.len()
        );
        for (name, value) in &self.fields {
            request += &[name, ": ", value, "\r\n"].concat();
        }
        let request = [request.as_bytes(), b"\r\n", &self.body].concat();
        raw(address, &request).await
    }
}
