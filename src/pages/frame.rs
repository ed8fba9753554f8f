//! What stands around every page: whose it is, how it looks and in which language it speaks.

use super::look::Look;
use super::words::Words;

/// What every page is made of, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// How it looks.
    pub look: &'a Look,
    /// The name visitors know the site by; `None` where no site answers to the host.
    pub site_name: Option<&'a str>,
    /// The language.
    pub words: &'static Words,
    /// Shown where the fault is not the visitor's, for whoever writes to the site's people.
    pub request_id: &'a str,
}
