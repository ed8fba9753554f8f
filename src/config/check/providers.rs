//! Checks `[providers.NAME]`: the address, algorithms, keys and secrets of each identity provider.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;

use url::Url;

use super::super::file::File;
use super::super::file::provider::{Kind, Provider as Written};
use super::super::secret_source::SecretSource;
use super::super::settings::{Provider, ProviderKind};
use super::super::spans::At;
use super::{Cleartext, Reported, Review, oidc_client, warnings};
use crate::model::algorithm::Algorithm;
use crate::model::origin::Host;
use crate::model::secret::Secret;

/// The issuer of the embedded identity server unless another is written.
const EMBEDDED_ISSUER: &str = "vestibule.local";

pub(super) fn providers(
    file: &File,
    review: &mut Review<'_>,
) -> Option<BTreeMap<String, Provider>> {
    let written = file.providers.as_ref()?;
    if written.is_empty() {
        if review.diagnostics.is_empty() {
            let hint = "add [providers.main] with `kind` and what belongs to it";
            review.refuse(&written.span, "`providers` is empty", hint);
        }
        return None;
    }
    let mut providers = BTreeMap::new();
    for (name, provider) in written.iter() {
        if !is_name(name) {
            let what = format!("a provider cannot be named {name:?}");
            review.refuse(&provider.span, what, "use a-z, 0-9 and `-`");
        }
        if let Some(provider) = self::provider(provider, review) {
            providers.insert(name.clone(), provider);
        }
    }
    (providers.len() == written.len()).then_some(providers)
}

/// Whether `text` may name a provider, a site or a service token: 1 to 63 of `a-z`, `0-9` and `-`, as
/// names stand in logs and metrics.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn provider(written: &At<Written>, review: &mut Review<'_>) -> Option<Provider> {
    let algorithms = algorithms(written, review);
    let hmac_secret = hmac_secret(written, review);
    // Looked at whatever the kind: it may be misspelt.
    let cleartext = review.cleartext(&written.span, (*written.insecure).into());
    let url = written
        .url
        .as_ref()
        .and_then(|url| self::url(url, cleartext, review));
    let api_key = written
        .api_key
        .as_ref()
        .and_then(|source| api_key(source, review));
    let kind = match written.kind {
        Some(Kind::Fusionauth) => fusionauth(written, url, api_key, review),
        Some(Kind::Embedded) => embedded(written, review),
        Some(Kind::Oidc) => oidc_client::provider_kind(written, url, review),
        None => None,
    };
    let issuer = issuer(written, review);
    let client = oidc_client::client(written, review);
    let claims = oidc_client::claim_names(written, review);
    let webhook_secret = webhook_secret(written, review);
    Some(Provider {
        kind: kind?,
        issuer: issuer?,
        algorithms: algorithms?,
        hmac_secret: hmac_secret.ok()?,
        timeout: written.timeout.0,
        leeway: written.leeway.0,
        reveal_account_state: written.reveal_account_state,
        claims: claims?,
        client: client.ok()?,
        webhook_secret: webhook_secret.ok()?,
        public_hooks: written.public_hooks,
    })
}

/// The secret of the webhooks. It travels as a Bearer credential.
fn webhook_secret(
    written: &At<Written>,
    review: &mut Review<'_>,
) -> Result<Option<Secret>, Reported> {
    let Some(source) = &written.webhook_secret else {
        return Ok(None);
    };
    let secret = review.secret(source).ok_or(Reported)?;
    if secret.expose().is_empty() || !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
        let what = "`webhook_secret` is empty or has characters that a header cannot carry";
        review.refuse(&source.span, what, make_one(32));
        return Err(Reported);
    }
    Ok(Some(secret))
}

fn issuer(written: &At<Written>, review: &mut Review<'_>) -> Option<String> {
    match (&written.issuer, written.kind) {
        (Some(issuer), _) if issuer.trim().is_empty() => {
            review.refuse(
                &issuer.span,
                "`issuer` is empty",
                "write the `iss` of the provider's tokens, exactly",
            );
            None
        }
        (Some(issuer), _) => Some((**issuer).clone()),
        (None, Some(Kind::Embedded)) => Some(EMBEDDED_ISSUER.to_owned()),
        // As it is written: some issuers end with a slash.
        (None, Some(Kind::Oidc)) => written.url.as_ref().map(|url| (**url).clone()),
        (None, Some(Kind::Fusionauth)) => {
            review.diagnostics.missing(
                &written.span,
                "issuer",
                "add it: the `iss` of the provider's tokens, exactly",
            );
            None
        }
        (None, None) => None,
    }
}

fn api_key(source: &At<SecretSource>, review: &mut Review<'_>) -> Option<Secret> {
    let key = review.secret(source)?;
    if key.expose().is_empty() || !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
        review.refuse(
            &source.span,
            "`api_key` is empty or has characters that no key has",
            "copy it again",
        );
        return None;
    }
    Some(key)
}

fn fusionauth(
    written: &At<Written>,
    url: Option<String>,
    api_key: Option<Secret>,
    review: &mut Review<'_>,
) -> Option<ProviderKind> {
    if let Some(users) = &written.users {
        review.refuse(
            &users.span,
            "`users` has no use here",
            "it belongs to kind = \"embedded\"",
        );
    }
    if written.url.is_none() {
        review.diagnostics.missing(
            &written.span,
            "url",
            "add it: where FusionAuth answers, like \"https://id.example.com\"",
        );
    }
    if written.api_key.is_none() {
        review.diagnostics.missing(
            &written.span,
            "api_key",
            "add it, like { env = \"FUSIONAUTH_API_KEY\" }",
        );
    }
    let tenant_id = match &written.tenant_id {
        Some(id)
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            review.refuse_text(
                id,
                "`tenant_id` is no id",
                "copy it from FusionAuth, or leave it out",
            );
            None
        }
        other => Some(other.as_ref().map(|id| (**id).clone())),
    };
    Some(ProviderKind::Fusionauth {
        url: url?,
        api_key: api_key?,
        tenant_id: tenant_id?,
    })
}

fn embedded(written: &At<Written>, review: &mut Review<'_>) -> Option<ProviderKind> {
    let strangers = [
        ("url", written.url.as_ref().map(|at| &at.span)),
        ("api_key", written.api_key.as_ref().map(|at| &at.span)),
        ("tenant_id", written.tenant_id.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in strangers {
        if let Some(span) = span {
            review.refuse(
                span,
                format!("`{key}` has no use here"),
                "it belongs to kind = \"fusionauth\"",
            );
        }
    }
    let Some(users) = &written.users else {
        review.diagnostics.missing(
            &written.span,
            "users",
            "add it: the TOML file of the users, like \"users.toml\"",
        );
        return None;
    };
    readable(users, review).map(|users| ProviderKind::Embedded { users })
}

fn readable(users: &At<String>, review: &mut Review<'_>) -> Option<PathBuf> {
    let path = review.path(users);
    if let Err(error) = review.environment.file(&path) {
        let what = format!("the file \"{}\" cannot be read: {error}", path.display());
        let hint = if error.kind() == ErrorKind::NotFound {
            "create it, empty and with mode 600, and fill it with `vestibule users add`; relative \
             paths start from the folder of the configuration"
        } else {
            "relative paths start from the folder of the configuration"
        };
        review.refuse(&users.span, what, hint);
        return None;
    }
    warnings::users_file(users, &path, review);
    Some(path)
}

/// The URL without a slash at its end.
fn url(written: &At<String>, cleartext: Cleartext, review: &mut Review<'_>) -> Option<String> {
    let hint = "write it like \"https://id.example.com\"";
    let Some(url) = Url::parse(written)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .filter(|_| written.bytes().all(|byte| byte.is_ascii_graphic()))
    else {
        // Not quoted: a password may be in it.
        review.refuse(&written.span, "`url` is no http or https address", hint);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        review.refuse(
            &written.span,
            "`url` has a name or password in it",
            "take it out: `api_key` is the proof",
        );
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        review.refuse(&written.span, "`url` has a `?` or `#` in it", hint);
        return None;
    }
    let loopback = url
        .host_str()
        .and_then(Host::parse)
        .is_some_and(|host| host.is_loopback());
    if url.scheme() == "http" && !loopback && cleartext == Cleartext::Refused {
        let hint = "write https, or insecure = true if nobody can listen on the way";
        review.refuse_text(written, "`url` would send passwords in the clear", hint);
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn algorithms(written: &At<Written>, review: &mut Review<'_>) -> Option<Vec<Algorithm>> {
    let algorithms = &written.algorithms;
    if algorithms.is_empty() {
        if !review.diagnostics.was_removed(&written.span, "algorithms") {
            review.refuse(
                &algorithms.span,
                "`algorithms` is empty",
                "name those of the provider, like [\"RS256\"]",
            );
        }
        return None;
    }
    let hmac = algorithms
        .iter()
        .filter(|algorithm| algorithm.hmac_bytes().is_some())
        .count();
    if hmac > 0 && hmac < algorithms.len() {
        // A public key that everybody has must never be taken as an HMAC secret.
        let hint = "keep one family: HS256 and kin, or the others";
        review.refuse(
            &algorithms.span,
            "`algorithms` mixes HS with asymmetric ones",
            hint,
        );
        return None;
    }
    Some(algorithms.iter().map(|algorithm| **algorithm).collect())
}

fn hmac_secret(written: &At<Written>, review: &mut Review<'_>) -> Result<Option<Secret>, Reported> {
    let needed = written
        .algorithms
        .iter()
        .filter_map(|algorithm: &At<Algorithm>| algorithm.hmac_bytes())
        .max();
    match (&written.hmac_secret, needed) {
        (None, None) => Ok(None),
        (None, Some(bytes)) => {
            let hint = format!("add it, {bytes} bytes or more, {}", make_one(bytes));
            review
                .diagnostics
                .missing(&written.span, "hmac_secret", hint);
            Err(Reported)
        }
        (Some(source), None) => {
            if !review.diagnostics.was_removed(&written.span, "algorithms") {
                let hint = "take it away, or write algorithms = [\"HS256\"]";
                review.refuse(
                    &source.span,
                    "`hmac_secret` has no use without HS256 or kin",
                    hint,
                );
            }
            Err(Reported)
        }
        (Some(source), Some(bytes)) => {
            let secret = review.secret(source).ok_or(Reported)?;
            if secret.expose().len() < bytes {
                let what = format!("`hmac_secret` is shorter than its hash of {bytes} bytes");
                review.refuse(&source.span, what, make_one(bytes));
                return Err(Reported);
            }
            if is_guessable(secret.expose()) {
                review.warn(
                    &source.span,
                    "`hmac_secret` can be guessed",
                    make_one(bytes),
                );
            }
            Ok(Some(secret))
        }
    }
}

fn make_one(bytes: usize) -> String {
    format!("make one with `openssl rand -base64 {bytes}`")
}

/// Words, or a few characters over and over (RFC 8725, section 3.5).
fn is_guessable(secret: &str) -> bool {
    let different = secret.chars().collect::<BTreeSet<_>>().len();
    let words = secret
        .chars()
        .all(|c| c.is_alphabetic() || c.is_whitespace() || matches!(c, '-' | '_' | '.' | ','));
    let one_case = secret
        .chars()
        .filter(|c| c.is_alphabetic())
        .all(char::is_lowercase)
        || secret
            .chars()
            .filter(|c| c.is_alphabetic())
            .all(char::is_uppercase);
    different < 8 || (words && (one_case || secret.contains(' ')))
}
