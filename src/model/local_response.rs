//! What the gateway answers by itself, before anybody has turned it into bytes.

use std::sync::Arc;

use super::api_response::ApiResponse;
use super::challenge::NextStep;
use super::hosted_backend::AllowedRedirect;
use super::known_device::SealedDevice;
use super::local_path::LocalPath;
use super::login::PasswordViolation;
use super::preserved_post::PreservedPost;
use super::reason::Reason;
use super::redirect_loop::RedirectLoop;
use super::return_path::ReturnPath;
use super::token::IssuedTokens;

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalResponse {
    /// To another address of this site.
    Redirect(Redirect),
    /// A refusal or failure: a problem document, or the same as a page for navigations.
    Problem(Problem),
    /// The sign-in form.
    LoginPage(LoginPage),
    /// What the visitor wanted to send when their session had ended.
    PreservedPost(PreservedPostPage),
    /// The form of a step that follows the password.
    StepPage(Box<StepPage>),
    /// The page with the one button.
    LogoutPage,
    /// The provider knows the person but asks for something first.
    ActionRequired(ActionRequired),
    /// One of the pages' own files, by its name beneath `/_vestibule/`.
    Asset(String),
    /// The public keys of the signed assertion.
    AssertionKeys,
    /// What a program asked for.
    Json(ApiResponse),
    /// Done, and there is nothing to say about it.
    NoContent,
    /// What another origin's page may send here.
    Preflight(Preflight),
    /// To an address of the operator's list of redirect URIs, the one way off the site.
    AllowedRedirect {
        /// Where to.
        to: AllowedRedirect,
        /// Whether the browser is asked to forget what it stored (after a sign-out).
        clear_site_data: bool,
    },
}

/// The answer to a browser that asks before another origin's page may send something (Fetch,
/// section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The methods.
    pub methods: &'static str,
    /// The header names.
    pub headers: String,
}

/// A redirect to an address of this site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 302 for "sign in first", 303 after a form.
    pub status: u16,
    /// Path, query and fragment.
    pub location: LocalPath,
    /// Whether the browser is asked to forget what it stored (after a sign-out).
    pub clear_site_data: bool,
}

/// A refusal or failure (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status code.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    /// The methods for `Allow`.
    pub allow: Option<&'static str>,
    /// The value for `WWW-Authenticate`.
    pub www_authenticate: Option<&'static str>,
    /// The provider's word for why a password must be changed.
    pub change_reason: Option<String>,
    /// The step that would lead on.
    pub next_step: Option<Box<NextStep>>,
    /// The rules that a new password breaks.
    pub violations: Vec<PasswordViolation>,
    /// Whether a program asked for it, which gets no page whatever its request looks like.
    pub for_api_client: bool,
    /// With `redirect_loop`: what goes round, and the way on.
    pub redirect_loop: Option<RedirectLoop>,
}

impl Problem {
    /// A problem that says no more than its reason, under the reason's own status.
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
        }
    }

    /// The same under another status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// The sign-in form with what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginPage {
    /// 200 for a fresh one, else the status of what went wrong.
    pub status: u16,
    /// What went wrong with the last attempt.
    pub error: Option<Reason>,
    /// Whether the browser returned no cookie with it.
    pub cookie_missing: bool,
    /// What the visitor typed as their name. Never the password.
    pub login_id: String,
    /// Where to go afterwards.
    pub return_to: Option<ReturnPath>,
    /// Whether "keep me signed in" is ticked.
    pub remember: bool,
    /// What the visitor wanted to send when their session had ended, sealed.
    pub preserved_post: Option<Arc<str>>,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
}

/// What the visitor had written, after they signed in again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreservedPostPage {
    /// What was written.
    pub preserved_post: PreservedPost,
    /// Whether it can be sent from here, or only be copied.
    pub resubmission: Resubmission,
    /// Where to go on without it.
    pub continue_to: String,
}

/// What may be done with an unsent form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resubmission {
    /// Its author sends it, to this path.
    Allowed(ReturnPath),
    /// It was offered before, or nobody can say whether: sending might send it twice.
    AlreadyOffered,
    /// Somebody else wrote it, or nobody knows who.
    OtherAuthor,
}

/// The form of a step that follows the password, with what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPage {
    /// The status code.
    pub status: u16,
    /// Which step, and what its form carries.
    pub next_step: NextStep,
    /// What went wrong with the last attempt; `None` where there was none yet.
    pub error: Option<Reason>,
    /// The rules that the new password breaks.
    pub violations: Vec<PasswordViolation>,
    /// The position among the ways of the one by which a code was just sent.
    pub code_sent_by: Option<usize>,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
    /// Whether "do not ask again on this device" is ticked.
    pub trust_device: bool,
    /// What the visitor calls themselves, for password managers.
    pub login_id: String,
    /// Where to go afterwards, for who begins again.
    pub return_to: Option<ReturnPath>,
    /// What the visitor wanted to send when their session had ended, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// The provider wants something before it lets the person in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRequired {
    /// The status code.
    pub status: u16,
    /// What it wants.
    pub reason: Reason,
}

/// What happens to what the visitor carries: cookies, or the headers of a client that is no
/// browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieChange {
    /// New tokens replace the old.
    SetTokens(IssuedTokens),
    /// Every credential goes.
    ClearCredentials,
    /// The refresh token goes, the access token may live out its time.
    ClearRefresh,
    /// The browser is known by this from now on.
    SetDevice(SealedDevice),
}
