//! `theme` of a site: its files are read, its templates tried with every page in every state.

use super::super::file::site_theme::{Links as WrittenLinks, Theme as Written};
use super::super::spans::At;
use super::{Reported, Review, templates};
use crate::model::colour::Colour;
use crate::model::theme::{Link, Links, Logo, LogoKind, MAX_LOGO, Theme};
use crate::pages::{Catalog, language};

const LINK_FORM: &str = "write a path of the site, like \"/privacy\", or an https address";

pub(super) fn theme(written: Option<&At<Written>>, review: &mut Review<'_>) -> Option<Theme> {
    let Some(written) = written else {
        return Some(Theme::default());
    };
    let mut theme = Theme::default();
    let name = optional(written.name.as_ref(), |text| name(text, review));
    let logo = optional(written.logo.as_ref(), |text| logo(text, review));
    let accent = optional(written.accent.as_ref(), |text| accent(text, review));
    let language = optional(written.language.as_ref(), |text| {
        known_language(text, review)
    });
    let links = links(written.links.as_ref(), review);
    let read = optional(written.templates.as_ref(), |folder| {
        templates::read(folder, &mut theme, review)
    });
    read.ok()?;
    let (name, logo, accent, language) = (name.ok()?, logo.ok()?, accent.ok()?, language.ok()?);
    let theme = Theme {
        name,
        logo,
        accent,
        language,
        links: links?,
        ..theme
    };
    match &written.templates {
        Some(folder) => templates::try_all(&theme, folder, review).then_some(theme),
        None => Some(theme),
    }
}

/// What was written, checked.
fn optional<T>(
    written: Option<&At<String>>,
    check: impl FnOnce(&At<String>) -> Option<T>,
) -> Result<Option<T>, Reported> {
    written.map_or(Ok(None), |text| check(text).map(Some).ok_or(Reported))
}

fn name(text: &At<String>, review: &mut Review<'_>) -> Option<String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > 60 {
        review.refuse_text(
            text,
            "a theme cannot have this `name`",
            "write one line of at most 60 characters",
        );
        return None;
    }
    Some((**text).clone())
}

fn logo(text: &At<String>, review: &mut Review<'_>) -> Option<Logo> {
    let path = review.path(text);
    let bytes = match review.environment.bytes(&path, MAX_LOGO + 1) {
        Ok(bytes) => bytes,
        Err(error) => {
            let what = format!("the logo \"{}\" cannot be read: {error}", path.display());
            review.refuse(
                &text.span,
                what,
                "relative paths start from the folder of the configuration",
            );
            return None;
        }
    };
    if bytes.len() > MAX_LOGO {
        review.refuse_text(
            text,
            "this logo is larger than 64 KiB",
            "make it smaller: every visitor waits for it",
        );
        return None;
    }
    let Some(kind) = LogoKind::of(&bytes) else {
        review.refuse_text(
            text,
            "this logo is neither SVG, PNG nor WebP",
            "save it as one of them",
        );
        return None;
    };
    Some(Logo {
        kind,
        bytes: bytes.into(),
    })
}

fn accent(text: &At<String>, review: &mut Review<'_>) -> Option<Colour> {
    let colour = Colour::parse(text);
    if colour.is_none() {
        review.refuse_text(
            text,
            "`accent` is no colour",
            "write it like \"#0b6\" or \"#00bb66\"",
        );
    }
    colour
}

fn known_language(text: &At<String>, review: &mut Review<'_>) -> Option<String> {
    let found = language::lookup(text).map(|words| words.tag.to_owned());
    if found.is_none() {
        let tags: Vec<String> = Catalog::all()
            .iter()
            .map(|words| format!("\"{}\"", words.tag))
            .collect();
        review.refuse_text(
            text,
            "the pages do not speak this `language`",
            format!("write one of {}", tags.join(", ")),
        );
    }
    found
}

fn links(written: Option<&WrittenLinks>, review: &mut Review<'_>) -> Option<Links> {
    let Some(written) = written else {
        return Some(Links::default());
    };
    let mut link = |text: Option<&At<String>>| {
        optional(text, |text| {
            let link = Link::parse(text);
            match link {
                // Not quoted where a password may be in it.
                None if text.contains('@') => {
                    review.refuse(&text.span, "a link cannot lead there", LINK_FORM);
                }
                None => review.refuse_text(text, "a link cannot lead there", LINK_FORM),
                Some(_) => {}
            }
            link
        })
    };
    let (privacy, help) = (link(written.privacy.as_ref()), link(written.help.as_ref()));
    let (register, forgot_password) = (
        link(written.register.as_ref()),
        link(written.forgot_password.as_ref()),
    );
    Some(Links {
        privacy: privacy.ok()?,
        help: help.ok()?,
        register: register.ok()?,
        forgot_password: forgot_password.ok()?,
    })
}
