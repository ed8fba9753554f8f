//! Checks `hosted_backend` of a site: the client of FusionAuth's single-page SDKs and the addresses
//! that it may be sent back to.

use super::super::file::site::{Credential, HostedBackend as Written, Site as WrittenSite};
use super::super::spans::At;
use super::own_paths::beneath;
use super::{Cleartext, Reported, Review};
use crate::model::fusionauth_hosted_backend::{
    HOSTED_ENDPOINTS, HOSTED_PREFIX, HostedBackend, RedirectUri,
};
use crate::model::origin::{Host, Origin, Scheme};
use crate::model::site::OwnPaths;

const URI_FORM: &str =
    "write the whole address as browsers show it, like \"https://store.example.com/\"";

/// What a hosted backend is checked against: the rest of its site.
#[derive(Clone, Copy)]
struct SiteContext<'a> {
    origin: Option<&'a Origin>,
    paths: Option<&'a OwnPaths>,
    cleartext: Cleartext,
}

/// The hosted backend of `site`, where it has one. `origin` and `paths` are `None` where they have
/// a problem of their own.
pub(super) fn backend(
    site: &At<WrittenSite>,
    origin: Option<&Origin>,
    paths: Option<&OwnPaths>,
    review: &mut Review<'_>,
) -> Result<Option<HostedBackend>, Reported> {
    let Some(written) = &site.hosted_backend else {
        return Ok(None);
    };
    let own = SiteContext {
        origin,
        paths,
        cleartext: review.cleartext(&site.span, (*site.insecure).into()),
    };
    let credential = site.credential;
    let mut fits = true;
    if matches!(credential, Credential::Session) {
        let hint = "write credential = \"jwt\", or leave `hosted_backend` out";
        review.refuse(
            &written.span,
            "`hosted_backend` needs the tokens in cookies",
            hint,
        );
        fits = false;
    }
    fits &= paths_are_free(written, own.paths, review);
    let client_id = written
        .client_id
        .as_ref()
        .and_then(|id| client_id(id, review));
    let list = written
        .redirect_uris
        .as_ref()
        .and_then(|list| redirect_uris(written, list, own, review));
    let backend = client_id.zip(list).filter(|_| fits);
    backend
        .and_then(|(client_id, list)| HostedBackend::new(client_id, list))
        .map(Some)
        .ok_or(Reported)
}

/// It stands in paths and is compared with what stands there.
fn client_id(written: &At<String>, review: &mut Review<'_>) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if written.is_empty() || !written.bytes().all(plain) || written.bytes().all(|b| b == b'.') {
        review.refuse_text(
            written,
            "`client_id` cannot stand in a path",
            "use letters, digits, `-`, `_` and `.`",
        );
        return None;
    }
    Some((**written).clone())
}

/// What the SDKs call must not be another of the gateway's paths.
fn paths_are_free(
    written: &At<Written>,
    paths: Option<&OwnPaths>,
    review: &mut Review<'_>,
) -> bool {
    let Some(paths) = paths else { return true };
    let clash = paths.iter().find(|path| {
        HOSTED_ENDPOINTS.iter().any(|(name, _)| {
            let hosted = format!("{HOSTED_PREFIX}{name}");
            beneath(path, &hosted) || beneath(&hosted, path)
        })
    });
    if let Some(path) = clash {
        let what = format!("`hosted_backend` and the gateway's path {path:?} overlap");
        review.refuse(
            &written.span,
            what,
            "give that path another name in `paths`",
        );
    }
    clash.is_none()
}

fn redirect_uris(
    written: &At<Written>,
    list: &At<Vec<At<String>>>,
    own: SiteContext<'_>,
    review: &mut Review<'_>,
) -> Option<Vec<RedirectUri>> {
    if list.is_empty()
        && !review
            .diagnostics
            .was_removed(&written.span, "redirect_uris")
    {
        review.refuse(
            &list.span,
            "`redirect_uris` is empty",
            "add the address of the application",
        );
    }
    let mut uris: Vec<RedirectUri> = Vec::new();
    for text in list.iter() {
        let Some(uri) = redirect_uri(text, own, review) else {
            continue;
        };
        if uris.contains(&uri) {
            review.refuse_text(text, "a redirect URI is there twice", "keep one of them");
        }
        uris.push(uri);
    }
    (!uris.is_empty() && uris.len() == list.len()).then_some(uris)
}

fn redirect_uri(
    text: &At<String>,
    own: SiteContext<'_>,
    review: &mut Review<'_>,
) -> Option<RedirectUri> {
    let Some(uri) = RedirectUri::parse(text) else {
        // Not quoted where a password may be in it.
        if text.contains('@') {
            review.refuse(
                &text.span,
                "a redirect URI has a name or password in it",
                URI_FORM,
            );
        } else {
            review.refuse_text(text, "a redirect URI is no plain address", URI_FORM);
        }
        return None;
    };
    let host = Host {
        name: uri.origin().name.clone(),
        port: None,
    };
    if uri.origin().scheme == Scheme::Http
        && !host.is_loopback()
        && own.cleartext == Cleartext::Refused
    {
        let hint = "write https, or insecure = true if nobody can listen on the way";
        review.refuse_text(text, "a redirect URI leads out of https", hint);
        return None;
    }
    let hosted = HOSTED_ENDPOINTS
        .iter()
        .any(|(name, _)| beneath(uri.path(), &format!("{HOSTED_PREFIX}{name}")));
    let form = own
        .paths
        .is_some_and(|paths| uri.path() == paths.login || uri.path() == paths.logout);
    if own.origin == Some(uri.origin()) && (hosted || form) {
        review.refuse_text(
            text,
            "a redirect URI leads round in a circle",
            "name a page of the application",
        );
        return None;
    }
    Some(uri)
}
