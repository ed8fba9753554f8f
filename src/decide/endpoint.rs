//! The gateway's own endpoints on a site. They take precedence over the application
//! (`docs/reference/endpoints.md`).
//!
//! A path is compared percent-decoded, so that no spelling of one reaches the application.
//! Everything else beneath the same prefixes is the application's, but for `/_vestibule/`, which is
//! the gateway's as a whole.

use http::Method;

use crate::model::challenge::NextStep;
use crate::model::fusionauth_hosted_backend::{HostedEndpoint, HostedRequest};
use crate::model::hook::HookKind;
use crate::model::local_path::LocalPath;
use crate::model::login_step::LoginStep;
use crate::model::redirect_login::CALLBACK;
use crate::model::return_path::ReturnPath;
use crate::model::site::{SignIn, Site};
use crate::model::target::Target;

/// The path of the public keys of the signed assertion.
pub const ASSERTION_KEYS: &str = "/.well-known/vestibule/jwks.json";
/// Where password managers and browsers look for the page that changes a password.
pub const CHANGE_PASSWORD: &str = "/.well-known/change-password";
/// The health check, which is answered at any host.
pub const HEALTH: &str = "/_vestibule/health";
/// The query parameter of a step's page that carries the challenge.
pub(super) const CHALLENGE: &str = "challenge";
/// The prefix of the endpoints where the provider sends its messages.
const HOOKS: &str = "/_vestibule/hooks/";
/// The prefix of the files of the gateway's pages.
pub const OWN_FILES: &str = "/_vestibule/";

/// One of the gateway's own endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The login page, and where its form is posted.
    Login,
    /// Where the identity provider sends browsers back to, at a site whose users log in there.
    Callback,
    /// The page of a step after the password, and where its form is posted.
    Step(StepEndpoint),
    /// The logout page, and where its form is posted.
    Logout,
    /// The application's own sign-out, which signs out at the gateway.
    ApplicationLogout,
    /// A file of the pages, by its name; `404` where there is none of this name.
    Asset(String),
    /// Where the provider sends its messages.
    Hook(HookKind),
    /// A path beneath [`OWN_FILES`] that is neither an endpoint nor the name of a file: `404`,
    /// whatever the method.
    Unknown,
    /// The public keys of the signed assertion.
    AssertionKeys,
    /// A redirect to the page where a password is changed.
    ChangePassword,
    /// A JSON endpoint, for scripts and API clients.
    Api(ApiEndpoint),
    /// An endpoint of the hosted backend, which FusionAuth's single-page SDKs call.
    Hosted(HostedRequest),
}

/// The JSON endpoints, for scripts and API clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiEndpoint {
    /// `POST /api/login`: logs in with a password.
    Login,
    /// `POST /api/login/…`: continues a login after the password.
    Step(StepEndpoint),
    /// `GET /api/user`: tells who is logged in.
    User,
    /// `POST /api/refresh`: refreshes the tokens now.
    Refresh,
    /// `POST /api/logout`: logs out.
    Logout,
}

/// What may follow a password, as a form and as a JSON endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEndpoint {
    /// Submits the code of a second factor.
    TwoFactor,
    /// Asks for such a code to be sent.
    SendCode,
    /// Submits a new password.
    NewPassword,
}

impl StepEndpoint {
    /// All endpoints of this kind.
    pub const ALL: [Self; 3] = [Self::TwoFactor, Self::SendCode, Self::NewPassword];

    /// The part of the path that follows the path of the login.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::TwoFactor => "/two-factor",
            Self::SendCode => "/two-factor/send",
            Self::NewPassword => "/password",
        }
    }

    /// The step that the challenge must be for.
    #[must_use]
    pub const fn step(self) -> LoginStep {
        match self {
            Self::TwoFactor | Self::SendCode => LoginStep::TwoFactor,
            Self::NewPassword => LoginStep::NewPassword,
        }
    }

    /// The endpoint whose page shows the form of `step`.
    #[must_use]
    pub const fn page_of(step: LoginStep) -> Self {
        match step {
            LoginStep::TwoFactor => Self::TwoFactor,
            LoginStep::NewPassword => Self::NewPassword,
        }
    }

    /// The address of the page of `next_step`.
    #[must_use]
    pub fn page_address(site: &Site, next_step: &NextStep) -> LocalPath {
        let endpoint = Self::page_of(next_step.step);
        let path = format!("{}{}", site.paths.login_prefix(), endpoint.suffix());
        LocalPath::endpoint(&path).with_parameter(CHALLENGE, next_step.challenge.expose())
    }

    /// The endpoint of this [suffix](Self::suffix).
    #[must_use]
    pub fn from_suffix(suffix: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.suffix().as_bytes() == suffix)
    }
}

/// The token of an ACME server's HTTP-01 challenge (RFC 8555, section 8.3) in the target of a
/// request; `None` for other targets.
#[must_use]
pub fn acme_token(target: &[u8]) -> Option<&str> {
    let token = target.strip_prefix(b"/.well-known/acme-challenge/")?;
    let token = std::str::from_utf8(token).ok()?;
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // 128 bits at least; servers use twice as many.
    ((22..=128).contains(&token.len()) && token.bytes().all(is_base64url)).then_some(token)
}

/// Whether the target of a request line, as received, is the health check.
#[must_use]
pub fn is_health_check(target: &[u8]) -> bool {
    target
        .strip_prefix(HEALTH.as_bytes())
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'?')))
}

/// The name of the file of the pages that the target of a request line asks for, as received.
#[must_use]
pub fn asset_name(target: &[u8]) -> Option<&str> {
    let path = target.split(|byte| *byte == b'?').next()?;
    std::str::from_utf8(path.strip_prefix(OWN_FILES.as_bytes())?).ok()
}

/// The gateway's endpoint at `target`, the application's own sign-out among them; `None` where the
/// path is the application's.
#[must_use]
pub fn find(site: &Site, target: &Target<'_>) -> Option<Endpoint> {
    find_reading(site, target.decoded_path(), target.query())
}

/// The same for one reading of the path.
pub(super) fn find_reading(site: &Site, path: &[u8], query: Option<&str>) -> Option<Endpoint> {
    let is_sign_out = || site.is_sign_out(path, query);
    find_at(site, path).or_else(|| is_sign_out().then_some(Endpoint::ApplicationLogout))
}

/// The gateway's endpoint at `path`, percent-decoded once.
pub(super) fn find_at(site: &Site, path: &[u8]) -> Option<Endpoint> {
    if path == site.paths.login.as_bytes() {
        Some(Endpoint::Login)
    } else if path == site.paths.logout.as_bytes() {
        Some(Endpoint::Logout)
    } else if let Some(endpoint) = path
        .strip_prefix(site.paths.login_prefix().as_bytes())
        .and_then(StepEndpoint::from_suffix)
    {
        Some(Endpoint::Step(endpoint))
    } else if path == CALLBACK.as_bytes() && site.sign_in == SignIn::Redirect {
        Some(Endpoint::Callback)
    } else if let Some(kind) = hook(site, path) {
        Some(Endpoint::Hook(kind))
    } else if let Some(name) = path.strip_prefix(OWN_FILES.as_bytes()) {
        // Every file has a suffix.
        if name.contains(&b'/') || !name.contains(&b'.') {
            return Some(Endpoint::Unknown);
        }
        Some(Endpoint::Asset(String::from_utf8_lossy(name).into_owned()))
    } else if path == ASSERTION_KEYS.as_bytes() {
        Some(Endpoint::AssertionKeys)
    } else if path == CHANGE_PASSWORD.as_bytes() {
        Some(Endpoint::ChangePassword)
    } else {
        let api = site.paths.api.as_deref();
        let api = api
            .and_then(|prefix| path.strip_prefix(prefix.as_bytes()))
            .and_then(api_endpoint)
            .map(Endpoint::Api);
        api.or_else(|| hosted_request(site, path).map(Endpoint::Hosted))
    }
}

/// The kind of message that the site's provider sends here, where the site takes any.
fn hook(site: &Site, path: &[u8]) -> Option<HookKind> {
    let name = path
        .strip_prefix(HOOKS.as_bytes())
        .filter(|_| site.public_hooks)?;
    if name == b"fusionauth" {
        return Some(HookKind::Fusionauth);
    }
    let provider = name.strip_prefix(b"backchannel-logout/")?;
    (provider == site.provider.as_bytes()).then_some(HookKind::BackchannelLogout)
}

fn api_endpoint(suffix: &[u8]) -> Option<ApiEndpoint> {
    match suffix {
        b"/login" => Some(ApiEndpoint::Login),
        b"/user" => Some(ApiEndpoint::User),
        b"/refresh" => Some(ApiEndpoint::Refresh),
        b"/logout" => Some(ApiEndpoint::Logout),
        _ => suffix
            .strip_prefix(b"/login")
            .and_then(StepEndpoint::from_suffix)
            .map(ApiEndpoint::Step),
    }
}

fn hosted_request(site: &Site, path: &[u8]) -> Option<HostedRequest> {
    site.hosted_backend
        .as_ref()
        .and_then(|_| HostedRequest::parse(path))
}

/// Whether a return address leads back into the gateway's own login or logout: the first would be a
/// loop, the second would log out who has just logged in.
pub(super) fn is_login_or_logout(site: &Site, return_to: &ReturnPath) -> bool {
    let path = path_of(return_to);
    is_login_form(site, return_to)
        || path == CALLBACK
        || path == site.paths.logout
        || is_hosted_logout(site, path)
        || is_application_logout(site, return_to)
}

/// Whether this is the address of the login page, or of the page of one of its steps.
pub(super) fn is_login_form(site: &Site, address: &ReturnPath) -> bool {
    let path = path_of(address);
    let step = path
        .strip_prefix(site.paths.login_prefix())
        .and_then(|rest| StepEndpoint::from_suffix(rest.as_bytes()));
    path == site.paths.login || step.is_some()
}

fn path_of(address: &ReturnPath) -> &str {
    address
        .as_str()
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
}

fn is_application_logout(site: &Site, address: &ReturnPath) -> bool {
    let address = address.as_str().split('#').next().unwrap_or_default();
    let (path, query) = match address.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (address, None),
    };
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    site.is_sign_out(&decoded, query)
}

fn is_hosted_logout(site: &Site, path: &str) -> bool {
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    hosted_request(site, &decoded).is_some_and(|request| request.endpoint == HostedEndpoint::Logout)
}

impl Endpoint {
    /// The methods for `Allow`, where `method` is none of them.
    #[must_use]
    pub fn disallows(&self, method: &Method) -> Option<&'static str> {
        let allowed = self.methods();
        let is_allowed = allowed.split(", ").any(|name| name == method.as_str());
        (!is_allowed && *self != Self::Unknown).then_some(allowed)
    }

    /// The methods that the endpoint takes, as `Allow` lists them.
    #[must_use]
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Login
            | Self::Logout
            | Self::ApplicationLogout
            | Self::Step(StepEndpoint::TwoFactor | StepEndpoint::NewPassword) => "GET, HEAD, POST",
            // A `HEAD` would use the code up.
            Self::Callback => "GET",
            Self::Asset(_)
            | Self::Unknown
            | Self::AssertionKeys
            | Self::ChangePassword
            | Self::Api(ApiEndpoint::User) => "GET, HEAD",
            Self::Hook(_)
            | Self::Step(StepEndpoint::SendCode)
            | Self::Api(
                ApiEndpoint::Login
                | ApiEndpoint::Step(_)
                | ApiEndpoint::Refresh
                | ApiEndpoint::Logout,
            ) => "POST",
            Self::Hosted(request) => match request.endpoint {
                HostedEndpoint::Refresh => "POST",
                HostedEndpoint::Login
                | HostedEndpoint::Register
                | HostedEndpoint::Callback
                | HostedEndpoint::Me
                | HostedEndpoint::Logout => "GET, HEAD",
            },
        }
    }

    /// Whether scripts and API clients call it. They get problem documents, never pages, whatever
    /// their requests look like.
    #[must_use]
    pub const fn is_for_api_clients(&self) -> bool {
        match self {
            Self::Api(_) => true,
            Self::Hosted(request) => matches!(
                request.endpoint,
                HostedEndpoint::Me | HostedEndpoint::Refresh
            ),
            Self::Login
            | Self::Callback
            | Self::Step(_)
            | Self::Logout
            | Self::ApplicationLogout
            | Self::Asset(_)
            | Self::Hook(_)
            | Self::Unknown
            | Self::AssertionKeys
            | Self::ChangePassword => false,
        }
    }
}
