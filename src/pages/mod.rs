//! The HTML pages of the gateway: forms and error pages, with templates from `static/` and messages
//! from `static/words/`.
//!
//! Rendering is pure: the result depends only on the arguments. Templates escape all values, and no
//! page has inline styles or scripts, so that [`CONTENT_SECURITY_POLICY`] needs no exceptions.

mod accent;
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
mod redirect_loop_text;
mod render;
pub mod samples;
mod templates;
mod theme;
mod two_factor;

pub use catalog::{Catalog, Direction};
pub use error_page::{ProblemView, problem};
pub use layout::Layout;
pub use login::{LoginView, login};
pub use logout::{LogoutView, SignedOutView, logout, signed_out};
pub use new_password::{NewPasswordView, new_password};
pub use preserved_post::{PreservedPostView, preserved_post};
pub use render::{Rendered, fallback};
pub use templates::{TemplateError, names as template_names};
pub use theme::PageTheme;
pub use two_factor::{TwoFactorView, two_factor};

/// The value of `Content-Type` for every page.
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// What a page may load, and who may show it (threat model, R-45).
///
/// It has no `form-action`: browsers check every redirect that follows a posted form against that
/// directive, and stop those that lead on to another origin without a word. The way on after a
/// sign-in is the application's to choose (`docs/development/decisions.md`).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     base-uri 'none'; frame-ancestors 'none'; object-src 'none'";

/// The headers of every page, except `Strict-Transport-Security`, `Cross-Origin-Opener-Policy` and
/// `Cache-Control`, which depend on the site, the request and the response.
pub const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    // With `no-referrer` browsers would post forms with `Origin: null`, which the gateway refuses.
    ("referrer-policy", "same-origin"),
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
