//! The HTML pages and static files of both applications, from `static/demo/`.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::request_info::RequestInfo;

macro_rules! files {
    ($($name:literal)+) => { &[$(($name, include_str!(concat!("../../../static/demo/", $name)))),+] };
}

const TEMPLATES: &[(&str, &str)] = files![
    "request-headers.html"
    "store-layout.html" "store-home.html" "store-product.html" "store-cart.html" "store-stock.html" "store-notice.html"
    "forum-layout.html" "forum-home.html" "forum-posts.html" "forum-thread.html" "forum-notice.html"
];

const STYLES: &[(&str, &str)] = files!["store.css" "forum.css"];

const ART: &[(&str, &str)] = files![
    "art/harbour-lantern.svg" "art/moss-blanket.svg" "art/night-kettle.svg" "art/three-candles.svg"
    "art/loom-basket.svg" "art/felt-boots.svg" "art/lantern.svg" "art/porch.svg"
];

static ENVIRONMENT: OnceLock<Option<Environment<'static>>> = OnceLock::new();

/// The variables of a template.
#[derive(Serialize)]
struct Variables<'a, P> {
    request: &'a RequestInfo,
    page: P,
}

/// A notice that is shown instead of the requested page.
#[derive(Serialize)]
pub struct Notice {
    pub heading: &'static str,
    pub text: &'static str,
}

/// The page needs a signed-in user, but the request has no identity headers.
pub const NOT_SIGNED_IN: Notice = Notice {
    heading: "You are not signed in",
    text: "This page needs a signed-in user, and the request has no identity headers. The application gets the user \
           from the gateway, so it must be visited through the gateway.",
};

/// There is no such page.
pub const NOT_FOUND: Notice = Notice {
    heading: "Page not found",
    text: "There is no page at this address.",
};

/// The response with the template `name`, rendered with `page`. All values are escaped.
pub fn html(name: &str, request: &RequestInfo, page: impl Serialize) -> Response {
    let rendered = ENVIRONMENT
        .get_or_init(parse)
        .as_ref()
        .and_then(|templates| templates.get_template(name).ok())
        .and_then(|template| {
            template
                .render(Value::from(Serde(Variables { request, page })))
                .ok()
        });
    match rendered {
        // The page shows the headers of one user, so a cache must not serve it to another.
        Some(html) => ([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        None => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "This page could not be rendered.",
        )
            .into_response(),
    }
}

fn parse() -> Option<Environment<'static>> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in TEMPLATES {
        templates.add_template(name, text).ok()?;
    }
    Some(templates)
}

/// `GET /static/{name}`: a style sheet or an image.
pub async fn static_file(Path(name): Path<String>) -> Response {
    let art = || {
        ART.iter()
            .find(|(path, _)| path.strip_prefix("art/") == Some(&name))
            .map(|(_, text)| *text)
    };
    let style = STYLES
        .iter()
        .find(|(path, _)| *path == name)
        .map(|(_, text)| ("text/css; charset=utf-8", *text));
    match style.or_else(|| art().map(|text| ("image/svg+xml", text))) {
        Some((content_type, text)) => (
            [
                (header::CONTENT_TYPE, content_type),
                (header::CACHE_CONTROL, "public, max-age=300"),
            ],
            text,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
