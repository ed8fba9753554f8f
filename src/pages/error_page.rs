//! The error pages: what happened, what to do, and where to go.

use serde::Serialize;

use super::catalog::Catalog;
use super::render::{Rendered, render};
use super::{Layout, duration_text, redirect_loop_text};
use crate::model::local_response::Problem;
use crate::model::reason::Reason;

/// What the error page is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct ProblemView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The error with its status, reason and wait.
    pub problem: &'a Problem,
    /// The path of the sign-in form with its return address. It is linked if signing in helps.
    pub login_path: Option<&'a str>,
    /// The path that a form is posted to for signing in as somebody else, with
    /// [`Problem::switch_user`].
    pub switch_action: Option<&'a str>,
}

/// A page with paragraphs and links.
#[derive(Serialize)]
pub struct MessagePage<'a> {
    pub heading: String,
    pub paragraphs: Vec<String>,
    /// A button that posts a form.
    pub switch: Option<PageButton<'a>>,
    #[serde(rename = "ways")]
    pub links: Vec<PageLink<'a>>,
    pub request_id: Option<&'a str>,
}

/// A button on a page that posts an empty form.
#[derive(Clone, Copy, Serialize)]
pub struct PageButton<'a> {
    pub action: &'a str,
    pub label: &'a str,
}

/// A link on a page. Without a button, the first one is emphasized.
#[derive(Clone, Copy, Serialize)]
pub struct PageLink<'a> {
    pub href: &'a str,
    pub label: &'a str,
}

/// Renders the page as HTML.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn problem(view: &ProblemView<'_>) -> Rendered {
    let (catalog, reason) = (view.layout.catalog, view.problem.reason);
    let mut paragraphs = vec![
        catalog
            .text(&format!("problem.{}.text", message_group(reason)))
            .to_owned(),
    ];
    paragraphs.extend(
        view.problem
            .redirect_loop
            .iter()
            .flat_map(|details| redirect_loop_text::describe(catalog, details)),
    );
    paragraphs.extend(view.problem.switch_user.as_ref().map(|switch| {
        // Isolated: a name may be written in the other direction (Unicode UAX #9).
        let user = format!("\u{2068}{}\u{2069}", switch.signed_in_as);
        catalog.text_with("problem.signed_in_as", "user", &user)
    }));
    if let Some(seconds) = view.problem.retry_after {
        paragraphs.push(catalog.text_with(
            "problem.wait",
            "wait",
            &duration_text::describe_wait(catalog, seconds),
        ));
    }
    let page = MessagePage {
        heading: heading(catalog, view.problem.status, reason),
        paragraphs,
        switch: view.switch_action.map(|action| PageButton {
            action,
            label: catalog.text("way.switch_user"),
        }),
        links: links(view, reason),
        request_id: Some(view.layout.request_id),
    };
    render("message.html", view.layout, page)
}

fn links<'a>(view: &ProblemView<'a>, reason: Reason) -> Vec<PageLink<'a>> {
    let catalog = view.layout.catalog;
    // An empty address is the current page with its query. Pages do not reload by themselves,
    // because that would add to the load while a failure lasts.
    let retry = PageLink {
        href: "",
        label: catalog.text("way.try_again"),
    };
    let front_page = PageLink {
        href: "/",
        label: catalog.text("way.front_page"),
    };
    let sign_in = view.login_path.map(|href| PageLink {
        href,
        label: catalog.text("way.sign_in"),
    });
    let begin_again = view.login_path.map(|href| PageLink {
        href,
        label: catalog.text("way.try_again"),
    });
    if let Some(redirect_loop) = &view.problem.redirect_loop {
        return vec![
            PageLink {
                href: &redirect_loop.continue_to,
                label: catalog.text("way.try_again"),
            },
            front_page,
        ];
    }
    match (view.problem.status, reason) {
        (_, Reason::UnknownSite) => Vec::new(),
        (_, Reason::SignInFailed) => begin_again.into_iter().chain([front_page]).collect(),
        // A callback of the provider, which is good once.
        (429 | 500.., _) if view.problem.return_to.is_some() => {
            begin_again.into_iter().chain([front_page]).collect()
        }
        (401, _) | (_, Reason::CsrfFailed | Reason::SignInRedirects) => {
            sign_in.into_iter().chain([front_page]).collect()
        }
        (429 | 500.., _) => vec![retry, front_page],
        _ => vec![front_page],
    }
}

/// The heading for the reason, or for a status that tells more than the reason.
fn heading(catalog: &Catalog, status: u16, reason: Reason) -> String {
    let key = match status {
        404 => "problem.not_found.heading".to_owned(),
        414 => "problem.request_too_large.heading_address".to_owned(),
        _ => format!("problem.{}.heading", message_group(reason)),
    };
    catalog.text(&key).to_owned()
}

/// The group of messages below `problem`.
fn message_group(reason: Reason) -> &'static str {
    match reason {
        Reason::SignedOut | Reason::Revoked | Reason::SignInRedirects => "signed_out",
        Reason::SignInFailed => "sign_in_failed",
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
        | Reason::ServiceToken
        | Reason::ServiceTokenInvalid
        | Reason::ServiceTokenExpired
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
        | Reason::HookRefused
        | Reason::RejectedInput => "other",
    }
}
