//! Ordering what is due, name by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::Account;
use tokio::time::timeout;

use crate::config::settings::{Acme as AcmeSettings, Settings};
use crate::model::sealing_keys::SealingKeys;
use crate::provider::http_client::HttpClient;
use crate::store::Acquire;
use crate::telemetry::labels::OrderResult;

use super::issued::{Issued, Issuer};
use super::order::{self, ChallengeMethod, OrderError, Proof};
use super::schedule::{ASK_AGAIN, Plan};
use super::storage::{Storage, key_of};
use super::{Acme, names};

/// How long one certificate may take.
const ORDER_TIMEOUT: Duration = Duration::from_secs(4 * 60);
/// How long the right to order is held. Longer than an order takes: it is not extended.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// How long a replica waits for another one that orders.
const OTHERS_WAIT: Duration = Duration::from_secs(5);

/// The configuration in force.
pub(in crate::runtime) struct RenewalContext {
    pub(in crate::runtime) settings: Arc<Settings>,
    pub(in crate::runtime) sealing: Arc<SealingKeys>,
}

/// What is remembered between two rounds.
#[derive(Default)]
pub(in crate::runtime) struct Renewals {
    plans: HashMap<String, Plan>,
    /// For the configuration that it was made for.
    client: Option<(Arc<Settings>, Client)>,
}

/// Calls to the ACME server.
#[derive(Clone)]
struct Client {
    http: Arc<HttpClient>,
    account: Option<Account>,
}

impl Renewals {
    /// Looks once at every name, and orders what is due.
    pub(in crate::runtime) async fn round(&mut self, acme: &Acme, context: &RenewalContext) {
        let Some(settings) = &context.settings.server.acme else {
            return;
        };
        for name in names(&context.settings) {
            let Some(current) = acme.issued.get(&name) else {
                continue;
            };
            let round = Round {
                acme,
                settings,
                context,
                name: &name,
                current,
            };
            let plan = self.plans.get(&name).copied().unwrap_or_default();
            let plan = self.look(&round, plan).await;
            self.plans.insert(name, plan);
        }
    }

    async fn look(&mut self, round: &Round<'_>, mut plan: Plan) -> Plan {
        let (acme, current) = (round.acme, &round.current);
        let now = acme.clock.now();
        let is_due = match current.issuer {
            Issuer::SelfSigned => plan.may_try(now),
            Issuer::Acme => {
                if plan.asks(now) {
                    self.ask(round, &mut plan).await;
                }
                plan.is_due(&current.certificate, now)
            }
        };
        if !is_due {
            return plan;
        }
        let key = key_of(&format!("order {}", round.name));
        let Ok(Acquire::Acquired { fence, .. }) = acme.leases.acquire(key, LEASE).await else {
            plan.wait(now, OTHERS_WAIT);
            return plan;
        };
        let obtained = timeout(ORDER_TIMEOUT, self.obtain(round, plan)).await;
        let obtained = obtained.unwrap_or(Err(OrderError::Timeout));
        acme.challenges.close_all();
        // Without an answer the lease ends by itself.
        let _ = acme.leases.release(key, fence).await;
        match obtained {
            Ok(()) => Plan::default(),
            Err(error) => {
                acme.metrics.acme_order(OrderResult::Failed);
                let wait = plan.failed(acme.clock.now());
                tracing::error!(
                    name = round.name,
                    %error,
                    failures = plan.failures(),
                    retry_in_seconds = wait.as_secs(),
                    "no certificate was issued: the one in use stays"
                );
                plan
            }
        }
    }

    /// Asks the server when it wants the certificate to be renewed.
    async fn ask(&mut self, round: &Round<'_>, plan: &mut Plan) {
        let now = round.acme.clock.now();
        let answer = match self.account(round).await {
            Ok(account) => order::suggested_renewal(&account, &round.current.certificate).await,
            Err(error) => {
                tracing::debug!(%error, "the ACME server cannot be asked");
                None
            }
        };
        match answer {
            Some((moment, holds)) => {
                plan.suggest(Some(moment), now.plus(holds.max(Duration::from_secs(60))));
            }
            None => plan.suggest(None, now.plus(ASK_AGAIN)),
        }
    }

    /// Takes the certificate of another replica where there is one, else orders one.
    async fn obtain(&mut self, round: &Round<'_>, plan: Plan) -> Result<(), OrderError> {
        let Round { acme, name, .. } = *round;
        let storage = round.storage();
        let file = format!("{name}.pem");
        if let Some(pem) = storage.load(&file).await
            && let Ok(issued) = Issued::from_pem(&pem, name)
            && !Plan::default().is_due(&issued.certificate, acme.clock.now())
            && issued.certificate.expires > round.expires()
        {
            acme.issued.install(name, &issued);
            tracing::info!(
                name,
                "a certificate that another replica has ordered is in use"
            );
            return Ok(());
        }
        let pem = match self.order(round, plan).await {
            Err(error) if error.is_unknown_account() => {
                self.client = None;
                order::forget_account(round.settings, &storage).await;
                self.order(round, plan).await?
            }
            ordered => ordered?,
        };
        let issued = Issued::from_pem(pem.as_bytes(), name).map_err(|error| {
            OrderError::Unusable(format!("what the ACME server issued {error}"))
        })?;
        storage.save(&file, pem.as_bytes()).await;
        acme.issued.install(name, &issued);
        acme.metrics.acme_order(OrderResult::Ok);
        let expires = issued.certificate.expires.date();
        tracing::info!(name, expires, "a certificate was issued");
        Ok(())
    }

    async fn order(&mut self, round: &Round<'_>, plan: Plan) -> Result<String, OrderError> {
        let account = self.account(round).await?;
        let shared = round.acme.shared(&round.context.sealing);
        let proof = Proof {
            method: round.method(plan),
            challenges: &round.acme.challenges,
            shared: shared.as_ref(),
        };
        let profile = round.settings.profile.as_deref();
        order::order(&account, round.name, profile, proof).await
    }

    async fn account(&mut self, round: &Round<'_>) -> Result<Account, OrderError> {
        let settings = &round.context.settings;
        let known = self.client.as_ref();
        let known = known.filter(|(of, _)| Arc::ptr_eq(of, settings));
        let mut client = match known {
            Some((_, client)) => client.clone(),
            None => Client {
                http: round.http_client()?,
                account: None,
            },
        };
        let account = match &client.account {
            Some(account) => account.clone(),
            None => order::account(round.settings, &client.http, &round.storage()).await?,
        };
        client.account = Some(account.clone());
        self.client = Some((Arc::clone(settings), client));
        Ok(account)
    }
}

/// One name, and everything about it.
struct Round<'a> {
    acme: &'a Acme,
    settings: &'a AcmeSettings,
    context: &'a RenewalContext,
    name: &'a str,
    current: Issued,
}

impl Round<'_> {
    fn storage(&self) -> Storage<'_> {
        Storage {
            state_dir: &self.context.settings.state_dir,
            shared: self.acme.shared(&self.context.sealing),
        }
    }

    /// HTTP-01 and TLS-ALPN-01 in turn, where both are possible: a firewall may let only one
    /// through.
    fn method(&self, plan: Plan) -> ChallengeMethod {
        let has_plain = !self.context.settings.server.listen.is_empty();
        if has_plain && plan.failures().is_multiple_of(2) {
            ChallengeMethod::Http
        } else {
            ChallengeMethod::TlsAlpn
        }
    }

    /// The end of the certificate in use; a self-signed one counts for nothing.
    fn expires(&self) -> crate::model::timestamp::Timestamp {
        match self.current.issuer {
            Issuer::SelfSigned => crate::model::timestamp::Timestamp::from_secs(0),
            Issuer::Acme => self.current.certificate.expires,
        }
    }

    fn http_client(&self) -> Result<Arc<HttpClient>, OrderError> {
        let client = match &self.settings.roots {
            Some(roots) => HttpClient::trusting(Arc::clone(roots)),
            None => HttpClient::new(),
        };
        let client = client.map_err(|error| OrderError::Unusable(error.to_string()))?;
        Ok(Arc::new(client))
    }
}
