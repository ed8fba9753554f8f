//! The templates: the built-in ones and those of an operator, parsed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, UndefinedBehavior, Value};

use crate::model::theme::TemplateText;

/// The built-in templates: name and text.
pub const BUILT_IN: &[(&str, &str)] = &[
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

/// The names of the built-in templates.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// An error in a template, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The name of the template with the error.
    pub template: String,
    /// The line from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong, in the words of the template engine.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "{}:{line}: {}", self.template, self.message),
            None => write!(out, "{}: {}", self.template, self.message),
        }
    }
}

impl std::error::Error for TemplateError {}

impl TemplateError {
    /// An error of the template engine in the template `name`.
    pub(super) fn of(error: &Error, name: &str) -> Self {
        // If one template includes another, the innermost error has the position.
        let mut innermost = error;
        while let Some(inner) =
            std::error::Error::source(innermost).and_then(|source| source.downcast_ref())
        {
            innermost = inner;
        }
        let kind = innermost.kind().to_string();
        let message = innermost
            .detail()
            .map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
        Self {
            template: innermost.name().unwrap_or(name).to_owned(),
            line: innermost.line(),
            message,
        }
    }
}

/// Parses the built-in templates and those of an operator, which replace them by name or add to
/// them. Without templates of an operator the result is shared.
///
/// # Errors
/// The first template that cannot be parsed.
pub fn parse(custom: &[TemplateText]) -> Result<Arc<Environment<'static>>, TemplateError> {
    static SHARED: OnceLock<Arc<Environment<'static>>> = OnceLock::new();
    if let (Some(shared), true) = (SHARED.get(), custom.is_empty()) {
        return Ok(Arc::clone(shared));
    }
    let error = |name: &str| {
        let name = name.to_owned();
        move |error: Error| TemplateError::of(&error, &name)
    };
    let mut environment = Environment::new();
    // A variable that does not exist is an error in the template, and must not leave a gap on the
    // page.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .build()
            .map_err(error(""))?,
    );
    environment.add_filter("fill", fill);
    for (name, text) in BUILT_IN {
        environment.add_template(name, text).map_err(error(name))?;
    }
    for template in custom {
        environment
            .add_template_owned(template.name.clone(), template.text.clone())
            .map_err(error(&template.name))?;
    }
    let environment = Arc::new(environment);
    Ok(if custom.is_empty() {
        Arc::clone(SHARED.get_or_init(|| environment))
    } else {
        environment
    })
}

/// The filter `fill`, which replaces the placeholders of a message by values. A value may be markup
/// of the template; any other value is escaped.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja requires this signature of a filter"
)]
fn fill(text: &str, values: Kwargs) -> Result<Value, Error> {
    let mut filled = HtmlEscape(text).to_string();
    for name in values.args() {
        let value: Value = values.get(name)?;
        let escaped = if value.is_safe() {
            value.to_string()
        } else {
            HtmlEscape(&value.to_string()).to_string()
        };
        filled = filled.replace(&format!("{{{name}}}"), &escaped);
    }
    values.assert_all_used()?;
    Ok(Value::from_safe_string(filled))
}
