//! The templates, parsed once, and how they are filled.

use std::sync::{Arc, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Object, Serde};
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::words::Words;
use super::{Frame, assets};

/// Every template: its name, which ends in `.html` so that it escapes, and its text.
pub const SOURCES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../../static/layout.html")),
    ("message.html", include_str!("../../static/message.html")),
    ("sign-in.html", include_str!("../../static/sign-in.html")),
    ("sign-out.html", include_str!("../../static/sign-out.html")),
    ("unsent.html", include_str!("../../static/unsent.html")),
];

static TEMPLATES: OnceLock<Option<Environment<'static>>> = OnceLock::new();

/// Fills the template `name` with `page`.
pub fn render(name: &str, frame: Frame<'_>, page: impl Serialize) -> String {
    let words = frame.words;
    let filling = context! {
        page => Value::from(Serde(page)),
        assets => Value::from(Serde(assets::addresses())),
        site_name => frame.site_name,
        language => words.tag,
        direction => Value::from(Serde(words.direction)),
        words => Value::from_object(Branch { words, path: String::new() }),
    };
    TEMPLATES
        .get_or_init(parse)
        .as_ref()
        .and_then(|templates| templates.get_template(name).ok())
        .and_then(|template| template.render(filling).ok())
        .unwrap_or_else(|| fallback(words))
}

/// What is shown should a template fail: a sentence is better than an empty window.
pub fn fallback(words: &Words) -> String {
    let (language, title, text) = (words.tag, words.say("fallback.title"), words.say("fallback.text"));
    format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\"><title>{title}</title><p>{text}</p></html>"
    )
}

fn parse() -> Option<Environment<'static>> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).build().ok()?;
    let mut templates = Environment::new();
    // A name that the view does not have is a mistake in the template, not an empty place on the page.
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_syntax(syntax);
    templates.add_filter("fill", fill);
    for (name, text) in SOURCES {
        templates.add_template(name, text).ok()?;
    }
    Some(templates)
}

/// Messages in a template, by name: `words.sign_in.heading`.
#[derive(Debug)]
struct Branch {
    words: &'static Words,
    path: String,
}

impl Object for Branch {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        match self.words.find(&path) {
            Some(text) => Some(Value::from(text)),
            None if self.words.has_beneath(&path) => Some(Value::from_object(Self { words: self.words, path })),
            None => None,
        }
    }
}

/// The filter that puts values, which may be markup of the template's own, into a message's placeholders.
#[expect(clippy::needless_pass_by_value, reason = "the form minijinja asks of a filter")]
fn fill(text: &str, values: Kwargs) -> Result<Value, Error> {
    let mut filled = HtmlEscape(text).to_string();
    for name in values.args() {
        let value: Value = values.get(name)?;
        let shown = if value.is_safe() { value.to_string() } else { HtmlEscape(&value.to_string()).to_string() };
        filled = filled.replace(&format!("{{{name}}}"), &shown);
    }
    values.assert_all_used()?;
    Ok(Value::from_safe_string(filled))
}
