//! The page with the one button: a sign-out is a form, so that no link elsewhere can cause it.

use serde::Serialize;

use super::templates;

/// What the page is made of.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SignOutView<'a> {
    /// The name visitors know the site by.
    pub site_name: &'a str,
    /// The path the button posts to.
    pub action: &'a str,
    /// The way back for those who would rather stay: the site's landing page.
    pub back: &'a str,
}

/// The page as HTML.
#[must_use]
pub fn sign_out(view: &SignOutView<'_>) -> String {
    templates::render("sign-out.html", Page { view, request_id: None })
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    view: &'a SignOutView<'a>,
    request_id: Option<&'a str>,
}
