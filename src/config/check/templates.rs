//! `templates` of a theme: read, parsed, and tried with every page in every state before anybody
//! meets one.

use std::path::Path;

use super::super::spans::At;
use super::super::suggest::suggest;
use super::Review;
use crate::model::theme::{TemplateText, Theme};
use crate::pages::{Catalog, Layout, PageTheme, TemplateError, samples, template_names};

/// The largest template or style sheet, in bytes.
const MAX_TEXT: usize = 256 * 1024;
/// The style sheet among the templates.
const STYLE: &str = "style.css";

/// Reads the templates and the style sheet of a folder into `theme`. What is neither is left alone.
pub(super) fn read(folder: &At<String>, theme: &mut Theme, review: &mut Review<'_>) -> Option<()> {
    let path = review.path(folder);
    let names = match review.environment.names(&path) {
        Ok(names) => names,
        Err(error) => {
            let what = format!("the folder \"{}\" cannot be read: {error}", path.display());
            review.refuse(
                &folder.span,
                what,
                "relative paths start from the folder of the configuration",
            );
            return None;
        }
    };
    let mut whole = true;
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        let file = path.join(&name);
        let is_template = file
            .extension()
            .is_some_and(|extension| extension == "html");
        if is_template && !is_known(&name) {
            refuse_unknown(&name, folder, review);
            whole = false;
        } else if is_template || name == STYLE {
            match text(&file, folder, review) {
                Some(text) if is_template => theme.templates.push(TemplateText { name, text }),
                Some(text) => theme.style = Some(text),
                None => whole = false,
            }
        }
    }
    if whole && theme.templates.is_empty() && theme.style.is_none() {
        let what = format!(
            "the folder \"{}\" has no template and no {STYLE}",
            path.display()
        );
        review.refuse(
            &folder.span,
            what,
            "leave `templates` out to have our pages",
        );
        whole = false;
    }
    whole.then_some(())
}

/// Whether a page asks for it, or the operator says that it is part of others.
fn is_known(name: &str) -> bool {
    name.starts_with('_') || template_names().any(|known| known == name)
}

fn refuse_unknown(name: &str, folder: &At<String>, review: &mut Review<'_>) {
    let hint = match suggest(name, template_names()) {
        Some(known) => format!("did you mean `{known}`? Let parts of your own begin with `_`"),
        None => {
            "the guide to themes names them all; let parts of your own begin with `_`".to_owned()
        }
    };
    review.refuse(
        &folder.span,
        format!("no page has the template `{name}`"),
        hint,
    );
}

fn text(file: &Path, folder: &At<String>, review: &mut Review<'_>) -> Option<String> {
    let read = review
        .environment
        .bytes(file, MAX_TEXT + 1)
        .map_err(|error| error.to_string());
    let fitting = read.and_then(|bytes| {
        if bytes.len() > MAX_TEXT {
            return Err("it is larger than 256 KiB".to_owned());
        }
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    });
    fitting
        .map_err(|error| {
            let what = format!("\"{}\" cannot be used: {error}", file.display());
            review.refuse(
                &folder.span,
                what,
                "give it text that can be read, or take it away",
            );
        })
        .ok()
}

/// Whether every page in every state can be made of the theme's templates.
pub(super) fn try_all(theme: &Theme, folder: &At<String>, review: &mut Review<'_>) -> bool {
    let path = review.path(folder);
    let mut refuse = |error: &TemplateError, state: &str| {
        let file = path.join(&error.template);
        let line = error
            .line
            .map(|line| format!(":{line}"))
            .unwrap_or_default();
        let what = format!("{}{line}: {}{state}", file.display(), error.message);
        review.refuse(
            &folder.span,
            what,
            "mend the template; the guide to themes names what it may use",
        );
    };
    let theme_pages = match PageTheme::of(theme) {
        Ok(theme_pages) => theme_pages,
        Err(error) => {
            refuse(&error, "");
            return false;
        }
    };
    let layout = Layout {
        theme: &theme_pages,
        site_name: Some(theme.name.as_deref().unwrap_or("store.example.com")),
        catalog: Catalog::english(),
        request_id: "01JD3K8Q5W9X2Y7Z",
        page_address: None,
    };
    let mut reported: Vec<TemplateError> = Vec::new();
    for (name, page) in samples::samples(layout) {
        if let Err(error) = page
            && !reported.contains(&error)
        {
            refuse(&error, &format!(" (on the page {name})"));
            reported.push(error);
        }
    }
    reported.is_empty()
}
