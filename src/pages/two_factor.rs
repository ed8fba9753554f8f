//! The form for a second-factor code, and the buttons to send one.

use serde::Serialize;

use super::Layout;
use super::form_alert::FormAlert;
use super::render::{Rendered, render};
use crate::model::local_response::StepPage;
use crate::model::login_step::FactorKind;
use crate::model::reason::Reason;

/// What the form for a second-factor code is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct TwoFactorView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The path that the code is posted to.
    pub action: &'a str,
    /// The path that the request for a code is posted to.
    pub send: &'a str,
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
    send: &'a str,
    back: &'a str,
    csrf: &'a str,
    challenge: &'a str,
    /// The sealed form post that is preserved until the user has signed in.
    #[serde(rename = "unsent")]
    preserved_post: Option<&'a str>,
    trust: bool,
    request_id: Option<&'a str>,
    #[serde(rename = "trouble")]
    alert: Option<FormAlert>,
    /// Whether the input may be wrong.
    #[serde(rename = "doubtful")]
    is_input_invalid: bool,
    /// The code that was just sent.
    sent: Option<SentCode<'a>>,
    text: &'a str,
    /// Whether a code must be sent before the user can have one.
    #[serde(rename = "asks_first")]
    is_code_needed: bool,
    #[serde(rename = "ways")]
    send_buttons: Vec<SendButton<'a>>,
}

#[derive(Serialize)]
struct SentCode<'a> {
    address: Option<&'a str>,
}

/// A button to send a code.
#[derive(Serialize)]
struct SendButton<'a> {
    choice: &'a str,
    address: Option<&'a str>,
    /// Whether the code is sent by SMS; if not, it is sent by e-mail.
    #[serde(rename = "texts")]
    is_sms: bool,
    /// Whether the last code was sent by this method.
    #[serde(rename = "again")]
    was_sent: bool,
}

/// Renders the form as HTML. It never contains a code.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn two_factor(view: &TwoFactorView<'_>) -> Rendered {
    let (catalog, form) = (view.layout.catalog, view.form);
    let methods = &form.next_step.methods;
    let has_app = methods.iter().any(|method| !method.sends_code());
    let sent = form.code_sent_by.and_then(|index| methods.get(index));
    let is_code_needed = !has_app && sent.is_none() && form.error.is_none() && !methods.is_empty();
    let text = match (sent, is_code_needed, has_app) {
        (Some(_), ..) => "two_factor.text_sent",
        (None, true, _) => "two_factor.text_send",
        (None, false, true) => "two_factor.text_app",
        (None, false, false) => "two_factor.text_code",
    };
    let send_buttons = methods
        .iter()
        .enumerate()
        .filter(|(_, method)| method.sends_code())
        .map(|(index, method)| SendButton {
            choice: method.choice.expose(),
            address: method.label.as_deref(),
            is_sms: method.kind == FactorKind::Sms,
            was_sent: form.code_sent_by == Some(index),
        });
    let page = Page {
        action: view.action,
        send: view.send,
        back: view.back,
        csrf: view.csrf,
        challenge: form.next_step.challenge.expose(),
        preserved_post: form.preserved_post.as_deref(),
        trust: form.trust_device,
        request_id: form
            .error
            .is_some_and(Reason::is_failure)
            .then_some(view.layout.request_id),
        alert: FormAlert::of_step(catalog, form),
        is_input_invalid: matches!(form.error, Some(Reason::WrongCode | Reason::RejectedInput)),
        sent: sent.map(|method| SentCode {
            address: method.label.as_deref(),
        }),
        text: catalog.text(text),
        is_code_needed,
        send_buttons: send_buttons.collect(),
    };
    render("two-factor.html", view.layout, page)
}
