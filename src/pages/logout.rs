//! The page with the one button: a sign-out is a form, so that no link elsewhere can cause it.

use serde::Serialize;

use super::Layout;
use super::templates::{self, Rendered};

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct LogoutView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// The path the button posts to.
    pub action: &'a str,
    /// The way back for those who would rather stay: the site's landing page.
    pub back: &'a str,
}

#[derive(Serialize)]
struct Page<'a> {
    action: &'a str,
    back: &'a str,
    request_id: Option<&'a str>,
}

/// The page as HTML.
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn logout(view: &LogoutView<'_>) -> Rendered {
    let page = Page {
        action: view.action,
        back: view.back,
        request_id: None,
    };
    templates::render("sign-out.html", view.frame, page)
}
