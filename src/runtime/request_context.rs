//! The request on whose behalf a concept of the runtime is called.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::origin::{Host, Origin};
use crate::model::timestamp::Timestamp;
use crate::telemetry::audit::AuditContext;

use super::site::SiteRuntime;

/// The request on whose behalf a concept of the runtime is called.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    /// The site of the request.
    pub site_runtime: &'a Arc<SiteRuntime>,
    /// The client address after trusted proxies were taken into account.
    pub client: IpAddr,
    /// The value of `Host`; `None` for what goes on without its request.
    pub host: Option<&'a str>,
    /// The id of the request.
    pub request_id: &'a str,
    /// When the request arrived: its one reading of the clock.
    pub now: Timestamp,
}

impl<'a> RequestContext<'a> {
    /// The origin under which the client opened the site: its own, or that of an alias, which has
    /// cookies of its own.
    pub(super) fn origin(&self) -> Origin {
        let site = &self.site_runtime.site;
        let scheme = site.origin.scheme;
        let mut origins = site.aliases.iter().map(|alias| Origin {
            scheme,
            name: alias.name.clone(),
            port: alias.port.unwrap_or(scheme.default_port()),
        });
        let host = self.host.and_then(Host::parse);
        host.and_then(|host| origins.find(|origin| origin.matches_host(&host)))
            .unwrap_or_else(|| site.origin.clone())
    }

    /// The fields that every audit record of this request has.
    pub(super) fn audit_context(&self) -> AuditContext<'a> {
        AuditContext {
            site: &self.site_runtime.site.name,
            request_id: self.request_id,
            client: self.client,
            session: None,
        }
    }
}
