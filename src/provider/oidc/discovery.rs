//! The discovery document (OpenID Connect Discovery, section 3), and the last good one in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::config::settings::OidcClient;
use crate::model::origin::Host;
use crate::provider::ProviderError;

/// What the gateway needs of a discovery document.
#[derive(Debug, PartialEq, Eq)]
pub struct Discovery {
    pub(super) issuer: String,
    pub(super) authorization: Option<Url>,
    pub(super) token: Url,
    pub(super) jwks: Url,
    pub(super) end_session: Option<Url>,
    pub(super) revocation: Option<Url>,
    /// Whether the responses to authorization requests name the issuer (RFC 9207).
    pub(super) names_issuer_in_responses: bool,
    /// Whether the token endpoint takes a secret in `Authorization`, else it takes it in the form.
    pub(super) takes_basic: bool,
}

/// The members that are read. Others are ignored.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Which endpoints a document may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndpointRule {
    /// `https`, or `http` on loopback: passwords, codes and tokens go there.
    Encrypted,
    /// `http` anywhere too.
    Any,
}

impl EndpointRule {
    /// That of a client.
    pub const fn of(client: &OidcClient) -> Self {
        if client.insecure {
            Self::Any
        } else {
            Self::Encrypted
        }
    }

    fn parse(self, name: &str, text: &str) -> Result<Url, ProviderError> {
        let wrong = |what: &str| {
            ProviderError::Misconfigured(format!("the discovery document: `{name}` {what}"))
        };
        let url = Url::parse(text).map_err(|_| wrong("is no URL"))?;
        let is_loopback = url
            .host_str()
            .and_then(Host::parse)
            .is_some_and(|host| host.is_loopback());
        match url.scheme() {
            _ if url.fragment().is_some() => Err(wrong("has a fragment")),
            "https" => Ok(url),
            "http" if self == Self::Any || is_loopback => Ok(url),
            _ => Err(wrong("is not https")),
        }
    }
}

impl Discovery {
    /// Reads a document, whose `issuer` must be `issuer` exactly (section 4.3).
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] for what is no discovery document: something in front of the
    /// provider may have sent it. [`ProviderError::Misconfigured`] for one that cannot be used.
    pub(super) fn parse(
        body: &[u8],
        issuer: &str,
        rule: EndpointRule,
    ) -> Result<Self, ProviderError> {
        let document: Document = serde_json::from_slice(body).map_err(|_| {
            ProviderError::Unavailable("what the provider sent is no discovery document".into())
        })?;
        if document.issuer != issuer {
            return Err(ProviderError::Misconfigured(format!(
                "the discovery document says issuer {:?}, the configuration {issuer:?}: they must be the same, to the last slash",
                document.issuer
            )));
        }
        let optional =
            |name, text: Option<String>| text.map(|text| rule.parse(name, &text)).transpose();
        let methods = document.token_endpoint_auth_methods_supported.as_deref();
        let takes =
            |method: &str| methods.is_some_and(|methods| methods.iter().any(|it| it == method));
        Ok(Self {
            issuer: document.issuer.clone(),
            authorization: optional("authorization_endpoint", document.authorization_endpoint)?,
            token: rule.parse("token_endpoint", &document.token_endpoint)?,
            jwks: rule.parse("jwks_uri", &document.jwks_uri)?,
            end_session: optional("end_session_endpoint", document.end_session_endpoint)?,
            revocation: optional("revocation_endpoint", document.revocation_endpoint)?,
            names_issuer_in_responses: document.authorization_response_iss_parameter_supported,
            // The default where the document has no list (section 3).
            takes_basic: takes("client_secret_basic") || !takes("client_secret_post"),
        })
    }
}

/// The last good document, and one fetch at a time.
#[derive(Debug, Default)]
pub(super) struct DiscoveryCache {
    current: ArcSwapOption<Discovery>,
    /// What the last fetch failed with. It is locked while the document is fetched.
    failure: Mutex<Option<ProviderError>>,
    /// How many fetches have failed.
    failures: AtomicU64,
}

impl DiscoveryCache {
    pub fn current(&self) -> Option<Arc<Discovery>> {
        self.current.load_full()
    }

    /// The document in memory, else what `fetch` gets. Whoever waited for the fetch of another
    /// caller shares its failure: a provider that does not answer in time would otherwise hold up
    /// each of them for as long as all before it together.
    pub async fn get_or_fetch<F: Future<Output = Result<Discovery, ProviderError>>>(
        &self,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Discovery>, ProviderError> {
        if let Some(known) = self.current() {
            return Ok(known);
        }
        let seen = self.failures.load(Ordering::Acquire);
        let mut failure = self.failure.lock().await;
        if let Some(known) = self.current() {
            return Ok(known);
        }
        let failed_meanwhile = self.failures.load(Ordering::Acquire) != seen;
        if let Some(error) = failure.as_ref().filter(|_| failed_meanwhile) {
            return Err(error.clone());
        }
        match fetch().await {
            Ok(fetched) => Ok(self.keep(fetched)),
            Err(error) => {
                *failure = Some(error.clone());
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
        }
    }

    /// What `fetch` gets, else the document in memory.
    pub async fn reload<F: Future<Output = Result<Discovery, ProviderError>>>(
        &self,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Discovery>, ProviderError> {
        let _only = self.failure.lock().await;
        match (fetch().await, self.current()) {
            (Ok(fetched), _) => Ok(self.keep(fetched)),
            (Err(error), Some(known)) => {
                tracing::warn!(%error, issuer = known.issuer, "the discovery document could not be fetched: the last one stays in use");
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn keep(&self, fetched: Discovery) -> Arc<Discovery> {
        let fetched = Arc::new(fetched);
        self.current.store(Some(Arc::clone(&fetched)));
        fetched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::oidc::misconfigured;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example.com/";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example.com/auth",
            "token_endpoint": "https://id.example.com/token",
            "jwks_uri": "https://id.example.com/jwks",
            "claims_supported": ["sub"],
        })
    }

    fn read(document: &Value) -> Result<Discovery, ProviderError> {
        Discovery::parse(
            document.to_string().as_bytes(),
            ISSUER,
            EndpointRule::Encrypted,
        )
    }

    #[test]
    fn a_document_is_read_with_its_defaults() {
        let discovery = read(&document()).unwrap();
        assert!(discovery.takes_basic && !discovery.names_issuer_in_responses);
        assert_eq!((discovery.end_session, discovery.revocation), (None, None));
        for (methods, takes_basic) in [
            (json!(["client_secret_post"]), false),
            (json!(["client_secret_post", "client_secret_basic"]), true),
            (json!(["private_key_jwt"]), true),
        ] {
            let mut document = document();
            document["token_endpoint_auth_methods_supported"] = methods;
            assert_eq!(read(&document).unwrap().takes_basic, takes_basic);
        }
    }

    #[test]
    fn the_issuer_is_held_to_the_last_slash_and_endpoints_to_https() {
        for (member, value) in [
            ("issuer", "https://id.example.com"),
            ("token_endpoint", "http://id.example.com/token"),
            ("token_endpoint", "https://id.example.com/token#a"),
            ("jwks_uri", "file:///etc/passwd"),
            ("authorization_endpoint", "javascript:alert(1)"),
            ("end_session_endpoint", "no url"),
        ] {
            let mut document = document();
            document[member] = json!(value);
            let read = read(&document);
            assert!(
                matches!(read, Err(ProviderError::Misconfigured(_))),
                "{member} {value}"
            );
        }
        for body in ["", "<html>", "{}", "[]"] {
            let read = Discovery::parse(body.as_bytes(), ISSUER, EndpointRule::Encrypted);
            assert!(matches!(read, Err(ProviderError::Unavailable(_))), "{body}");
        }
        let mut plain = document();
        plain["token_endpoint"] = json!("http://localhost:8080/token");
        assert!(read(&plain).is_ok(), "loopback");
        plain["token_endpoint"] = json!("http://id.internal/token");
        let parsed = Discovery::parse(plain.to_string().as_bytes(), ISSUER, EndpointRule::Any);
        assert!(parsed.is_ok());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_fetch_shares_what_comes_of_it() {
        let cache = DiscoveryCache::default();
        let fetches = AtomicU64::new(0);
        let down = || async {
            fetches.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(misconfigured("down"))
        };
        let (one, two, three) = tokio::join!(
            cache.get_or_fetch(down),
            cache.get_or_fetch(down),
            cache.get_or_fetch(down)
        );
        assert!([one, two, three].iter().all(Result::is_err));
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
        assert!(cache.get_or_fetch(down).await.is_err());
        assert_eq!(
            fetches.load(Ordering::Relaxed),
            2,
            "a later call tries again"
        );
    }

    #[tokio::test]
    async fn the_last_good_document_stays() {
        let cache = DiscoveryCache::default();
        let down = || async { Err(misconfigured("down")) };
        assert!(cache.get_or_fetch(down).await.is_err());
        assert!(cache.reload(down).await.is_err());
        let up = || async { read(&document()) };
        let first = cache.get_or_fetch(up).await.unwrap();
        assert_eq!(cache.reload(down).await.unwrap(), first);
        assert_eq!(cache.get_or_fetch(down).await.unwrap(), first);
    }
}
