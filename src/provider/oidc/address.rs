//! The addresses that browsers are sent to: the authorization request (OpenID Connect Core, section
//! 3.1.2.1) and the logout request (OpenID Connect RP-Initiated Logout, section 2).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::config::settings::OidcClient;
use crate::model::redirect_result::ProviderAddress;
use crate::model::secret::Secret;
use crate::provider::{AuthorizationRequest, EndSessionRequest};

/// The authorization request to `endpoint`. Parameters that the endpoint has already stay.
pub(super) fn authorization(
    endpoint: &Url,
    client: &OidcClient,
    request: &AuthorizationRequest<'_>,
) -> ProviderAddress {
    let mut url = endpoint.clone();
    let challenge = challenge(request.verifier);
    let scope = client.scopes.join(" ");
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", request.redirect_uri)
            .append_pair("scope", &scope)
            .append_pair("state", request.state)
            .append_pair("nonce", request.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        for (name, value) in [
            ("prompt", &client.prompt),
            ("acr_values", &client.acr_values),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
    }
    url.into()
}

/// The code challenge of a verifier (RFC 7636, section 4.2).
fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()))
}

/// The logout request to `endpoint`. `client_id` stands beside the hint too: without a hint the
/// provider needs it to check where the browser may go afterwards.
pub(super) fn end_session(
    endpoint: &Url,
    client_id: &str,
    request: EndSessionRequest<'_>,
) -> ProviderAddress {
    let mut url = endpoint.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(token) = request.id_token {
            query.append_pair("id_token_hint", token.expose());
        }
        query
            .append_pair("client_id", client_id)
            .append_pair("post_logout_redirect_uri", request.return_uri);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::ClientProof;
    use crate::model::site::SignIn;

    fn client() -> OidcClient {
        OidcClient {
            id: "vestibule".into(),
            proof: ClientProof::Secret(Secret::new("s")),
            sign_in: SignIn::Redirect,
            scopes: vec!["openid".into(), "email".into()],
            acr_values: None,
            prompt: None,
            insecure: false,
        }
    }

    #[test]
    fn the_authorization_request_has_every_parameter() {
        let endpoint = Url::parse("https://id.example.com/auth?tenant=a").unwrap();
        // The example of RFC 7636, appendix B.
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let request = AuthorizationRequest {
            redirect_uri: "https://store.example.com/_vestibule/callback",
            state: "S",
            nonce: "N",
            verifier: &verifier,
        };
        let address = authorization(&endpoint, &client(), &request);
        let expected = "https://id.example.com/auth?tenant=a&response_type=code&client_id=vestibule\
             &redirect_uri=https%3A%2F%2Fstore.example.com%2F_vestibule%2Fcallback\
             &scope=openid+email&state=S&nonce=N\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        assert_eq!(address.as_str(), expected);
        let strict = OidcClient {
            prompt: Some("login".into()),
            acr_values: Some("2 1".into()),
            ..client()
        };
        let address = authorization(&endpoint, &strict, &request);
        assert_eq!(
            address.as_str(),
            format!("{expected}&prompt=login&acr_values=2+1")
        );
    }

    #[test]
    fn the_logout_request_names_the_client_with_and_without_a_hint() {
        let endpoint = Url::parse("https://id.example.com/logout").unwrap();
        let token = Secret::new("h.p.s");
        let mut request = EndSessionRequest {
            id_token: Some(&token),
            return_uri: "https://store.example.com/",
        };
        let query =
            "client_id=vestibule&post_logout_redirect_uri=https%3A%2F%2Fstore.example.com%2F";
        let address = end_session(&endpoint, "vestibule", request);
        let expected = format!("https://id.example.com/logout?id_token_hint=h.p.s&{query}");
        assert_eq!(address.as_str(), expected);
        request.id_token = None;
        let address = end_session(&endpoint, "vestibule", request);
        assert_eq!(
            address.as_str(),
            format!("https://id.example.com/logout?{query}")
        );
    }
}
