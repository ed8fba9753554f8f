//! Whether identity providers answer, and are set up for the sites.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::finding::{Finding, Topic};
use super::{oidc_setup, password_emails, provider_answers, webhooks};
use crate::config::settings::{Provider, ProviderKind, Settings};
use crate::model::site::Site;
use crate::provider::fusionauth::Endpoint;
use crate::provider::fusionauth::inspection::{Answer, Application, Inspector, LoginKey, Tenant};
use crate::provider::http_client::HttpClient;
use crate::system::Clock;

pub(super) async fn examine(
    settings: &Settings,
    clock: &Clock,
    http: &Arc<HttpClient>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, provider) in &settings.providers {
        let topic = Topic::new("provider", name);
        let endpoint = match &provider.kind {
            ProviderKind::Embedded { .. } => {
                findings.push(topic.ok("runs inside the gateway"));
                continue;
            }
            ProviderKind::Oidc { url } => {
                findings.extend(oidc_setup::examine(&topic, provider, url, clock, http).await);
                continue;
            }
            ProviderKind::Fusionauth {
                url,
                api_key,
                tenant_id,
            } => Endpoint {
                url: url.clone(),
                api_key: Some(api_key.clone()),
                tenant_id: tenant_id.clone(),
            },
        };
        let sites = settings.sites.iter().filter(|site| site.provider == *name);
        let setup = FusionauthSetup {
            topic,
            provider,
            sites: sites.map(AsRef::as_ref).collect(),
            inspector: Inspector::new(endpoint.clone(), provider.timeout, Arc::clone(http)),
            endpoint,
        };
        findings.extend(setup.examine(clock).await);
    }
    findings
}

/// The examination of a FusionAuth server.
struct FusionauthSetup<'a> {
    topic: Topic,
    provider: &'a Provider,
    sites: Vec<&'a Site>,
    inspector: Inspector,
    endpoint: Endpoint,
}

/// What the API key may not read.
type Unread = BTreeSet<&'static str>;

impl FusionauthSetup<'_> {
    async fn examine(&self, clock: &Clock) -> Vec<Finding> {
        let keys = match self.inspector.keys().await {
            Ok(keys) => keys,
            Err(cause) => {
                let message = format!(
                    "its keys at {} cannot be fetched: {cause}",
                    self.endpoint.url
                );
                let hint = "start it, correct `url`, or let the firewall pass; its certificate \
                            must be one that this machine trusts";
                return vec![self.topic.fail(message, hint)];
            }
        };
        let mut findings = vec![
            self.topic.ok(format!("{} answers", self.endpoint.url)),
            provider_answers::keys(&self.topic, self.provider, &keys.document),
            provider_answers::clock(
                &self.topic,
                self.provider.leeway,
                keys.date.as_deref(),
                clock.now(),
            ),
        ];
        findings.extend(self.issuer().await);
        let mut by_id: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for site in &self.sites {
            let sites = by_id.entry(&site.application_id).or_default();
            sites.push(&site.name);
        }
        let mut unread = Unread::new();
        let mut applications = Vec::new();
        for (id, sites) in by_id {
            match self.login_key(id, &sites).await {
                Ok(finding) => findings.push(finding),
                Err(finding) => {
                    findings.push(finding);
                    continue;
                }
            }
            match self.inspector.application(id).await {
                Answer::Found(application) => {
                    findings.extend(self.application(id, &application));
                    applications.push(application);
                }
                Answer::Missing => findings.push(self.unknown_application(id, &sites)),
                Answer::NotPermitted => drop(unread.insert("/api/application")),
                Answer::Failed(cause) => findings.push(self.unchecked("application", &cause)),
            }
        }
        findings.extend(self.tenant(&applications, &mut unread).await);
        if !unread.is_empty() {
            findings.push(self.not_permitted(&unread));
        }
        findings
    }

    async fn issuer(&self) -> Option<Finding> {
        let Answer::Found(issuer) = self.inspector.issuer().await else {
            // Only its tokens tell, then.
            return None;
        };
        Some(if issuer == self.provider.issuer {
            self.topic
                .ok("its tokens have the issuer of the configuration")
        } else {
            let message = format!(
                "its tokens have the issuer {issuer:?}, and not {:?}: nobody can sign in",
                self.provider.issuer
            );
            let hint = format!("write issuer = {issuer:?}, or correct the issuer of the tenant");
            self.topic.fail(message, hint)
        })
    }

    /// What becomes of the API key. An error is a finding too, and nothing more can be asked then.
    async fn login_key(&self, id: &str, sites: &[&str]) -> Result<Finding, Finding> {
        match self.inspector.login_key(id).await {
            Ok(LoginKey::Accepted) => Ok(self.topic.ok(format!(
                "the API key may sign users in ({})",
                sites.join(", ")
            ))),
            Ok(LoginKey::UnknownApplication) => Err(self.unknown_application(id, sites)),
            Ok(LoginKey::Refused) => Err(self.topic.fail(
                "the API key is wrong, or may not sign users in",
                "make one at the provider with POST on /api/login, for this tenant or all of them, \
                 and write it as `api_key`",
            )),
            Err(cause) => Err(self.unchecked("API key", &cause)),
        }
    }

    fn unknown_application(&self, id: &str, sites: &[&str]) -> Finding {
        let message = format!("it has no application {id:?} (site {})", sites.join(", "));
        let hint = "copy the id of the application into `application_id`, and check `tenant_id`";
        self.topic.fail(message, hint)
    }

    fn application(&self, id: &str, application: &Application) -> Vec<Finding> {
        let login = &application.login_configuration;
        let page = "the application's page at the provider";
        let needed = [
            (
                application.active,
                "is not active: nobody can sign in",
                "activate it".to_owned(),
            ),
            (
                login.generate_refresh_tokens != Some(false),
                "gives no refresh tokens: users are signed out when their first token ends",
                format!("enable \"Generate refresh tokens\" on {page}, under Security"),
            ),
            (
                login.allow_token_refresh != Some(false),
                "refuses to refresh JWTs: users are signed out when their first token ends",
                format!("enable \"Enable JWT refresh\" on {page}, under Security"),
            ),
        ];
        let mut findings: Vec<Finding> = needed
            .into_iter()
            .filter(|(holds, ..)| !holds)
            .map(|(_, what, hint)| {
                self.topic
                    .fail(format!("the application {id:?} {what}"), hint)
            })
            .collect();
        let jwt = &application.jwt_configuration;
        if jwt.enabled == Some(false) {
            findings.push(self.topic.warn(
                format!(
                    "the application {id:?} has no JWT settings of its own: the tenant's apply"
                ),
                format!(
                    "enable JWTs on {page}, with an asymmetric key and a short lifetime, unless \
                     the tenant's are meant"
                ),
            ));
        }
        if findings.is_empty() {
            let message = format!("the application {id:?} gives refresh tokens and JWTs");
            findings.push(self.topic.ok(message));
        }
        findings
    }

    /// Webhooks and e-mails.
    async fn tenant(&self, applications: &[Application], unread: &mut Unread) -> Vec<Finding> {
        let mut findings = Vec::new();
        let id = self.endpoint.tenant_id.clone();
        let id = id.or_else(|| applications.iter().find_map(|it| it.tenant_id.clone()));
        let tenant: Option<Tenant> = match id {
            None => None,
            Some(id) => match self.inspector.tenant(&id).await {
                Answer::Found(tenant) => Some(tenant),
                Answer::NotPermitted => {
                    unread.insert("/api/tenant");
                    None
                }
                Answer::Missing => {
                    let hint = "correct `tenant_id`";
                    let message = format!("it has no tenant {id:?}");
                    findings.push(self.topic.fail(message, hint));
                    None
                }
                Answer::Failed(cause) => {
                    findings.push(self.unchecked("tenant", &cause));
                    None
                }
            },
        };
        match self.inspector.webhooks().await {
            Answer::Found(all) => {
                findings.extend(webhooks::examine(&self.topic, &all, tenant.as_ref()));
            }
            Answer::NotPermitted => drop(unread.insert("/api/webhook")),
            Answer::Missing => findings.extend(webhooks::examine(&self.topic, &[], None)),
            Answer::Failed(cause) => findings.push(self.unchecked("webhooks", &cause)),
        }
        for id in password_emails::templates(applications, tenant.as_ref()) {
            match self.inspector.email_template(&id).await {
                Answer::Found(template) => {
                    findings.push(password_emails::examine(
                        &self.topic,
                        &template,
                        &self.sites,
                    ));
                }
                Answer::NotPermitted => drop(unread.insert("/api/email/template")),
                Answer::Missing => {}
                Answer::Failed(cause) => findings.push(self.unchecked("e-mail", &cause)),
            }
        }
        findings
    }

    fn unchecked(&self, what: &str, cause: &str) -> Finding {
        let hint = "see the provider's log";
        self.topic
            .warn(format!("{what} not checked: {cause}"), hint)
    }

    fn not_permitted(&self, unread: &Unread) -> Finding {
        let paths: Vec<&str> = unread.iter().copied().collect();
        let paths = paths.join(", ");
        self.topic.warn(
            format!("its setup is not checked in full: the API key may not read {paths}"),
            format!("allow it GET on {paths} while the doctor looks, or compare with the guide"),
        )
    }
}
