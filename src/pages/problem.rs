//! The pages for refusals and failures: what happened, whose turn it is, where to go.

use serde::Serialize;

use super::{templates, waiting};
use crate::model::answer::Problem;
use crate::model::reason::Reason;

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct ProblemView<'a> {
    /// What went wrong.
    pub problem: &'a Problem,
    /// The name visitors know the site by; `None` where no site answers to the host.
    pub site_name: Option<&'a str>,
    /// The path of the sign-in form with its return address, offered where signing in helps.
    pub login_path: Option<&'a str>,
    /// Shown for whoever writes to the site's people.
    pub request_id: &'a str,
}

/// A page of sentences and links.
#[derive(Serialize)]
pub struct Message<'a> {
    pub site_name: Option<&'a str>,
    pub heading: &'a str,
    pub paragraphs: Vec<String>,
    pub ways: Vec<Way<'a>>,
    pub request_id: Option<&'a str>,
}

/// A link onward; the first one stands out.
#[derive(Clone, Copy, Serialize)]
pub struct Way<'a> {
    pub href: &'a str,
    pub label: &'a str,
}

/// An empty address means this very page, whatever its query. Nothing reloads by itself: a page that does,
/// while the trouble lasts, only adds to it.
const AGAIN: Way<'static> = Way { href: "", label: "Try again" };
const FRONT: Way<'static> = Way { href: "/", label: "Go to the front page" };

/// The page as HTML.
#[must_use]
pub fn problem(view: &ProblemView<'_>) -> String {
    let reason = view.problem.reason;
    let (heading, sentence) = words(view.problem.status, reason);
    let mut paragraphs = vec![sentence.to_owned()];
    if let Some(seconds) = view.problem.retry_after {
        paragraphs.push(format!("Trying again makes sense in {}.", waiting::in_words(seconds)));
    }
    let page = Message {
        site_name: view.site_name,
        heading,
        paragraphs,
        ways: ways(view, reason),
        request_id: Some(view.request_id),
    };
    templates::render("message.html", page)
}

fn ways<'a>(view: &ProblemView<'a>, reason: Reason) -> Vec<Way<'a>> {
    let sign_in = view.login_path.map(|href| Way { href, label: "Sign in" });
    match (view.problem.status, reason) {
        (_, Reason::UnknownSite) => Vec::new(),
        (401, _) | (_, Reason::CsrfFailed) => sign_in.into_iter().chain([FRONT]).collect(),
        (429 | 500.., _) => vec![AGAIN, FRONT],
        _ => vec![FRONT],
    }
}

fn words(status: u16, reason: Reason) -> (&'static str, &'static str) {
    let sentence = match reason {
        Reason::SignedOut | Reason::Revoked => "This page is for people who are signed in.",
        Reason::RoleMissing => {
            "You are signed in, but this page is for others. If you should see it, ask the people who run this site."
        }
        Reason::CrossSiteRequest => {
            "For your safety, what was sent from another site was not carried out. If it was you, go to the page and \
             do it there."
        }
        Reason::BrowserTokensRefused | Reason::BearerNotEnabled => {
            "This address is for programs, not for browsers. Nothing was changed."
        }
        Reason::CsrfFailed | Reason::ChallengeExpired => "The page was open for a while. Please sign in again.",
        Reason::Throttled => "More was asked for than is usual, so there is a pause.",
        Reason::MalformedRequest => "The address or what came with it cannot be understood. Check it for a slip.",
        Reason::RequestTooLarge => {
            "The address, or what came with it, is longer than can be taken. If it goes on, clearing this site's \
             cookies may help."
        }
        Reason::UnknownSite => "Nothing answers to this name here. Check the address for a slip.",
        Reason::MethodNotAllowed | Reason::UnsupportedMediaType => {
            "This address cannot be used in that way. Nothing was changed."
        }
        Reason::ProviderUnavailable => {
            "We could not confirm who you are just now. This is not your fault, and you are still signed in."
        }
        Reason::StoreUnavailable => {
            "We could not look up your visit just now. This is not your fault, and you are still signed in."
        }
        Reason::UpstreamUnavailable => "The application behind this address is not answering. This is not your fault.",
        Reason::UpstreamTimeout => {
            "The application behind this address is taking too long. If you sent something, look whether it arrived \
             before sending it again."
        }
        Reason::ProviderMisconfigured | Reason::TokensTooLarge => {
            "Something here is not set up correctly. This is not your fault: only the people who run this site can \
             change it."
        }
        Reason::Internal => "This is our fault. It has been noted.",
        Reason::OwnEndpoint => "There is nothing at this address. Check it for a slip, or start from the front page.",
        Reason::Public
        | Reason::Anonymous
        | Reason::SignedIn
        | Reason::Renewed
        | Reason::RenewedAhead
        | Reason::RenewedFromInvalid
        | Reason::NotRegistered
        | Reason::PasswordChangeRequired
        | Reason::EmailUnverified
        | Reason::RegistrationUnverified
        | Reason::TwoFactorRequired
        | Reason::InvalidCredentials
        | Reason::LoginPrevented
        | Reason::AccountExpired
        | Reason::AccountLocked
        | Reason::WrongCode
        | Reason::RejectedInput => "That did not work. Start again from the front page.",
    };
    (heading(status, reason), sentence)
}

/// The reason's title, except where only the status tells what happened.
fn heading(status: u16, reason: Reason) -> &'static str {
    match (status, reason) {
        (404, _) => "There is no such page",
        (414, _) => "This address is too long",
        (500, Reason::Internal) => "Something went wrong on our side",
        (503, Reason::ProviderUnavailable | Reason::StoreUnavailable) => "One moment, please",
        _ => reason.title(),
    }
}
