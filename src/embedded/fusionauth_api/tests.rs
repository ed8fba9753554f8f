//! The API over HTTP, as its clients use it.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::embedded::identity_server::{self, IdentityServer, Options};
use crate::embedded::password_hasher::hash_password;
use crate::embedded::statistics::Statistics;
use crate::embedded::totp::totp_code;
use crate::embedded::users::{AccountState, ChangeReason, DEMO_PASSWORD, DEMO_TOTP, User, Users};
use crate::model::secret::Secret;
use crate::system::{Clock, detach};

mod accounts;
mod change_password;
mod login;
mod sessions;
mod two_factor;

const STORE: &str = "3c219e58-ed0e-4b18-ad48-f4f92793ae32";
const KEY: (&str, &str) = ("Authorization", "the key");

/// An identity server that runs on a port chosen by the system.
struct TestServer {
    server: IdentityServer,
    address: SocketAddr,
    clock: Clock,
    statistics: Arc<Statistics>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl TestServer {
    fn start(directory: &Path, users: Users) -> Self {
        Self::start_with_key(directory, users, KEY.1)
    }

    fn start_with_key(directory: &Path, users: Users, key: &str) -> Self {
        let clock = Clock::new();
        let server = identity_server::open(Options {
            users,
            state_dir: directory.to_owned(),
            issuer: "identity.test".to_owned(),
            api_key: Secret::new(key),
            clock: clock.clone(),
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let statistics = server.statistics();
        let (stop, stopped) = oneshot::channel();
        let task = detach(server.clone().serve(listener, async {
            let _ = stopped.await;
        }));
        Self {
            server,
            address,
            clock,
            statistics,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// Sends a request with `line` as method and path. Returns the status and the JSON body.
    async fn call(&self, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(&format!("POST {path}"), &[], &body.to_string())
            .await
    }

    async fn login(&self, login_id: &str, password: &str) -> (u16, Value) {
        let body = json!({ "loginId": login_id, "password": password, "applicationId": STORE });
        self.call("POST /api/login", &[KEY], &body.to_string())
            .await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        self.post("/api/jwt/refresh", json!({ "refreshToken": token }))
            .await
    }
}

fn claims(token: &Value) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(token.as_str().unwrap()).unwrap()
}

/// The accounts of the demo with other hashes of the same password.
fn hashed_again() -> Users {
    let demo = Users::demo().unwrap();
    let mut users = Users::new(demo.token_policy);
    for user in demo.all() {
        let mut user = User::clone(user);
        user.password = Secret::new(hash_password(DEMO_PASSWORD).unwrap());
        users.add(user).unwrap();
    }
    users
}

/// The accounts of the demo, with `change` applied to `shopper@example.com`.
fn with_shopper(change: impl Fn(&mut User)) -> Users {
    let demo = Users::demo().unwrap();
    let mut users = Users::new(demo.token_policy);
    for user in demo.all() {
        let mut user = User::clone(user);
        if user.email == "shopper@example.com" {
            change(&mut user);
        }
        users.add(user).unwrap();
    }
    users
}
