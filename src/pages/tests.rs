//! Fixtures for the tests of all pages.

use super::preserved_post as preserved_post_page;
use super::*;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LoginPage, PreservedPostPage, Problem, Resubmission};
use crate::model::preserved_post::{FormEncoding, PostedForm, PreservedPost};
use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;
use crate::model::site::SignIn;

mod error_pages;
mod every_page;
mod forms;
mod steps;
mod themes;

const SITE: &str = "Lantern & Loom";
const REQUEST_ID: &str = "req-4711";

/// The state of a sign-in form, after a failed attempt if there is a reason.
fn form(reason: Option<Reason>) -> LoginPage {
    LoginPage {
        cookie_missing: false,
        status: 200,
        error: reason,
        login_id: "zoe@example.com".to_owned(),
        return_to: ReturnPath::parse("/cart?a=1&b=2#part"),
        remember: true,
        preserved_post: None,
        lost_post: None,
        retry_after: None,
    }
}

fn layout_in(catalog: &'static Catalog) -> Layout<'static> {
    Layout {
        theme: PageTheme::plain(),
        site_name: Some(SITE),
        catalog,
        request_id: REQUEST_ID,
        page_address: None,
    }
}

fn layout() -> Layout<'static> {
    layout_in(Catalog::english())
}

fn render_login(form: &LoginPage) -> String {
    render_login_in(layout(), form)
}

fn render_login_in(layout: Layout<'_>, form: &LoginPage) -> String {
    login(&LoginView {
        layout,
        action: "/login",
        form,
        csrf: "csrf-1",
        sign_in: SignIn::Form,
    })
    .unwrap()
}

fn render_problem(status: u16, reason: Reason) -> String {
    render_problem_in(layout(), status, reason)
}

fn render_problem_in(layout: Layout<'_>, status: u16, reason: Reason) -> String {
    problem(&ProblemView {
        layout,
        problem: &Problem::new(reason).with_status(status),
        login_path: Some("/login"),
        switch_action: None,
    })
    .unwrap()
}

fn render_preserved_post(layout: Layout<'_>, offer: Resubmission) -> String {
    let fields = [
        ("1", "\n2\r\n3 4"),
        ("csrf_token", "5"),
        ("Password", "6"),
        ("7", " "),
    ];
    let fields = fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let form = PostedForm {
        encoding: FormEncoding::UrlEncoded,
        fields,
    };
    let preserved_post = PreservedPost {
        id: "8".into(),
        author: None,
        target: "/1".into(),
        form,
        until: 0,
    };
    preserved_post_page(&PreservedPostView {
        layout,
        page: &PreservedPostPage {
            preserved_post,
            resubmission: offer,
            continue_to: "/9".into(),
        },
    })
    .unwrap()
}

/// Every page in every state, in the language of `catalog`.
fn every_page(catalog: &'static Catalog) -> Vec<String> {
    let layout = layout_in(catalog);
    let empty = LoginPage {
        login_id: String::new(),
        ..form(None)
    };
    let preserving = LoginPage {
        preserved_post: Some("1".into()),
        ..form(None)
    };
    let mut pages = vec![
        render_login_in(layout, &form(None)),
        render_login_in(layout, &empty),
        render_login_in(layout, &preserving),
    ];
    for offer in [
        ReturnPath::parse("/1").map_or(Resubmission::AlreadyOffered, Resubmission::Allowed),
        Resubmission::AlreadyOffered,
        Resubmission::OtherAuthor,
    ] {
        pages.push(render_preserved_post(layout, offer));
    }
    pages.push(
        logout(&LogoutView {
            layout,
            action: "/logout",
            back: "/cart",
        })
        .unwrap(),
    );
    for reason in Reason::ALL.iter().copied() {
        pages.push(render_login_in(layout, &form(Some(reason))));
        for status in [
            400, 401, 403, 404, 405, 413, 414, 421, 429, 431, 500, 502, 503, 504,
        ] {
            pages.push(render_problem_in(layout, status, reason));
        }
    }
    pages.extend(steps::every_step(layout));
    pages
}

/// The text between the first `open` and the next `close`, or an empty string.
fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    page.split_once(open)
        .and_then(|(_, rest)| rest.split_once(close))
        .map_or("", |(text, _)| text)
}
