//! The key that signs access tokens: made on first start, kept in a file only its owner reads.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;

use super::users::Algorithm;

/// Signs tokens and knows its own signature again.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
    header: String,
}

/// A public key as JWKS publishes it (RFC 7517).
#[derive(Clone, Debug, Serialize)]
pub struct PublicKey {
    /// The thumbprint of RFC 7638.
    pub kid: String,
    alg: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    #[serde(flatten)]
    numbers: Numbers,
    #[serde(skip)]
    der: Vec<u8>,
}

impl PublicKey {
    /// As in the header of the tokens.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        self.alg
    }

    /// As PEM, for programs that do not read JWKS.
    #[must_use]
    pub fn pem(&self) -> String {
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (at, letter) in STANDARD.encode(&self.der).chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }
}

// Fields in the order of the alphabet: the thumbprint is taken over them as written (RFC 7638,
// section 3).
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Numbers {
    Ec {
        crv: &'static str,
        kty: &'static str,
        x: String,
        y: String,
    },
    Rsa {
        e: String,
        kty: &'static str,
        n: String,
    },
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl SigningKey {
    /// The key of `algorithm` in `directory`; made where there is none yet.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds no such key.
    pub fn open(directory: &Path, algorithm: Algorithm) -> io::Result<Self> {
        let name = match algorithm {
            Algorithm::Es256 => "signing-es256.pk8",
            Algorithm::Rs256 => "signing-rs256.pk8",
        };
        let path = directory.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = made(algorithm)?;
                write_private(&path, &bytes)?;
                bytes
            }
            Err(error) => return Err(error),
        };
        Self::from_pkcs8(algorithm, &bytes)
    }

    /// What others verify with.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A JWT in compact form over `claims`, a JSON object.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, claims: &[u8]) -> io::Result<String> {
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&random, message.as_bytes())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    message.as_bytes(),
                    &mut signature,
                )
                .map_err(failed)?;
                signature
            }
        };
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a JWT that this key signed; its times are not looked at.
    #[must_use]
    pub fn verified(&self, token: &str) -> Option<Vec<u8>> {
        let (message, signature) = token.rsplit_once('.')?;
        // The header chooses nothing: neither the key nor the algorithm.
        let (_, claims) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        match &self.pair {
            Pair::Es256(pair) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
                    .verify(message.as_bytes(), &signature)
            }
            Pair::Rs256(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
                    .verify(message.as_bytes(), &signature)
            }
        }
        .ok()?;
        URL_SAFE_NO_PAD.decode(claims).ok()
    }

    fn from_pkcs8(algorithm: Algorithm, bytes: &[u8]) -> io::Result<Self> {
        let rejected = |_| io::Error::new(io::ErrorKind::InvalidData, "the signing key is damaged");
        let (pair, numbers, der) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
                    .map_err(rejected)?;
                let der = AsDer::<PublicKeyX509Der>::as_der(pair.public_key())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec();
                // An uncompressed point (SEC 1, section 2.3.3): 4, then x and y.
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(32).unwrap_or_default();
                let numbers = Numbers::Ec {
                    crv: "P-256",
                    kty: "EC",
                    x: URL_SAFE_NO_PAD.encode(x),
                    y: URL_SAFE_NO_PAD.encode(y),
                };
                (Pair::Es256(pair), numbers, der)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(bytes).map_err(rejected)?;
                let public = pair.public_key();
                let der = AsDer::<PublicKeyX509Der>::as_der(public)
                    .map_err(failed)?
                    .as_ref()
                    .to_vec();
                let numbers = Numbers::Rsa {
                    e: URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
                    kty: "RSA",
                    n: URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
                };
                (Pair::Rs256(pair), numbers, der)
            }
        };
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, &serde_json::to_vec(&numbers)?));
        let alg = match algorithm {
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
        };
        let header = serde_json::json!({ "alg": alg, "typ": "JWT", "kid": kid });
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        Ok(Self {
            pair,
            public: PublicKey {
                kid,
                alg,
                purpose: "sig",
                numbers,
                der,
            },
            header,
        })
    }
}

fn made(algorithm: Algorithm) -> io::Result<Vec<u8>> {
    match algorithm {
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            Ok(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec())
        }
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            Ok(AsDer::<Pkcs8V1Der>::as_der(&pair)
                .map_err(failed)?
                .as_ref()
                .to_vec())
        }
    }
}

/// Written beside and renamed: a crash leaves no half key behind.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn failed(_: aws_lc_rs::error::Unspecified) -> io::Error {
    io::Error::other("the cryptographic library failed")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let directory = tempfile::tempdir().unwrap();
            let first = SigningKey::open(directory.path(), algorithm).unwrap();
            let token = first.sign(b"{\"sub\":\"x\"}").unwrap();
            let again = SigningKey::open(directory.path(), algorithm).unwrap();
            assert_eq!(again.public().kid, first.public().kid);
            assert_eq!(
                again.verified(&token).as_deref(),
                Some(&b"{\"sub\":\"x\"}"[..])
            );
            for entry in fs::read_dir(directory.path()).unwrap() {
                assert_eq!(
                    entry.unwrap().metadata().unwrap().permissions().mode() & 0o777,
                    0o600
                );
            }
        }
    }

    #[test]
    fn another_program_verifies_what_it_signs() {
        for (algorithm, name) in [
            (Algorithm::Es256, jsonwebtoken::Algorithm::ES256),
            (Algorithm::Rs256, jsonwebtoken::Algorithm::RS256),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let key = SigningKey::open(directory.path(), algorithm).unwrap();
            let token = key.sign(b"{\"sub\":\"x\",\"exp\":9999999999}").unwrap();
            let jwk: jsonwebtoken::jwk::Jwk =
                serde_json::from_value(serde_json::to_value(key.public()).unwrap()).unwrap();
            assert_eq!(
                jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256)
                    .unwrap(),
                key.public().kid
            );
            let read = jsonwebtoken::decode::<serde_json::Value>(
                &token,
                &jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap(),
                &jsonwebtoken::Validation::new(name),
            );
            assert_eq!(read.unwrap().claims["sub"], "x");
        }
    }

    #[test]
    fn what_another_key_signed_or_somebody_changed_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let key = SigningKey::open(directory.path(), Algorithm::Es256).unwrap();
        let token = key.sign(b"{}").unwrap();
        assert!(
            SigningKey::open(other.path(), Algorithm::Es256)
                .unwrap()
                .verified(&token)
                .is_none()
        );
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        assert!(
            key.verified(&format!("{header}.e30x.{signature}"))
                .is_none()
        );
        let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
        assert!(key.verified(&format!("{none}.e30.")).is_none());
        assert!(key.verified(&token).is_some());
    }
}
