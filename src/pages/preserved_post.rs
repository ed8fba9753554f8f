//! The page with a preserved form post: what the user wrote before the session ended, to send now
//! or to copy.

use serde::Serialize;

use super::Layout;
use super::render::{Rendered, render};
use crate::model::local_response::{PreservedPostPage, Resubmission};

/// What the page with a preserved form post is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct PreservedPostView<'a> {
    /// The data that all pages have in common.
    pub layout: Layout<'a>,
    /// The form post and what the user can do with it.
    pub page: &'a PreservedPostPage,
}

#[derive(Serialize)]
struct Page<'a> {
    request_id: Option<&'a str>,
    heading: &'a str,
    text: &'a str,
    /// The fields that the user has probably written.
    #[serde(rename = "shown")]
    visible_fields: Vec<VisibleField<'a>>,
    /// The form to send the post, if the user may send it.
    send: Option<SendForm<'a>>,
    onward: &'a str,
}

#[derive(Serialize)]
struct VisibleField<'a> {
    name: &'a str,
    value: &'a str,
    /// The height of the text area in lines.
    rows: usize,
}

#[derive(Serialize)]
struct SendForm<'a> {
    action: &'a str,
    enctype: &'static str,
    fields: Vec<FormField<'a>>,
}

#[derive(Clone, Copy, Serialize)]
struct FormField<'a> {
    name: &'a str,
    value: &'a str,
}

/// Renders the page as HTML.
///
/// # Errors
/// The error of its template, which can only be an operator's: tests render the built-in ones.
pub fn preserved_post(view: &PreservedPostView<'_>) -> Rendered {
    let PreservedPostPage {
        preserved_post,
        resubmission: offer,
        continue_to: onward,
    } = view.page;
    let form = &preserved_post.form;
    let fields = || {
        let fields = form.fields.iter();
        fields.map(|(name, value)| FormField { name, value })
    };
    let catalog = view.layout.catalog;
    let (heading, text) = match offer {
        Resubmission::Allowed(_) => ("unsent.offer.heading", "unsent.offer.text"),
        Resubmission::AlreadyOffered => ("unsent.again.heading", "unsent.again.text"),
        Resubmission::OtherAuthor => ("unsent.another.heading", "unsent.another.text"),
    };
    let send = match offer {
        Resubmission::Allowed(path) => Some(SendForm {
            action: path.as_str(),
            enctype: form.encoding.as_str(),
            fields: fields().collect(),
        }),
        Resubmission::AlreadyOffered | Resubmission::OtherAuthor => None,
    };
    let page = Page {
        request_id: None,
        heading: catalog.text(heading),
        text: catalog.text(text),
        visible_fields: fields()
            .filter(|field| is_user_input(*field))
            .map(visible_field)
            .collect(),
        send,
        onward,
    };
    render("unsent.html", view.layout, page)
}

/// Whether the user may have written the field. Fields that the application fills by itself, such
/// as tokens, and passwords are sent but not shown.
fn is_user_input(field: FormField<'_>) -> bool {
    const HIDDEN_NAMES: [&str; 8] = [
        "pass",
        "pwd",
        "secret",
        "token",
        "csrf",
        "nonce",
        "viewstate",
        "sess",
    ];
    let name = field.name.to_ascii_lowercase();
    !field.value.trim().is_empty() && !HIDDEN_NAMES.iter().any(|part| name.contains(part))
}

fn visible_field(field: FormField<'_>) -> VisibleField<'_> {
    /// The approximate length of a line on the page, in characters.
    const LINE_LENGTH: usize = 48;
    const MAX_ROWS: usize = 12;
    let rows: usize = field
        .value
        .lines()
        .map(|line| 1 + line.chars().count() / LINE_LENGTH)
        .sum();
    VisibleField {
        name: field.name,
        value: field.value,
        rows: rows.clamp(1, MAX_ROWS),
    }
}
