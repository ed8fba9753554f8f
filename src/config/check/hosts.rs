//! The origin, the aliases and the allowed origins of a site.

use std::collections::BTreeSet;

use super::super::file::site::Site as Written;
use super::super::spans::At;
use super::{Cleartext, Review};
use crate::model::origin::{Host, Origin, Scheme};

const ORIGIN_FORM: &str = "write scheme, host and port only, like \"https://store.example.com\"";

/// Host names with their ports that a site uses already.
#[derive(Default)]
pub(super) struct TakenHosts(BTreeSet<(String, Option<u16>)>);

/// The origin of a site: `https`, or `http` where nobody can listen on the way.
pub(super) fn origin(
    written: &At<String>,
    cleartext: Cleartext,
    review: &mut Review<'_>,
) -> Option<Origin> {
    let Some(origin) = Origin::parse(written).filter(|origin| origin.port != 0) else {
        // Not quoted where a password may be in it.
        if written.contains('@') {
            review.refuse(&written.span, "`origin` is no origin", ORIGIN_FORM);
        } else {
            review.refuse_text(written, "`origin` is no origin", ORIGIN_FORM);
        }
        return None;
    };
    let host = Host {
        name: origin.name.clone(),
        port: None,
    };
    if origin.scheme == Scheme::Http && !host.is_loopback() && cleartext == Cleartext::Refused {
        let hint = "write https, or insecure = true if nobody can listen on the way";
        review.refuse_text(written, "`origin` would send cookies in the clear", hint);
        return None;
    }
    Some(origin)
}

/// The further hosts of a site. Neither they nor its origin may belong to another site.
pub(super) fn aliases(
    written: &At<Written>,
    origin: Option<&Origin>,
    taken: &mut TakenHosts,
    review: &mut Review<'_>,
) -> Option<Vec<Host>> {
    let cleartext = review.cleartext(&written.span, (*written.insecure).into());
    let scheme = origin.map_or(Scheme::Https, |origin| origin.scheme);
    if let (Some(origin), Some(text)) = (origin, &written.origin) {
        let host = Host {
            name: origin.name.clone(),
            port: Some(origin.port),
        };
        claim(text, &host, scheme, taken, review);
    }
    let mut aliases = Vec::new();
    for text in &written.aliases {
        let Some(host) = Host::parse(text).filter(|host| host.port != Some(0)) else {
            review.refuse_text(
                text,
                "an alias is no host",
                "write host and port only, like \"www.example.com\"",
            );
            continue;
        };
        if scheme == Scheme::Http && !host.is_loopback() && cleartext == Cleartext::Refused {
            let hint = "take it away, or write insecure = true if nobody can listen on the way";
            review.refuse_text(text, "an alias would send cookies in the clear", hint);
        }
        claim(text, &host, scheme, taken, review);
        aliases.push(host);
    }
    (aliases.len() == written.aliases.len()).then_some(aliases)
}

/// A request finds its site by `Host` alone, so a host belongs to one site, whatever the scheme.
/// The default port equals none.
fn claim(
    text: &At<String>,
    host: &Host,
    scheme: Scheme,
    taken: &mut TakenHosts,
    review: &mut Review<'_>,
) {
    let mut ports = vec![host.port];
    match host.port {
        None => ports.push(Some(scheme.default_port())),
        Some(port) if port == scheme.default_port() => ports.push(None),
        Some(_) => {}
    }
    let keys: Vec<_> = ports
        .into_iter()
        .map(|port| (host.name.clone(), port))
        .collect();
    if keys.iter().any(|key| taken.0.contains(key)) {
        review.refuse_text(
            text,
            "this host is there twice",
            "a request finds its site by its host: keep one of them",
        );
    }
    taken.0.extend(keys);
}

/// The origins whose pages may send requests with the site's cookies.
pub(super) fn allowed_origins(
    written: &[At<String>],
    review: &mut Review<'_>,
) -> Option<Vec<Origin>> {
    let mut origins = Vec::new();
    for text in written {
        match Origin::parse(text).filter(|origin| origin.port != 0) {
            Some(origin) => origins.push(origin),
            None => {
                review.refuse_text(text, "`allowed_origins` has what is no origin", ORIGIN_FORM);
            }
        }
    }
    (origins.len() == written.len()).then_some(origins)
}
