//! Fields of a response that name the upstream, rewritten for the site: an application that does
//! not know its public address redirects to its own, which browsers cannot reach
//! (`docs/reference/headers.md#response-headers`).

use http::HeaderValue;

use crate::model::origin::{Host, Scheme};
use crate::model::site::{ResponseRewrite, Site};
use crate::model::upstream::UpstreamAddress;

/// The value of `Location` or `Content-Location` with the site's origin in place of the upstream's
/// address; `None` where it stays as it is.
///
/// The origin is written out: the path alone could begin with `//` and lead to another host.
#[must_use]
pub fn location(site: &Site, value: &HeaderValue) -> Option<HeaderValue> {
    if site.rewrite == ResponseRewrite::Disabled {
        return None;
    }
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let (scheme, after) = split_scheme(text)?;
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    let host = Host::parse(authority)?;
    // An alias that is also an upstream's name is the site already.
    let is_site = site.origin.matches_host(&host)
        || site.aliases.contains(&host)
        || !is_upstream(site, scheme, &host);
    if is_site {
        return None;
    }
    HeaderValue::try_from(format!("{}{rest}", site.origin)).ok()
}

/// The value of `Set-Cookie` without a `Domain` that names the host of the upstream; `None` where
/// it stays as it is. Browsers refuse a cookie with the domain of another host. Without `Domain` it
/// is the site's alone (RFC 6265, section 5.3).
#[must_use]
pub fn set_cookie(site: &Site, value: &HeaderValue) -> Option<HeaderValue> {
    if site.rewrite == ResponseRewrite::Disabled {
        return None;
    }
    let mut parts = value.as_bytes().split(|b| *b == b';');
    let pair = parts.next()?;
    // The last one counts.
    let domain = parts.clone().filter_map(domain_of).next_back()?;
    let domain = std::str::from_utf8(domain).ok()?;
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    if !names_upstream_host(site, domain) || covers_site(site, domain) {
        return None;
    }
    let mut kept = pair.to_vec();
    for part in parts.filter(|part| domain_of(part).is_none()) {
        kept.push(b';');
        kept.extend_from_slice(part);
    }
    HeaderValue::try_from(kept).ok()
}

/// The scheme of a reference that has an authority, and what follows its `//`. A reference without
/// a scheme begins with `//`.
fn split_scheme(text: &str) -> Option<(Option<Scheme>, &str)> {
    let (scheme, after) = text.split_once("//")?;
    let scheme = if scheme.is_empty() {
        None
    } else if scheme.eq_ignore_ascii_case("http:") {
        Some(Scheme::Http)
    } else if scheme.eq_ignore_ascii_case("https:") {
        Some(Scheme::Https)
    } else {
        return None;
    };
    Some((scheme, after))
}

/// Whether `host` is the address of an upstream, or the `Host` that upstreams are sent.
fn is_upstream(site: &Site, scheme: Option<Scheme>, host: &Host) -> bool {
    let port_or = |port: Option<u16>, upstream: Scheme| {
        port.unwrap_or(scheme.unwrap_or(upstream).default_port())
    };
    let is_address = site
        .upstreams
        .iter()
        .any(|upstream| match &upstream.address {
            UpstreamAddress::Http { host: name, port } => {
                host.name == *name && port_or(host.port, Scheme::Http) == *port
            }
            UpstreamAddress::Https { host: name, port } => {
                host.name == *name && port_or(host.port, Scheme::Https) == *port
            }
            UpstreamAddress::Unix { .. } => false,
        });
    is_address
        || upstream_host(site).is_some_and(|sent| {
            let port = |host: &Host| port_or(host.port, Scheme::Http);
            sent.name == host.name && port(&sent) == port(host)
        })
}

fn upstream_host(site: &Site) -> Option<Host> {
    Host::parse(site.upstream_host.as_deref()?)
}

fn names_upstream_host(site: &Site, domain: &str) -> bool {
    let is_address = site
        .upstreams
        .iter()
        .any(|upstream| match &upstream.address {
            UpstreamAddress::Http { host, .. } | UpstreamAddress::Https { host, .. } => {
                host.eq_ignore_ascii_case(domain)
            }
            UpstreamAddress::Unix { .. } => false,
        });
    is_address || upstream_host(site).is_some_and(|sent| sent.name.eq_ignore_ascii_case(domain))
}

/// Whether browsers accept cookies of `domain` from the site: the domain is meant then.
fn covers_site(site: &Site, domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    let names = site.aliases.iter().map(|alias| alias.name.as_str());
    names.chain([site.origin.name.as_str()]).any(|name| {
        name.strip_suffix(domain.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// The value of a `Domain` attribute.
fn domain_of(attribute: &[u8]) -> Option<&[u8]> {
    let equals = attribute.iter().position(|b| *b == b'=')?;
    let (name, value) = attribute.split_at(equals);
    name.trim_ascii()
        .eq_ignore_ascii_case(b"domain")
        .then(|| value.get(1..).unwrap_or_default().trim_ascii())
}
