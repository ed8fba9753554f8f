//! The theme of a site: its parsed templates and its files. It is built when the configuration is
//! read, and all pages of the site share it.

use std::sync::{Arc, OnceLock};

use minijinja::Environment;

use super::assets::{self, Addresses, Asset};
use super::catalog::Catalog;
use super::templates::{self, TemplateError};
use super::{accent, language};
use crate::model::theme::{Links, Theme};

/// The theme of a site, ready to render pages.
#[derive(Debug)]
pub struct PageTheme {
    pub(super) templates: Arc<Environment<'static>>,
    pub(super) addresses: Addresses,
    pub(super) links: Links,
    /// The language for users who accept none of the languages that exist.
    pub language: Option<&'static Catalog>,
    /// The files of this site in addition to the built-in ones, by path.
    files: Vec<(String, Asset)>,
}

impl PageTheme {
    /// Parses the templates of a theme and hashes its files.
    ///
    /// # Errors
    /// The first template that cannot be parsed.
    pub fn of(theme: &Theme) -> Result<Self, TemplateError> {
        let mut files = Vec::new();
        let mut addresses = assets::addresses().clone();
        if let Some(logo) = &theme.logo {
            let asset = assets::image(logo);
            addresses.mark = assets::address("logo", &asset, logo.kind.names().0);
            asset.content_type.clone_into(&mut addresses.mark_type);
            files.push((addresses.mark.clone(), asset));
        }
        let style: String = theme
            .accent
            .map(accent::style)
            .into_iter()
            .chain(theme.style.clone())
            .collect();
        if !style.is_empty() {
            let asset = assets::style(style);
            let address = assets::address("theme", &asset, "css");
            addresses.theme = Some(address.clone());
            files.push((address, asset));
        }
        Ok(Self {
            templates: templates::parse(&theme.templates)?,
            addresses,
            links: theme.links.clone(),
            language: theme.language.as_deref().and_then(language::lookup),
            files,
        })
    }

    /// The built-in theme, for requests that belong to no site.
    #[must_use]
    pub fn plain() -> &'static Self {
        static PLAIN: OnceLock<PageTheme> = OnceLock::new();
        PLAIN.get_or_init(|| {
            Self::of(&Theme::default()).unwrap_or_else(|_| Self {
                // Tests verify that the built-in templates can be parsed. If they could not, every
                // page would be the fallback.
                templates: Arc::new(Environment::empty()),
                addresses: assets::addresses().clone(),
                links: Links::default(),
                language: None,
                files: Vec::new(),
            })
        })
    }

    /// The file with the path `name` below [`assets::PREFIX`].
    #[must_use]
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        let own = self
            .files
            .iter()
            .find(|(address, _)| address.strip_prefix(assets::PREFIX) == Some(name));
        own.map(|(_, asset)| asset).or_else(|| assets::asset(name))
    }
}
