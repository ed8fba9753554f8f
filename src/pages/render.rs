//! Rendering of a page: its template with its data and the data that all pages have in common.

use std::sync::Arc;

use minijinja::value::{Object, Serde};
use minijinja::{Value, context};
use serde::Serialize;

use super::Layout;
use super::catalog::{Catalog, Direction};
use super::language;
use super::templates::TemplateError;
use crate::model::theme::{Link, Links};

/// A page as HTML, or the error of its template. After an error [`fallback`] is shown.
pub type Rendered = Result<String, TemplateError>;

/// Renders the template `name`. Templates read `page` as the variable `page`, and the data of
/// `layout` as the variables that `docs/guide/themes.md` lists.
pub fn render(name: &str, layout: Layout<'_>, page: impl Serialize) -> Rendered {
    let (theme, catalog) = (layout.theme, layout.catalog);
    let variables = context! {
        page => Value::from(Serde(page)),
        assets => Value::from(Serde(&theme.addresses)),
        links => Value::from(Serde(LinkAddresses::of(&theme.links))),
        site_name => layout.site_name,
        language => catalog.tag,
        direction => Value::from(Serde(catalog.direction)),
        languages => Value::from(Serde(languages(layout))),
        words => Value::from_object(MessageGroup { catalog, prefix: String::new() }),
    };
    theme
        .templates
        .get_template(name)
        .and_then(|template| template.render(variables))
        // minijinja escapes slashes too, which HTML does not ask for: addresses stay readable.
        .map(|page| page.replace("&#x2f;", "/"))
        .map_err(|error| TemplateError::of(&error, name))
}

/// The page that is shown if rendering fails: a short message in the language of `catalog`.
#[must_use]
pub fn fallback(catalog: &Catalog) -> String {
    let (language, title, text) = (
        catalog.tag,
        catalog.text("fallback.title"),
        catalog.text("fallback.text"),
    );
    format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\"><title>{title}</title><p>{text}</p></html>"
    )
}

/// A language of the switch.
#[derive(Serialize)]
struct LanguageLink {
    tag: &'static str,
    /// In that language.
    name: &'static str,
    direction: Direction,
    /// The address of the page in that language.
    address: String,
    is_current: bool,
}

/// The languages that the user can switch to on this page, and its own. None where it cannot be
/// opened again.
fn languages(layout: Layout<'_>) -> Vec<LanguageLink> {
    let Some(page) = layout.page_address else {
        return Vec::new();
    };
    let link = |catalog: &'static Catalog| LanguageLink {
        tag: catalog.tag,
        name: catalog.name,
        direction: catalog.direction,
        address: page
            .clone()
            .with_parameter(language::PARAMETER, catalog.tag)
            .to_string(),
        is_current: catalog.tag == layout.catalog.tag,
    };
    Catalog::all().iter().map(link).collect()
}

/// The addresses of a theme's links.
#[derive(Serialize)]
struct LinkAddresses<'a> {
    privacy: Option<&'a str>,
    help: Option<&'a str>,
    register: Option<&'a str>,
    forgot_password: Option<&'a str>,
}

impl<'a> LinkAddresses<'a> {
    fn of(links: &'a Links) -> Self {
        Self {
            privacy: links.privacy.as_ref().map(Link::as_str),
            help: links.help.as_ref().map(Link::as_str),
            register: links.register.as_ref().map(Link::as_str),
            forgot_password: links.forgot_password.as_ref().map(Link::as_str),
        }
    }
}

/// The messages whose keys start with a prefix. In templates it makes keys into paths, such as
/// `words.sign_in.heading`.
#[derive(Debug)]
struct MessageGroup {
    catalog: &'static Catalog,
    /// Without the final dot; empty for all messages.
    prefix: String,
}

impl Object for MessageGroup {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let path = if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.prefix)
        };
        match self.catalog.find(&path) {
            Some(text) => Some(Value::from(text)),
            None if self.catalog.has_group(&path) => Some(Value::from_object(Self {
                catalog: self.catalog,
                prefix: path,
            })),
            None => None,
        }
    }
}
