//! The sign-in form, fresh or with what went wrong.

use serde::Serialize;

use super::Layout;
use super::form_alert::FormAlert;
use super::templates::{self, Rendered};
use crate::model::local_response::LoginPage;
use crate::model::reason::Reason;

/// What the form is made of.
#[derive(Clone, Copy, Debug)]
pub struct LoginView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// The path the form is posted to.
    pub action: &'a str,
    /// What it shows.
    pub form: &'a LoginPage,
    /// The proof that it was served to this browser.
    pub csrf: &'a str,
}

#[derive(Serialize)]
struct Page<'a> {
    action: &'a str,
    csrf: &'a str,
    login_id: &'a str,
    return_to: &'a str,
    remember: bool,
    /// What the visitor wanted to send, sealed.
    unsent: Option<&'a str>,
    request_id: Option<&'a str>,
    trouble: Option<FormAlert>,
    /// Whether what was typed may be what is wrong.
    doubtful: bool,
    /// The field to begin with.
    focus: &'static str,
}

/// The form as HTML. The typed name is kept, a password is never shown again (threat model, R-40).
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn login(view: &LoginView<'_>) -> Rendered {
    let form = view.form;
    let faulty = form.trouble.is_some_and(Reason::is_failure);
    let doubtful = matches!(
        form.trouble,
        Some(Reason::InvalidCredentials | Reason::RejectedInput)
    );
    let page = Page {
        action: view.action,
        csrf: view.csrf,
        login_id: &form.login_id,
        return_to: form.return_to.as_ref().map_or("", |path| path.as_str()),
        remember: form.remember,
        unsent: form.preserved_post.as_deref(),
        request_id: faulty.then_some(view.frame.request_id),
        trouble: form.trouble.map(|reason| {
            let stem = if form.cookieless {
                "no_cookie"
            } else {
                stem(reason)
            };
            FormAlert::told(view.frame.words, stem, reason, form.retry_after)
        }),
        doubtful,
        focus: if form.login_id.is_empty() {
            "login_id"
        } else {
            "password"
        },
    };
    templates::render("sign-in.html", view.frame, page)
}

/// The messages beneath `trouble` that say it: what happened, and what to do about it.
fn stem(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidCredentials => "invalid_credentials",
        Reason::ProviderUnavailable | Reason::StoreUnavailable => "unavailable",
        Reason::Throttled => "throttled",
        Reason::CsrfFailed | Reason::CrossSiteRequest => "stale",
        Reason::RejectedInput => "rejected_input",
        Reason::LoginPrevented => "login_prevented",
        Reason::AccountLocked => "account_locked",
        Reason::AccountExpired => "account_expired",
        Reason::ProviderMisconfigured | Reason::TokensTooLarge => "misconfigured",
        Reason::ChallengeExpired => "challenge_expired",
        Reason::NotRegistered
        | Reason::PasswordChangeRequired
        | Reason::EmailUnverified
        | Reason::RegistrationUnverified
        | Reason::TwoFactorRequired
        | Reason::WrongCode
        | Reason::RedirectLoop
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
        | Reason::EarlyRefresh
        | Reason::RenewedFromInvalid
        | Reason::OwnEndpoint => "other",
    }
}
