//! The check of tokens that the provider has just issued: who they are for, as the access token
//! tells, or the ID token where the access token can be read by the provider alone.
//!
//! An OIDC provider decides what its access tokens look like (RFC 6749, section 1.4). A site with
//! server-side sessions needs them to be nothing in particular: its sessions hold the claims. There
//! the ID token also completes what the access token leaves out, such as the e-mail address.

use serde_json::Value;

use crate::model::credential::CredentialKind;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{RevocationKey, TokenPair};
use crate::provider::verify::VerifiedClaims;
use crate::runtime::site::SiteRuntime;
use crate::runtime::token_check::{IdToken, Verified, VerifyTokenError};

/// Tokens that the provider has just issued.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct IssuedPair<'a> {
    pub pair: &'a TokenPair,
    /// How the client will carry them.
    pub kind: CredentialKind,
    /// The `nonce` of the login, for those of a login by redirect.
    pub nonce: Option<&'a str>,
    /// The last ID token of the login, where the pair may have none.
    pub last_id_token: Option<&'a Secret>,
}

/// Whom tokens are for.
pub(in crate::runtime) struct VerifiedPair {
    pub claims: VerifiedClaims,
    /// The generation of the keys that verified the access token, where it alone told the claims:
    /// it may be put into the cache.
    pub cacheable: Option<u64>,
}

/// Claims that say something about one ID token and nothing about its user.
const OF_ID_TOKEN: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];

/// Verifies the tokens. The ID token of a login by redirect is verified in any case.
///
/// # Errors
/// That of the access token, or of the ID token where it counts.
pub(in crate::runtime) async fn verify_pair(
    site_runtime: &SiteRuntime,
    issued: IssuedPair<'_>,
    now: Timestamp,
) -> Result<VerifiedPair, VerifyTokenError> {
    let (provider, audience) = (&site_runtime.provider, &site_runtime.site.application_id);
    let of_login = match issued.nonce {
        Some(_) => Some(id_token(site_runtime, issued, now).await?),
        None => None,
    };
    let access = issued.pair.access.expose();
    if access.is_empty() {
        // The end of a chain of refreshes, of which only the refresh token is left.
        return Err(VerifyTokenError::Invalid);
    }
    let verified = provider.verify_issued(access, audience, now).await;
    let in_session = issued.kind == CredentialKind::Session;
    let has_id_token = issued.pair.id_token.is_some() || issued.last_id_token.is_some();
    let verified = match verified {
        Ok(verified) if !in_session || !has_id_token => {
            if let Some(of_login) = &of_login {
                same_user(&of_login.claims, &verified.claims)?;
            }
            return Ok(VerifiedPair {
                cacheable: Some(verified.generation),
                claims: verified.claims,
            });
        }
        Ok(verified) => Some(verified.claims),
        Err(
            error @ (VerifyTokenError::Expired(_)
            | VerifyTokenError::NotYetValid(_)
            | VerifyTokenError::KeyNotLookedUp
            | VerifyTokenError::NoKeys),
        ) => return Err(error),
        Err(_) if in_session && has_id_token => None,
        Err(error) => {
            warn_of_opaque_token(site_runtime, issued);
            return Err(error);
        }
    };
    let told = match of_login {
        Some(of_login) => Ok(of_login),
        None => id_token(site_runtime, issued, now).await,
    };
    let claims = match (verified, told) {
        (Some(claims), Ok(told)) => completed(claims, told.claims)?,
        // The access token is enough.
        (Some(claims), Err(_)) => claims,
        (None, Ok(told)) => instead_of_access_token(told.claims, issued.pair, now),
        (None, Err(error)) => return Err(error),
    };
    Ok(VerifiedPair {
        claims,
        cacheable: None,
    })
}

/// Verifies the ID token of the pair, else the last one of the login, which may have expired since:
/// the provider has just issued tokens for the same login.
async fn id_token(
    site_runtime: &SiteRuntime,
    issued: IssuedPair<'_>,
    now: Timestamp,
) -> Result<Verified, VerifyTokenError> {
    let provider = &site_runtime.provider;
    match (&issued.pair.id_token, issued.last_id_token) {
        (Some(token), _) => {
            let id_token = IdToken {
                token: token.expose(),
                nonce: issued.nonce,
                access: Some(issued.pair.access.expose()),
            };
            provider.verify_id_token(id_token, now).await
        }
        (None, Some(last)) => Ok(Verified {
            claims: provider.read_kept_id_token(last.expose())?,
            generation: 0,
        }),
        (None, None) => Err(VerifyTokenError::Invalid),
    }
}

fn same_user(one: &VerifiedClaims, other: &VerifiedClaims) -> Result<(), VerifyTokenError> {
    if one.claims.get("sub") == other.claims.get("sub") {
        Ok(())
    } else {
        Err(VerifyTokenError::NotForUs)
    }
}

/// The claims of the access token, and those of the ID token that it does not have.
fn completed(
    mut claims: VerifiedClaims,
    told: VerifiedClaims,
) -> Result<VerifiedClaims, VerifyTokenError> {
    same_user(&claims, &told)?;
    let sid = told.claims.get("sid").and_then(Value::as_str);
    if let Some(sid) = sid.filter(|sid| !sid.is_empty() && !claims.claims.contains_key("sid")) {
        claims.session = RevocationKey(sid.to_owned());
    }
    for (name, value) in told.claims {
        if !OF_ID_TOKEN.contains(&name.as_str()) {
            claims.claims.entry(name).or_insert(value);
        }
    }
    Ok(claims)
}

/// The claims of the ID token, for as long as the access token lives, which begins now. The `iat`
/// among the claims stays that of the ID token, by the clock of the provider.
fn instead_of_access_token(
    told: VerifiedClaims,
    pair: &TokenPair,
    now: Timestamp,
) -> VerifiedClaims {
    let VerifiedClaims {
        mut claims,
        expires,
        session,
        ..
    } = told;
    for name in OF_ID_TOKEN {
        claims.remove(name);
    }
    VerifiedClaims {
        claims,
        issued: Some(now),
        expires: pair.access_expires.unwrap_or(expires),
        session,
    }
}

/// Tells the operator what a site with tokens in cookies cannot do.
fn warn_of_opaque_token(site_runtime: &SiteRuntime, issued: IssuedPair<'_>) {
    if issued.pair.id_token.is_some() {
        tracing::error!(
            site = site_runtime.site.name,
            provider = site_runtime.provider.name,
            "the access token is no JWT for this site: write credential = \"session\", or have the provider issue JWTs for this audience"
        );
    }
}
