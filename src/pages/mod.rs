//! The pages the gateway shows by itself: the forms and the problems, as HTML from `static/`, in
//! the languages of `static/words/`.
//!
//! Pure: a page follows from what it is given. Templates escape whatever they are filled with, and
//! no page holds inline style or script, so that [`CONTENT_SECURITY_POLICY`] needs no exception.

mod accent;
mod action_required;
pub mod assets;
mod catalog;
mod duration_text;
mod error_page;
mod form_alert;
pub mod language;
mod layout;
mod login;
mod logout;
mod new_password;
mod preserved_post;
mod redirect_loop;
pub mod samples;
mod templates;
mod theme;
mod two_factor;

pub use action_required::{ActionRequiredView, action_required};
pub use catalog::{Catalog, Direction};
pub use error_page::{ProblemView, problem};
pub use layout::Layout;
pub use login::{LoginView, login};
pub use logout::{LogoutView, logout};
pub use new_password::{NewPasswordView, new_password};
pub use preserved_post::{PreservedPostView, preserved_post};
pub use templates::{Rendered, TemplateError, fallback, names as template_names};
pub use theme::PageTheme;
pub use two_factor::{TwoFactorView, two_factor};

use crate::model::origin::Origin;

/// The type of every page.
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// What a page may load and where its forms may lead (threat model, R-45).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'";

/// [`CONTENT_SECURITY_POLICY`] where a sign-in may lead on to pages of these origins: browsers hold
/// the whole way from a form to its last redirect against `form-action`.
#[must_use]
pub fn policy_leading_to<'a>(origins: impl Iterator<Item = &'a Origin>) -> String {
    let mut forms = "form-action 'self'".to_owned();
    for origin in origins.map(ToString::to_string) {
        if !forms.split(' ').any(|have| have == origin) {
            forms.extend([" ", &origin]);
        }
    }
    CONTENT_SECURITY_POLICY.replace("form-action 'self'", &forms)
}

/// The headers of every page. `Strict-Transport-Security` and `Cache-Control` depend on the site
/// and the answer and are not among them.
pub const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    // Not `no-referrer`: under it browsers post a form with `Origin: null`, which the gateway
    // refuses.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    // For browsers that do not know `frame-ancestors`.
    ("x-frame-options", "DENY"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

#[cfg(test)]
mod tests;
