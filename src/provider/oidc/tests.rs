use super::*;
use crate::provider::contract::{self, KnownUser, RedirectUser};
use crate::provider::openid_server::{Documented, ISSUER, NOW, PASSWORD, Wire, expect, settings};

fn provider(sign_in: SignIn) -> (Oidc, Arc<Documented>) {
    let documented = Documented::new();
    let http = Arc::new(HttpClient::with_transport(Wire(Arc::clone(&documented))));
    let settings = settings(sign_in);
    let client = settings.client.clone().unwrap();
    let document = document_url(ISSUER);
    let provider = Oidc::new(&document, &settings, &client, http, Clock::new()).unwrap();
    (provider, documented)
}

#[tokio::test]
async fn it_passes_the_contract_suite_with_the_password_grant() {
    let known = KnownUser {
        login_id: "a@b.example",
        password: PASSWORD,
        expect: expect(),
        now: NOW,
    };
    let (provider, _) = provider(SignIn::Form);
    assert!(provider.redirect().is_none());
    contract::check(&provider, &known).await;
}

#[tokio::test]
async fn it_passes_the_contract_suite_by_redirect() {
    let (provider, documented) = provider(SignIn::Redirect);
    let known = RedirectUser {
        sign_in: &|address| documented.sign_in(address),
        expect: expect(),
        now: NOW,
    };
    contract::check_redirect(&provider, &known).await;
}

#[tokio::test]
async fn discovery_is_fetched_once_and_again_with_the_keys() {
    let (provider, documented) = provider(SignIn::Redirect);
    let fetched = || {
        let asked = documented.asked.lock().unwrap();
        asked
            .iter()
            .filter(|path| path.contains("well-known"))
            .count()
    };
    for _ in 0..3 {
        assert!(provider.refresh(&Secret::new("made-up")).await.is_err());
    }
    assert_eq!(fetched(), 1);
    provider.fetch_jwks().await.unwrap();
    assert_eq!(fetched(), 2);
}
