//! The key that signs access tokens. It is made on first start and kept in a file that only its
//! owner can read.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, crypto};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::model::algorithm::Algorithm;

/// Signs tokens, and verifies its own signatures.
pub struct SigningKey {
    private: EncodingKey,
    public: PublicKey,
    header: Header,
}

/// A public key as JWKS publishes it (RFC 7517).
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct PublicKey {
    jwk: Jwk,
    /// The thumbprint of RFC 7638.
    #[serde(skip)]
    pub kid: String,
    #[serde(skip)]
    algorithm: Algorithm,
    #[serde(skip)]
    verifying: DecodingKey,
    /// The `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    #[serde(skip)]
    der: Vec<u8>,
}

impl PublicKey {
    /// The `alg` in the header of the tokens.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        self.algorithm.name()
    }

    /// As PEM, for programs that do not read JWKS.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.der)
    }
}

impl SigningKey {
    /// The algorithms that tokens can be signed with.
    pub const ALGORITHMS: &'static [Algorithm] = &[Algorithm::Es256, Algorithm::Rs256];

    /// The key of `algorithm` in `directory`, made where there is none yet. RSA keys have 2048
    /// bits.
    ///
    /// # Errors
    /// When `algorithm` is not one of [`Self::ALGORITHMS`], when the file cannot be read or
    /// written, or when it holds no such key.
    pub fn open(directory: &Path, algorithm: Algorithm) -> io::Result<Self> {
        if !Self::ALGORITHMS.contains(&algorithm) {
            let what = format!("tokens cannot be signed with {}", algorithm.name());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let name = algorithm.name().to_ascii_lowercase();
        let path = directory.join(format!("signing-{name}.pk8"));
        let pkcs8 = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = generate(algorithm)?;
                write_private(&path, &bytes)?;
                bytes
            }
            Err(error) => return Err(error),
        };
        Self::from_pkcs8(algorithm, &pkcs8)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the signing key is damaged"))
    }

    /// The public half, for others to verify with.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A JWT in compact form over `claims`, which must serialize as a JSON object.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, claims: &impl Serialize) -> io::Result<String> {
        jsonwebtoken::encode(&self.header, claims, &self.private).map_err(|_| library_failed())
    }

    /// As [`Self::sign`], with this `typ` in the header, so that the token is not taken for one of
    /// another kind (RFC 8725, section 3.11).
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign_as(&self, typ: &str, claims: &impl Serialize) -> io::Result<String> {
        let header = Header {
            typ: Some(typ.to_owned()),
            ..self.header.clone()
        };
        jsonwebtoken::encode(&header, claims, &self.private).map_err(|_| library_failed())
    }

    /// The claims of a JWT that this key signed; its times are not checked.
    #[must_use]
    pub fn verified(&self, token: &str) -> Option<Vec<u8>> {
        let (message, signature) = token.rsplit_once('.')?;
        // The header chooses nothing: neither the key nor the algorithm.
        let (_, claims) = message.split_once('.')?;
        let key = &self.public.verifying;
        let is_valid = crypto::verify(signature, message.as_bytes(), key, self.header.alg);
        if !is_valid.unwrap_or(false) {
            return None;
        }
        URL_SAFE_NO_PAD.decode(claims).ok()
    }

    fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Option<Self> {
        let (private, der) = if algorithm == Algorithm::Rs256 {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
            // `jsonwebtoken` signs with PKCS #1, which it takes out of PKCS #8 in PEM only.
            let text = Zeroizing::new(pem("PRIVATE KEY", pkcs8));
            let private = EncodingKey::from_rsa_pem(text.as_bytes()).ok()?;
            (private, to_der(pair.public_key())?)
        } else {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
            (EncodingKey::from_ec_der(pkcs8), to_der(pair.public_key())?)
        };
        let alg = algorithm.name().parse().ok()?;
        let mut jwk = Jwk::from_encoding_key(&private, alg).ok()?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(Self {
            header: Header {
                kid: Some(kid.clone()),
                ..Header::new(alg)
            },
            public: PublicKey {
                verifying: DecodingKey::from_jwk(&jwk).ok()?,
                jwk,
                kid,
                algorithm,
                der,
            },
            private,
        })
    }
}

fn to_der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Option<Vec<u8>> {
    Some(key.as_der().ok()?.as_ref().to_vec())
}

/// `der` in the form of RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (at, letter) in STANDARD.encode(der).chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    [&pem, "\n-----END ", label, "-----\n"].concat()
}

/// A new key in PKCS #8.
fn generate(algorithm: Algorithm) -> io::Result<Zeroizing<Vec<u8>>> {
    let pkcs8 = if algorithm == Algorithm::Rs256 {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| library_failed())?;
        AsDer::<Pkcs8V1Der>::as_der(&pair).map(|der| der.as_ref().to_vec())
    } else {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| library_failed())?;
        pair.to_pkcs8v1().map(|der| der.as_ref().to_vec())
    };
    pkcs8.map(Zeroizing::new).map_err(|_| library_failed())
}

/// Writes beside the file and renames: a crash leaves no half key behind.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn library_failed() -> io::Error {
    io::Error::other("the cryptographic library failed")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        UnparsedPublicKey,
    };
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let directory = tempfile::tempdir().unwrap();
            let first = SigningKey::open(directory.path(), algorithm).unwrap();
            let token = first.sign(&json!({ "sub": "x" })).unwrap();
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
            let token = key
                .sign(&json!({ "sub": "x", "exp": 9_999_999_999_u64 }))
                .unwrap();
            let jwk: Jwk =
                serde_json::from_value(serde_json::to_value(key.public()).unwrap()).unwrap();
            assert_eq!(
                jwk.thumbprint(ThumbprintHash::SHA256).unwrap(),
                key.public().kid
            );
            let read = jsonwebtoken::decode::<Value>(
                &token,
                &DecodingKey::from_jwk(&jwk).unwrap(),
                &jsonwebtoken::Validation::new(name),
            );
            assert_eq!(read.unwrap().claims["sub"], "x");
            assert!(aws_lc_verifies(
                &token,
                &serde_json::to_value(key.public()).unwrap()
            ));
        }
    }

    /// Without `jsonwebtoken`, which made the token and the JWK.
    fn aws_lc_verifies(token: &str, jwk: &Value) -> bool {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let number = |name: &str| bytes(jwk[name].as_str().unwrap());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (message, signature) = (message.as_bytes(), bytes(signature));
        match jwk["kty"].as_str() {
            Some("RSA") => RsaPublicKeyComponents {
                n: number("n"),
                e: number("e"),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
            .is_ok(),
            _ => {
                let point = [&[4], number("x").as_slice(), &number("y")].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, &signature)
                    .is_ok()
            }
        }
    }

    #[test]
    fn tokens_are_signed_with_few_algorithms() {
        let directory = tempfile::tempdir().unwrap();
        for algorithm in Algorithm::ALL {
            let is_open = SigningKey::open(directory.path(), *algorithm).is_ok();
            assert_eq!(is_open, SigningKey::ALGORITHMS.contains(algorithm));
        }
    }

    #[test]
    fn what_another_key_signed_or_was_changed_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let key = SigningKey::open(directory.path(), Algorithm::Es256).unwrap();
        let token = key.sign(&json!({})).unwrap();
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
