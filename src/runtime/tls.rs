//! What TLS listeners need: the certificates by name, and how handshakes are made.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{
    ClientHello, NoClientAuth, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
    danger::ClientCertVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion, version};

pub use crate::config::certificate::subject as client_subject;
use crate::config::certificate::{Certificate, ClientAuthorities, ClientCertificate};
pub use crate::config::settings::ProxyProtocol;
use crate::config::settings::TlsVersion;
use crate::config::settings::{Settings, Tls};
use crate::model::timestamp::Timestamp;

use super::Runtime;
use super::acme::AcmeResponder;
use super::acme::issued::IssuedCertificates;

/// The protocols that listeners offer (RFC 7301), the preferred one first.
pub const ALPN_PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// What a TLS listener needs.
pub struct TlsListener {
    /// For its handshakes.
    pub server_config: Arc<ServerConfig>,
    /// Its certificates.
    pub certificates: Arc<Certificates>,
    /// Encrypts session tickets. Its keys are replaced every six hours. Each listener has its own:
    /// a ticket of one that asks for no client certificate must not open a session at one that
    /// does.
    tickets: Arc<dyn ProducesTickets>,
    client_authorities: Option<ClientAuthorities>,
    /// Whether clients begin with the header of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// Answers the challenges of the ACME server, where the listener gets certificates from it.
    pub acme: Option<AcmeResponder>,
}

/// The TLS listeners, and the answers to the ACME server.
pub struct TlsListeners {
    /// Answers its challenges.
    pub acme: AcmeResponder,
    by_address: BTreeMap<SocketAddr, Arc<TlsListener>>,
}

impl TlsListeners {
    /// What the listener with this configured address needs.
    #[must_use]
    pub fn get(&self, address: SocketAddr) -> Option<&Arc<TlsListener>> {
        self.by_address.get(&address)
    }

    /// Every certificate in use.
    pub(super) fn certificates(&self) -> impl Iterator<Item = Arc<Certificate>> {
        let listeners = self.by_address.values();
        listeners.flat_map(|listener| listener.certificates.iter())
    }
}

/// The listeners of `settings`, with a certificate for every name. Those of `previous` that are not
/// in the settings stay, because their sockets are open until the process ends.
///
/// # Errors
/// What is wrong with which listener, for an operator.
pub(super) fn build(
    settings: &Settings,
    previous: Option<&Runtime>,
    acme: AcmeResponder,
) -> Result<Arc<TlsListeners>, String> {
    acme.prepare(settings)?;
    let kept = previous.map(|previous| &previous.tls.by_address);
    let by_address = listeners(&settings.server.tls, kept, Some(&acme))?;
    for tls in &settings.server.tls {
        if let Some(listener) = by_address.get(&tls.listen) {
            listener.certificates.warn_of_expired(acme.now());
        }
    }
    Ok(Arc::new(TlsListeners { acme, by_address }))
}

fn listeners(
    settings: &[Tls],
    previous: Option<&BTreeMap<SocketAddr, Arc<TlsListener>>>,
    acme: Option<&AcmeResponder>,
) -> Result<BTreeMap<SocketAddr, Arc<TlsListener>>, String> {
    let mut listeners = previous.cloned().unwrap_or_default();
    for tls in settings {
        let previous = listeners.get(&tls.listen).map(|before| &**before);
        let listener = TlsListener::new(tls, previous, acme.filter(|_| tls.acme))
            .map_err(|error| format!("the TLS listener {}: {error}", tls.listen))?;
        listeners.insert(tls.listen, Arc::new(listener));
    }
    Ok(listeners)
}

impl TlsListener {
    fn new(
        tls: &Tls,
        previous: Option<&Self>,
        acme: Option<&AcmeResponder>,
    ) -> Result<Self, rustls::Error> {
        let configured = tls.certificates.iter();
        let certificates = Arc::new(Certificates::new(
            configured
                .map(|files| Arc::clone(&files.certificate))
                .collect(),
            acme.map(AcmeResponder::issued),
        ));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = client_verifier(tls.client_authorities.as_ref(), &provider)?;
        let mut server_config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(tls.minimum))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
        server_config.alpn_protocols = ALPN_PROTOCOLS
            .iter()
            .map(|protocol| protocol.to_vec())
            .collect();
        server_config.ignore_client_order = true;
        let tickets = match previous.filter(|previous| previous.admits_clients_of(tls)) {
            Some(previous) => Arc::clone(&previous.tickets),
            None => aws_lc_rs::Ticketer::new()?,
        };
        server_config.ticketer = Arc::clone(&tickets);
        Ok(Self {
            server_config: Arc::new(server_config),
            certificates,
            tickets,
            client_authorities: tls.client_authorities.clone(),
            proxy_protocol: tls.proxy_protocol,
            acme: acme.cloned(),
        })
    }

    /// A listener without clients' certificates, for tests.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(&tests::settings(None), None, None).unwrap()
    }

    /// Whether a session that began here may go on under `tls`: a ticket holds the certificate that
    /// the client presented, and it is not verified again.
    fn admits_clients_of(&self, tls: &Tls) -> bool {
        match (&self.client_authorities, &tls.client_authorities) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_same(now),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// TLS 1.3 without older versions.
static TLS_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        TlsVersion::V1_2 => ALL_VERSIONS,
        TlsVersion::V1_3 => TLS_1_3,
    }
}

fn client_verifier(
    authorities: Option<&ClientAuthorities>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    let Some(authorities) = authorities else {
        return Ok(Arc::new(NoClientAuth));
    };
    let roots = Arc::clone(&authorities.roots);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = match authorities.presence {
        ClientCertificate::Required => builder,
        ClientCertificate::Optional => builder.allow_unauthenticated(),
    };
    builder
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

/// The certificates of a listener, by the names that they are for.
#[derive(Debug)]
pub struct Certificates {
    /// Those of the configuration.
    configured: Vec<Arc<Certificate>>,
    /// By exact name: positions in `configured`, in the order of the configuration.
    exact: HashMap<String, Vec<usize>>,
    /// By what follows the `*.`.
    wildcards: HashMap<String, Vec<usize>>,
    /// Those of the ACME server, where the listener uses them.
    issued: Option<Arc<IssuedCertificates>>,
}

/// The certificates for a name.
#[derive(Debug, PartialEq, Eq)]
enum Found<'a> {
    /// These positions in the configuration.
    Configured(&'a [usize]),
    /// The one that the ACME server issued for this name.
    Issued(String),
    /// There is none at all.
    None,
}

impl Certificates {
    fn new(configured: Vec<Arc<Certificate>>, issued: Option<Arc<IssuedCertificates>>) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for (index, certificate) in configured.iter().enumerate() {
            for name in &certificate.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcards, parent),
                    None => (&mut exact, name.as_str()),
                };
                let indices: &mut Vec<usize> = names.entry(name.to_owned()).or_default();
                indices.push(index);
            }
        }
        Self {
            configured,
            exact,
            wildcards,
            issued,
        }
    }

    /// All certificates: those of the configuration, then those of the ACME server.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Certificate>> {
        let issued = self.issued.iter().flat_map(|issued| issued.all());
        let issued = issued.map(|issued| issued.certificate);
        self.configured.iter().cloned().chain(issued)
    }

    /// Says which certificates clients will refuse.
    fn warn_of_expired(&self, now: Timestamp) {
        for certificate in self.iter().filter(|certificate| certificate.expires <= now) {
            tracing::warn!(
                certificate = certificate.label,
                expired = certificate.expires.date(),
                "a certificate has expired: clients refuse it"
            );
        }
    }

    /// The certificates for `name`, which is in lower case: those with this very name, else those
    /// with a wildcard in place of its first label (RFC 9525, section 6.3), else the issued one,
    /// else the first of all.
    fn find(&self, name: Option<&str>) -> Found<'_> {
        let exact = name.and_then(|name| self.exact.get(name));
        let wildcard = || self.wildcards.get(name?.split_once('.')?.1);
        if let Some(found) = exact.or_else(wildcard) {
            return Found::Configured(found);
        }
        let issued = self.issued.as_ref();
        if let Some(issued) = issued.zip(name).and_then(|(issued, name)| issued.get(name)) {
            return Found::Issued(issued.certificate.label.clone());
        }
        if !self.configured.is_empty() {
            return Found::Configured(&[0]);
        }
        match issued.and_then(|issued| issued.first()) {
            Some(first) => Found::Issued(first.certificate.label.clone()),
            None => Found::None,
        }
    }

    /// Whether both names lead to the same certificates, so that a connection which was opened for
    /// one may carry requests for the other (RFC 9110, section 7.4). Both are in lower case.
    #[must_use]
    pub fn are_shared_by(&self, one: &str, other: &str) -> bool {
        one == other || self.find(Some(one)) == self.find(Some(other))
    }

    /// The certificate for a client: the first for its name whose key can sign what the client can
    /// verify.
    fn choose(&self, hello: &ClientHello<'_>) -> Option<Arc<Certificate>> {
        // rustls gives the name in the letter case of the client.
        let name = hello.server_name().map(str::to_ascii_lowercase);
        match self.find(name.as_deref()) {
            Found::Configured(positions) => {
                let mut found = positions
                    .iter()
                    .filter_map(|&index| self.configured.get(index));
                let first = found.clone().next();
                let signs = |certificate: &&Arc<Certificate>| {
                    let key = &certificate.certified_key.key;
                    key.choose_scheme(hello.signature_schemes()).is_some()
                };
                found.find(signs).or(first).cloned()
            }
            Found::Issued(name) => Some(self.issued.as_ref()?.get(&name)?.certificate),
            Found::None => None,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(&hello)
            .map(|certificate| Arc::clone(&certificate.certified_key))
    }
}

#[cfg(test)]
mod tests;
