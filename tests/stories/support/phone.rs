//! An application on a phone: no cookies, no browser's marks, its tokens in headers of its own.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::http2::ask_gateway;
use super::{PASSWORD, Reply};

/// A client that is no browser.
#[derive(Clone, Debug)]
pub struct Phone {
    address: SocketAddr,
    pub access: Option<String>,
    pub refresh: Option<String>,
    /// Sent with every request.
    pub extra: Vec<(String, String)>,
}

impl Phone {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            access: None,
            refresh: None,
            extra: Vec::new(),
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with these tokens.
    pub fn holding(&self, access: Option<&str>, refresh: Option<&str>) -> Self {
        let (access, refresh) = (access.map(str::to_owned), refresh.map(str::to_owned));
        Self {
            access,
            refresh,
            ..self.clone()
        }
    }

    pub async fn sign_in(&mut self, login_id: &str) -> Reply {
        self.post(
            "/api/login",
            &json!({ "loginId": login_id, "password": PASSWORD, "tokens": "body" }),
        )
        .await
    }

    pub async fn get(&mut self, target: &str) -> Reply {
        self.send("GET", target, &[], "").await
    }

    pub async fn post(&mut self, target: &str, body: &Value) -> Reply {
        self.send(
            "POST",
            target,
            &[("Content-Type", "application/json")],
            &body.to_string(),
        )
        .await
    }

    /// Sends a request and keeps the tokens of the answer.
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let request = self.request(method, target, headers, body);
        let reply = ask_gateway(self.address, &request).await;
        self.keep(&reply);
        reply
    }

    /// Sends a request and hears no answer: the network is gone.
    pub async fn send_in_vain(&self, target: &str) {
        let Ok(mut stream) = TcpStream::connect(self.address).await else {
            return;
        };
        let _ = stream
            .write_all(&self.request("GET", target, &[], ""))
            .await;
    }

    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Vec<u8> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: store.localhost:8080\r\n");
        if !headers.iter().any(|(name, _)| *name == "Upgrade") {
            head.push_str("Connection: close\r\n");
        }
        let own = self
            .extra
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(token) = &self.access {
            head.extend(["Authorization: Bearer ", token, "\r\n"]);
        }
        if let Some(token) = &self.refresh {
            head.extend(["Vestibule-Refresh-Token: ", token, "\r\n"]);
        }
        if method == "POST" {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    /// Keeps what came in headers or in the body.
    pub fn keep(&mut self, reply: &Reply) {
        let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let came = |header: &str, member: &str| {
            reply
                .header(header)
                .or_else(|| body[member].as_str())
                .map(str::to_owned)
        };
        self.access = came("vestibule-access-token", "token").or(self.access.take());
        self.refresh = came("vestibule-refresh-token", "refreshToken").or(self.refresh.take());
    }

    pub fn tokens(&self) -> (Option<&str>, Option<&str>) {
        (self.access.as_deref(), self.refresh.as_deref())
    }
}
