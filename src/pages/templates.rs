//! The templates, parsed once for each look, and how they are filled.

use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Object, Serde};
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, UndefinedBehavior, Value, context};
use serde::Serialize;

use super::Layout;
use super::catalog::Catalog;
use crate::model::theme::{Link, Links, TemplateText};

/// Every template of ours: its name and its text.
pub const SOURCES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../../static/layout.html")),
    ("message.html", include_str!("../../static/message.html")),
    (
        "new-password.html",
        include_str!("../../static/new-password.html"),
    ),
    ("sign-in.html", include_str!("../../static/sign-in.html")),
    ("sign-out.html", include_str!("../../static/sign-out.html")),
    ("unsent.html", include_str!("../../static/unsent.html")),
    ("trouble.html", include_str!("../../static/trouble.html")),
    (
        "two-factor.html",
        include_str!("../../static/two-factor.html"),
    ),
];

/// The names of our templates.
pub fn names() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(name, _)| *name)
}

/// A page, or why there is none: then [`fallback`] is shown.
pub type Rendered = Result<String, TemplateError>;

/// What is wrong with a template, in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Its name.
    pub template: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "{}:{line}: {}", self.template, self.what),
            None => write!(out, "{}: {}", self.template, self.what),
        }
    }
}

impl std::error::Error for TemplateError {}

impl TemplateError {
    fn of(error: &Error, template: &str) -> Self {
        // Where templates call each other, the innermost knows the place.
        let mut innermost = error;
        while let Some(inner) =
            std::error::Error::source(innermost).and_then(|source| source.downcast_ref())
        {
            innermost = inner;
        }
        let kind = innermost.kind().to_string();
        let what = innermost
            .detail()
            .map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
        Self {
            template: innermost.name().unwrap_or(template).to_owned(),
            line: innermost.line(),
            what,
        }
    }
}

/// Fills the template `name` with `page`.
pub fn render(name: &str, frame: Layout<'_>, page: impl Serialize) -> Rendered {
    let (look, words) = (frame.look, frame.words);
    let filling = context! {
        page => Value::from(Serde(page)),
        assets => Value::from(Serde(&look.addresses)),
        links => Value::from(Serde(Ways::of(&look.links))),
        site_name => frame.site_name,
        language => words.tag,
        direction => Value::from(Serde(words.direction)),
        words => Value::from_object(Branch { words, path: String::new() }),
    };
    let template = look
        .templates
        .get_template(name)
        .map_err(|error| TemplateError::of(&error, name))?;
    template
        .render(filling)
        .map_err(|error| TemplateError::of(&error, name))
}

/// What is shown should a template fail: a sentence is better than an empty window.
#[must_use]
pub fn fallback(words: &Catalog) -> String {
    let (language, title, text) = (
        words.tag,
        words.text("fallback.title"),
        words.text("fallback.text"),
    );
    format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\"><title>{title}</title><p>{text}</p></html>"
    )
}

/// Our templates with those of an operator in their place or beside them.
///
/// # Errors
/// The first one that cannot be parsed.
pub fn parsed(theirs: &[TemplateText]) -> Result<Arc<Environment<'static>>, TemplateError> {
    static OURS: OnceLock<Arc<Environment<'static>>> = OnceLock::new();
    let fault = |name: &str| {
        let name = name.to_owned();
        move |error: Error| TemplateError::of(&error, &name)
    };
    if let (Some(ours), true) = (OURS.get(), theirs.is_empty()) {
        return Ok(Arc::clone(ours));
    }
    let mut templates = Environment::new();
    // A name that the view does not have is a mistake in the template, not an empty place on the
    // page.
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .build()
            .map_err(fault(""))?,
    );
    templates.add_filter("fill", fill);
    for (name, text) in SOURCES {
        templates.add_template(name, text).map_err(fault(name))?;
    }
    for theirs in theirs {
        templates
            .add_template_owned(theirs.name.clone(), theirs.text.clone())
            .map_err(fault(&theirs.name))?;
    }
    let templates = Arc::new(templates);
    Ok(if theirs.is_empty() {
        Arc::clone(OURS.get_or_init(|| templates))
    } else {
        templates
    })
}

/// The addresses of a theme's links.
#[derive(Serialize)]
struct Ways<'a> {
    privacy: Option<&'a str>,
    help: Option<&'a str>,
    register: Option<&'a str>,
    forgot_password: Option<&'a str>,
}

impl<'a> Ways<'a> {
    fn of(links: &'a Links) -> Self {
        Self {
            privacy: links.privacy.as_ref().map(Link::as_str),
            help: links.help.as_ref().map(Link::as_str),
            register: links.register.as_ref().map(Link::as_str),
            forgot_password: links.forgot_password.as_ref().map(Link::as_str),
        }
    }
}

/// Messages in a template, by name: `words.sign_in.heading`.
#[derive(Debug)]
struct Branch {
    words: &'static Catalog,
    path: String,
}

impl Object for Branch {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        match self.words.find(&path) {
            Some(text) => Some(Value::from(text)),
            None if self.words.has_beneath(&path) => Some(Value::from_object(Self {
                words: self.words,
                path,
            })),
            None => None,
        }
    }
}

/// The filter that puts values, which may be markup of the template's own, into a message's
/// placeholders.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the form minijinja asks of a filter"
)]
fn fill(text: &str, values: Kwargs) -> Result<Value, Error> {
    let mut filled = HtmlEscape(text).to_string();
    for name in values.args() {
        let value: Value = values.get(name)?;
        let shown = if value.is_safe() {
            value.to_string()
        } else {
            HtmlEscape(&value.to_string()).to_string()
        };
        filled = filled.replace(&format!("{{{name}}}"), &shown);
    }
    values.assert_all_used()?;
    Ok(Value::from_safe_string(filled))
}
