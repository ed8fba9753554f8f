//! Sign-in by redirect, against a server that works as documented.

use super::*;
use crate::model::site::SignIn;
use crate::provider::contract::{self, RedirectUser};
use crate::provider::openid_server::{Documented, ISSUER, NOW, Wire, expect, settings};

fn provider(tenant_id: Option<&str>) -> (Fusionauth, Arc<Documented>) {
    let documented = Documented::new();
    let http = Arc::new(HttpClient::with_transport(Wire(Arc::clone(&documented))));
    let endpoint = Endpoint {
        url: ISSUER.into(),
        api_key: Some(Secret::new(API_KEY)),
        tenant_id: tenant_id.map(str::to_owned),
    };
    let settings = settings(SignIn::Redirect);
    let provider = Fusionauth::new(&endpoint, &settings, http, &Clock::new()).unwrap();
    (provider, documented)
}

#[tokio::test]
async fn it_passes_the_contract_suite_by_redirect() {
    let (provider, documented) = provider(None);
    let known = RedirectUser {
        sign_in: &|address| documented.sign_in(address),
        expect: expect(),
        now: NOW,
    };
    contract::check_redirect(&provider, &known).await;
    let asked = documented.asked.lock().unwrap().clone();
    for path in ["/token", "/api/logout", "/.well-known/jwks.json"] {
        assert!(asked.iter().any(|it| it == path), "{path}");
    }
}

#[tokio::test]
async fn the_discovery_document_is_that_of_the_tenant() {
    let (provider, documented) = provider(Some("tenant-1"));
    assert!(provider.fetch_jwks().await.is_err(), "this server has none");
    let asked = documented.asked.lock().unwrap().clone();
    assert_eq!(asked, ["/.well-known/openid-configuration/tenant-1"]);
}
