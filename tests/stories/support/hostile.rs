//! A stage for attackers: the store's application is a witness that takes every byte down.

use vestibule::embedded::users::Users;

use super::{Line, PASSWORD, SHOPPER, Stage, Witness};

/// The gateway and the witness behind its store.
pub struct Siege {
    pub stage: Stage,
    pub witness: Witness,
}

impl Siege {
    pub async fn lay() -> Self {
        Self::lay_with(|config| config, |_| {}).await
    }

    /// With a changed configuration or changed people.
    pub async fn lay_with(
        config: impl FnOnce(String) -> String,
        people: impl FnOnce(&mut Users),
    ) -> Self {
        let witness = Witness::open().await;
        let address = witness.address();
        let stage = Stage::set_with(
            |text| {
                let upstream = text
                    .lines()
                    .find(|line| line.starts_with("upstreams"))
                    .unwrap()
                    .to_owned();
                config(text.replacen(&upstream, &format!("upstreams = [\"http://{address}\"]"), 1))
            },
            people,
        )
        .await;
        Self { stage, witness }
    }

    /// The `Cookie` value of the shopper after a sign-in.
    pub async fn shopper(&self) -> String {
        self.cookies_of(SHOPPER).await
    }

    pub async fn cookies_of(&self, login_id: &str) -> String {
        let mut browser = self.stage.browser();
        let reply = browser.sign_in(login_id, PASSWORD).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let pairs: Vec<String> = browser
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// A connection to the gateway.
    pub async fn line(&self) -> Line {
        Line::to(self.stage.address).await
    }

    /// A request at the store: what stands after the request line and `Host` is the caller's, each
    /// field with its line end.
    pub fn request(method: &str, target: &str, fields: &str) -> String {
        format!("{method} {target} HTTP/1.1\r\nHost: store.localhost:8080\r\n{fields}\r\n")
    }
}
