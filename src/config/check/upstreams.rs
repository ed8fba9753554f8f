//! Where the application of a site listens, and how its health is checked.

use std::ops::Range;
use std::path::PathBuf;

use super::super::file::site::Site as Written;
use super::super::file::upstream::{
    Balance as WrittenBalance, Health, Protocol, Upstream as WrittenUpstream,
};
use super::super::problems::quoted;
use super::super::spans::At;
use super::{Reported, Review, upstream_tls};
use crate::model::origin::{Host, Origin, Scheme};
use crate::model::upstream::{Balance, HealthCheck, Upstream, UpstreamAddress, UpstreamProtocol};

const UPSTREAM_FORM: &str =
    "write it like \"http://127.0.0.1:3001\", \"https://app.internal\" or \"unix:///run/app.sock\"";

const UPSTREAMS_HINT: &str = "add it: a list; a site without one needs `forward_auth = true`";

/// The checked settings of a site's application.
pub(super) struct Application {
    pub(super) upstreams: Vec<Upstream>,
    pub(super) balance: Balance,
    pub(super) protocol: UpstreamProtocol,
    pub(super) upstream_host: Option<String>,
    pub(super) health: Option<HealthCheck>,
}

pub(super) fn application(written: &At<Written>, review: &mut Review<'_>) -> Option<Application> {
    let upstreams = upstreams(written, review);
    let upstream_host = upstream_host(written.upstream_host.as_ref(), review);
    let health = match &written.health {
        Some(health) => self::health(health, review).map(Some),
        None => Some(None),
    };
    Some(Application {
        upstreams: upstreams?,
        balance: match written.balance {
            WrittenBalance::RoundRobin => Balance::RoundRobin,
            WrittenBalance::LeastRequests => Balance::LeastRequests,
            WrittenBalance::Sticky => Balance::Sticky,
        },
        protocol: match written.upstream_protocol {
            Protocol::Http1 => UpstreamProtocol::Http1,
            Protocol::H2 => UpstreamProtocol::H2,
        },
        upstream_host: upstream_host.ok()?,
        health: health?,
    })
}

fn upstreams(written: &At<Written>, review: &mut Review<'_>) -> Option<Vec<Upstream>> {
    let Some(list) = &written.upstreams else {
        if *written.forward_auth {
            return Some(Vec::new());
        }
        review
            .diagnostics
            .missing(&written.span, "upstreams", UPSTREAMS_HINT);
        return None;
    };
    if list.is_empty() && !review.diagnostics.was_removed(&written.span, "upstreams") {
        review.refuse(&list.span, "`upstreams` is empty", UPSTREAM_FORM);
    }
    let mut upstreams: Vec<Upstream> = Vec::new();
    for written in list.iter() {
        let Some(upstream) = upstream(written, review) else {
            continue;
        };
        if upstreams
            .iter()
            .any(|known| known.address == upstream.address)
        {
            let what = format!("an upstream is there twice: \"{}\"", upstream.address);
            review.refuse(&written.span, what, "keep one of them");
        }
        upstreams.push(upstream);
    }
    (!upstreams.is_empty() && upstreams.len() == list.len()).then_some(upstreams)
}

fn upstream(written: &At<WrittenUpstream>, review: &mut Review<'_>) -> Option<Upstream> {
    match &**written {
        WrittenUpstream::Address(text) => {
            checked_address(text, &written.span, review).map(Into::into)
        }
        WrittenUpstream::Table(table) => {
            let url = table.url.as_ref()?;
            let address = checked_address(url, &url.span, review)?;
            let tls = upstream_tls::tls(table, &address, review).ok()?;
            Some(Upstream {
                address,
                weight: *table.weight,
                tls,
            })
        }
    }
}

fn checked_address(
    text: &str,
    span: &Range<usize>,
    review: &mut Review<'_>,
) -> Option<UpstreamAddress> {
    let address = address(text);
    if address.is_none() {
        let what = if text.contains('@') {
            "an upstream has a name or password in it".to_owned()
        } else {
            format!("an upstream is no address: {}", quoted(text))
        };
        review.refuse(span, what, UPSTREAM_FORM);
    }
    address
}

fn address(text: &str) -> Option<UpstreamAddress> {
    if let Some(path) = text.strip_prefix("unix://") {
        let fits = path.len() > 1 && path.starts_with('/') && !path.contains(char::is_control);
        return fits.then(|| UpstreamAddress::Unix {
            path: PathBuf::from(path),
        });
    }
    let Origin {
        scheme,
        name: host,
        port,
    } = Origin::parse(text).filter(|origin| origin.port != 0)?;
    Some(match scheme {
        Scheme::Http => UpstreamAddress::Http { host, port },
        Scheme::Https => UpstreamAddress::Https { host, port },
    })
}

fn upstream_host(
    written: Option<&At<String>>,
    review: &mut Review<'_>,
) -> Result<Option<String>, Reported> {
    let Some(text) = written else { return Ok(None) };
    if Host::parse(text).is_none() {
        review.refuse_text(
            text,
            "`upstream_host` is no host",
            "write it like \"shop.internal\"",
        );
        return Err(Reported);
    }
    Ok(Some((**text).clone()))
}

fn health(written: &Health, review: &mut Review<'_>) -> Option<HealthCheck> {
    let path = written.path.as_ref()?;
    if !path.starts_with('/') || path.contains('#') || !path.bytes().all(|b| b.is_ascii_graphic()) {
        review.refuse_text(
            path,
            "`path` of `health` is no path",
            "write it like \"/healthz\"",
        );
        return None;
    }
    Some(HealthCheck {
        path: (**path).clone(),
        interval: written.interval.0,
    })
}
