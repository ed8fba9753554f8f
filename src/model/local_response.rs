//! The responses that the gateway makes itself, before they are rendered.

use std::sync::Arc;

use super::api_response::ApiResponse;
use super::challenge::NextStep;
use super::fusionauth_hosted_backend::AllowedRedirect;
use super::hook::HookAnswer;
use super::local_path::LocalPath;
use super::password_violation::PasswordViolation;
use super::preserved_post::PreservedPost;
use super::reason::Reason;
use super::redirect_loop::RedirectLoop;
use super::redirect_result::ProviderAddress;
use super::return_path::ReturnPath;
use super::theme::Link;

/// A response of the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalResponse {
    /// A redirect to another address of this site.
    Redirect(Redirect),
    /// A redirect to the identity provider.
    ProviderRedirect(ProviderRedirect),
    /// A refusal or failure: a problem document, or a page that says the same to navigations.
    Problem(Problem),
    /// The login page with its form.
    LoginPage(LoginPage),
    /// The page that offers a preserved form after the login.
    PreservedPost(PreservedPostPage),
    /// The form of a step after the password.
    StepPage(Box<StepPage>),
    /// The logout page, with one button.
    LogoutPage,
    /// The page that tells that nobody is logged in, in place of the logout page.
    SignedOutPage,
    /// A file of the pages, by its name beneath `/_vestibule/`.
    Asset(String),
    /// The public keys of the signed assertion.
    AssertionKeys,
    /// `200` with a JSON body, from a JSON endpoint.
    Json(ApiResponse),
    /// `204`: a call that has nothing to return.
    NoContent,
    /// The answer to a health check.
    HealthCheck(Health),
    /// `503` without a body to a prefetch whose response could not be used.
    PrefetchRefused,
    /// The answer to a message of the provider.
    Hook(HookAnswer),
    /// The answer to an ACME server's HTTP-01 challenge (RFC 8555, section 8.3): the key
    /// authorization.
    AcmeChallenge(String),
    /// `308` to the same target under https.
    HttpsRedirect(String),
    /// `200` without a body to a proxy that asked about a request: it may forward it.
    Allowed,
    /// `302` to a page that the operator links to.
    LinkedPage(Link),
    /// `204` to a CORS preflight.
    Preflight(Preflight),
    /// A redirect to an address of the operator's list of redirect URIs.
    AllowedRedirect {
        /// The address, as the operator listed it, with the client's `state`.
        to: AllowedRedirect,
        /// Whether the response carries `Clear-Site-Data` (after a logout).
        clear_site_data: bool,
    },
}

/// What a health check is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `200 ok`.
    Ok,
    /// `503 stopping`: the process was asked to stop.
    Stopping,
}

/// The answer to a CORS preflight (Fetch, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The value of `Access-Control-Allow-Methods`.
    pub methods: &'static str,
    /// The value of `Access-Control-Allow-Headers`.
    pub headers: String,
}

/// A redirect to an address of this site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 302 to the login page, 303 after a form.
    pub status: u16,
    /// Path, query and fragment.
    pub location: LocalPath,
    /// Whether the response carries `Clear-Site-Data` (after a logout).
    pub clear_site_data: bool,
}

/// A redirect to the identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRedirect {
    /// 302 for a login, 303 after a form.
    pub status: u16,
    /// Where the browser goes.
    pub address: ProviderAddress,
    /// Whether the response carries `Clear-Site-Data` (after a logout).
    pub clear_site_data: bool,
}

/// A refusal or failure, as a problem document (RFC 9457) or a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status code of the response.
    pub status: u16,
    /// The reason code, for the client as [`Reason::for_client`].
    pub reason: Reason,
    /// The value of `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// The value of `Allow`.
    pub allow: Option<&'static str>,
    /// The value of `WWW-Authenticate`.
    pub www_authenticate: Option<String>,
    /// The provider's word for why the password must be changed.
    pub change_reason: Option<String>,
    /// The step that the login waits for.
    pub next_step: Option<Box<NextStep>>,
    /// The rules that a new password breaks.
    pub violations: Vec<PasswordViolation>,
    /// Whether an API client gets it: always a problem document, whatever the request accepts.
    pub for_api_client: bool,
    /// With `redirect_loop`: the cause, and the address to continue to.
    pub redirect_loop: Option<Box<RedirectLoop>>,
    /// With `role_missing`: who is logged in, and may log in as somebody else.
    pub switch_user: Option<SwitchUser>,
    /// With `sign_in_redirects`: where a browser is sent to log in, an absolute URL.
    pub sign_in_address: Option<Box<str>>,
    /// With `sign_in_failed` and failures of a login by redirect: where the user wanted to go.
    pub return_to: Option<ReturnPath>,
}

/// Who has no access to a page, and where another user would go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchUser {
    /// The e-mail address, else the username, else the id.
    pub signed_in_as: String,
    /// The page; `None` where it cannot be opened by its address.
    pub return_to: Option<ReturnPath>,
}

impl Problem {
    /// A problem that has no details beyond its reason code, under the reason's own status.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            status: reason.status(),
            reason,
            retry_after: None,
            allow: None,
            www_authenticate: None,
            change_reason: None,
            next_step: None,
            violations: Vec::new(),
            for_api_client: false,
            redirect_loop: None,
            switch_user: None,
            sign_in_address: None,
            return_to: None,
        }
    }

    /// The same problem under another status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// The content of the login page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginPage {
    /// 200 for an empty form, else the status of `error`.
    pub status: u16,
    /// Why the last attempt failed.
    pub error: Option<Reason>,
    /// Whether the form was posted without the form cookie.
    pub cookie_missing: bool,
    /// The login name as typed. The password is never shown again.
    pub login_id: String,
    /// Where to go after the login.
    pub return_to: Option<ReturnPath>,
    /// Whether "keep me signed in" is ticked.
    pub remember: bool,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
    /// Why the form that was posted after the login had expired is not preserved.
    pub lost_post: Option<LostPost>,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
}

/// Why a form is not preserved over the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostPost {
    /// It is larger than the site preserves.
    TooLarge,
    /// It has files.
    HasFiles,
    /// It is of another kind: in `text/plain`, or in another encoding than UTF-8.
    OtherForm,
}

impl LoginPage {
    /// An empty form, under status 200.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            status: 200,
            error: None,
            cookie_missing: false,
            login_id: String::new(),
            return_to: None,
            remember: false,
            preserved_post: None,
            lost_post: None,
            retry_after: None,
        }
    }
}

impl Default for LoginPage {
    fn default() -> Self {
        Self::new()
    }
}

/// The content of the page that offers a preserved form after the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreservedPostPage {
    /// The form, as it was posted.
    pub preserved_post: PreservedPost,
    /// Whether it can be sent again.
    pub resubmission: Resubmission,
    /// The address to continue to without it.
    pub continue_to: String,
}

/// Whether a preserved form can be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resubmission {
    /// Its author can send it, to this path.
    Allowed(ReturnPath),
    /// It was offered before, or that is not known: sending it might send it twice. It can be
    /// copied.
    AlreadyOffered,
    /// Another user wrote it, or the author is not known. It can be copied.
    OtherAuthor,
}

/// The content of a step's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPage {
    /// The status code of the response.
    pub status: u16,
    /// The step, with the sealed challenge for its form.
    pub next_step: NextStep,
    /// Why the last attempt failed; `None` before the first.
    pub error: Option<Reason>,
    /// The rules that the new password breaks.
    pub violations: Vec<PasswordViolation>,
    /// The method by which a code was just sent: its position among the step's methods.
    pub code_sent_by: Option<usize>,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
    /// Whether "do not ask again on this device" is ticked.
    pub trust_device: bool,
    /// The login name, for password managers.
    pub login_id: String,
    /// Where to go afterwards, for starting again.
    pub return_to: Option<ReturnPath>,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
}
