//! The certificates that an ACME server issued, and those that stand in until it has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, KeyPair};

use crate::config::certificate::{Certificate, CertificateError};

/// Certificates by the one name that each is for, in lower case.
#[derive(Default)]
pub struct IssuedCertificates(ArcSwap<BTreeMap<String, Issued>>);

/// A certificate and who issued it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: Arc<Certificate>,
    /// Who issued it.
    pub issuer: Issuer,
}

/// Who issued a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// The gateway itself: no client trusts it.
    SelfSigned,
    /// The ACME server.
    Acme,
}

impl IssuedCertificates {
    /// The certificate for `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Issued> {
        self.0.load().get(name).cloned()
    }

    /// The first certificate.
    #[must_use]
    pub fn first(&self) -> Option<Issued> {
        self.0.load().values().next().cloned()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// All of them, in the order of their names.
    #[must_use]
    pub fn all(&self) -> Vec<Issued> {
        self.0.load().values().cloned().collect()
    }

    /// The first name whose certificate no client trusts.
    #[must_use]
    pub fn first_self_signed(&self) -> Option<String> {
        let all = self.0.load();
        let mut found = all
            .iter()
            .filter(|(_, issued)| issued.issuer == Issuer::SelfSigned);
        found.next().map(|(name, _)| name.clone())
    }

    pub(in crate::runtime) fn install(&self, name: &str, issued: &Issued) {
        self.0.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.insert(name.to_owned(), issued.clone());
            all
        });
    }

    /// Drops the certificates of names that are not among `names`.
    pub(super) fn retain(&self, names: &[String]) {
        self.0.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            all.retain(|name, _| names.contains(name));
            all
        });
    }
}

impl fmt::Debug for IssuedCertificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.load().keys()).finish()
    }
}

impl Issued {
    /// A certificate that the gateway signs itself, for as long as there is no other.
    ///
    /// # Errors
    /// What is wrong, where no certificate can be made for the name.
    pub(in crate::runtime) fn self_signed(name: &str) -> Result<Self, String> {
        let made = |error: rcgen::Error| error.to_string();
        let key = KeyPair::generate().map_err(made)?;
        let params = CertificateParams::new([name.to_owned()]).map_err(made)?;
        let chain = params.self_signed(&key).map_err(made)?.pem();
        Ok(Self {
            certificate: read(&chain, &key.serialize_pem(), name)?,
            issuer: Issuer::SelfSigned,
        })
    }

    /// Reads the stored form of a certificate: its key and its chain, one after the other, as PEM.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(pem: &[u8], name: &str) -> Result<Self, String> {
        let pem = std::str::from_utf8(pem).map_err(|error| error.to_string())?;
        Ok(Self {
            certificate: read(pem, pem, name)?,
            issuer: Issuer::Acme,
        })
    }
}

fn read(chain: &str, key: &str, name: &str) -> Result<Arc<Certificate>, String> {
    let problem = |error: CertificateError| error.explain().0.to_owned();
    let certificate = Certificate::from_pem(chain, key, name).map_err(problem)?;
    if certificate.names.iter().any(|its| its == name) {
        Ok(Arc::new(certificate))
    } else {
        Err("is not for this name".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_stand_in_until_its_certificate_is_there() {
        let issued = IssuedCertificates::default();
        for name in ["b.example", "a.example"] {
            issued.install(name, &Issued::self_signed(name).unwrap());
        }
        assert_eq!(issued.first_self_signed().as_deref(), Some("a.example"));
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let pem = [key.serialize_pem(), chain].concat();
        let read = Issued::from_pem(pem.as_bytes(), "a.example").unwrap();
        issued.install("a.example", &read);
        assert_eq!(issued.first_self_signed().as_deref(), Some("b.example"));
        assert!(Issued::from_pem(pem.as_bytes(), "b.example").is_err());
        assert!(Issued::from_pem(b"garbled", "a.example").is_err());
        issued.retain(&["a.example".to_owned()]);
        assert_eq!((issued.all().len(), issued.first_self_signed()), (1, None));
    }
}
