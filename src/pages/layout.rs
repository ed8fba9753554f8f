//! What stands around every page: whose it is, how it looks and in which language it speaks.

use super::catalog::Catalog;
use super::theme::PageTheme;

/// What every page is made of, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// How it looks.
    pub look: &'a PageTheme,
    /// The name visitors know the site by; `None` where no site answers to the host.
    pub site_name: Option<&'a str>,
    /// The language.
    pub words: &'static Catalog,
    /// Shown where the fault is not the visitor's, for whoever writes to the site's people.
    pub request_id: &'a str,
}
