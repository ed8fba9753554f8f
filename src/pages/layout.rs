//! The data that all pages have in common.

use super::catalog::Catalog;
use super::theme::PageTheme;
use crate::model::local_path::LocalPath;

/// The data that all pages have in common.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// The theme of the site, or the built-in one.
    pub theme: &'a PageTheme,
    /// The name of the site for its users. `None` if no site has the requested host.
    pub site_name: Option<&'a str>,
    /// The messages in the language of the page.
    pub catalog: &'static Catalog,
    /// The request id. Pages about failures show it, so that users can mention it to the operator.
    pub request_id: &'a str,
    /// Where this page can be opened in another language; `None` for a page that would not be the
    /// same again, or that is not the gateway's to address.
    pub page_address: Option<&'a LocalPath>,
}

impl<'a> Layout<'a> {
    /// The same on a page that can be opened at `address` in another language.
    #[must_use]
    pub fn at(self, address: &'a LocalPath) -> Self {
        Self {
            page_address: Some(address),
            ..self
        }
    }
}
