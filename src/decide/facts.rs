//! What is known about one request: a [`Question`] for everything that takes input and output, and
//! in [`Facts`] a slot for each answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::api_request::ApiRequestBody;
use crate::model::authorization::BasicCredentials;
use crate::model::authorization_response::CallbackParameters;
use crate::model::challenge::OpenedChallenge;
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::hook::{HookAnswer, HookKind};
use crate::model::login::{Credentials, LoginForm, LoginRefused};
use crate::model::login_step::{LoginStep, StepForm, StepSubmission};
use crate::model::preserved_post::{NotPreservedError, RestoredPost};
use crate::model::reason::Reason;
use crate::model::redirect_login::RedirectOptions;
use crate::model::redirect_loop::LoopIdentity;
use crate::model::redirect_result::{
    BegunRedirect, FailedRedirect, FinishedRedirect, ProviderAddress, RefusedRedirect,
};
use crate::model::request_cookies::PresentedRedirectLogin;
use crate::model::secret::Secret;
use crate::model::token::{
    BasicLogin, CompletedLogin, CompletedRefresh, Principal, Session, TokenError,
};

/// The answer to one question. A slot is filled once; [`decide`](super::decide) never asks for a
/// filled one again.
#[derive(Clone, Debug, Default)]
pub enum Known<T, No> {
    /// The question has not been asked.
    #[default]
    NotAsked,
    /// Yes, with what was found.
    Found(T),
    /// A definite no, with its reason.
    Absent(No),
    /// There was no answer. This is never taken for a yes or a no.
    Failed(Reason),
}

/// What came of the provider's response to a login by redirect.
#[derive(Clone, Debug)]
pub enum RedirectResult {
    /// The user is logged in.
    Finished(FinishedRedirect),
    /// Nobody is.
    Refused(RefusedRedirect),
    /// There was no answer, which is never taken for a no.
    Failed(FailedRedirect),
}

/// Everything that is known about a request so far.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The user that the access token proves.
    pub token: Known<Arc<Principal>, TokenError>,
    /// The session of the presented id.
    pub session: Known<Session, TokenError>,
    /// The new tokens for the refresh token. `Absent` is `signed_out`, or `revoked` where the
    /// gateway itself refused.
    pub refresh: Known<CompletedRefresh, Reason>,
    /// The user of the Basic credentials.
    pub basic: Known<BasicLogin, Box<LoginRefused>>,
    /// The fields of the posted login form.
    pub login_form: Known<LoginForm, Reason>,
    /// The form that was posted after the login had expired, sealed. `Absent` where the body is no
    /// form, or none that can be carried.
    pub preserved_post: Known<Arc<str>, NotPreservedError>,
    /// The preserved form that comes back with a login. `Absent` where it does not open or has
    /// expired.
    pub restored_post: Known<RestoredPost, Reason>,
    /// The body of a call to a JSON endpoint.
    pub body: Known<ApiRequestBody, Reason>,
    /// The fields of the posted form of a step.
    pub step_form: Known<Box<StepForm>, Reason>,
    /// The opened challenge. `Absent` is `challenge_expired`.
    pub challenge: Known<Arc<OpenedChallenge>, Reason>,
    /// The method by which a code was sent: its position among the challenge's methods.
    pub code_sent: Known<usize, Box<LoginRefused>>,
    /// The provider's answer to the password, or to the step that followed it.
    pub login: Known<CompletedLogin, LoginRefused>,
    /// The begun login by redirect. `Absent` where too much was asked from the client's address.
    pub redirect: Known<Arc<BegunRedirect>, Box<LoginRefused>>,
    /// What came of the provider's response to a login by redirect.
    pub callback: Option<Arc<RedirectResult>>,
    /// Whether the logout was carried out, and where the browser logs out at the provider too,
    /// where it logged in there.
    pub logout: Known<Option<ProviderAddress>, Reason>,
    /// The answer to the provider's message.
    pub hook: Known<HookAnswer, Reason>,
    /// How many redirects to or from the login page this user got at this address, each within
    /// [`Question::CountRedirect::within`] of the one before it, this one included.
    pub redirects: Known<u32, Reason>,
}

/// The size limit for the body of a posted login form, or of a step's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormSize {
    /// The limit of the configuration.
    Plain,
    /// The limit for a form that carries a preserved post.
    WithPreservedPost,
}

/// Something that `decide` needs to know and cannot find out itself. `Debug` prints the variant
/// alone, because most of them hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub enum Question<'a> {
    /// Is this access token valid? Fills [`Facts::token`].
    Verify(&'a str),
    /// Which session has this id? Asking extends its idle lifetime. Fills [`Facts::session`].
    LoadSession(&'a str),
    /// Which tokens does the provider give for this refresh token? Fills [`Facts::refresh`].
    Refresh(RefreshRequest<'a>),
    /// The same, for a refresh token in the body of a client that is not a browser.
    RefreshFromBody(Secret),
    /// Whose Basic credentials are these, as the provider tells or has told a moment ago? Fills
    /// [`Facts::basic`].
    CheckBasic(BasicCredentials<'a>),
    /// What are the fields of the posted login form? Fills [`Facts::login_form`].
    ReadLoginForm(FormSize),
    /// Can the posted form be preserved, and who wrote it, as far as the credentials tell? Fills
    /// [`Facts::preserved_post`].
    PreservePost {
        /// Path and query that it was posted to.
        target: &'a str,
        /// The sealed refresh token, and how it was presented.
        refresh: Option<(CredentialKind, &'a str)>,
        /// The device cookie, as presented.
        device: Option<&'a str>,
    },
    /// What did the user who has just logged in write before? Fills [`Facts::restored_post`].
    RestorePost {
        /// The sealed form, as the login form carried it.
        sealed: Arc<str>,
        /// The `sub` of the user who has just logged in.
        sub: String,
        /// The login name, as typed.
        login_id: String,
    },
    /// What is the body of the call to a JSON endpoint? Fills [`Facts::body`].
    ReadBody,
    /// Does the provider accept this password? Fills [`Facts::login`].
    Login {
        /// What the user submitted.
        credentials: Box<Credentials>,
        /// How the client will present what it gets.
        kind: CredentialKind,
        /// The id of the session that this login replaces, whoever's it was.
        session: Option<&'a str>,
        /// The device cookie, as presented.
        device: Option<&'a str>,
    },
    /// Where at the provider does a login by redirect begin? Fills [`Facts::redirect`].
    BeginRedirect {
        /// What shall follow the login.
        options: Box<RedirectOptions>,
        /// The logins that the browser has under way.
        presented: &'a [PresentedRedirectLogin<'a>],
    },
    /// Whom has the provider sent back? Fills [`Facts::callback`].
    FinishRedirect {
        /// The provider's response.
        callback: Box<CallbackParameters>,
        /// The cookie of the login, as presented.
        sealed: &'a str,
        /// How the client will present what it gets.
        kind: CredentialKind,
        /// The id of the session that this login replaces, whoever's it was.
        session: Option<&'a str>,
        /// The device cookie, as presented.
        device: Option<&'a str>,
    },
    /// What are the fields of the posted form of a step? Fills [`Facts::step_form`].
    ReadStepForm(FormSize),
    /// What does this challenge hold? Fills [`Facts::challenge`].
    OpenChallenge {
        /// The step that it must be for.
        step: LoginStep,
        /// The sealed challenge, as posted.
        challenge: Secret,
    },
    /// Does the provider accept this code or new password? Fills [`Facts::login`].
    ContinueLogin {
        /// The login that is continued.
        opened: Arc<OpenedChallenge>,
        /// What the user submitted.
        submission: StepSubmission,
        /// How the client will present what it gets.
        kind: CredentialKind,
        /// The id of the session that this login replaces, whoever's it was.
        session: Option<&'a str>,
        /// The device cookie, as presented.
        device: Option<&'a str>,
    },
    /// Will the provider send a code? Fills [`Facts::code_sent`].
    SendCode {
        /// The login that the code is for.
        opened: Arc<OpenedChallenge>,
        /// The sealed choice of a method.
        choice: Secret,
    },
    /// How often was this user redirected here lately? Fills [`Facts::redirects`].
    CountRedirect {
        /// What tells the user's redirects from those of others.
        identity: LoopIdentity<'a>,
        /// Path and query of the request.
        target: &'a str,
        /// The longest time since the redirect before this one for both to count as one loop.
        within: Duration,
    },
    /// What is the answer to the message of this kind that the request carries? Fills
    /// [`Facts::hook`].
    ReceiveHook(HookKind),
    /// Ends the login that these belong to, here and at the provider. Fills [`Facts::logout`].
    Logout(PresentedCredential<'a>),
    /// The same for the login of these Basic credentials, which are forgotten.
    LogoutBasic(BasicCredentials<'a>),
    /// The same, for a refresh token in the body of a client that is not a browser.
    LogoutFromBody {
        /// The access token in `Authorization`.
        access: Option<&'a str>,
        /// The sealed refresh token.
        refresh: Secret,
    },
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Verify(_) => "Verify",
            Self::LoadSession(_) => "LoadSession",
            Self::Refresh(_) => "Refresh",
            Self::RefreshFromBody(_) => "RefreshFromBody",
            Self::CheckBasic(_) => "CheckBasic",
            Self::ReadLoginForm(_) => "ReadLoginForm",
            Self::PreservePost { .. } => "PreservePost",
            Self::RestorePost { .. } => "RestorePost",
            Self::ReadBody => "ReadBody",
            Self::Login { .. } => "Login",
            Self::BeginRedirect { .. } => "BeginRedirect",
            Self::FinishRedirect { .. } => "FinishRedirect",
            Self::ReadStepForm(_) => "ReadStepForm",
            Self::OpenChallenge { .. } => "OpenChallenge",
            Self::ContinueLogin { .. } => "ContinueLogin",
            Self::SendCode { .. } => "SendCode",
            Self::ReceiveHook(_) => "ReceiveHook",
            Self::Logout(_) => "Logout",
            Self::LogoutBasic(_) => "LogoutBasic",
            Self::CountRedirect { .. } => "CountRedirect",
            Self::LogoutFromBody { .. } => "LogoutFromBody",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::request_cookies::PresentedCookie;

    #[test]
    fn debug_prints_no_credential() {
        let kind = CredentialKind::Session;
        let credential = PresentedCredential {
            kind,
            token: Some("leaky"),
            refresh: Some("leaky"),
        };
        let logout = Question::Logout(credential);
        let refresh = RefreshRequest {
            kind,
            refresh: "leaky",
            session_id: Some("leaky"),
        };
        let cookie = PresentedCookie::Single("leaky".into());
        let load = Question::LoadSession("leaky");
        let printed = format!(
            "{:?} {load:?} {refresh:?} {credential:?} {logout:?} {cookie:?}",
            Question::Verify("leaky")
        );
        assert_eq!(
            printed,
            "Verify LoadSession RefreshRequest(session) PresentedCredential(session) Logout Single"
        );
    }
}
