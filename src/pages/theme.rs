//! How a site's pages look: its templates, parsed, and its files. Made when the configuration is
//! read, then shared by every page of the site.

use std::sync::{Arc, OnceLock};

use minijinja::Environment;

use super::assets::{self, Addresses, Asset};
use super::catalog::Catalog;
use super::templates::{self, TemplateError};
use super::{accent, language};
use crate::model::theme::{Links, Theme};

/// The look of one site.
#[derive(Debug)]
pub struct PageTheme {
    pub(super) templates: Arc<Environment<'static>>,
    pub(super) addresses: Addresses,
    pub(super) links: Links,
    /// The language of visitors who ask for none of ours.
    pub language: Option<&'static Catalog>,
    /// What this site has beside the files of every site, by address.
    files: Vec<(String, Asset)>,
}

impl PageTheme {
    /// The look of a theme.
    ///
    /// # Errors
    /// The first template that cannot be parsed.
    pub fn of(theme: &Theme) -> Result<Self, TemplateError> {
        let mut files = Vec::new();
        let mut addresses = assets::addresses().clone();
        if let Some(logo) = &theme.logo {
            let asset = assets::picture(logo);
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
            templates: templates::parsed(&theme.templates)?,
            addresses,
            links: theme.links.clone(),
            language: theme.language.as_deref().and_then(language::lookup),
            files,
        })
    }

    /// Ours, where there is no site.
    #[must_use]
    pub fn plain() -> &'static Self {
        static PLAIN: OnceLock<PageTheme> = OnceLock::new();
        PLAIN.get_or_init(|| {
            Self::of(&Theme::default()).unwrap_or_else(|_| Self {
                // Tests hold that ours can be parsed. If not, every page is the sentence that is
                // shown in its place.
                templates: Arc::new(Environment::empty()),
                addresses: assets::addresses().clone(),
                links: Links::default(),
                language: None,
                files: Vec::new(),
            })
        })
    }

    /// The file of that name beneath [`assets::PREFIX`].
    #[must_use]
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        let own = self
            .files
            .iter()
            .find(|(address, _)| address.strip_prefix(assets::PREFIX) == Some(name));
        own.map(|(_, asset)| asset).or_else(|| assets::asset(name))
    }
}
