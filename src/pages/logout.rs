//! The sign-out page. Signing out takes a form, so that a link on another site cannot cause it.

use serde::Serialize;

use super::Layout;
use super::render::{Rendered, render};

/// What the sign-out page is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct LogoutView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The path that the form is posted to.
    pub action: &'a str,
    /// The path of the link for users who want to stay signed in: the site's landing page.
    pub back: &'a str,
}

#[derive(Serialize)]
struct Page<'a> {
    action: &'a str,
    back: &'a str,
    request_id: Option<&'a str>,
}

/// Renders the page as HTML.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn logout(view: &LogoutView<'_>) -> Rendered {
    let page = Page {
        action: view.action,
        back: view.back,
        request_id: None,
    };
    render("sign-out.html", view.layout, page)
}
