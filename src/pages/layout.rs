//! The data that all pages have in common.

use super::catalog::Catalog;
use super::theme::PageTheme;

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
}
