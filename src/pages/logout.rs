//! The sign-out page. Signing out takes a form, so that a link on another site cannot cause it.

use serde::Serialize;

use super::Layout;
use super::error_page::{MessagePage, PageLink};
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

/// What the page is rendered from that tells that nobody is signed in.
#[derive(Clone, Copy, Debug)]
pub struct SignedOutView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The path of the sign-in form.
    pub login_path: &'a str,
}

/// Renders the page as HTML.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn signed_out(view: &SignedOutView<'_>) -> Rendered {
    let catalog = view.layout.catalog;
    let page = MessagePage {
        heading: catalog.text("sign_out.done").to_owned(),
        paragraphs: vec![catalog.text("sign_out.done_text").to_owned()],
        switch: None,
        links: vec![
            PageLink {
                href: view.login_path,
                label: catalog.text("way.sign_in"),
            },
            PageLink {
                href: "/",
                label: catalog.text("way.front_page"),
            },
        ],
        request_id: None,
    };
    render("message.html", view.layout, page)
}
