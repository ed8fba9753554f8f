//! The paths that the gateway answers itself, and those that it leads visitors to.

use super::super::file::site::{Paths, Site as Written};
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

fn own_paths(written: &Paths, review: &mut Review<'_>) -> Option<OwnPaths> {
    let all = [&written.login, &written.logout, &written.api];
    let mut fits = true;
    for (at, path) in all.iter().enumerate() {
        let odd = path.ends_with('/')
            || path
                .bytes()
                .any(|b| !b.is_ascii_graphic() || b"*%;\"<>{}|^`".contains(&b));
        if odd || Pattern::parse(path).is_err() {
            review.refuse_text(
                path,
                "this cannot be a path of the gateway",
                "write it like \"/sign-in\"",
            );
            fits = false;
            continue;
        }
        if beneath(path, "/_vestibule") || beneath(path, "/.well-known/vestibule") {
            review.refuse_text(
                path,
                "this path is the gateway's already",
                "write it like \"/sign-in\"",
            );
            fits = false;
        }
        let clash = all.iter().enumerate().find(|(other_at, other)| {
            // Two that share a path are told once, at the one that was written.
            let turn = *other_at < at || !other.is_written();
            *other_at != at
                && path.is_written()
                && turn
                && (beneath(path, other) || beneath(other, path))
        });
        if let Some((_, other)) = clash {
            let what = format!(
                "the gateway's paths {:?} and {:?} overlap",
                ***path, ***other
            );
            review.refuse(
                &path.span,
                what,
                "none may be the same as another or beneath it",
            );
            fits = false;
        }
    }
    let text = |path: &At<String>| (**path).clone();
    fits.then(|| OwnPaths {
        login: text(&written.login),
        logout: text(&written.logout),
        api: text(&written.api),
    })
}

/// Whether `path` is `above` or lies beneath it.
pub(super) fn beneath(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
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
