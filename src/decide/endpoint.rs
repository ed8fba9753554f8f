//! The gateway's own endpoints on a site: they win over the application
//! (`docs/reference/endpoints.md`).

use http::Method;

use crate::model::challenge::Step;
use crate::model::hosted_backend::{HostedCall, HostedPage};
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
    Step(StepCall),
    /// The sign-out.
    Logout,
    /// A file of the pages, by its name; one that does not exist is `404`.
    Asset(String),
    /// The public keys of the signed assertion.
    AssertionKeys,
    /// One for programs.
    Api(ApiCall),
    /// One that FusionAuth's single-page SDKs call.
    Hosted(HostedCall),
}

/// What programs may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCall {
    /// Sign in.
    Login,
    /// Go on with a sign-in that waits for more than a password.
    Step(StepCall),
    /// Who is signed in?
    User,
    /// Renew now.
    Refresh,
    /// Sign out.
    Logout,
}

/// What may follow a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepCall {
    /// The code of a second factor.
    TwoFactor,
    /// The wish to be sent such a code.
    SendCode,
    /// A new password.
    NewPassword,
}

impl StepCall {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::TwoFactor, Self::SendCode, Self::NewPassword];

    /// What stands behind the path of the sign-in.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::TwoFactor => "/two-factor",
            Self::SendCode => "/two-factor/send",
            Self::NewPassword => "/password",
        }
    }

    /// The step whose challenge it continues.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::TwoFactor | Self::SendCode => Step::TwoFactor,
            Self::NewPassword => Step::NewPassword,
        }
    }

    /// The call whose path stands behind that of the sign-in.
    #[must_use]
    pub fn read(rest: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|call| call.path().as_bytes() == rest)
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
        .and_then(StepCall::read)
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
            site.hosted
                .as_ref()
                .and_then(|_| HostedCall::read(path))
                .map(Endpoint::Hosted)
        })
    }
}

/// Everything else beneath is the application's.
fn api_call(rest: &[u8]) -> Option<ApiCall> {
    match rest {
        b"/login" => Some(ApiCall::Login),
        b"/user" => Some(ApiCall::User),
        b"/refresh" => Some(ApiCall::Refresh),
        b"/logout" => Some(ApiCall::Logout),
        _ => rest
            .strip_prefix(b"/login")
            .and_then(StepCall::read)
            .map(ApiCall::Step),
    }
}

impl Endpoint {
    /// The methods for `Allow`, when `method` is none of them.
    #[must_use]
    pub fn refuses(&self, method: &Method) -> Option<&'static str> {
        let allowed = self.methods();
        let taken = allowed.split(", ").any(|taken| taken == method.as_str());
        (!taken).then_some(allowed)
    }

    /// The methods it takes.
    #[must_use]
    pub const fn methods(&self) -> &'static str {
        match self {
            Self::Login | Self::Logout => "GET, HEAD, POST",
            Self::Asset(_) | Self::AssertionKeys | Self::Api(ApiCall::User) => "GET, HEAD",
            Self::Step(_)
            | Self::Api(ApiCall::Login | ApiCall::Step(_) | ApiCall::Refresh | ApiCall::Logout) => {
                "POST"
            }
            Self::Hosted(call) => match call.page {
                HostedPage::Refresh => "POST",
                HostedPage::Login
                | HostedPage::Register
                | HostedPage::Callback
                | HostedPage::Me
                | HostedPage::Logout => "GET, HEAD",
            },
        }
    }

    /// Whether programs call it, which get no page whatever their requests look like.
    #[must_use]
    pub const fn is_for_programs(&self) -> bool {
        match self {
            Self::Api(_) => true,
            Self::Hosted(call) => matches!(call.page, HostedPage::Me | HostedPage::Refresh),
            Self::Login | Self::Step(_) | Self::Logout | Self::Asset(_) | Self::AssertionKeys => {
                false
            }
        }
    }
}
