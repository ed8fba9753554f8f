//! Checks the client of an OIDC provider, or of FusionAuth where visitors sign in by redirect.

use super::super::file::provider::{Kind, Provider as Written, SignIn as WrittenSignIn};
use super::super::secret_source::SecretSource;
use super::super::settings::{ClientProof, OidcClient, ProviderKind};
use super::super::spans::At;
use super::{Reported, Review};
use crate::model::identity::ClaimNames;
use crate::model::secret::Secret;
use crate::model::site::SignIn;

/// What is asked for unless `scopes` says otherwise. Without `offline_access` many providers issue
/// no refresh token.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Where the visitors of a provider type their password.
pub(super) fn sign_in(written: &Written) -> SignIn {
    match (&written.sign_in, written.kind) {
        (Some(at), _) => match **at {
            WrittenSignIn::Form => SignIn::Form,
            WrittenSignIn::Redirect => SignIn::Redirect,
        },
        (None, Some(Kind::Oidc)) => SignIn::Redirect,
        (None, Some(Kind::Fusionauth | Kind::Embedded) | None) => SignIn::Form,
    }
}

/// The audience of a site's tokens where `application_id` does not say it.
pub(super) fn default_audience(written: &Written) -> Option<&At<String>> {
    let is_oidc = written.kind == Some(Kind::Oidc);
    written.client_id.as_ref().filter(|_| is_oidc)
}

/// An OIDC provider, where `url` is written; `None` where a problem was reported.
pub(super) fn provider_kind(
    written: &At<Written>,
    url: Option<String>,
    review: &mut Review<'_>,
) -> Option<ProviderKind> {
    let strangers = [
        (
            "users",
            written.users.as_ref().map(|at| &at.span),
            "embedded",
        ),
        (
            "api_key",
            written.api_key.as_ref().map(|at| &at.span),
            "fusionauth",
        ),
        (
            "tenant_id",
            written.tenant_id.as_ref().map(|at| &at.span),
            "fusionauth",
        ),
    ];
    for (key, span, kind) in strangers {
        if let Some(span) = span {
            let hint = format!("it belongs to kind = \"{kind}\"");
            review.refuse(span, format!("`{key}` has no use here"), hint);
        }
    }
    if written.url.is_none() {
        let hint = "add it: the issuer, like \"https://sso.example.com/realms/shop\"";
        review.diagnostics.missing(&written.span, "url", hint);
    }
    Some(ProviderKind::Oidc { url: url? })
}

/// The client, where the provider needs one.
///
/// # Errors
/// A problem was reported.
pub(super) fn client(
    written: &At<Written>,
    review: &mut Review<'_>,
) -> Result<Option<OidcClient>, Reported> {
    let sign_in = sign_in(written);
    let is_needed = match written.kind {
        Some(Kind::Oidc) => true,
        Some(Kind::Fusionauth) => sign_in == SignIn::Redirect,
        Some(Kind::Embedded) | None => false,
    };
    if !is_needed {
        refuse_all(written, review)?;
        return Ok(None);
    }
    if let (SignIn::Form, Some(Kind::Oidc), Some(at)) = (sign_in, written.kind, &written.sign_in) {
        let what = "`sign_in` = \"form\" is the password grant, which RFC 9700 advises against";
        let hint = "write \"redirect\" unless a client can only send a password";
        review.warn(&at.span, what, hint);
    }
    let id = client_id(written, review);
    let proof = proof(written, review);
    let scopes = scopes(written, review);
    let acr_values = parameter("acr_values", written.acr_values.as_ref(), review);
    let prompt = parameter("prompt", written.prompt.as_ref(), review);
    Ok(Some(OidcClient {
        id: id?,
        proof: proof?,
        sign_in,
        scopes: scopes?,
        acr_values: acr_values?,
        prompt: prompt?,
        insecure: *written.insecure,
    }))
}

/// Keys that have no effect on a provider without a client.
fn refuse_all(written: &At<Written>, review: &mut Review<'_>) -> Result<(), Reported> {
    let spans = [
        ("client_id", written.client_id.as_ref().map(|at| &at.span)),
        (
            "client_secret",
            written.client_secret.as_ref().map(|at| &at.span),
        ),
        (
            "private_key",
            written.private_key.as_ref().map(|at| &at.span),
        ),
        ("scopes", written.scopes.as_ref().map(|at| &at.span)),
        ("acr_values", written.acr_values.as_ref().map(|at| &at.span)),
        ("prompt", written.prompt.as_ref().map(|at| &at.span)),
    ];
    let hint = match written.kind {
        Some(Kind::Embedded) => "it belongs to kind = \"oidc\"",
        Some(Kind::Fusionauth | Kind::Oidc) | None => "add sign_in = \"redirect\", or leave it out",
    };
    let mut outcome = Ok(());
    for (key, span) in spans {
        if let Some(span) = span {
            review.refuse(span, format!("`{key}` has no use here"), hint);
            outcome = Err(Reported);
        }
    }
    if let (Some(Kind::Embedded), Some(sign_in)) = (written.kind, &written.sign_in)
        && **sign_in == WrittenSignIn::Redirect
    {
        let hint = "leave it out, or use kind = \"oidc\" or \"fusionauth\"";
        review.refuse(
            &sign_in.span,
            "the embedded server has no sign-in page",
            hint,
        );
        outcome = Err(Reported);
    }
    outcome
}

fn client_id(written: &At<Written>, review: &mut Review<'_>) -> Result<String, Reported> {
    let Some(id) = &written.client_id else {
        let hint = "add it: the id of the client that the provider knows the gateway by";
        review.diagnostics.missing(&written.span, "client_id", hint);
        return Err(Reported);
    };
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic()) {
        let hint = "copy it from the provider";
        review.refuse_text(id, "`client_id` is no id", hint);
        return Err(Reported);
    }
    Ok((**id).clone())
}

fn proof(written: &At<Written>, review: &mut Review<'_>) -> Result<ClientProof, Reported> {
    match (&written.client_secret, &written.private_key) {
        (Some(secret), None) => client_secret(secret, review).map(ClientProof::Secret),
        (None, Some(key)) => private_key(key, review).map(ClientProof::PrivateKey),
        (Some(_), Some(key)) => {
            let hint = "keep one of them, as the provider knows the client";
            review.refuse(
                &key.span,
                "`private_key` and `client_secret` stand together",
                hint,
            );
            Err(Reported)
        }
        (None, None) => {
            let hint = "add it, like { env = \"CLIENT_SECRET\" }, or a `private_key`";
            review
                .diagnostics
                .missing(&written.span, "client_secret", hint);
            Err(Reported)
        }
    }
}

fn client_secret(source: &At<SecretSource>, review: &mut Review<'_>) -> Result<Secret, Reported> {
    let secret = review.secret(source).ok_or(Reported)?;
    if secret.expose().is_empty() || secret.expose().chars().any(char::is_control) {
        let what = "`client_secret` is empty or has control characters";
        review.refuse(&source.span, what, "copy it again");
        return Err(Reported);
    }
    Ok(secret)
}

fn private_key(source: &At<SecretSource>, review: &mut Review<'_>) -> Result<Secret, Reported> {
    let key = review.secret(source).ok_or(Reported)?;
    let text = key.expose();
    if !(text.contains("-----BEGIN PRIVATE KEY-----")
        || text.contains("-----BEGIN RSA PRIVATE KEY-----"))
    {
        let hint =
            "write it in PEM: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        review.refuse(
            &source.span,
            "`private_key` is no unencrypted private key",
            hint,
        );
        return Err(Reported);
    }
    Ok(key)
}

fn scopes(written: &At<Written>, review: &mut Review<'_>) -> Result<Vec<String>, Reported> {
    let Some(scopes) = &written.scopes else {
        return Ok(SCOPES.map(str::to_owned).into());
    };
    // RFC 6749, section 3.3.
    let is_scope = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    };
    for scope in scopes.iter() {
        if !is_scope(scope) {
            review.refuse_text(
                scope,
                "`scopes` has no scope",
                "write each in quotes of its own",
            );
            return Err(Reported);
        }
    }
    if !scopes.iter().any(|scope| **scope == "openid") {
        let hint = "add it: without it the provider does not tell who signed in";
        review.refuse(&scopes.span, "`scopes` is without \"openid\"", hint);
        return Err(Reported);
    }
    Ok(scopes.iter().map(|scope| (**scope).clone()).collect())
}

/// A parameter of the authorization request whose values are separated by blanks.
fn parameter(
    key: &str,
    written: Option<&At<String>>,
    review: &mut Review<'_>,
) -> Result<Option<String>, Reported> {
    let Some(text) = written else { return Ok(None) };
    let is_printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if text.trim().is_empty() || !is_printable {
        let hint = "write values of the provider's documentation, separated by blanks";
        review.refuse_text(text, &format!("`{key}` is no value"), hint);
        return Err(Reported);
    }
    Ok(Some((**text).clone()))
}

/// Which claims hold roles and username; `None` where a problem was reported.
pub(super) fn claim_names(written: &At<Written>, review: &mut Review<'_>) -> Option<ClaimNames> {
    for (key, name) in [
        ("roles_claim", &written.roles_claim),
        ("username_claim", &written.username_claim),
    ] {
        if name.is_empty() {
            let hint = "name a claim, like \"realm_access.roles\"";
            review.refuse(&name.span, format!("`{key}` is empty"), hint);
            return None;
        }
        // A name may hold dots itself, as a URL does.
        if name.split('.').any(str::is_empty) {
            let hint =
                "separate the names of nested claims by one dot, like \"realm_access.roles\"";
            review.refuse_text(name, &format!("`{key}` has an empty part"), hint);
            return None;
        }
    }
    Some(ClaimNames {
        roles: (*written.roles_claim).clone(),
        username: (*written.username_claim).clone(),
    })
}
