//! The paths that the gateway answers itself, and those that it leads visitors to.

use std::ops::Range;

use super::super::file::site::{ApiPrefix, Paths, Site as Written};
use super::super::problems::quoted;
use super::super::spans::At;
use super::Review;
use crate::model::return_path::ReturnPath;
use crate::model::rule::Pattern;
use crate::model::site::OwnPaths;

/// The checked paths of a site; `None` for each that has a problem.
pub(super) struct SitePaths {
    pub(super) own: Option<OwnPaths>,
    pub(super) landing: Option<ReturnPath>,
    pub(super) after_logout: Option<ReturnPath>,
}

pub(super) fn paths(written: &Written, review: &mut Review<'_>) -> SitePaths {
    let own = own_paths(&written.paths, review);
    let landing = return_path(&written.landing, "landing", own.as_ref(), review);
    let after_logout = return_path(&written.after_logout, "after_logout", own.as_ref(), review);
    SitePaths {
        own,
        landing,
        after_logout,
    }
}

/// A path as it was written, for comparison with the others.
struct WrittenPath<'a> {
    text: &'a str,
    span: &'a Range<usize>,
    is_written: bool,
}

impl<'a> WrittenPath<'a> {
    fn new<T>(written: &'a At<T>, text: &'a str) -> Self {
        Self {
            text,
            span: &written.span,
            is_written: written.is_written(),
        }
    }
}

fn own_paths(written: &Paths, review: &mut Review<'_>) -> Option<OwnPaths> {
    let mut fits = true;
    let api = match &*written.api {
        ApiPrefix::Path(path) => Some(path),
        ApiPrefix::Enabled(enabled) => {
            if *enabled {
                let hint = "write a path like \"/api\", or false for no JSON endpoints";
                review.refuse(&written.api.span, "`api` is true", hint);
                fits = false;
            }
            None
        }
    };
    let pages = [&written.login, &written.logout];
    let mut all: Vec<WrittenPath<'_>> = pages.map(|path| WrittenPath::new(path, path)).into();
    all.extend(api.map(|path| WrittenPath::new(&written.api, path)));
    for at in 0..all.len() {
        fits &= is_usable(&all, at, review);
    }
    fits.then(|| OwnPaths {
        login: (*written.login).clone(),
        logout: (*written.logout).clone(),
        api: api.cloned(),
    })
}

/// Whether the path at `at` of `all` can be the gateway's. The first two are pages, the third is a
/// prefix.
fn is_usable(all: &[WrittenPath<'_>], at: usize, review: &mut Review<'_>) -> bool {
    let Some(path) = all.get(at) else { return true };
    let problem = if !is_path(path.text) || (at == 2 && path.text.ends_with('/')) {
        Some("this cannot be a path of the gateway")
    } else if beneath(path.text, "/_vestibule") {
        Some("this path is the gateway's already")
    } else if beneath(path.text, "/.well-known") {
        Some("paths beneath /.well-known have meanings of their own (RFC 8615)")
    } else {
        None
    };
    if let Some(what) = problem {
        let what = format!("{what}: {}", quoted(path.text));
        review.refuse(path.span, what, "write it like \"/sign-in\"");
        return false;
    }
    let clash = all.iter().enumerate().find(|(other_at, other)| {
        // Two that share a path are told once, at the one that was written.
        let turn = *other_at < at || !other.is_written;
        *other_at != at
            && path.is_written
            && turn
            && (beneath(path.text, other.text) || beneath(other.text, path.text))
    });
    if let Some((_, other)) = clash {
        let what = format!(
            "the gateway's paths {:?} and {:?} overlap",
            path.text, other.text
        );
        let hint = "none may be the same as another or beneath it";
        review.refuse(path.span, what, hint);
    }
    clash.is_none()
}

/// Whether the gateway can have a page at `path`. The root is the application's.
fn is_path(path: &str) -> bool {
    let is_plain = path
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"*%;\"<>{}|^`".contains(&b));
    is_plain && path != "/" && !path.contains("//") && Pattern::parse(path).is_ok()
}

/// Whether `path` is `above` or lies beneath it. A `/` at the end of `above` makes no difference.
pub(super) fn beneath(path: &str, above: &str) -> bool {
    path.strip_prefix(above.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path of this site to go to after a sign-in or a sign-out. The landing page is none of the
/// gateway's own pages: that would be a redirect loop.
fn return_path(
    written: &At<String>,
    key: &str,
    paths: Option<&OwnPaths>,
    review: &mut Review<'_>,
) -> Option<ReturnPath> {
    let Some(path) = ReturnPath::parse(written) else {
        let what = format!("`{key}` is no path of this site");
        review.refuse_text(written, &what, "write it like \"/account\"");
        return None;
    };
    let target = path.as_str().split(['?', '#']).next().unwrap_or_default();
    if key == "landing"
        && paths.is_some_and(|paths| target == paths.login || target == paths.logout)
    {
        review.refuse_text(
            written,
            "`landing` leads back to the sign-in or sign-out",
            "name a page of the application",
        );
        return None;
    }
    Some(path)
}
