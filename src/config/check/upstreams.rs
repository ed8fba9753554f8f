//! Where the application of a site listens, and how its health is checked.

use std::path::PathBuf;

use super::super::file::site::{Health, Site as Written};
use super::super::spans::At;
use super::{Reported, Review};
use crate::model::origin::{Host, Origin, Scheme};
use crate::model::site::{HealthCheck, Upstream};

const UPSTREAM_FORM: &str =
    "write it like \"http://127.0.0.1:3001\", \"https://app.internal\" or \"unix:///run/app.sock\"";

/// The checked settings of a site's application.
pub(super) struct Application {
    pub(super) upstreams: Vec<Upstream>,
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
        upstream_host: upstream_host.ok()?,
        health: health?,
    })
}

fn upstreams(written: &At<Written>, review: &mut Review<'_>) -> Option<Vec<Upstream>> {
    let list = written.upstreams.as_ref()?;
    if list.is_empty() && !review.diagnostics.was_removed(&written.span, "upstreams") {
        review.refuse(&list.span, "`upstreams` is empty", UPSTREAM_FORM);
    }
    let mut upstreams = Vec::new();
    for text in list.iter() {
        let Some(upstream) = upstream(text) else {
            if text.contains('@') {
                review.refuse(
                    &text.span,
                    "an upstream has a name or password in it",
                    UPSTREAM_FORM,
                );
            } else {
                review.refuse_text(text, "an upstream is no address", UPSTREAM_FORM);
            }
            continue;
        };
        if upstreams.contains(&upstream) {
            review.refuse_text(text, "an upstream is there twice", "keep one of them");
        }
        upstreams.push(upstream);
    }
    (!upstreams.is_empty() && upstreams.len() == list.len()).then_some(upstreams)
}

fn upstream(text: &str) -> Option<Upstream> {
    if let Some(path) = text.strip_prefix("unix://") {
        let fits = path.len() > 1 && path.starts_with('/') && !path.contains(char::is_control);
        return fits.then(|| Upstream::Unix {
            path: PathBuf::from(path),
        });
    }
    let Origin {
        scheme,
        name: host,
        port,
    } = Origin::parse(text).filter(|origin| origin.port != 0)?;
    Some(match scheme {
        Scheme::Http => Upstream::Http { host, port },
        Scheme::Https => Upstream::Https { host, port },
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
