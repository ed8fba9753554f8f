//! The form for a new password that the provider requires: why, and which rules a rejected password
//! violates.

use serde::Serialize;

use super::Layout;
use super::catalog::Catalog;
use super::form_alert::FormAlert;
use super::render::{Rendered, render};
use crate::model::local_response::StepPage;
use crate::model::password_violation::PasswordViolation;
use crate::model::reason::Reason;

/// What the form for a new password is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct NewPasswordView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The path that the form is posted to.
    pub action: &'a str,
    /// The path of the sign-in form.
    pub back: &'a str,
    /// The state of the form, with the reason of a failed attempt.
    pub form: &'a StepPage,
    /// The CSRF token, which binds the form to this browser.
    pub csrf: &'a str,
}

#[derive(Serialize)]
struct Page<'a> {
    action: &'a str,
    back: &'a str,
    csrf: &'a str,
    challenge: &'a str,
    /// The sealed form post that is preserved until the user has signed in.
    #[serde(rename = "unsent")]
    preserved_post: Option<&'a str>,
    login_id: &'a str,
    request_id: Option<&'a str>,
    /// Why a new password is required.
    #[serde(rename = "why")]
    reason: &'a str,
    #[serde(rename = "trouble")]
    alert: Option<FormAlert>,
    /// Whether the input may be wrong.
    #[serde(rename = "doubtful")]
    is_input_invalid: bool,
    /// The rules that the password violates.
    #[serde(rename = "rules")]
    violations: Vec<String>,
}

/// Renders the form as HTML. It never contains a password.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn new_password(view: &NewPasswordView<'_>) -> Rendered {
    let (catalog, form) = (view.layout.catalog, view.form);
    let page = Page {
        action: view.action,
        back: view.back,
        csrf: view.csrf,
        challenge: form.next_step.challenge.expose(),
        preserved_post: form.preserved_post.as_deref(),
        login_id: &form.login_id,
        request_id: form
            .error
            .is_some_and(Reason::is_failure)
            .then_some(view.layout.request_id),
        reason: describe_reason(catalog, form.next_step.change_reason.as_deref()),
        alert: FormAlert::of_step(catalog, form),
        is_input_invalid: form.error == Some(Reason::RejectedInput),
        violations: form
            .violations
            .iter()
            .map(|violation| describe_violation(catalog, *violation))
            .collect(),
    };
    render("new-password.html", view.layout, page)
}

/// Why a new password is required, for a reason of the provider. Unknown reasons are not repeated
/// to the user.
fn describe_reason(catalog: &Catalog, reason: Option<&str>) -> &'static str {
    catalog.text(match reason {
        Some("Administrative") => "why_new_password.administrative",
        Some("Breached") => "why_new_password.breached",
        Some("Expired") => "why_new_password.expired",
        Some("Validation") => "why_new_password.validation",
        Some(_) | None => "why_new_password.other",
    })
}

/// The message about a rule that the password violates.
fn describe_violation(catalog: &Catalog, violation: PasswordViolation) -> String {
    let key = match violation {
        PasswordViolation::TooShort(Some(limit)) => {
            return catalog.count("password_rule.at_least", limit);
        }
        PasswordViolation::TooLong(Some(limit)) => {
            return catalog.count("password_rule.at_most", limit);
        }
        PasswordViolation::TooShort(None) => "password_rule.too_short",
        PasswordViolation::TooLong(None) => "password_rule.too_long",
        PasswordViolation::RequireNumber => "password_rule.number",
        PasswordViolation::RequireMixedCase => "password_rule.mixed_case",
        PasswordViolation::RequireNonAlpha => "password_rule.non_alpha",
        PasswordViolation::PreviouslyUsed => "password_rule.previously_used",
        PasswordViolation::TooYoung => "password_rule.too_young",
        PasswordViolation::Breached => "password_rule.breached",
        PasswordViolation::MatchesLoginId => "password_rule.matches_login_id",
        PasswordViolation::Other => "password_rule.unnamed",
    };
    catalog.text(key).to_owned()
}
