//! How the gateway's client proves who it is to the token endpoint: `client_secret_basic`,
//! `client_secret_post` (RFC 6749, section 2.3.1) or `private_key_jwt` (OpenID Connect Core,
//! section 9).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use url::form_urlencoded::byte_serialize;

use super::discovery::Discovery;
use super::misconfigured;
use crate::config::settings::{ClientProof, OidcClient};
use crate::model::secret::Secret;
use crate::provider::ProviderError;
use crate::system::{self, Clock};

/// How long an assertion is valid.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// The proof of one client.
pub(super) struct ClientAuthentication {
    client_id: String,
    method: Method,
}

enum Method {
    Secret {
        secret: Secret,
        basic: HeaderValue,
    },
    PrivateKey {
        key: EncodingKey,
        algorithm: Algorithm,
    },
}

/// What a request carries as the proof.
pub(super) struct Proof {
    pub authorization: Option<HeaderValue>,
    pub fields: Vec<(&'static str, Secret)>,
}

/// The claims of an assertion (RFC 7523, section 3).
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

impl ClientAuthentication {
    /// The proof of `client`.
    ///
    /// # Errors
    /// [`ProviderError::Misconfigured`] where its private key cannot be used.
    pub fn new(client: &OidcClient) -> Result<Self, ProviderError> {
        let method = match &client.proof {
            ClientProof::Secret(secret) => Method::Secret {
                secret: secret.clone(),
                basic: basic(&client.id, secret)?,
            },
            ClientProof::PrivateKey(pem) => {
                let (key, algorithm) = private_key(pem)?;
                Method::PrivateKey { key, algorithm }
            }
        };
        Ok(Self {
            client_id: client.id.clone(),
            method,
        })
    }

    /// The proof for one request to the provider of `discovery`.
    pub fn prove(&self, discovery: &Discovery, clock: &Clock) -> Result<Proof, ProviderError> {
        let id = ("client_id", Secret::new(self.client_id.as_str()));
        Ok(match &self.method {
            Method::Secret { basic, .. } if discovery.takes_basic => Proof {
                authorization: Some(basic.clone()),
                fields: Vec::new(),
            },
            Method::Secret { secret, .. } => Proof {
                authorization: None,
                fields: vec![id, ("client_secret", secret.clone())],
            },
            Method::PrivateKey { key, algorithm } => {
                let now = clock.now();
                let claims = Assertion {
                    iss: &self.client_id,
                    sub: &self.client_id,
                    // The issuer, and not the endpoint: whoever runs another endpoint has no use
                    // for it (RFC 7523bis).
                    aud: &discovery.issuer,
                    jti: system::unique_id(),
                    iat: now.secs(),
                    exp: now.plus(ASSERTION_LIFETIME).secs(),
                };
                let assertion = jsonwebtoken::encode(&Header::new(*algorithm), &claims, key)
                    .map_err(|_| misconfigured("`private_key` cannot sign"))?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                Proof {
                    authorization: None,
                    fields: vec![
                        id,
                        ("client_assertion_type", Secret::new(kind)),
                        ("client_assertion", Secret::new(assertion)),
                    ],
                }
            }
        })
    }
}

/// The value of `Authorization`. Id and secret are form-encoded first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, ProviderError> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encode(id), encode(secret.expose())));
    let value = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
    let mut value = HeaderValue::from_str(value.expose())
        .map_err(|_| misconfigured("the client secret cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The key of a PEM text, and the algorithm that it signs with.
fn private_key(pem: &Secret) -> Result<(EncodingKey, Algorithm), ProviderError> {
    let pem = pem.expose().as_bytes();
    let candidates = [
        (EncodingKey::from_rsa_pem(pem), Algorithm::RS256),
        (EncodingKey::from_ec_pem(pem), Algorithm::ES256),
        (EncodingKey::from_ec_pem(pem), Algorithm::ES384),
        (EncodingKey::from_ed_pem(pem), Algorithm::EdDSA),
    ];
    // An EC key does not tell its curve before it signs.
    let signs = |key: &EncodingKey, algorithm| {
        jsonwebtoken::encode(&Header::new(algorithm), &[0_u8; 0], key).is_ok()
    };
    candidates
        .into_iter()
        .find_map(|(key, algorithm)| {
            let key = key.ok()?;
            signs(&key, algorithm).then_some((key, algorithm))
        })
        .ok_or_else(|| {
            misconfigured("`private_key` is no RSA, P-256, P-384 or Ed25519 key in PEM (PKCS #8)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded_first() {
        let value = basic("a:b", &Secret::new("p ä+")).unwrap();
        let expected = STANDARD.encode("a%3Ab:p+%C3%A4%2B");
        assert_eq!(value.to_str().unwrap(), format!("Basic {expected}"));
        assert!(!format!("{value:?}").contains(&expected));
    }

    #[test]
    fn a_private_key_signs_with_its_own_algorithm() {
        for (algorithm, expected) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
            (&rcgen::PKCS_ED25519, Algorithm::EdDSA),
        ] {
            let pem = rcgen::KeyPair::generate_for(algorithm)
                .unwrap()
                .serialize_pem();
            assert_eq!(private_key(&Secret::new(pem)).unwrap().1, expected);
        }
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let error = private_key(&Secret::new(nonsense)).err().unwrap();
        assert!(!error.to_string().contains("AAAA"));
    }
}
