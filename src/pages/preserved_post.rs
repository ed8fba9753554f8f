//! What the visitor had written when their session ended: to send now, or to copy.

use serde::Serialize;

use super::Layout;
use super::templates::{self, Rendered};
use crate::model::local_response::{PreservedPostPage, Resubmission};

/// What the page is made of.
#[derive(Clone, Copy, Debug)]
pub struct PreservedPostView<'a> {
    /// What stands around it.
    pub frame: Layout<'a>,
    /// What it shows.
    pub page: &'a PreservedPostPage,
}

#[derive(Serialize)]
struct Page<'a> {
    request_id: Option<&'a str>,
    heading: &'a str,
    text: &'a str,
    /// What a person has written, as far as that can be told.
    shown: Vec<Shown<'a>>,
    send: Option<Send<'a>>,
    onward: &'a str,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    value: &'a str,
    rows: usize,
}

#[derive(Serialize)]
struct Send<'a> {
    action: &'a str,
    enctype: &'static str,
    fields: Vec<Field<'a>>,
}

#[derive(Serialize)]
struct Field<'a> {
    name: &'a str,
    value: &'a str,
}

/// The page as HTML.
///
/// # Errors
/// What is wrong with its template; tests hold that nothing is wrong with ours.
pub fn preserved_post(view: &PreservedPostView<'_>) -> Rendered {
    let PreservedPostPage {
        preserved_post: unsent,
        offer,
        onward,
    } = view.page;
    let fields = || {
        unsent
            .form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    };
    let words = view.frame.words;
    let (heading, text) = match offer {
        Resubmission::Send(_) => (
            words.text("unsent.offer.heading"),
            words.text("unsent.offer.text"),
        ),
        Resubmission::CopyAgain => (
            words.text("unsent.again.heading"),
            words.text("unsent.again.text"),
        ),
        Resubmission::CopyOfAnother => (
            words.text("unsent.another.heading"),
            words.text("unsent.another.text"),
        ),
    };
    let send = match offer {
        Resubmission::Send(path) => Some(Send {
            action: path.as_str(),
            enctype: unsent.form.encoding.as_str(),
            fields: fields()
                .map(|(name, value)| Field { name, value })
                .collect(),
        }),
        Resubmission::CopyAgain | Resubmission::CopyOfAnother => None,
    };
    let page = Page {
        request_id: None,
        heading,
        text,
        shown: fields()
            .filter(|(name, value)| is_writing(name, value))
            .map(shown)
            .collect(),
        send,
        onward,
    };
    templates::render("unsent.html", view.frame, page)
}

/// Whether a person may have written it. What the application put there for itself is sent along
/// and not shown.
fn is_writing(name: &str, value: &str) -> bool {
    const THEIRS: [&str; 8] = [
        "pass",
        "pwd",
        "secret",
        "token",
        "csrf",
        "nonce",
        "viewstate",
        "sess",
    ];
    let name = name.to_ascii_lowercase();
    !value.trim().is_empty() && !THEIRS.iter().any(|word| name.contains(word))
}

fn shown<'a>((name, value): (&'a str, &'a str)) -> Shown<'a> {
    /// In characters, about what a line of the page holds.
    const LINE: usize = 48;
    let rows: usize = value
        .lines()
        .map(|line| 1 + line.chars().count() / LINE)
        .sum();
    Shown {
        name,
        value,
        rows: rows.clamp(1, 12),
    }
}
