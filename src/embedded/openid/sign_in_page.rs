//! The HTML pages of sign-in by redirect, from `static/identity/`.

use std::sync::OnceLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

const TEMPLATE: &str = include_str!("../../../static/identity/page.html");
const STYLE: &str = include_str!("../../../static/style.css");

/// What the pages may load. Nobody may frame them. There is no `form-action`: browsers apply it to
/// the redirect after the form too, which leads to the client.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The headers of every page. `same-origin` keeps the address from clients, and lets the browser
/// name the origin of a form.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// The variables of a page. What is empty is not shown.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    pub heading: &'static str,
    pub notice: Option<String>,
    /// Whether the notice is about a mistake.
    pub alert: bool,
    /// The application that the user comes from.
    pub continue_to: Option<String>,
    /// What the form is for: `password`, `code`, `new_password` or `sign_out`; without one there is
    /// no form.
    pub step: Option<&'static str>,
    /// Where the form is posted to.
    pub action: String,
    pub csrf: String,
    pub hidden: Vec<HiddenField>,
    /// The name in the form.
    pub login_id: String,
    /// The methods by which a code can be sent.
    pub methods: Vec<SendMethod>,
    /// Where the user gets without signing in.
    pub cancel: Option<String>,
}

/// A hidden field of a form.
#[derive(Clone, Debug, Serialize)]
pub struct HiddenField {
    pub name: &'static str,
    pub value: String,
}

/// A method by which a code can be sent.
#[derive(Clone, Debug, Serialize)]
pub struct SendMethod {
    pub id: &'static str,
    /// With most characters hidden.
    pub address: String,
}

impl Page {
    /// A page that only tells something.
    pub fn telling(heading: &'static str, notice: &str) -> Self {
        Self {
            heading,
            notice: Some(notice.to_owned()),
            ..Self::default()
        }
    }

    /// The response with this page.
    pub fn response(&self, status: StatusCode) -> Response {
        static ENVIRONMENT: OnceLock<Option<Environment<'static>>> = OnceLock::new();
        let rendered = ENVIRONMENT
            .get_or_init(parse)
            .as_ref()
            .and_then(|templates| templates.get_template("page.html").ok())
            .and_then(|template| {
                template
                    .render(Value::from(Serde(Variables { page: self })))
                    .ok()
            });
        match rendered {
            Some(html) => (status, HEADERS, Html(html)).into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

#[derive(Serialize)]
struct Variables<'a> {
    page: &'a Page,
}

fn parse() -> Option<Environment<'static>> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.add_template("page.html", TEMPLATE).ok()?;
    Some(templates)
}

/// `GET /oauth2/style.css`.
pub async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=300"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, STYLE).into_response()
}
