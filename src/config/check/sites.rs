//! Checks `[[sites]]`, the guarded applications, with the help of the other files for their parts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::file::File;
use super::super::file::provider::{Kind, Provider};
use super::super::file::site::{Credential, Site as Written, Slashes};
use super::super::spans::At;
use super::super::suggest::suggest;
use super::hosts::TakenHosts;
use super::providers::is_name;
use super::{
    Review, application_session, cookies, fusionauth_hosted_backend, headers, hosts, oidc_client,
    own_paths, rules, service_tokens, theme, upstreams, warnings,
};
use crate::model::cookie_names::CookieNames;
use crate::model::credential::CredentialKind;
use crate::model::https_policy::HttpsPolicy;
use crate::model::origin::Origin;
use crate::model::request_limits::{HeadLimits, RequestLimits};
use crate::model::site::{SessionLifetime, SignIn, Site};
use crate::model::target::EncodedSlashes;

/// What all sites have in common: settings outside of their tables.
#[derive(Clone, Copy)]
struct Common<'a> {
    file: &'a File,
    session: Option<SessionLifetime>,
}

/// What no two sites may share.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    hosts: TakenHosts,
}

pub(super) fn sites(
    file: &File,
    session: Option<SessionLifetime>,
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
    let common = Common { file, session };
    let mut taken = Taken::default();
    let sites: Vec<Option<Site>> = written
        .iter()
        .map(|site| self::site(site, common, &mut taken, review))
        .collect();
    sites.into_iter().map(|site| site.map(Arc::new)).collect()
}

#[expect(clippy::too_many_lines, reason = "one line for each key")]
fn site(
    written: &At<Written>,
    common: Common<'_>,
    taken: &mut Taken,
    review: &mut Review<'_>,
) -> Option<Site> {
    let Common { file, session } = common;
    let name = written.name.as_ref();
    let name = name.and_then(|name| self::name(name, taken, review));
    let cleartext = review.cleartext(&written.span, (*written.insecure).into());
    let origin = written.origin.as_ref();
    let origin = origin.and_then(|text| hosts::origin(text, cleartext, review));
    let aliases = hosts::aliases(written, origin.as_ref(), &mut taken.hosts, review);
    let https = https_policy(written, origin.as_ref(), review);
    let provider = provider(written, file, review);
    let identity_provider = provider
        .as_ref()
        .and_then(|name| file.providers.as_ref()?.get(name));
    let application_id = application_id(written, identity_provider, review);
    let sign_in = sign_in(written, identity_provider, review);
    let application = upstreams::application(written, review);
    let paths = own_paths::paths(written, review);
    let allowed_origins = hosts::allowed_origins(&written.allowed_origins, review);
    let cookies = cookies(written, origin.as_ref(), review);
    let hosted =
        fusionauth_hosted_backend::backend(written, origin.as_ref(), paths.own.as_ref(), review);
    let headers = headers::headers(written.headers.as_ref(), review);
    let theme = theme::theme(written.theme.as_ref(), review);
    let rules = rules::rules(&written.rules, review);
    let parts = headers.as_ref().zip(rules.as_deref());
    let parts = parts.map(|(headers, rules)| service_tokens::SiteParts { headers, rules });
    let tokens = service_tokens::tokens(written, parts, review);
    let forget = cookies
        .as_ref()
        .and_then(|names| application_session::forget(&written.forget, names, review));
    let sign_out_paths = application_session::sign_out_paths(written, &paths, review);
    let application = application?;
    let site = Site {
        name: name?,
        origin: origin?,
        aliases: aliases?,
        https: https?,
        public_hooks: public_hooks(provider.as_deref()?, file),
        provider: provider?,
        sign_in: sign_in?,
        application_id: application_id?,
        upstreams: application.upstreams,
        forward_auth: *written.forward_auth,
        balance: application.balance,
        upstream_protocol: application.protocol,
        upstream_keepalive: *written.upstream_keepalive,
        upstream_host: application.upstream_host,
        upstream_idle: written.upstream_idle.as_ref().map(|limit| limit.0),
        limits: limits(written),
        via: (*written.via).into(),
        rewrite: (*written.rewrite).into(),
        health: application.health,
        credential: credential(written.credential),
        session_lifetime: session?,
        bearer: *written.bearer,
        basic: written.basic,
        service_tokens: tokens?,
        landing: paths.landing?,
        after_logout: paths.after_logout?,
        default_access: rules::access(written.default_access),
        allowed_origins: allowed_origins?,
        hosted_backend: hosted.ok()?,
        encoded_slashes: encoded_slashes(written.encoded_slashes),
        paths: paths.own?,
        cookies: cookies?,
        cookie_max_age: file.cookies.max_age.0,
        preserve_post: written.preserve_post.0,
        identity_headers: headers?,
        assertion: written.assertion,
        forward_token: written.forward_token,
        refresh_ahead: file.refresh.ahead.0,
        theme: Box::new(theme?),
        forget: forget?,
        sign_out_paths: sign_out_paths?,
        rules: rules?,
    };
    warnings::site(written, &site, review);
    Some(site)
}

fn limits(written: &Written) -> RequestLimits {
    let body = written.max_body.as_ref();
    RequestLimits {
        head: HeadLimits::new(written.max_target.0, written.max_head.0),
        body: body.and_then(|size| u64::try_from(size.0).ok()),
    }
}

fn cookies(
    written: &Written,
    origin: Option<&Origin>,
    review: &mut Review<'_>,
) -> Option<CookieNames> {
    cookies::names(written, origin?.scheme, review)
}

/// `None` for a policy that an http site cannot have.
fn https_policy(
    written: &Written,
    origin: Option<&Origin>,
    review: &mut Review<'_>,
) -> Option<HttpsPolicy> {
    if let Some(hsts) = &written.hsts
        && origin.is_some_and(|origin| !origin.is_https())
    {
        review.refuse(
            &hsts.span,
            "`hsts` has no effect on an http origin",
            "leave it out, or write an https origin",
        );
        return None;
    }
    let hsts = written.hsts.as_ref().map(|time| time.0.as_secs());
    Some(HttpsPolicy {
        over_http: (*written.redirect_to_https).into(),
        hsts: hsts.and_then(|seconds| format!("max-age={seconds}").try_into().ok()),
    })
}

const fn credential(written: Credential) -> CredentialKind {
    match written {
        Credential::Jwt => CredentialKind::Jwt,
        Credential::Session => CredentialKind::Session,
    }
}

const fn encoded_slashes(written: Slashes) -> EncodedSlashes {
    match written {
        Slashes::Reject => EncodedSlashes::Reject,
        Slashes::Pass => EncodedSlashes::Pass,
    }
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
    let hint = match suggest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("add [providers.{}]", name.escape_debug()),
    };
    review.refuse_text(name, "no provider has this name", hint);
    None
}

/// Whether the messages of a provider are taken at its sites.
fn public_hooks(provider: &str, file: &File) -> bool {
    let provider = file.providers.as_ref().and_then(|all| all.get(provider));
    provider.is_some_and(|provider| provider.public_hooks)
}

fn application_id(
    written: &At<Written>,
    provider: Option<&At<Provider>>,
    review: &mut Review<'_>,
) -> Option<String> {
    let default = || provider.and_then(|provider| oidc_client::default_audience(provider));
    let Some(id) = written.application_id.as_ref().or_else(default) else {
        let is_unknown = provider.is_none_or(|provider| provider.kind == Some(Kind::Oidc));
        if !is_unknown {
            let hint = "add it: the audience (`aud`) of its tokens, with FusionAuth the id of the application";
            review
                .diagnostics
                .missing(&written.span, "application_id", hint);
        }
        return None;
    };
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

/// Where the visitors of the site type their password; `None` where that contradicts other keys.
fn sign_in(
    written: &At<Written>,
    provider: Option<&At<Provider>>,
    review: &mut Review<'_>,
) -> Option<SignIn> {
    let sign_in = oidc_client::sign_in(provider?);
    let takes_basic = written.basic
        || written
            .rules
            .iter()
            .any(|rule| rule.basic.as_ref().is_some_and(|basic| **basic));
    if sign_in == SignIn::Redirect && takes_basic {
        let hint = "use a provider with sign_in = \"form\", or [[sites.tokens]] for programs";
        let what =
            "`basic` needs a provider that checks passwords, and this one signs in by redirect";
        review.refuse(&written.span, what, hint);
        return None;
    }
    Some(sign_in)
}
