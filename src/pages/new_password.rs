//! The form for a new password that the provider demands: why, and what is wrong with the one that
//! was tried.

use serde::Serialize;

use super::Layout;
use super::catalog::Catalog;
use super::form_alert::FormAlert;
use super::templates::{self, Rendered};
use crate::model::local_response::StepPage;
use crate::model::login::PasswordViolation;
use crate::model::reason::Reason;

/// What the form is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewPasswordView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// The path the form is posted to.
    pub action: &'a str,
    /// The address of the sign-in form.
    pub back: &'a str,
    /// What it shows.
    pub form: &'a StepPage,
    /// The proof that it was served to this browser.
    pub csrf: &'a str,
}

#[derive(Serialize)]
struct Page<'a> {
    action: &'a str,
    back: &'a str,
    csrf: &'a str,
    challenge: &'a str,
    /// What the visitor wanted to send when their session had ended, sealed.
    unsent: Option<&'a str>,
    login_id: &'a str,
    request_id: Option<&'a str>,
    why: &'a str,
    trouble: Option<FormAlert>,
    /// Whether what was typed may be what is wrong.
    doubtful: bool,
    rules: Vec<String>,
}

/// The form as HTML. A password is never shown again.
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn new_password(view: &NewPasswordView<'_>) -> Rendered {
    let (words, form) = (view.frame.words, view.form);
    let page = Page {
        action: view.action,
        back: view.back,
        csrf: view.csrf,
        challenge: form.next.challenge.expose(),
        unsent: form.preserved_post.as_deref(),
        login_id: &form.login_id,
        request_id: form
            .trouble
            .is_some_and(Reason::is_failure)
            .then_some(view.frame.request_id),
        why: why(words, form.next.change_reason.as_deref()),
        trouble: FormAlert::of_step(words, form),
        doubtful: form.trouble == Some(Reason::RejectedInput),
        rules: form
            .violations
            .iter()
            .map(|fault| rule(words, *fault))
            .collect(),
    };
    templates::render("new-password.html", view.frame, page)
}

/// Why a new password is asked for: the provider's word in ours; words it may invent later are not
/// repeated to the visitor.
fn why(words: &Catalog, word: Option<&str>) -> &'static str {
    words.text(match word {
        Some("Administrative") => "why_new_password.administrative",
        Some("Breached") => "why_new_password.breached",
        Some("Expired") => "why_new_password.expired",
        Some("Validation") => "why_new_password.validation",
        Some(_) | None => "why_new_password.other",
    })
}

/// A rule that the password breaks, in words.
fn rule(words: &Catalog, fault: PasswordViolation) -> String {
    let key = match fault {
        PasswordViolation::TooShort(Some(limit)) => {
            return words.count("password_rule.at_least", limit);
        }
        PasswordViolation::TooLong(Some(limit)) => {
            return words.count("password_rule.at_most", limit);
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
    words.text(key).to_owned()
}
