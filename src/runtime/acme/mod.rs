//! Certificates by themselves (ACME, RFC 8555): for every host of an https site that has none in
//! the configuration of a listener with `acme = true`.
//!
//! Each name has a certificate of its own, so that one that cannot be validated keeps no other from
//! its certificate. Until the first one is issued, a self-signed certificate stands in. Replicas
//! with a shared store share accounts, certificates and the answers to challenges, and one of them
//! orders.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::certificate::Certificate;
use crate::config::settings::Settings;
use crate::model::sealing_keys::SealingKeys;
use crate::model::timestamp::Timestamp;
use crate::store::{LeaseStore, Scope, Stores};
use crate::system::Clock;
use crate::telemetry::Metrics;

mod challenges;
pub mod issued;
mod order;
mod renewal;
mod schedule;
mod storage;
mod tls_alpn;

pub(super) use renewal::{RenewalContext, Renewals};

pub use tls_alpn::PROTOCOL as ACME_PROTOCOL;

use challenges::{Challenge, Challenges};
use issued::{Issued, IssuedCertificates};
use storage::{SharedStorage, load_file};

/// The certificates that come by themselves. It outlives every configuration.
pub struct Acme {
    /// The certificates.
    pub issued: Arc<IssuedCertificates>,
    challenges: Challenges,
    leases: Arc<dyn LeaseStore>,
    scope: Scope,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Acme {
    pub(super) fn new(stores: &Stores, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            issued: Arc::default(),
            challenges: Challenges::default(),
            leases: Arc::clone(&stores.leases),
            scope: stores.scope,
            clock,
            metrics,
        }
    }

    /// Sees to it that every name of `settings` has a certificate: the stored one, or a self-signed
    /// one.
    ///
    /// # Errors
    /// What is wrong, where no certificate can be made for a name.
    pub(super) fn prepare(&self, settings: &Settings) -> Result<(), String> {
        let names = names(settings);
        self.issued.retain(&names);
        for name in &names {
            if self.issued.get(name).is_some() {
                continue;
            }
            let stored = load_file(&settings.state_dir, &format!("{name}.pem"));
            let stored = stored.and_then(|pem| match Issued::from_pem(&pem, name) {
                Ok(issued) => Some(issued),
                Err(error) => {
                    tracing::warn!(name, error, "a stored certificate cannot be used");
                    None
                }
            });
            let issued = match stored {
                Some(issued) => issued,
                None => Issued::self_signed(name)
                    .map_err(|error| format!("no certificate can be made for {name}: {error}"))?,
            };
            self.issued.install(name, &issued);
        }
        Ok(())
    }

    fn shared(&self, sealing: &Arc<SealingKeys>) -> Option<SharedStorage> {
        (self.scope == Scope::Replicas).then(|| SharedStorage {
            leases: Arc::clone(&self.leases),
            sealing: Arc::clone(sealing),
        })
    }
}

/// Answers the challenges of the ACME server, under one configuration.
#[derive(Clone, Debug)]
pub struct AcmeResponder {
    acme: Arc<Acme>,
    sealing: Arc<SealingKeys>,
}

impl AcmeResponder {
    pub(super) fn new(acme: &Arc<Acme>, sealing: &Arc<SealingKeys>) -> Self {
        Self {
            acme: Arc::clone(acme),
            sealing: Arc::clone(sealing),
        }
    }

    /// The body of the answer to an HTTP-01 challenge; `None` where none with this token is open.
    pub async fn answer_http(&self, token: &str) -> Option<String> {
        self.answer(Challenge::Http(token)).await
    }

    /// What answers a TLS-ALPN-01 challenge; `None` where none for this name is open.
    pub async fn answer_tls_alpn(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let answer = self.answer(Challenge::TlsAlpn(name)).await?;
        match tls_alpn::server_config(name, &answer) {
            Ok(config) => Some(config),
            Err(error) => {
                tracing::error!(name, error, "a TLS-ALPN-01 challenge cannot be answered");
                None
            }
        }
    }

    async fn answer(&self, challenge: Challenge<'_>) -> Option<String> {
        if self.acme.issued.is_empty() {
            // No name needs one: strangers make no calls to the store.
            return None;
        }
        let shared = self.acme.shared(&self.sealing);
        self.acme
            .challenges
            .answer(challenge, shared.as_ref())
            .await
    }

    /// See [`Acme::prepare`].
    pub(super) fn prepare(&self, settings: &Settings) -> Result<(), String> {
        self.acme.prepare(settings)
    }

    /// The first name whose certificate no client trusts.
    pub(super) fn first_self_signed(&self) -> Option<String> {
        self.acme.issued.first_self_signed()
    }

    /// The certificates.
    pub(super) fn issued(&self) -> Arc<IssuedCertificates> {
        Arc::clone(&self.acme.issued)
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.acme.clock.now()
    }
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Acme")
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

/// What `state_dir` has for a name that needs a certificate from the ACME server.
pub struct StoredCertificate {
    /// The name.
    pub name: String,
    /// The certificate; `None` where none was ordered yet, or it cannot be read.
    pub certificate: Option<Arc<Certificate>>,
}

/// The certificates that were ordered so far, for all names that need one.
#[must_use]
pub fn stored_certificates(settings: &Settings) -> Vec<StoredCertificate> {
    let stored = |name: String| {
        let pem = load_file(&settings.state_dir, &format!("{name}.pem"));
        let issued = pem.and_then(|pem| Issued::from_pem(&pem, &name).ok());
        StoredCertificate {
            certificate: issued.map(|issued| issued.certificate),
            name,
        }
    };
    names(settings).into_iter().map(stored).collect()
}

/// The names that need a certificate from the ACME server, in order: the hosts of the https sites
/// that some listener with `acme = true` has no certificate for. Addresses are left out.
fn names(settings: &Settings) -> Vec<String> {
    let listeners: Vec<_> = settings.server.tls.iter().filter(|tls| tls.acme).collect();
    let sites = settings.sites.iter().filter(|site| site.origin.is_https());
    let hosts = sites.flat_map(|site| {
        let aliases = site.aliases.iter().map(|alias| &alias.name);
        std::iter::once(&site.origin.name).chain(aliases)
    });
    let is_missing = |name: &&String| {
        listeners.iter().any(|tls| {
            let mut certificates = tls.certificates.iter();
            !certificates.any(|files| files.certificate.is_for(name))
        })
    };
    let is_address = |name: &&String| name.starts_with('[') || name.parse::<IpAddr>().is_ok();
    let names: BTreeSet<&String> = hosts
        .filter(|name| is_missing(name) && !is_address(name))
        .collect();
    names.into_iter().cloned().collect()
}
