//! The templates, parsed once, and how they are filled.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use super::assets;

/// What is shown should a template fail: a sentence is better than an empty window.
pub const FALLBACK: &str = "<!doctype html><html lang=\"en\"><title>Something went wrong</title>\
     <p>Something went wrong. Please try again in a moment.</p></html>";

/// Every template: its name, which ends in `.html` so that it escapes, and its text.
pub const SOURCES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../../static/layout.html")),
    ("message.html", include_str!("../../static/message.html")),
    ("sign-in.html", include_str!("../../static/sign-in.html")),
    ("sign-out.html", include_str!("../../static/sign-out.html")),
];

static TEMPLATES: OnceLock<Option<Environment<'static>>> = OnceLock::new();

#[derive(Serialize)]
struct Filling<P> {
    page: P,
    assets: &'static assets::Addresses,
}

/// Fills the template `name` with `page`.
pub fn render(name: &str, page: impl Serialize) -> String {
    let filling = Value::from(Serde(Filling { page, assets: assets::addresses() }));
    TEMPLATES
        .get_or_init(parse)
        .as_ref()
        .and_then(|templates| templates.get_template(name).ok())
        .and_then(|template| template.render(filling).ok())
        .unwrap_or_else(|| FALLBACK.to_owned())
}

fn parse() -> Option<Environment<'static>> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).build().ok()?;
    let mut templates = Environment::new();
    // A name that the view does not have is a mistake in the template, not an empty place on the page.
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(syntax);
    for (name, text) in SOURCES {
        templates.add_template(name, text).ok()?;
    }
    Some(templates)
}
