//! The page about a login that needs an action elsewhere: the user knows the password, but must,
//! for example, verify the e-mail address first.

use super::Layout;
use super::error_page::{MessagePage, PageLink};
use super::render::{Rendered, render};
use crate::model::local_response::ActionRequired;
use crate::model::reason::Reason;

/// What the page about a required action is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct ActionRequiredView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The path of the sign-in form.
    pub login_path: &'a str,
    /// The action that the provider requires.
    pub required: &'a ActionRequired,
}

/// Renders the page as HTML.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn action_required(view: &ActionRequiredView<'_>) -> Rendered {
    let catalog = view.layout.catalog;
    let group = message_group(view.required.reason);
    let message = |part: &str| catalog.text(&format!("asks.{group}.{part}")).to_owned();
    let page = MessagePage {
        heading: message("heading"),
        paragraphs: vec![message("text"), message("help")],
        switch: None,
        links: vec![PageLink {
            href: view.login_path,
            label: catalog.text("way.back_to_sign_in"),
        }],
        request_id: Some(view.layout.request_id),
    };
    render("message.html", view.layout, page)
}

/// The group of messages below `asks`: a heading, an explanation, and what to do.
fn message_group(reason: Reason) -> &'static str {
    const GROUPS: [(Reason, &str); 3] = [
        (Reason::EmailUnverified, "email_unverified"),
        (Reason::RegistrationUnverified, "registration_unverified"),
        (Reason::NotRegistered, "not_registered"),
    ];
    GROUPS
        .iter()
        .find(|(required, _)| *required == reason)
        .map_or("other", |(_, group)| group)
}
