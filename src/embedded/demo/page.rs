//! Pages and files of both applications, from `static/demo/`.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::request_info::RequestInfo;

macro_rules! from_folder {
    ($($name:literal)+) => { &[$(($name, include_str!(concat!("../../../static/demo/", $name)))),+] };
}

const TEMPLATES: &[(&str, &str)] = from_folder![
    "told.html"
    "store-layout.html" "store-home.html" "store-product.html" "store-cart.html" "store-stock.html" "store-notice.html"
    "forum-layout.html" "forum-home.html" "forum-posts.html" "forum-thread.html" "forum-notice.html"
];

const STYLES: &[(&str, &str)] = from_folder!["store.css" "forum.css"];

const ART: &[(&str, &str)] = from_folder![
    "art/harbour-lantern.svg" "art/moss-blanket.svg" "art/night-kettle.svg" "art/three-candles.svg"
    "art/loom-basket.svg" "art/felt-boots.svg" "art/lantern.svg" "art/porch.svg"
];

static PARSED: OnceLock<Option<Environment<'static>>> = OnceLock::new();

#[derive(Serialize)]
struct Filling<'a, P> {
    told: &'a RequestInfo,
    page: P,
}

/// A notice instead of what was asked for.
#[derive(Serialize)]
pub struct Notice {
    pub heading: &'static str,
    pub text: &'static str,
}

/// The visitor was not announced where one has to be.
pub const NOBODY: Notice = Notice {
    heading: "Who is there?",
    text: "This page belongs to somebody, and nobody was announced. The application takes the gateway's word for \
           who you are, so it has to be visited through the gateway.",
};

/// There is nothing at this address.
pub const NOTHING: Notice = Notice {
    heading: "Nothing here",
    text: "Whatever stood at this address is gone, or never was.",
};

/// Fills the template `name`; what is typed by visitors is escaped.
pub fn page(name: &str, told: &RequestInfo, page: impl Serialize) -> Response {
    let filled = PARSED
        .get_or_init(parse)
        .as_ref()
        .and_then(|templates| templates.get_template(name).ok())
        .and_then(|template| {
            template
                .render(Value::from(Serde(Filling { told, page })))
                .ok()
        });
    match filled {
        // It shows one visitor's headers: nobody may keep it for another.
        Some(html) => ([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        None => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "This page could not be made.",
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

/// A file by its name: `GET /static/{name}`.
pub async fn file(Path(name): Path<String>) -> Response {
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
        Some((kind, text)) => (
            [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "public, max-age=300"),
            ],
            text,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
