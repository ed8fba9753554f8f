//! What a client asks for at the authorization endpoint (RFC 6749, section 4.1.1; OpenID Connect
//! Core
//! 1.0, section 3.1.2.1).

use std::sync::Arc;

use super::authorization_code::is_challenge;
use super::clients::{OpenIdSettings, RegisteredClient};
use super::form_parameters::{FormParameters, RepeatedParameterError, with_parameters};
use crate::embedded::browser_sessions::BrowserSession;
use crate::model::timestamp::Timestamp;

/// A valid authorization request.
#[derive(Debug)]
pub struct RequestedSignIn {
    pub client: Arc<RegisteredClient>,
    pub answer_to: AnswerTo,
    /// The `code_challenge`, of the method `S256`.
    pub challenge: String,
    pub nonce: Option<String>,
    /// Whether the client asks for a refresh token.
    pub offline_access: bool,
    pub prompt: Prompt,
    /// How old the authentication may be, in seconds.
    pub max_age: Option<u64>,
    /// The name for the form.
    pub login_hint: Option<String>,
}

/// Where the client expects the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerTo {
    /// One of the client's registered URIs.
    pub redirect_uri: String,
    pub state: Option<String>,
}

/// Whether the sign-in page may be shown, or must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Where it is needed.
    IfNeeded,
    /// Never.
    Never,
    /// Always.
    Always,
}

/// Why an authorization request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthorizationError {
    /// It is not known who asks, so the browser is sent nowhere (RFC 9700, section 4.11).
    Unattributed(&'static str),
    /// The client is told.
    Refused(AnswerTo, Refusal),
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The `error` (RFC 6749, section 4.1.2.1).
    pub error: &'static str,
    /// The `error_description`.
    pub description: &'static str,
}

impl RequestedSignIn {
    /// Whether `session` is enough for this request at `now`.
    pub fn accepts(&self, session: &BrowserSession, now: Timestamp) -> bool {
        let age = Timestamp::from_millis(session.started).until(now);
        self.prompt != Prompt::Always && self.max_age.is_none_or(|max| age.as_secs() <= max)
    }
}

impl Refusal {
    /// The user did not sign in.
    pub const ACCESS_DENIED: Self = Self {
        error: "access_denied",
        description: "The user did not sign in.",
    };
    /// `prompt=none`, and no user is signed in.
    pub const LOGIN_REQUIRED: Self = Self {
        error: "login_required",
        description: "The user is not signed in.",
    };

    const fn invalid_request(description: &'static str) -> Self {
        let error = "invalid_request";
        Self { error, description }
    }
}

impl AnswerTo {
    /// The address of an answer of `issuer` with `parameters`, the `state` and the issuer (RFC
    /// 9207).
    #[must_use]
    pub fn url(&self, issuer: &str, parameters: &[(&str, &str)]) -> String {
        let mut all = parameters.to_vec();
        all.extend(self.state.as_deref().map(|state| ("state", state)));
        all.push(("iss", issuer));
        with_parameters(&self.redirect_uri, &all)
    }

    /// The address of a refusal.
    #[must_use]
    pub fn refusal_url(&self, issuer: &str, refusal: Refusal) -> String {
        let parameters = [
            ("error", refusal.error),
            ("error_description", refusal.description),
        ];
        self.url(issuer, &parameters)
    }
}

/// Checks an authorization request. Who asks, and where the answer goes, is checked first.
///
/// # Errors
/// [`AuthorizationError`].
pub fn parse(
    query: &[u8],
    settings: &OpenIdSettings,
) -> Result<RequestedSignIn, AuthorizationError> {
    let parameters = FormParameters::parse(query).map_err(|RepeatedParameterError(_)| {
        AuthorizationError::Unattributed("A parameter of the request is given twice.")
    })?;
    let client = parameters
        .get("client_id")
        .and_then(|id| settings.client(id))
        .ok_or(AuthorizationError::Unattributed(
            "The application is not known here: its client_id is missing or wrong.",
        ))?;
    let redirect_uri = parameters
        .get("redirect_uri")
        .filter(|uri| client.redirect_uris.iter().any(|known| known == uri))
        .ok_or(AuthorizationError::Unattributed(
            "The redirect_uri of the application is not one of those that are registered for it.",
        ))?;
    let answer_to = AnswerTo {
        redirect_uri: redirect_uri.to_owned(),
        state: parameters.get("state").map(ToOwned::to_owned),
    };
    details(&parameters, client, answer_to.clone())
        .map_err(|refusal| AuthorizationError::Refused(answer_to, refusal))
}

fn details(
    parameters: &FormParameters,
    client: &Arc<RegisteredClient>,
    answer_to: AnswerTo,
) -> Result<RequestedSignIn, Refusal> {
    for (name, error) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if parameters.get(name).is_some() {
            let description = "Parameters are taken from the query only.";
            return Err(Refusal { error, description });
        }
    }
    match parameters.get("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err(Refusal {
                error: "unsupported_response_type",
                description: "The response_type must be code.",
            });
        }
        None => return Err(Refusal::invalid_request("The response_type is missing.")),
    }
    if parameters
        .get("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        let description = "The response_mode must be query.";
        return Err(Refusal::invalid_request(description));
    }
    let mut scopes = parameters.get("scope").unwrap_or_default().split(' ');
    if !scopes.clone().any(|scope| scope == "openid") {
        return Err(Refusal {
            error: "invalid_scope",
            description: "The scope must name openid.",
        });
    }
    let prompt = prompt(parameters.get("prompt").unwrap_or_default())?;
    let max_age = parameters.get("max_age").map(str::parse).transpose();
    Ok(RequestedSignIn {
        client: Arc::clone(client),
        answer_to,
        challenge: challenge(parameters)?,
        nonce: parameters.get("nonce").map(ToOwned::to_owned),
        offline_access: scopes.any(|scope| scope == "offline_access"),
        prompt,
        max_age: max_age
            .map_err(|_| Refusal::invalid_request("The max_age is not a number of seconds."))?,
        login_hint: parameters.get("login_hint").map(ToOwned::to_owned),
    })
}

/// The challenge of RFC 7636, which every client must send (RFC 9700, section 2.1.1). The method
/// `plain` is refused: it shows the verifier.
fn challenge(parameters: &FormParameters) -> Result<String, Refusal> {
    let challenge = parameters
        .get("code_challenge")
        .ok_or(Refusal::invalid_request("The code_challenge is missing."))?;
    if parameters.get("code_challenge_method") != Some("S256") || !is_challenge(challenge) {
        let description = "The code_challenge must be one of the method S256.";
        return Err(Refusal::invalid_request(description));
    }
    Ok(challenge.to_owned())
}

/// Values that need nothing here, such as `consent`, are ignored: an operator registers the
/// clients, and no user is asked about them.
fn prompt(value: &str) -> Result<Prompt, Refusal> {
    let mut values = value.split(' ').filter(|value| !value.is_empty());
    let has = |wanted: &str| value.split(' ').any(|value| value == wanted);
    if has("none") {
        return if values.all(|value| value == "none") {
            Ok(Prompt::Never)
        } else {
            let description = "The prompt none stands alone.";
            Err(Refusal::invalid_request(description))
        };
    }
    if has("login") || has("select_account") {
        return Ok(Prompt::Always);
    }
    Ok(Prompt::IfNeeded)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::settings::{Backoff, Rate};
    use crate::model::secret::Secret;

    const GOOD: &str = "client_id=store&redirect_uri=https%3A%2F%2Fstore.example%2Fcb\
        &response_type=code&scope=openid+offline_access&state=s+1&nonce=n\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn settings() -> OpenIdSettings {
        let rate = Rate {
            attempts: 5,
            per: Duration::from_secs(60),
            waits: Backoff::Exponential,
        };
        OpenIdSettings {
            url: "https://id.example".to_owned(),
            clients: vec![Arc::new(RegisteredClient {
                id: "store".to_owned(),
                secret: Secret::new("secret"),
                redirect_uris: vec!["https://store.example/cb".to_owned()],
                post_logout_redirect_uris: Vec::new(),
                backchannel_logout_uri: None,
            })],
            account_limit: rate,
            address_limit: rate,
        }
    }

    fn parsed(query: &str) -> Result<RequestedSignIn, AuthorizationError> {
        parse(query.as_bytes(), &settings())
    }

    #[test]
    fn a_good_request_is_read() {
        let request = parsed(&format!("{GOOD}&max_age=60&prompt=login&login_hint=ann")).unwrap();
        assert_eq!(request.client.id, "store");
        assert_eq!(request.answer_to.state.as_deref(), Some("s 1"));
        assert_eq!(request.nonce.as_deref(), Some("n"));
        assert!(request.offline_access);
        assert_eq!(request.prompt, Prompt::Always);
        assert_eq!(request.max_age, Some(60));
        assert_eq!(request.login_hint.as_deref(), Some("ann"));
        assert_eq!(
            request
                .answer_to
                .url("https://id.example", &[("code", "c")]),
            "https://store.example/cb?code=c&state=s+1&iss=https%3A%2F%2Fid.example"
        );
    }

    #[test]
    fn nobody_is_sent_to_an_address_that_is_not_registered() {
        let other = |from: &str, to: &str| {
            let query = GOOD.replace(from, to);
            assert_ne!(query, GOOD);
            let error = parsed(&query).unwrap_err();
            assert!(
                matches!(error, AuthorizationError::Unattributed(_)),
                "{from} {to}: {error:?}"
            );
        };
        other("client_id=store", "client_id=forum");
        other("client_id=store", "client_id=");
        other("client_id=store&", "client_id=store&client_id=store&");
        other("store.example%2Fcb", "store.example%2Fcb%2F");
        other("store.example%2Fcb", "store.example%2FCB");
        other("store.example%2Fcb", "store.example%2Fcb%3Fa%3D1");
        other("store.example%2Fcb", "store.example:443%2Fcb");
        other("store.example%2Fcb", "store.example%2Fx%2F..%2Fcb");
        other("store.example%2Fcb", "store.example.evil.example%2Fcb");
        other("redirect_uri=", "redirect_url=");
    }

    #[test]
    fn the_client_is_told_what_else_is_wrong() {
        let told = |from: &str, to: &str, error: &str| {
            let query = GOOD.replace(from, to);
            assert_ne!(query, GOOD);
            match parsed(&query).unwrap_err() {
                AuthorizationError::Refused(answer_to, refusal) => {
                    assert_eq!(refusal.error, error, "{to}");
                    let url = answer_to.refusal_url("https://id.example", refusal);
                    assert!(url.starts_with("https://store.example/cb?error="), "{url}");
                    assert!(url.contains("&iss=https%3A%2F%2Fid.example"), "{url}");
                }
                other @ AuthorizationError::Unattributed(_) => panic!("{to}: {other:?}"),
            }
        };
        told("type=code", "type=token", "unsupported_response_type");
        told(
            "type=code",
            "type=code+id_token",
            "unsupported_response_type",
        );
        told("&response_type=code", "", "invalid_request");
        told("scope=openid", "scope=profile", "invalid_scope");
        told("code_challenge=E9", "code_challenge=E", "invalid_request");
        told("method=S256", "method=plain", "invalid_request");
        told("&code_challenge_method=S256", "", "invalid_request");
        told("&nonce=n", "&response_mode=fragment", "invalid_request");
        told("&nonce=n", "&request=x", "request_not_supported");
        told("&nonce=n", "&request_uri=x", "request_uri_not_supported");
        told("&nonce=n", "&max_age=soon", "invalid_request");
        told("&nonce=n", "&prompt=none+login", "invalid_request");
    }

    #[test]
    fn the_prompt_says_whether_the_page_is_shown() {
        for (value, prompt) in [
            ("none", Prompt::Never),
            ("login", Prompt::Always),
            ("select_account+consent", Prompt::Always),
            ("consent", Prompt::IfNeeded),
            ("", Prompt::IfNeeded),
        ] {
            let request = parsed(&format!("{GOOD}&prompt={value}")).unwrap();
            assert_eq!(request.prompt, prompt, "{value}");
        }
    }
}
