//! The provider knows the person but asks for something that happens elsewhere: what it is, and
//! what to do.

use super::Layout;
use super::error_page::{Message, Way};
use super::templates::{self, Rendered};
use crate::model::local_response::ActionRequired;
use crate::model::reason::Reason;

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct ActionRequiredView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// The path of the sign-in form.
    pub login_path: &'a str,
    /// What is asked for.
    pub asks: &'a ActionRequired,
}

/// The page as HTML.
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn action_required(view: &ActionRequiredView<'_>) -> Rendered {
    let (words, reason) = (view.frame.words, view.asks.reason);
    let wish = |part: &str| {
        words
            .text(&format!("asks.{}.{part}", stem(reason)))
            .to_owned()
    };
    let page = Message {
        heading: wish("heading"),
        paragraphs: vec![wish("text"), wish("help")],
        ways: vec![Way {
            href: view.login_path,
            label: words.text("way.back_to_sign_in"),
        }],
        request_id: Some(view.frame.request_id),
    };
    templates::render("message.html", view.frame, page)
}

/// The messages beneath `asks` for what a provider may wish: what it is called, how it came to be,
/// what to do about it.
fn stem(reason: Reason) -> &'static str {
    const WISHES: [(Reason, &str); 3] = [
        (Reason::EmailUnverified, "email_unverified"),
        (Reason::RegistrationUnverified, "registration_unverified"),
        (Reason::NotRegistered, "not_registered"),
    ];
    WISHES
        .iter()
        .find(|(wish, _)| *wish == reason)
        .map_or("other", |(_, stem)| stem)
}
