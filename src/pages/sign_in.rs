//! The sign-in form, fresh or with what went wrong.

use serde::Serialize;

use super::{templates, waiting};
use crate::model::answer::SignInForm;
use crate::model::reason::Reason;

/// What the form is made of.
#[derive(Clone, Copy, Debug)]
pub struct SignInView<'a> {
    /// The name visitors know the site by.
    pub site_name: &'a str,
    /// The path the form is posted to.
    pub action: &'a str,
    /// What it shows.
    pub form: &'a SignInForm,
    /// The proof that it was served to this browser.
    pub csrf: &'a str,
    /// Shown where the fault is not the visitor's.
    pub request_id: &'a str,
}

#[derive(Serialize)]
struct Page<'a> {
    site_name: &'a str,
    action: &'a str,
    csrf: &'a str,
    login_id: &'a str,
    return_to: &'a str,
    remember: bool,
    request_id: Option<&'a str>,
    trouble: Option<Trouble>,
    /// Whether what was typed may be what is wrong.
    doubtful: bool,
    /// The field to begin with.
    focus: &'static str,
}

/// What went wrong, in words.
#[derive(Serialize)]
struct Trouble {
    title: &'static str,
    text: String,
    /// `calm`: no fault of the visitor's, nothing to correct.
    tone: &'static str,
}

/// The form as HTML. The typed name is kept, a password is never shown again (security requirement R-40).
#[must_use]
pub fn sign_in(view: &SignInView<'_>) -> String {
    let form = view.form;
    let faulty = form.trouble.is_some_and(Reason::is_failure);
    let doubtful = matches!(form.trouble, Some(Reason::InvalidCredentials | Reason::RejectedInput));
    let page = Page {
        site_name: view.site_name,
        action: view.action,
        csrf: view.csrf,
        login_id: &form.login_id,
        return_to: form.return_to.as_ref().map_or("", |path| path.as_str()),
        remember: form.remember,
        request_id: faulty.then_some(view.request_id),
        trouble: form.trouble.map(|reason| trouble(reason, form.retry_after)),
        doubtful,
        focus: if form.login_id.is_empty() { "login_id" } else { "password" },
    };
    templates::render("sign-in.html", page)
}

fn trouble(reason: Reason, retry_after: Option<u32>) -> Trouble {
    let (title, text) = words(reason);
    let text = match (reason, retry_after) {
        (Reason::Throttled, Some(seconds)) => {
            let wait = waiting::in_words(seconds);
            format!("To protect the account, signing in is paused. Please try again in {wait}.")
        }
        _ => text.to_owned(),
    };
    let calm = reason.is_failure() || matches!(reason, Reason::CsrfFailed | Reason::Throttled);
    Trouble { title, text, tone: if calm { "calm" } else { "alert" } }
}

/// A title and what to do about it.
fn words(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::InvalidCredentials => {
            ("That did not match.", "Check the e-mail or username and the password, and whether Caps Lock is on.")
        }
        Reason::ProviderUnavailable | Reason::StoreUnavailable => (
            "Signing in is not working right now.",
            "This is not your fault, and your password was not judged. Please try again in a moment.",
        ),
        Reason::Throttled => {
            ("Too many attempts.", "To protect the account, signing in is paused. Please try again in a few minutes.")
        }
        Reason::CsrfFailed | Reason::CrossSiteRequest => ("This page was open for a while.", "Please sign in again."),
        Reason::RejectedInput => (
            "That could not be read.",
            "Fill in both fields, and leave out anything that was pasted along by accident.",
        ),
        Reason::LoginPrevented => (
            "This account cannot sign in at the moment.",
            "The account is on hold. The people who run this site can tell you why.",
        ),
        Reason::AccountLocked => (
            "This account is locked.",
            "It may open again by itself after a while. The people who run this site can unlock it sooner.",
        ),
        Reason::AccountExpired => ("This account has expired.", "The people who run this site can renew it for you."),
        Reason::ProviderMisconfigured | Reason::TokensTooLarge => (
            "Your sign-in could not be completed.",
            "Something here is not set up correctly. This is not your fault: only the people who run this site can \
             change it.",
        ),
        Reason::ChallengeExpired => ("That step took too long.", "Please sign in again."),
        Reason::NotRegistered
        | Reason::PasswordChangeRequired
        | Reason::EmailUnverified
        | Reason::RegistrationUnverified
        | Reason::TwoFactorRequired
        | Reason::WrongCode
        | Reason::SignedOut
        | Reason::Revoked
        | Reason::RoleMissing
        | Reason::BrowserTokensRefused
        | Reason::MalformedRequest
        | Reason::RequestTooLarge
        | Reason::UnknownSite
        | Reason::MethodNotAllowed
        | Reason::UnsupportedMediaType
        | Reason::BearerNotEnabled
        | Reason::UpstreamUnavailable
        | Reason::UpstreamTimeout
        | Reason::Internal
        | Reason::Public
        | Reason::Anonymous
        | Reason::SignedIn
        | Reason::Renewed
        | Reason::RenewedAhead
        | Reason::RenewedFromInvalid
        | Reason::OwnEndpoint => (reason.title(), "Please try to sign in again."),
    }
}
