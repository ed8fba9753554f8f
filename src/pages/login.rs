//! The sign-in form, empty or after a failed attempt.

use serde::Serialize;

use super::Layout;
use super::form_alert::FormAlert;
use super::render::{Rendered, render};
use crate::model::local_response::{LoginPage, LostPost};
use crate::model::reason::Reason;
use crate::model::site::SignIn;

/// What the sign-in form is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct LoginView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The path that the form is posted to.
    pub action: &'a str,
    /// The state of the form, with the reason of a failed attempt.
    pub form: &'a LoginPage,
    /// The CSRF token, which binds the form to this browser.
    pub csrf: &'a str,
    /// Where the user types the password: elsewhere, the form is one button that leads there.
    pub sign_in: SignIn,
}

#[derive(Serialize)]
struct Page<'a> {
    action: &'a str,
    csrf: &'a str,
    login_id: &'a str,
    /// Whether the form leads to the provider.
    elsewhere: bool,
    return_to: &'a str,
    remember: bool,
    /// The sealed form post that is preserved until the user has signed in.
    #[serde(rename = "unsent")]
    preserved_post: Option<&'a str>,
    /// Says that the form post could not be preserved.
    lost: Option<&'a str>,
    request_id: Option<&'a str>,
    #[serde(rename = "trouble")]
    alert: Option<FormAlert>,
    /// Whether the input may be wrong.
    #[serde(rename = "doubtful")]
    is_input_invalid: bool,
    /// The field that gets the focus.
    focus: &'static str,
}

/// Renders the form as HTML. It keeps the sign-in name but never a password (threat model, R-40).
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn login(view: &LoginView<'_>) -> Rendered {
    let form = view.form;
    let is_failure = form.error.is_some_and(Reason::is_failure);
    let is_input_invalid = matches!(
        form.error,
        Some(Reason::InvalidCredentials | Reason::RejectedInput)
    );
    let page = Page {
        action: view.action,
        csrf: view.csrf,
        login_id: &form.login_id,
        elsewhere: view.sign_in == SignIn::Redirect,
        return_to: form.return_to.as_ref().map_or("", |path| path.as_str()),
        remember: form.remember,
        preserved_post: form.preserved_post.as_deref(),
        lost: form
            .lost_post
            .map(|lost| view.layout.catalog.text(lost_message(lost))),
        request_id: is_failure.then_some(view.layout.request_id),
        alert: form.error.map(|reason| {
            let group = if form.cookie_missing {
                "no_cookie"
            } else {
                message_group(reason)
            };
            FormAlert::new(view.layout.catalog, group, reason, form.retry_after)
        }),
        is_input_invalid,
        focus: if form.login_id.is_empty() {
            "login_id"
        } else {
            "password"
        },
    };
    render("sign-in.html", view.layout, page)
}

const fn lost_message(lost: LostPost) -> &'static str {
    match lost {
        LostPost::TooLarge => "unsent.too_large",
        LostPost::HasFiles => "unsent.has_files",
        LostPost::OtherForm => "unsent.other_form",
    }
}

/// The group of messages below `trouble`: what happened, and what to do.
fn message_group(reason: Reason) -> &'static str {
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
        Reason::NotRegistered => "not_registered",
        Reason::EmailUnverified => "email_unverified",
        Reason::RegistrationUnverified => "registration_unverified",
        Reason::PasswordChangeRequired
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
        | Reason::HookRefused
        | Reason::UpstreamUnavailable
        | Reason::UpstreamTimeout
        | Reason::Internal
        | Reason::Public
        | Reason::Anonymous
        | Reason::SignedIn
        | Reason::ServiceToken
        | Reason::ServiceTokenInvalid
        | Reason::ServiceTokenExpired
        | Reason::Renewed
        | Reason::EarlyRefresh
        | Reason::RenewedFromInvalid
        | Reason::SignInFailed
        | Reason::SignInRedirects
        | Reason::OwnEndpoint => "other",
    }
}
