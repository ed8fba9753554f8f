//! The certificates of TLS listeners and the authorities of client certificates, read from PEM.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use crate::model::timestamp::Timestamp;

/// A certificate chain with its private key. The key belongs to the first certificate of the chain.
#[derive(Clone)]
pub struct Certificate {
    /// What the certificate is called in logs and metrics: the first of its names, or the file it
    /// was read from.
    pub label: String,
    /// Its DNS names in lower case, as written: `*.example.com` is a wildcard.
    pub names: Vec<String>,
    /// The beginning of its validity.
    pub valid_from: Timestamp,
    /// The end of its validity.
    pub expires: Timestamp,
    /// The chain and the key, as rustls needs them.
    pub certified_key: Arc<CertifiedKey>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            label,
            names,
            valid_from: _,
            expires,
            certified_key: _,
        } = self;
        out.debug_struct("Certificate")
            .field("label", label)
            .field("names", names)
            .field("expires", expires)
            .finish_non_exhaustive()
    }
}

/// Why a certificate cannot be used. It never holds a part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// The chain has no certificate in PEM.
    NoCertificate,
    /// The first certificate of the chain is not X.509 in DER.
    Malformed,
    /// There is no private key in PEM, or it is encrypted.
    NoKey,
    /// The key is of a kind that rustls does not sign with.
    UnsupportedKey,
    /// The key is not that of the first certificate.
    Mismatch,
}

impl CertificateError {
    /// What is wrong, and what to do, each without the name of a file.
    #[must_use]
    pub const fn explain(self) -> (&'static str, &'static str) {
        match self {
            Self::NoCertificate => (
                "holds no certificate",
                "write the chain as PEM, the server's certificate first",
            ),
            Self::Malformed => (
                "holds no X.509 certificate in its first PEM block",
                "write the chain as PEM, the server's certificate first",
            ),
            Self::NoKey => (
                "holds no private key",
                "write it as PEM without a password: PKCS #8, PKCS #1 or SEC 1",
            ),
            Self::UnsupportedKey => (
                "holds a key that cannot be used",
                "use RSA with 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519",
            ),
            Self::Mismatch => (
                "is not the key of the certificate",
                "name the key that the certificate was issued for",
            ),
        }
    }

    /// Whether the file of the key is the one to mend.
    #[must_use]
    pub const fn is_about_key(self) -> bool {
        match self {
            Self::NoCertificate | Self::Malformed => false,
            Self::NoKey | Self::UnsupportedKey | Self::Mismatch => true,
        }
    }
}

impl Certificate {
    /// Reads a chain and a key, both as PEM. `file` is the name of a certificate without DNS names.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn from_pem(chain: &str, key: &str, file: &str) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let Facts {
            names,
            valid_from,
            expires,
        } = facts(first)?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| CertificateError::NoKey)?;
        let key = aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| CertificateError::UnsupportedKey)?;
        let certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            // A kind of key that does not tell its public half was never seen with this library.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(CertificateError::Mismatch),
        }
        Ok(Self {
            label: names.first().map_or(file, String::as_str).to_owned(),
            names,
            valid_from,
            expires,
            certified_key: Arc::new(certified_key),
        })
    }

    /// Whether the certificate is for `name`, which is in lower case: it has this very name, or a
    /// wildcard in place of its first label (RFC 9525, section 6.3).
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|its| match its.strip_prefix("*.") {
            Some(wildcard) => parent == Some(wildcard),
            None => its == name,
        })
    }
}

/// What is read from a certificate.
struct Facts {
    names: Vec<String>,
    valid_from: Timestamp,
    expires: Timestamp,
}

/// The DNS names of a certificate and its validity. The common name of its subject does not count:
/// no browser looks at it (RFC 9525, section 2).
fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, CertificateError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::Malformed)?;
    let alternative = parsed
        .subject_alternative_name()
        .map_err(|_| CertificateError::Malformed)?;
    let names = alternative.map_or(&[][..], |names| &names.value.general_names);
    let dns = names.iter().filter_map(|name| {
        let GeneralName::DNSName(name) = name else {
            return None;
        };
        Some(name.to_ascii_lowercase())
    });
    let moment =
        |time: ASN1Time| Timestamp::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    let validity = parsed.validity();
    Ok(Facts {
        names: dns.collect(),
        valid_from: moment(validity.not_before),
        expires: moment(validity.not_after),
    })
}

/// The subject of a certificate, as in `CN=alice, O=Example`; `None` where it cannot be parsed.
#[must_use]
pub fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.subject().to_string())
}

/// Reads the certificates of authorities as PEM. `None` where there is none, or one that cannot be
/// trusted.
#[must_use]
pub fn read_roots(pem: &str) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// Whether every client has to present a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Clients without one are refused.
    Required,
    /// A certificate that is presented is verified.
    Optional,
}

/// Who may issue the certificates of clients.
#[derive(Clone, Debug)]
pub struct ClientAuthorities {
    /// Their certificates.
    pub roots: Arc<RootCertStore>,
    /// Whether every client has to present a certificate.
    pub presence: ClientCertificate,
}

impl ClientAuthorities {
    /// Whether these authorities and this rule are `other`'s.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.presence == other.presence && self.roots.roots == other.roots.roots
    }
}

/// A pair of PEM files, and where they stand.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The file of the chain.
    pub cert: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
    /// What was read from them.
    pub certificate: Arc<Certificate>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(names: &[&str]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_with_its_names() {
        let (cert, key) = pair(&["Store.example", "*.shop.example", "192.0.2.1"]);
        let read = Certificate::from_pem(&cert, &key, "store.pem").unwrap();
        assert_eq!(read.names, ["store.example", "*.shop.example"]);
        assert_eq!(read.label, "store.example");
        assert!(read.expires > Timestamp::from_secs(4_000_000_000));
        assert!(!format!("{read:?}").contains("PRIVATE"), "{read:?}");
    }

    #[test]
    fn a_wildcard_is_for_one_label() {
        let (cert, key) = pair(&["a.example", "*.b.example"]);
        let read = Certificate::from_pem(&cert, &key, "x").unwrap();
        for (name, expected) in [
            ("a.example", true),
            ("x.b.example", true),
            ("b.example", false),
            ("x.y.b.example", false),
            ("x.a.example", false),
            ("localhost", false),
        ] {
            assert_eq!(read.is_for(name), expected, "{name}");
        }
    }

    #[test]
    fn a_certificate_without_names_is_called_by_its_file() {
        let (cert, key) = pair(&[]);
        let read = Certificate::from_pem(&cert, &key, "store.pem").unwrap();
        assert_eq!((read.label.as_str(), read.names.len()), ("store.pem", 0));
    }

    #[test]
    fn every_defect_has_its_error() {
        let (cert, key) = pair(&["store.example"]);
        let (_, other) = pair(&["store.example"]);
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let small = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (cert, key, expected) in [
            ("", key.as_str(), CertificateError::NoCertificate),
            (&key, &key, CertificateError::NoCertificate),
            (garbled, &key, CertificateError::Malformed),
            (&cert, "", CertificateError::NoKey),
            (&cert, &encrypted, CertificateError::NoKey),
            (&cert, small, CertificateError::UnsupportedKey),
            (&cert, &other, CertificateError::Mismatch),
        ] {
            let error = Certificate::from_pem(cert, key, "x").unwrap_err();
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn authorities_are_read_and_compared() {
        let (one, key) = pair(&["a.example"]);
        let (other, _) = pair(&["a.example"]);
        let read = |pem: &str| {
            read_roots(pem).map(|roots| ClientAuthorities {
                roots: Arc::new(roots),
                presence: ClientCertificate::Required,
            })
        };
        assert!(read("").is_none());
        assert!(read(&key).is_none());
        let both = read(&format!("{one}{other}")).unwrap();
        assert_eq!(both.roots.len(), 2);
        assert!(both.is_same(&both));
        assert!(!both.is_same(&read(&one).unwrap()));
    }
}
