//! Signing keys, and tokens signed with them, for the unit tests of `provider`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The public half of [`TestKey::rs256`], as a provider would publish it in PEM.
pub const RSA_PUBLIC_PEM: &str = include_str!("../../tests/data/rsa_2048_test_key.pub.pem");

enum Signer {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rs256(RsaKeyPair),
    Hs256(Vec<u8>),
}

/// A key that signs.
pub struct TestKey {
    kid: String,
    signer: Signer,
}

impl TestKey {
    pub fn es256(kid: &str) -> Self {
        Self::new(
            kid,
            Signer::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        )
    }

    pub fn ed25519(kid: &str) -> Self {
        Self::new(kid, Signer::Ed25519(Ed25519KeyPair::generate().unwrap()))
    }

    pub fn rs256(kid: &str) -> Self {
        let der = include_bytes!("../../tests/data/rsa_2048_test_key.der");
        Self::new(kid, Signer::Rs256(RsaKeyPair::from_der(der).unwrap()))
    }

    pub fn hs256(kid: &str, secret: &[u8]) -> Self {
        Self::new(kid, Signer::Hs256(secret.to_vec()))
    }

    fn new(kid: &str, signer: Signer) -> Self {
        Self {
            kid: kid.into(),
            signer,
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.signer {
            Signer::Es256(_) => "ES256",
            Signer::Ed25519(_) => "EdDSA",
            Signer::Rs256(_) => "RS256",
            Signer::Hs256(_) => "HS256",
        }
    }

    /// With `alg`, `use` and `kid`; tests take away and replace members.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.signer {
            Signer::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Signer::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Signer::Rs256(pair) => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": text(&public.n), "e": text(&public.e) })
            }
            Signer::Hs256(secret) => json!({ "kty": "oct", "k": text(secret) }),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        jwk
    }

    pub fn header(&self) -> Value {
        json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.kid })
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// A token of whatever texts.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        format!(
            "{input}.{}",
            URL_SAFE_NO_PAD.encode(self.signature(input.as_bytes()))
        )
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Signer::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Signer::Hs256(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message)
                    .as_ref()
                    .to_vec()
            }
        }
    }
}
