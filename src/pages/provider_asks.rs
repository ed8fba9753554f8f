//! The provider knows the person but asks for something that happens elsewhere: what it is, and what to do.

use super::problem::{Message, Way};
use super::templates;
use crate::model::answer::ProviderAsks;
use crate::model::reason::Reason;

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct ProviderAsksView<'a> {
    /// The name visitors know the site by.
    pub site_name: &'a str,
    /// The path of the sign-in form.
    pub login_path: &'a str,
    /// What is asked for.
    pub asks: &'a ProviderAsks,
    /// Shown for whoever writes to the site's people.
    pub request_id: &'a str,
}

/// The page as HTML.
#[must_use]
pub fn provider_asks(view: &ProviderAsksView<'_>) -> String {
    let reason = view.asks.reason;
    let mut paragraphs = Vec::new();
    if reason == Reason::PasswordChangeRequired {
        paragraphs.push(why_a_new_password(view.asks.change_reason.as_deref()));
    }
    let (heading, what) = words(reason);
    paragraphs.extend(what);
    let page = Message {
        site_name: Some(view.site_name),
        heading,
        paragraphs: paragraphs.into_iter().map(str::to_owned).collect(),
        ways: vec![Way { href: view.login_path, label: "Back to sign-in" }],
        request_id: Some(view.request_id),
    };
    templates::render("message.html", page)
}

fn words(reason: Reason) -> (&'static str, [&'static str; 2]) {
    WISHES.iter().find(|(wish, _, _)| *wish == reason).map_or_else(
        || (reason.title(), ["This account cannot sign in yet.", "The people who run this site can help."]),
        |(_, heading, what)| (*heading, *what),
    )
}

/// What a provider may ask for: the wish, what it is called, what to do about it.
const WISHES: [(Reason, &str, [&str; 2]); 5] = [
    (
        Reason::TwoFactorRequired,
        "One more step is needed",
        [
            "Your password is right. This account is also protected by a second step, such as a code from an app or \
             a message, and that step cannot be taken on this site yet.",
            "The people who run this site can tell you how to sign in with it.",
        ],
    ),
    (
        Reason::PasswordChangeRequired,
        "A new password is needed",
        [
            "Change it where you look after your account, or follow the link in the message you were sent. Then come \
             back and sign in with the new one.",
            "If you do not know where that is, ask the people who run this site.",
        ],
    ),
    (
        Reason::EmailUnverified,
        "Please confirm your e-mail address",
        [
            "Your password is right, but the e-mail address of this account has not been confirmed.",
            "Open the link in the message you were sent when the account was made, then come back and sign in. It may \
             have landed among unwanted mail.",
        ],
    ),
    (
        Reason::RegistrationUnverified,
        "Please confirm your registration",
        [
            "Your password is right, but your registration for this site has not been confirmed.",
            "Open the link in the message you were sent when you registered, then come back and sign in.",
        ],
    ),
    (
        Reason::NotRegistered,
        "This account has no access here yet",
        [
            "Your password is right, but the account is not registered for this site.",
            "Ask the people who run this site to add you, or sign in with another account.",
        ],
    ),
];

/// The provider's word for its wish, in ours; words it may invent later are not repeated to the visitor.
fn why_a_new_password(word: Option<&str>) -> &'static str {
    match word {
        Some("Administrative") => "The people who look after your account ask you to choose a new password.",
        Some("Breached") => {
            "Your password is right, but it appears in a list of passwords stolen elsewhere, so it no longer protects you."
        }
        Some("Expired") => "Your password is right, but it has reached the end of its time.",
        Some("Validation") => "Your password is right, but it no longer meets the rules for passwords here.",
        Some(_) | None => "Your password is right, but a new one is asked for before you can go on.",
    }
}
