//! The guarded applications.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::file::File;
use super::super::file::site::{Credential, Health, Paths, Site as Written, Slashes};
use super::super::spans::At;
use super::super::words::nearest;
use super::providers::is_name;
use super::{Reported, Review, cookies, headers, hosted_backend, rules, theme};
use crate::model::credential::CredentialKind;
use crate::model::origin::{Host, Origin, Scheme};
use crate::model::return_path::ReturnPath;
use crate::model::rule::Pattern;
use crate::model::site::{HealthCheck, OwnPaths, SessionLife, Site, Upstream};
use crate::model::target::EncodedSlashes;

const ORIGIN_FORM: &str = "write scheme, host and port only, like \"https://store.example.com\"";
const UPSTREAM_FORM: &str =
    "write it like \"http://127.0.0.1:3001\", \"https://app.internal\" or \"unix:///run/app.sock\"";

/// What no two sites may share.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    hosts: BTreeSet<(String, Option<u16>)>,
}

pub(super) fn sites(
    (file, session): (&File, Option<SessionLife>),
    review: &mut Review<'_>,
) -> Option<Vec<Arc<Site>>> {
    let written = file.sites.as_ref()?;
    if written.is_empty() {
        // A list of what did not fit is not empty to the operator.
        if !review.diagnostics.was_removed(&(0..0), "sites") {
            review.refuse(
                &written.span,
                "`sites` is empty",
                "add one [[sites]] for each application",
            );
        }
        return None;
    }
    let mut taken = Taken::default();
    let sites: Vec<Option<Site>> = written
        .iter()
        .map(|site| self::site(site, (file, session), &mut taken, review))
        .collect();
    sites.into_iter().map(|site| site.map(Arc::new)).collect()
}

fn site(
    written: &At<Written>,
    (file, session): (&File, Option<SessionLife>),
    taken: &mut Taken,
    review: &mut Review<'_>,
) -> Option<Site> {
    let name = written
        .name
        .as_ref()
        .and_then(|name| self::name(name, taken, review));
    let insecure = written.insecure || review.diagnostics.was_removed(&written.span, "insecure");
    let origin = written
        .origin
        .as_ref()
        .and_then(|text| origin(text, insecure, review));
    let aliases = aliases((written, insecure), origin.as_ref(), taken, review);
    let provider = provider(written, file, review);
    let application_id = application_id(written, review);
    let upstreams = upstreams(written, review);
    let upstream_host = upstream_host(written.upstream_host.as_ref(), review);
    let health = match &written.health {
        Some(health) => self::health(health, review).map(Some),
        None => Some(None),
    };
    let paths = own_paths(&written.paths, review);
    let landing = return_path(&written.landing, ("landing", paths.as_ref()), review);
    let after_logout = return_path(
        &written.after_logout,
        ("after_logout", paths.as_ref()),
        review,
    );
    let allowed_origins = allowed_origins(&written.allowed_origins, review);
    let cookies = origin
        .as_ref()
        .and_then(|origin| cookies::names(written, origin.is_https(), review));
    let own = (origin.as_ref(), paths.as_ref(), insecure);
    let hosted = match &written.hosted_backend {
        Some(backend) => {
            hosted_backend::backend(backend, written.credential, own, review).map(Some)
        }
        None => Some(None),
    };
    let headers = headers::headers(written.headers.as_ref(), review);
    let theme = theme::theme(written.theme.as_ref(), review);
    let rules = rules::rules(&written.rules, review);
    Some(Site {
        name: name?,
        origin: origin?,
        aliases: aliases?,
        provider: provider?,
        application_id: application_id?,
        upstreams: upstreams?,
        upstream_host: upstream_host.ok()?,
        health: health?,
        credential: match written.credential {
            Credential::Jwt => CredentialKind::Jwt,
            Credential::Session => CredentialKind::Session,
        },
        session: session?,
        bearer: *written.bearer,
        landing: landing?,
        after_logout: after_logout?,
        default_access: rules::access(written.default_access),
        allowed_origins: allowed_origins?,
        hosted: hosted?,
        encoded_slashes: match written.encoded_slashes {
            Slashes::Reject => EncodedSlashes::Reject,
            Slashes::Pass => EncodedSlashes::Pass,
        },
        paths: paths?,
        cookies: cookies?,
        cookie_max_age: file.cookies.max_age.0,
        headers: headers?,
        assertion: written.assertion,
        forward_token: written.forward_token,
        refresh_ahead: file.refresh.ahead.0,
        theme: Box::new(theme?),
        rules: rules?,
    })
}

fn name(written: &At<String>, taken: &mut Taken, review: &mut Review<'_>) -> Option<String> {
    if !is_name(written) {
        review.refuse_text(
            written,
            "a site cannot have this name",
            "use a-z, 0-9 and `-`",
        );
        return None;
    }
    if !taken.names.insert((**written).clone()) {
        review.refuse_text(
            written,
            "two sites have this name",
            "give each a name of its own",
        );
        return None;
    }
    Some((**written).clone())
}

fn origin(written: &At<String>, insecure: bool, review: &mut Review<'_>) -> Option<Origin> {
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
    if origin.scheme == Scheme::Http && !host.is_loopback() && !insecure {
        let hint = "write https, or insecure = true if nobody can listen on the way";
        review.refuse_text(written, "`origin` would send cookies in the clear", hint);
        return None;
    }
    Some(origin)
}

/// The further hosts; and that neither they nor the origin belong to another site already.
fn aliases(
    (written, insecure): (&Written, bool),
    origin: Option<&Origin>,
    taken: &mut Taken,
    review: &mut Review<'_>,
) -> Option<Vec<Host>> {
    let scheme = origin.map_or(Scheme::Https, |origin| origin.scheme);
    if let (Some(origin), Some(text)) = (origin, &written.origin) {
        let host = Host {
            name: origin.name.clone(),
            port: Some(origin.port),
        };
        claim(text, (&host, scheme), taken, review);
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
        if scheme == Scheme::Http && !host.is_loopback() && !insecure {
            let hint = "take it away, or write insecure = true if nobody can listen on the way";
            review.refuse_text(text, "an alias would send cookies in the clear", hint);
        }
        claim(text, (&host, scheme), taken, review);
        aliases.push(host);
    }
    (aliases.len() == written.aliases.len()).then_some(aliases)
}

/// A request finds its site by `Host` alone, so a host belongs to one site, whatever the scheme.
/// The default port equals none.
fn claim(
    text: &At<String>,
    (host, scheme): (&Host, Scheme),
    taken: &mut Taken,
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
    if keys.iter().any(|key| taken.hosts.contains(key)) {
        review.refuse_text(
            text,
            "this host is there twice",
            "a request finds its site by its host: keep one of them",
        );
    }
    taken.hosts.extend(keys);
}

fn provider(written: &At<Written>, file: &File, review: &mut Review<'_>) -> Option<String> {
    let known = file.providers.as_ref()?;
    let Some(name) = &written.provider else {
        let mut names = known.keys();
        return match (names.next(), names.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => {
                let names = known
                    .keys()
                    .map(|name| format!("{name:?}"))
                    .collect::<Vec<_>>()
                    .join(", ");
                review.diagnostics.missing(
                    &written.span,
                    "provider",
                    format!("add it: one of {names}"),
                );
                None
            }
        };
    };
    // A provider whose table did not fit is there all the same.
    if known.contains_key(&**name) || review.diagnostics.was_removed(&known.span, name) {
        return Some((**name).clone());
    }
    let hint = match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("add [providers.{}]", name.escape_debug()),
    };
    review.refuse_text(name, "no provider has this name", hint);
    None
}

fn application_id(written: &Written, review: &mut Review<'_>) -> Option<String> {
    let id = written.application_id.as_ref()?;
    if id.trim().is_empty() {
        review.refuse(
            &id.span,
            "`application_id` is empty",
            "write the audience of the tokens",
        );
        return None;
    }
    Some((**id).clone())
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

fn own_paths(written: &Paths, review: &mut Review<'_>) -> Option<OwnPaths> {
    let all = [&written.login, &written.logout, &written.api];
    let mut fits = true;
    for (at, path) in all.iter().enumerate() {
        let odd = path.ends_with('/')
            || path
                .bytes()
                .any(|b| !b.is_ascii_graphic() || b"*%;\"<>{}|^`".contains(&b));
        if odd || Pattern::parse(path).is_err() {
            review.refuse_text(
                path,
                "this cannot be a path of the gateway",
                "write it like \"/sign-in\"",
            );
            fits = false;
            continue;
        }
        if beneath(path, "/_vestibule") || beneath(path, "/.well-known/vestibule") {
            review.refuse_text(
                path,
                "this path is the gateway's already",
                "write it like \"/sign-in\"",
            );
            fits = false;
        }
        let clash = all.iter().enumerate().find(|(other_at, other)| {
            // Two that share a path are told once, at the one that was written.
            let turn = *other_at < at || !other.is_written();
            *other_at != at
                && path.is_written()
                && turn
                && (beneath(path, other) || beneath(other, path))
        });
        if let Some((_, other)) = clash {
            let what = format!(
                "the gateway's paths {:?} and {:?} overlap",
                ***path, ***other
            );
            review.refuse(
                &path.span,
                what,
                "none may be the same as another or beneath it",
            );
            fits = false;
        }
    }
    let text = |path: &At<String>| (**path).clone();
    fits.then(|| OwnPaths {
        login: text(&written.login),
        logout: text(&written.logout),
        api: text(&written.api),
    })
}

pub(super) fn beneath(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An address of this site that is not one of the gateway's own: those would lead round in a
/// circle.
fn return_path(
    written: &At<String>,
    (key, paths): (&str, Option<&OwnPaths>),
    review: &mut Review<'_>,
) -> Option<ReturnPath> {
    let Some(path) = ReturnPath::parse(written) else {
        let what = format!("`{key}` is no path of this site");
        review.refuse_text(written, &what, "write it like \"/account\"");
        return None;
    };
    let target = written.split(['?', '#']).next().unwrap_or_default();
    if key == "landing"
        && paths.is_some_and(|paths| target == paths.login || target == paths.logout)
    {
        review.refuse_text(
            written,
            "`landing` leads back to the sign-in or sign-out",
            "name a page of the application",
        );
        return None;
    }
    Some(path)
}

fn allowed_origins(written: &[At<String>], review: &mut Review<'_>) -> Option<Vec<Origin>> {
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
