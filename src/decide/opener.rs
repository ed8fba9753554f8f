//! Whether one of the gateway's pages keeps its connection to the window that opened it
//! (`Cross-Origin-Opener-Policy`).
//!
//! An application that signs in by popup opens a window on one of its pages, gets the login page
//! there, and is told by the window at the end that somebody has signed in. The connection between
//! the two windows must survive the login page. A page of another site must not have one: it could
//! put a copy of the login page in the place of ours while the user looks elsewhere.
//!
//! So a page keeps its opener where the request says that a page of the site, of one of its
//! `allowed_origins` or of the hosted backend's clients leads to it; every other one is cut off.

use crate::model::request::FetchMetadata;
use crate::model::site::Site;

/// Whether the page that answers a request with these fields keeps its opener.
#[must_use]
pub fn keeps_opener(metadata: &FetchMetadata<'_>, site: &Site) -> bool {
    // With a listed page at the start, a browser says `cross-site` or `same-site`.
    if metadata.fetch_site == Some("same-origin") {
        return true;
    }
    metadata.source_origin().is_some_and(|origin| {
        site.is_own_origin(&origin)
            || site.allowed_origins.contains(&origin)
            || site
                .hosted_backend
                .as_ref()
                .is_some_and(|backend| backend.lists_origin(&origin))
    })
}
