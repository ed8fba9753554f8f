//! The gateway's own endpoints on a site: they win over the application
//! (`docs/reference/endpoints.md`).

use http::Method;

use crate::model::challenge::LoginStep;
use crate::model::hosted_backend::{HostedEndpoint, HostedRequest};
use crate::model::site::Site;
use crate::model::target::Target;

/// Where the public keys of the signed assertion are.
pub const ASSERTION_KEYS: &str = "/.well-known/vestibule/jwks.json";
/// What stands before the pages' own files. Everything beneath is the gateway's.
pub const OWN_FILES: &str = "/_vestibule/";

/// One of the gateway's own endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The sign-in form.
    Login,
    /// A step that follows the sign-in form.
    Step(StepEndpoint),
    /// The sign-out.
    Logout,
    /// A file of the pages, by its name; one that does not exist is `404`.
    Asset(String),
    /// The public keys of the signed assertion.
    AssertionKeys,
    /// One for programs.
    Api(ApiEndpoint),
    /// One that FusionAuth's single-page SDKs call.
    Hosted(HostedRequest),
}

/// What programs may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiEndpoint {
    /// Sign in.
    Login,
    /// Go on with a sign-in that waits for more than a password.
    Step(StepEndpoint),
    /// Who is signed in?
    User,
    /// Renew now.
    Refresh,
    /// Sign out.
    Logout,
}

/// What may follow a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEndpoint {
    /// The code of a second factor.
    TwoFactor,
    /// The wish to be sent such a code.
    SendCode,
    /// A new password.
    NewPassword,
}

impl StepEndpoint {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::TwoFactor, Self::SendCode, Self::NewPassword];

    /// What stands behind the path of the sign-in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::TwoFactor => "/two-factor",
            Self::SendCode => "/two-factor/send",
            Self::NewPassword => "/password",
        }
    }

    /// The step whose challenge it continues.
    #[must_use]
    pub const fn step(self) -> LoginStep {
        match self {
            Self::TwoFactor | Self::SendCode => LoginStep::TwoFactor,
            Self::NewPassword => LoginStep::NewPassword,
        }
    }

    /// The call whose path stands behind that of the sign-in.
    #[must_use]
    pub fn from_suffix(rest: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|call| call.suffix().as_bytes() == rest)
    }
}

/// Whether `target` is the gateway's own, in whatever spelling an application would take for it.
#[must_use]
pub fn find(site: &Site, target: &Target<'_>) -> Option<Endpoint> {
    let path = target.decoded_path();
    if path == site.paths.login.as_bytes() {
        Some(Endpoint::Login)
    } else if path == site.paths.logout.as_bytes() {
        Some(Endpoint::Logout)
    } else if let Some(call) = path
        .strip_prefix(site.paths.login.as_bytes())
        .and_then(StepEndpoint::from_suffix)
    {
        Some(Endpoint::Step(call))
    } else if let Some(name) = path.strip_prefix(OWN_FILES.as_bytes()) {
        Some(Endpoint::Asset(String::from_utf8_lossy(name).into_owned()))
    } else if path == ASSERTION_KEYS.as_bytes() {
        Some(Endpoint::AssertionKeys)
    } else {
        let api = path
            .strip_prefix(site.paths.api.as_bytes())
            .and_then(api_call)
            .map(Endpoint::Api);
        api.or_else(|| {
            site.hosted_backend
                .as_ref()
                .and_then(|_| HostedRequest::parse(path))
                .map(Endpoint::Hosted)
        })
    }
}

/// Everything else beneath is the application's.
fn api_call(rest: &[u8]) -> Option<ApiEndpoint> {
    match rest {
        b"/login" => Some(ApiEndpoint::Login),
        b"/user" => Some(ApiEndpoint::User),
        b"/refresh" => Some(ApiEndpoint::Refresh),
        b"/logout" => Some(ApiEndpoint::Logout),
        _ => rest
            .strip_prefix(b"/login")
            .and_then(StepEndpoint::from_suffix)
            .map(ApiEndpoint::Step),
    }
}

impl Endpoint {
    /// The methods for `Allow`, when `method` is none of them.
    #[must_use]
    pub fn disallows(&self, method: &Method) -> Option<&'static str> {
        let allowed = self.methods();
        let taken = allowed.split(", ").any(|taken| taken == method.as_str());
        (!taken).then_some(allowed)
    }

    /// The methods it takes.
    #[must_use]
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Login | Self::Logout => "GET, HEAD, POST",
            Self::Asset(_) | Self::AssertionKeys | Self::Api(ApiEndpoint::User) => "GET, HEAD",
            Self::Step(_)
            | Self::Api(
                ApiEndpoint::Login
                | ApiEndpoint::Step(_)
                | ApiEndpoint::Refresh
                | ApiEndpoint::Logout,
            ) => "POST",
            Self::Hosted(call) => match call.endpoint {
                HostedEndpoint::Refresh => "POST",
                HostedEndpoint::Login
                | HostedEndpoint::Register
                | HostedEndpoint::Callback
                | HostedEndpoint::Me
                | HostedEndpoint::Logout => "GET, HEAD",
            },
        }
    }

    /// Whether programs call it, which get no page whatever their requests look like.
    #[must_use]
    pub const fn is_for_api_clients(&self) -> bool {
        match self {
            Self::Api(_) => true,
            Self::Hosted(call) => {
                matches!(call.endpoint, HostedEndpoint::Me | HostedEndpoint::Refresh)
            }
            Self::Login | Self::Step(_) | Self::Logout | Self::Asset(_) | Self::AssertionKeys => {
                false
            }
        }
    }
}
