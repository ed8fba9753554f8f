//! The pages for refusals and failures: what happened, whose turn it is, where to go.

use serde::Serialize;

use super::catalog::Catalog;
use super::templates::{self, Rendered};
use super::{Layout, duration_text, redirect_loop};
use crate::model::local_response::Problem;
use crate::model::reason::Reason;

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct ProblemView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// What went wrong.
    pub problem: &'a Problem,
    /// The path of the sign-in form with its return address, offered where signing in helps.
    pub login_path: Option<&'a str>,
}

/// A page of sentences and links.
#[derive(Serialize)]
pub struct Message<'a> {
    pub heading: String,
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

/// The page as HTML.
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn problem(view: &ProblemView<'_>) -> Rendered {
    let (words, reason) = (view.frame.words, view.problem.reason);
    let mut paragraphs = vec![
        words
            .text(&format!("problem.{}.text", stem(reason)))
            .to_owned(),
    ];
    paragraphs.extend(
        view.problem
            .redirect_loop
            .iter()
            .flat_map(|what| redirect_loop::describe(words, what)),
    );
    if let Some(seconds) = view.problem.retry_after {
        paragraphs.push(words.text_with(
            "problem.wait",
            "wait",
            &duration_text::describe(words, seconds),
        ));
    }
    let page = Message {
        heading: heading(words, view.problem.status, reason),
        paragraphs,
        ways: ways(view, reason),
        request_id: Some(view.frame.request_id),
    };
    templates::render("message.html", view.frame, page)
}

fn ways<'a>(view: &ProblemView<'a>, reason: Reason) -> Vec<Way<'a>> {
    let words = view.frame.words;
    // An empty address means this very page, whatever its query. Nothing reloads by itself: a page
    // that does, while the trouble lasts, only adds to it.
    let again = Way {
        href: "",
        label: words.text("way.try_again"),
    };
    let front = Way {
        href: "/",
        label: words.text("way.front_page"),
    };
    let sign_in = view.login_path.map(|href| Way {
        href,
        label: words.text("way.sign_in"),
    });
    if let Some(circle) = &view.problem.redirect_loop {
        return vec![
            Way {
                href: &circle.onward,
                label: words.text("way.try_again"),
            },
            front,
        ];
    }
    match (view.problem.status, reason) {
        (_, Reason::UnknownSite) => Vec::new(),
        (401, _) | (_, Reason::CsrfFailed) => sign_in.into_iter().chain([front]).collect(),
        (429 | 500.., _) => vec![again, front],
        _ => vec![front],
    }
}

/// The heading of the reason, except where only the status tells what happened.
fn heading(words: &Catalog, status: u16, reason: Reason) -> String {
    let key = match status {
        404 => "problem.not_found.heading".to_owned(),
        414 => "problem.request_too_large.heading_address".to_owned(),
        _ => format!("problem.{}.heading", stem(reason)),
    };
    words.text(&key).to_owned()
}

/// The messages beneath `problem` that say it.
fn stem(reason: Reason) -> &'static str {
    match reason {
        Reason::SignedOut | Reason::Revoked => "signed_out",
        Reason::RoleMissing => "role_missing",
        Reason::CrossSiteRequest => "cross_site_request",
        Reason::BrowserTokensRefused | Reason::BearerNotEnabled => "programs_only",
        Reason::CsrfFailed | Reason::ChallengeExpired => "stale",
        Reason::Throttled => "throttled",
        Reason::RedirectLoop => "redirect_loop",
        Reason::MalformedRequest => "malformed_request",
        Reason::RequestTooLarge => "request_too_large",
        Reason::UnknownSite => "unknown_site",
        Reason::MethodNotAllowed | Reason::UnsupportedMediaType => "not_allowed",
        Reason::ProviderUnavailable => "provider_unavailable",
        Reason::StoreUnavailable => "store_unavailable",
        Reason::UpstreamUnavailable => "upstream_unavailable",
        Reason::UpstreamTimeout => "upstream_timeout",
        Reason::ProviderMisconfigured | Reason::TokensTooLarge => "misconfigured",
        Reason::Internal => "internal",
        Reason::OwnEndpoint => "not_found",
        Reason::Public
        | Reason::Anonymous
        | Reason::SignedIn
        | Reason::Renewed
        | Reason::EarlyRefresh
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
        | Reason::RejectedInput => "other",
    }
}
