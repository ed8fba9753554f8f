//! What every provider keeps to, whatever it speaks. Each implementation's tests run [`holds`].

use super::key_set::KeySet;
use super::verify::{Expectations, verify};
use super::{
    Device, LoginSuccess, NewPasswordAttempt, Provider, ProviderError, SecondFactorAttempt,
    SignInAttempt, Trust,
};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// A person whom the provider under test knows, registered for the application of
/// `expect.audience`, which hands out refresh tokens.
pub struct Known<'a> {
    /// Their name.
    pub login_id: &'a str,
    /// Their password.
    pub password: &'a str,
    /// What their tokens say.
    pub expect: Expectations,
    /// When their tokens are looked at.
    pub now: Timestamp,
}

/// Signs in, renews and signs out, rightly and wrongly.
///
/// # Panics
/// When the provider does not keep to it.
pub async fn holds(provider: &dyn Provider, known: &Known<'_>) {
    assert!(provider.abilities().form_sign_in);
    let keys = provider.published_keys().await.expect("keys");
    let keys = KeySet::from_jwks(&keys, &known.expect.algorithms).expect("usable keys");
    let proves = |token: &Secret| {
        verify(token.expose(), &keys, &known.expect, known.now).expect("a good token")
    };

    let refused = |reason| Some(ProviderError::Refused(LoginRefused::because(reason)));
    let wrong = format!("{} ", known.password);
    for (login_id, password) in [
        (known.login_id, wrong.as_str()),
        ("nobody@example.com", known.password),
    ] {
        let answer = sign_in(provider, known, login_id, password).await;
        assert_eq!(
            answer.err(),
            refused(Reason::InvalidCredentials),
            "{login_id}"
        );
    }

    no_step_without_a_sign_in(provider, known).await;

    let pair = sign_in(provider, known, known.login_id, known.password)
        .await
        .expect("a sign-in")
        .tokens;
    let person = proves(&pair.access).claims["sub"].clone();
    let first = pair.refresh.expect("a refresh token");

    let renewed = provider.refresh(&first).await.expect("a renewal");
    assert_eq!(proves(&renewed.access).claims["sub"], person);
    let second = renewed.refresh.expect("a refresh token, new or old");
    let renewed = provider.refresh(&second).await.expect("a second renewal");
    let last = renewed.refresh.expect("a refresh token, new or old");

    provider.revoke(&last).await.expect("a sign-out");
    assert_eq!(
        provider.refresh(&last).await.err(),
        refused(Reason::SignedOut)
    );
    provider
        .revoke(&last)
        .await
        .expect("a sign-out of what is ended");
    provider
        .revoke(&Secret::new("made-up"))
        .await
        .expect("a sign-out of nothing");
    assert_eq!(
        provider.refresh(&Secret::new("made-up")).await.err(),
        refused(Reason::SignedOut)
    );
}

/// Steps of a sign-in that nobody began.
async fn no_step_without_a_sign_in(provider: &dyn Provider, known: &Known<'_>) {
    let (id, typed) = (Secret::new("made-up"), Secret::new("a new passw0rd"));
    let (application_id, client_address) = (
        known.expect.audience.as_str(),
        std::net::Ipv4Addr::LOCALHOST.into(),
    );
    let expired = ProviderError::Refused(LoginRefused::because(Reason::ChallengeExpired));
    if provider.abilities().second_factor {
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
    if provider.abilities().change_password {
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

async fn sign_in(
    provider: &dyn Provider,
    known: &Known<'_>,
    login_id: &str,
    password: &str,
) -> Result<LoginSuccess, ProviderError> {
    let attempt = SignInAttempt {
        login_id,
        password: &Secret::new(password),
        application_id: &known.expect.audience,
        client_address: std::net::Ipv4Addr::LOCALHOST.into(),
        device: Device::default(),
        trust: None,
    };
    provider.sign_in(attempt).await
}
