//! The form for the code of a second factor, and the buttons that have one sent.

use serde::Serialize;

use super::Layout;
use super::form_alert::FormAlert;
use super::templates::{self, Rendered};
use crate::model::local_response::StepPage;
use crate::model::login::FactorKind;
use crate::model::reason::Reason;

/// What the form is made of.
#[derive(Clone, Copy, Debug)]
pub struct TwoFactorView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// The path the code is posted to.
    pub action: &'a str,
    /// The path the wish for a code is posted to.
    pub send: &'a str,
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
    send: &'a str,
    back: &'a str,
    csrf: &'a str,
    challenge: &'a str,
    /// What the visitor wanted to send when their session had ended, sealed.
    unsent: Option<&'a str>,
    trust: bool,
    request_id: Option<&'a str>,
    trouble: Option<FormAlert>,
    /// Whether what was typed may be what is wrong.
    doubtful: bool,
    /// That a code was just sent.
    sent: Option<Sent<'a>>,
    text: &'a str,
    /// Whether a code must be asked for before there is one to type.
    asks_first: bool,
    ways: Vec<Way<'a>>,
}

#[derive(Serialize)]
struct Sent<'a> {
    address: Option<&'a str>,
}

/// A button that has a code sent.
#[derive(Serialize)]
struct Way<'a> {
    choice: &'a str,
    address: Option<&'a str>,
    /// Whether it sends a text message; else it is a mail.
    texts: bool,
    /// Whether it was pressed just now.
    again: bool,
}

/// The form as HTML. What was typed as a code is never shown again.
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn two_factor(view: &TwoFactorView<'_>) -> Rendered {
    let (words, form) = (view.frame.words, view.form);
    let methods = &form.next.methods;
    let has_app = methods.iter().any(|method| !method.is_sent());
    let sent = form.sent.and_then(|way| methods.get(way));
    let asks_first = !has_app && sent.is_none() && form.trouble.is_none() && !methods.is_empty();
    let text = match (sent, asks_first, has_app) {
        (Some(_), ..) => "two_factor.text_sent",
        (None, true, _) => "two_factor.text_send",
        (None, false, true) => "two_factor.text_app",
        (None, false, false) => "two_factor.text_code",
    };
    let ways = methods
        .iter()
        .enumerate()
        .filter(|(_, method)| method.is_sent());
    let page = Page {
        action: view.action,
        send: view.send,
        back: view.back,
        csrf: view.csrf,
        challenge: form.next.challenge.expose(),
        unsent: form.preserved_post.as_deref(),
        trust: form.trust,
        request_id: form
            .trouble
            .is_some_and(Reason::is_failure)
            .then_some(view.frame.request_id),
        trouble: FormAlert::of_step(words, form),
        doubtful: matches!(
            form.trouble,
            Some(Reason::WrongCode | Reason::RejectedInput)
        ),
        sent: sent.map(|way| Sent {
            address: way.label.as_deref(),
        }),
        text: words.text(text),
        asks_first,
        ways: ways
            .map(|(at, way)| Way {
                choice: way.choice.expose(),
                address: way.label.as_deref(),
                texts: way.kind == FactorKind::Sms,
                again: form.sent == Some(at),
            })
            .collect(),
    };
    templates::render("two-factor.html", view.frame, page)
}
