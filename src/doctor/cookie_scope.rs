//! Whether the cookies of each site stay at it.

use std::sync::Arc;

use super::finding::{Finding, Topic};
use crate::model::cookie_names::CookieKind;
use crate::model::origin::Host;
use crate::model::site::Site;

pub(super) fn examine(sites: &[Arc<Site>]) -> Vec<Finding> {
    sites
        .iter()
        .enumerate()
        .map(|(at, site)| of_site(site, sites.get(..at).unwrap_or_default()))
        .collect()
}

fn of_site(site: &Site, before: &[Arc<Site>]) -> Finding {
    let topic = Topic::new("cookies", &site.name);
    // Browsers send cookies to every port of a host (RFC 6265, section 8.5).
    let shared = before
        .iter()
        .find(|other| shares_a_host(site, other) && shares_a_name(site, other));
    if let Some(other) = shared {
        let message = format!(
            "the sites {} and {} have the same host and the same cookies: signing in at one \
             signs out at the other",
            other.name, site.name
        );
        let hint = "give one of them another host, or other names in [sites.cookies]";
        return topic.fail(message, hint);
    }
    let host = Host {
        name: site.origin.name.clone(),
        port: None,
    };
    if site.origin.is_https() {
        topic.ok(format!("sent to {} alone, over TLS", host.name))
    } else if host.is_loopback() {
        topic.ok(format!("sent to {} alone, without TLS", host.name))
    } else {
        topic.warn(
            format!(
                "sent without TLS: whoever is on the way to {} reads them",
                host.name
            ),
            "write an https origin, with [[server.tls]] or TLS in a proxy in front",
        )
    }
}

fn shares_a_host(site: &Site, other: &Site) -> bool {
    let names = |site: &Site| -> Vec<String> {
        let aliases = site.aliases.iter().map(|alias| alias.name.clone());
        aliases.chain([site.origin.name.clone()]).collect()
    };
    let others = names(other);
    names(site).iter().any(|name| others.contains(name))
}

fn shares_a_name(site: &Site, other: &Site) -> bool {
    let mut kinds = CookieKind::ALL.into_iter();
    kinds.any(|kind| site.cookies.name(kind) == other.cookies.name(kind))
}
