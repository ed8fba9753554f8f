//! What has been found out about one request so far: one slot for each question.

use std::fmt;
use std::sync::Arc;

use crate::model::api_request::ApiRequestBody;
use crate::model::challenge::{LoginStep, OpenedChallenge, StepForm, StepSubmission};
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::login::{Credentials, LoginForm, LoginRefused};
use crate::model::preserved_post::RestoredPost;
use crate::model::reason::Reason;
use crate::model::redirect_loop::LoopIdentity;
use crate::model::secret::Secret;
use crate::model::token::{CompletedLogin, CompletedRefresh, Principal, Session, TokenError};

/// The answer to one question, or that it was not asked. A filled slot is never asked again, so the
/// loop ends.
#[derive(Clone, Debug, Default)]
pub enum Known<T, No> {
    /// Nobody asked yet.
    #[default]
    NotAsked,
    /// Yes, and here it is.
    Found(T),
    /// A definite no.
    Absent(No),
    /// No answer was to be had; never taken for a yes, nor for a no.
    Failed(Reason),
}

/// Everything found out so far.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whom the access token proves.
    pub token: Known<Arc<Principal>, TokenError>,
    /// What the session of the presented id keeps.
    pub session: Known<Session, TokenError>,
    /// What the refresh token brought. The `No` is `signed_out`, or `revoked` where the gateway
    /// itself refused.
    pub refresh: Known<CompletedRefresh, Reason>,
    /// The sign-in form's fields.
    pub login_form: Known<LoginForm, Reason>,
    /// The form that the visitor wanted to send, sealed. The `No`: there is none that could be
    /// carried.
    pub preserved_post: Known<Arc<str>, Reason>,
    /// The form that comes back with a sign-in. The `No`: it does not open, or its time is over.
    pub restored_post: Known<RestoredPost, Reason>,
    /// The body of a program's call.
    pub body: Known<ApiRequestBody, Reason>,
    /// The fields of a step's form.
    pub step_form: Known<Box<StepForm>, Reason>,
    /// What is in the challenge that was brought back. The `No` is `challenge_expired`.
    pub challenge: Known<Arc<OpenedChallenge>, Reason>,
    /// The way by which a code was sent, by its position.
    pub code_sent: Known<usize, Box<LoginRefused>>,
    /// What the provider said to the password, or to the step that followed it.
    pub login: Known<CompletedLogin, LoginRefused>,
    /// Whether the sign-out was carried out.
    pub logout: Known<(), Reason>,
    /// How often this visitor was about to be sent to sign in, or on from there, at this address
    /// lately, now included.
    pub redirects: Known<u32, Reason>,
}

/// How large the posted form of a sign-in, or of a step after it, may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormSize {
    /// As configured.
    Plain,
    /// With an unsent form in it.
    WithPreservedPost,
}

/// Something only the shell can find out. `Debug` keeps the tokens to itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Question<'a> {
    /// Does this access token prove somebody? Fills [`Facts::token`].
    Verify(&'a str),
    /// What does the session of this id keep? Its life goes on for having been asked for. Fills
    /// [`Facts::session`].
    LoadSession(&'a str),
    /// What does the provider give for a refresh token? Fills [`Facts::refresh`].
    Refresh(RefreshRequest<'a>),
    /// The same for a refresh token that stood in a body, of a client that is no browser.
    RefreshFromBody(Secret),
    /// What does the posted form say? Fills [`Facts::login_form`].
    ReadLoginForm(FormSize),
    /// What did the visitor want to send, and who were they, as far as what they carry tells? Fills
    /// [`Facts::preserved_post`].
    PreservePost {
        /// Where it was sent: path and query.
        target: &'a str,
        /// How the refresh token was carried, and the sealed token itself.
        refresh: Option<(CredentialKind, &'a str)>,
        /// The sealed device of the browser, as it came.
        device: Option<&'a str>,
    },
    /// What did this person, who has just signed in, bring along? Fills [`Facts::restored_post`].
    RestorePost {
        /// The sealed form.
        sealed: Arc<str>,
        /// Who it is now.
        sub: String,
        /// What they call themselves, as typed.
        login_id: String,
    },
    /// What does a program's call bring along? Fills [`Facts::body`].
    ReadBody,
    /// What does the provider say to this password? Fills [`Facts::login`].
    Login {
        /// What was typed.
        credentials: Credentials,
        /// How the client will carry what it gets.
        kind: CredentialKind,
        /// The id of a session that this sign-in replaces, whoever it belonged to.
        session: Option<&'a str>,
        /// The sealed device of the browser that asks, as it came.
        device: Option<&'a str>,
    },
    /// What does the posted form of a step say? Fills [`Facts::step_form`].
    ReadStepForm(FormSize),
    /// What is in this challenge? Fills [`Facts::challenge`].
    OpenChallenge {
        /// The step it must be of.
        step: LoginStep,
        /// As it was posted.
        challenge: Secret,
    },
    /// What does the provider say to this code or new password? Fills [`Facts::login`].
    ContinueLogin {
        /// What is continued.
        opened: Arc<OpenedChallenge>,
        /// With what.
        submission: StepSubmission,
        /// How the client will carry what it gets.
        kind: CredentialKind,
        /// The id of a session that this sign-in replaces, whoever it belonged to.
        session: Option<&'a str>,
        /// The sealed device of the browser that asks, as it came.
        device: Option<&'a str>,
    },
    /// Send a code. Fills [`Facts::code_sent`].
    SendCode {
        /// For which sign-in.
        opened: Arc<OpenedChallenge>,
        /// By which way, sealed.
        choice: Secret,
    },
    /// How often was this visitor sent round here? Fills [`Facts::redirects`].
    CountRedirect {
        /// Who.
        identity: LoopIdentity<'a>,
        /// Path and query.
        target: &'a str,
    },
    /// End what these belong to, here and at the provider. Fills [`Facts::logout`].
    Logout(PresentedCredential<'a>),
    /// The same for a refresh token that stood in a body, of a client that is no browser.
    LogoutFromBody {
        /// The access token that came beside it.
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
            Self::Refresh(_) => "Renew",
            Self::RefreshFromBody(_) => "RenewPosted",
            Self::ReadLoginForm(_) => "ReadForm",
            Self::PreservePost { .. } => "KeepForm",
            Self::RestorePost { .. } => "ReturnForm",
            Self::ReadBody => "ReadBody",
            Self::Login { .. } => "SignIn",
            Self::ReadStepForm(_) => "ReadStepForm",
            Self::OpenChallenge { .. } => "OpenChallenge",
            Self::ContinueLogin { .. } => "Continue",
            Self::SendCode { .. } => "SendCode",
            Self::Logout(_) => "SignOut",
            Self::CountRedirect { .. } => "CountRound",
            Self::LogoutFromBody { .. } => "SignOutPosted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cookie::PresentedCookie;

    #[test]
    fn nothing_of_a_credential_is_printed() {
        let kind = CredentialKind::Session;
        let carried = PresentedCredential {
            kind,
            token: Some("leaky"),
            refresh: Some("leaky"),
        };
        let sign_out = Question::Logout(carried);
        let renewable = RefreshRequest {
            kind,
            refresh: "leaky",
            session_id: Some("leaky"),
        };
        let presented = PresentedCookie::Single("leaky".into());
        let load = Question::LoadSession("leaky");
        let shown = format!(
            "{:?} {load:?} {renewable:?} {carried:?} {sign_out:?} {presented:?}",
            Question::Verify("leaky")
        );
        assert_eq!(
            shown,
            "Verify LoadSession RefreshRequest(session) PresentedCredential(session) SignOut Single"
        );
    }
}
