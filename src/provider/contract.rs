//! The contract suite of [`Provider`]. The tests of every implementation run [`check`].

use super::key_set::KeySet;
use super::verify::id_token::{IdTokenExpectations, verify_id_token};
use super::verify::{Expectations, VerifiedClaims, verify};
use super::{
    AuthorizationRequest, CodeExchange, Device, EndSessionRequest, LoginAttempt, LoginSuccess,
    NewPasswordAttempt, Provider, ProviderError, RedirectSignIn, SecondFactorAttempt, Trust,
};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::TokenPair;

/// A user of the provider under test, registered for the application of `expect.audience`, for
/// which the provider issues refresh tokens.
pub struct KnownUser<'a> {
    /// The name.
    pub login_id: &'a str,
    /// The password.
    pub password: &'a str,
    /// What the user's tokens contain.
    pub expect: Expectations,
    /// When the tokens are verified.
    pub now: Timestamp,
}

/// Signs in, refreshes and revokes, with right and wrong credentials and tokens.
///
/// # Panics
/// When the provider does not behave as the suite requires.
pub async fn check(provider: &dyn Provider, known: &KnownUser<'_>) {
    assert!(provider.capabilities().password_login);
    let keys = provider.fetch_jwks().await.expect("keys");
    let keys = KeySet::from_jwks(&keys, &known.expect.algorithms).expect("usable keys");
    let verified = |token: &Secret| {
        verify(token.expose(), &keys, &known.expect, known.now).expect("a good token")
    };

    let refused = |reason| Some(ProviderError::Refused(LoginRefused::new(reason)));
    let wrong = format!("{} ", known.password);
    for (login_id, password) in [
        (known.login_id, wrong.as_str()),
        ("nobody@example.com", known.password),
    ] {
        let result = login(provider, known, login_id, password).await;
        assert_eq!(
            result.err(),
            refused(Reason::InvalidCredentials),
            "{login_id}"
        );
    }

    no_step_without_a_login(provider, known).await;

    let pair = login(provider, known, known.login_id, known.password)
        .await
        .expect("a login")
        .tokens;
    check_refresh_tokens(provider, pair, &verified).await;
}

/// A user of the provider under test who signs in at its own pages.
pub struct RedirectUser<'a> {
    /// Signs in at this address, as the user does, and returns what the provider sends back.
    pub sign_in: &'a (dyn Fn(&str) -> ReturnedCode + Sync),
    /// What the user's tokens contain; the audience is the client.
    pub expect: Expectations,
    /// When the tokens are verified.
    pub now: Timestamp,
}

/// What a provider sends back with the browser.
pub struct ReturnedCode {
    /// The code.
    pub code: Secret,
    /// The issuer, where the provider names it.
    pub issuer: Option<String>,
}

const REDIRECT_URI: &str = "https://store.example.com/back";
const NONCE: &str = "the-nonce";

/// Signs in by redirect, refreshes and revokes, with right and wrong codes and tokens.
///
/// # Panics
/// When the provider does not behave as the suite requires.
pub async fn check_redirect(provider: &dyn Provider, known: &RedirectUser<'_>) {
    let redirect = provider.redirect().expect("sign-in by redirect");
    let keys = provider.fetch_jwks().await.expect("keys");
    let keys = KeySet::from_jwks(&keys, &known.expect.algorithms).expect("usable keys");
    let verified = |token: &Secret| {
        verify(token.expose(), &keys, &known.expect, known.now).expect("a good token")
    };
    let pair = check_codes(redirect, known).await;
    let id_token = pair.id_token.clone().expect("an ID token");
    let expect = IdTokenExpectations {
        issuer: &known.expect.issuer,
        client_id: &known.expect.audience,
        algorithms: &known.expect.algorithms,
        leeway: known.expect.leeway,
        nonce: Some(NONCE),
        access: Some(pair.access.expose()),
    };
    verify_id_token(id_token.expose(), &keys, &expect, known.now).expect("a good ID token");
    let end = EndSessionRequest {
        id_token: Some(&id_token),
        return_uri: "https://store.example.com/",
    };
    let address = redirect.end_session_address(end);
    assert!(address.is_none_or(|address| address.as_str().contains("post_logout_redirect_uri=")));
    check_refresh_tokens(provider, pair, &verified).await;
}

/// Sends right and wrong codes, and returns the tokens for a right one.
async fn check_codes(redirect: &dyn RedirectSignIn, known: &RedirectUser<'_>) -> TokenPair {
    let (own, another) = (Secret::new("v".repeat(43)), Secret::new("w".repeat(43)));
    let leave = async || {
        let request = AuthorizationRequest {
            redirect_uri: REDIRECT_URI,
            state: "the-state",
            nonce: NONCE,
            verifier: &own,
        };
        let address = redirect.authorization_address(request).await;
        (known.sign_in)(address.expect("an address").as_str())
    };
    let no = Some(ProviderError::Refused(LoginRefused::new(
        Reason::SignInFailed,
    )));
    let back = leave().await;
    let good = CodeExchange {
        code: &back.code,
        issuer: back.issuer.as_deref(),
        verifier: &own,
        redirect_uri: REDIRECT_URI,
    };
    let made_up = CodeExchange {
        code: &Secret::new("made-up"),
        ..good
    };
    let foreign = CodeExchange {
        issuer: Some("https://evil.example"),
        ..good
    };
    for wrong in [made_up, foreign] {
        assert_eq!(redirect.redeem(wrong).await.err(), no, "{:?}", wrong.issuer);
    }
    let pair = redirect.redeem(good).await.expect("tokens").tokens;
    let again = redirect.redeem(good).await;
    assert_eq!(again.err(), no, "a code is good once");
    let other = leave().await;
    let stolen = CodeExchange {
        code: &other.code,
        issuer: other.issuer.as_deref(),
        verifier: &another,
        ..good
    };
    let answer = redirect.redeem(stolen).await;
    assert_eq!(answer.err(), no, "a stolen code");
    pair
}

/// Refreshes twice, and revokes.
async fn check_refresh_tokens(
    provider: &dyn Provider,
    pair: TokenPair,
    verified: &(dyn Fn(&Secret) -> VerifiedClaims + Sync),
) {
    let subject = verified(&pair.access).claims["sub"].clone();
    let first = pair.refresh.expect("a refresh token");
    let refreshed = provider.refresh(&first).await.expect("a refresh");
    assert_eq!(verified(&refreshed.access).claims["sub"], subject);
    let second = refreshed.refresh.expect("a refresh token, new or old");
    let refreshed = provider.refresh(&second).await.expect("a second refresh");
    let last = refreshed.refresh.expect("a refresh token, new or old");

    provider.revoke(&last).await.expect("a revocation");
    assert_is_signed_out(provider.refresh(&last).await);
    provider
        .revoke(&last)
        .await
        .expect("a revocation of an ended token");
    provider
        .revoke(&Secret::new("made-up"))
        .await
        .expect("a revocation of an unknown token");
    assert_is_signed_out(provider.refresh(&Secret::new("made-up")).await);
}

/// The provider refused a refresh token, and says for the log how.
fn assert_is_signed_out(answer: Result<TokenPair, ProviderError>) {
    let Err(ProviderError::Refused(refused)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(refused.reason, Reason::SignedOut);
    assert!(refused.provider_status.is_some() && refused.provider_error.is_some());
}

/// The later steps are refused for a login that does not exist.
async fn no_step_without_a_login(provider: &dyn Provider, known: &KnownUser<'_>) {
    let (id, typed) = (Secret::new("made-up"), Secret::new("a new passw0rd"));
    let (application_id, client_address) = (
        known.expect.audience.as_str(),
        std::net::Ipv4Addr::LOCALHOST.into(),
    );
    let expired = ProviderError::Refused(LoginRefused::new(Reason::ChallengeExpired));
    if provider.capabilities().second_factor {
        let attempt = SecondFactorAttempt {
            id: &id,
            code: &typed,
            application_id,
            client_address,
            device: Device::default(),
            trust_device: Trust::Yes,
        };
        assert_eq!(
            provider.second_factor(attempt).await.err().as_ref(),
            Some(&expired)
        );
        assert_eq!(
            provider.send_code(&id, &typed).await.err().as_ref(),
            Some(&expired)
        );
    }
    if provider.capabilities().change_password {
        let attempt = NewPasswordAttempt {
            id: &id,
            password: &typed,
            application_id,
            client_address,
            device: Device::default(),
            trust: None,
        };
        assert_eq!(provider.change_password(attempt).await.err(), Some(expired));
    }
}

async fn login(
    provider: &dyn Provider,
    known: &KnownUser<'_>,
    login_id: &str,
    password: &str,
) -> Result<LoginSuccess, ProviderError> {
    let attempt = LoginAttempt {
        login_id,
        password: &Secret::new(password),
        application_id: &known.expect.audience,
        client_address: std::net::Ipv4Addr::LOCALHOST.into(),
        device: Device::default(),
        trust: None,
    };
    provider.login(attempt).await
}
