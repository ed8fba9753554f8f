//! A scenario: one request at one site, and the answer to every question that may be asked about
//! it.

use http::Method;
use vestibule::decide::Facts;
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::model::authorization::BasicCredentials;
use vestibule::model::credential::{CredentialKind, PresentedCredential};
use vestibule::model::fusionauth_hosted_backend::{HostedEndpoint, HostedRequest};
use vestibule::model::request::{BearerTokens, FetchMetadata};
use vestibule::model::request_cookies::{PresentedCookie, PresentedCookies};
use vestibule::model::rule::{Access, RuleClient};
use vestibule::model::site::Site;
use vestibule::model::target::Target;
use vestibule::model::timestamp::Timestamp;

pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Everything that the decision about one request depends on.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub site: Site,
    pub method: Method,
    pub target: String,
    pub cookies: PresentedCookies<'static>,
    pub bearer: BearerTokens<'static>,
    pub basic: Option<BasicCredentials<'static>>,
    pub fetch_metadata: FetchMetadata<'static>,
    /// The answer to each question, should it be asked. Every slot is filled.
    pub answers: Facts,
}

/// The JSON endpoints, without the site's prefix.
pub const API_PATHS: &[&str] = &[
    "/user",
    "/login",
    "/login/two-factor",
    "/refresh",
    "/login/two-factor/send",
    "/logout",
    "/login/password",
];

/// The origins of the site itself, in two spellings and by its alias, and the one that it lists.
pub const OWN_OR_LISTED: &[&str] = &[
    "https://store.example.com",
    "https://STORE.example.com:443",
    "https://shop.example.com",
    "https://app.example.com",
];

impl Scenario {
    /// The validated target.
    pub fn target(&self) -> Target<'_> {
        Target::parse(self.target.as_bytes(), self.site.encoded_slashes).unwrap()
    }

    /// Whether the decoded path is `path`.
    pub fn has_path(&self, path: &str) -> bool {
        self.target().decoded_path() == path.as_bytes()
    }

    /// The step after the password that is called, by a form or as a JSON endpoint.
    pub fn step_endpoint(&self) -> Option<StepEndpoint> {
        let paths = &self.site.paths;
        let api = paths.api.as_ref().map(|api| format!("{api}/login"));
        let prefixes = [Some(paths.login_prefix().to_owned()), api];
        let is_called = |step: &StepEndpoint| {
            prefixes
                .iter()
                .flatten()
                .any(|prefix| self.has_path(&format!("{prefix}{}", step.suffix())))
        };
        StepEndpoint::ALL.into_iter().find(is_called)
    }

    /// The JSON endpoint that is called, one of [`API_PATHS`].
    pub fn api_endpoint(&self) -> Option<&'static str> {
        let api = self.site.paths.api.as_ref()?;
        API_PATHS
            .iter()
            .copied()
            .find(|path| self.has_path(&format!("{api}{path}")))
    }

    /// The endpoint of the hosted backend that is called, where the site has one.
    pub fn hosted_endpoint(&self) -> Option<HostedEndpoint> {
        self.site.hosted_backend.as_ref()?;
        HostedRequest::parse(self.target().decoded_path()).map(|request| request.endpoint)
    }

    /// The access and roles that the rule requires; `None` for the gateway's own endpoints.
    pub fn requirement(&self) -> Option<(Access, Vec<String>)> {
        let target = self.target();
        let own = [
            self.site.paths.login.as_str(),
            &self.site.paths.logout,
            "/.well-known/vestibule/jwks.json",
        ];
        let is_own = own.map(str::as_bytes).contains(&target.decoded_path())
            || self.api_endpoint().is_some()
            || self.step_endpoint().is_some()
            || self.hosted_endpoint().is_some()
            || target.decoded_path().starts_with(b"/_vestibule/");
        let requirement =
            self.site
                .match_rule(&self.method, target.decoded_path(), RuleClient::default());
        (!is_own).then(|| (requirement.access, requirement.roles.to_vec()))
    }

    /// The credential that counts, of all that the request presents.
    pub fn credential(&self) -> PresentedCredential<'static> {
        if self.site.bearer && self.bearer != BearerTokens::default() {
            return PresentedCredential {
                kind: CredentialKind::Bearer,
                token: self.bearer.access,
                refresh: self.bearer.refresh,
            };
        }
        let value = |cookie: &PresentedCookie<'static>| match cookie {
            PresentedCookie::Single(std::borrow::Cow::Borrowed(value)) => Some(*value),
            PresentedCookie::Single(_) | PresentedCookie::Duplicate | PresentedCookie::Absent => {
                None
            }
        };
        let kind = self.site.credential;
        let token = if kind == CredentialKind::Session {
            &self.cookies.session
        } else {
            &self.cookies.access
        };
        PresentedCredential {
            kind,
            token: value(token),
            refresh: value(&self.cookies.refresh),
        }
    }

    /// Whether a page of another site sent the request, by the two fields that scripts cannot
    /// forge.
    pub fn is_cross_site(&self) -> bool {
        match (self.fetch_metadata.origin, self.fetch_metadata.fetch_site) {
            (Some(origin), _) => !OWN_OR_LISTED.contains(&origin),
            (None, Some(fetch_site)) => !["same-origin", "none"].contains(&fetch_site),
            (None, None) => false,
        }
    }
}
