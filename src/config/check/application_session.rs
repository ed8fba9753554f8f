//! The application's own session: its cookies, and its own sign-out.

use super::super::file::site::Site as Written;
use super::super::problems::quoted;
use super::super::spans::At;
use super::Review;
use super::own_paths::{SitePaths, beneath};
use crate::model::application_cookies::{CookiePattern, CookiePatterns};
use crate::model::cookie_names::CookieNames;
use crate::model::sign_out_path::SignOutPath;

/// The cookies that belong to one user.
pub(super) fn forget(
    written: &[At<String>],
    names: &CookieNames,
    review: &mut Review<'_>,
) -> Option<CookiePatterns> {
    let mut patterns = Vec::new();
    for text in written {
        let Some(pattern) = CookiePattern::parse(text) else {
            let hint = "write a name like \"sessionid\", or names like \"wordpress_*\"";
            review.refuse_text(text, "no cookie has this name", hint);
            continue;
        };
        if names.manages(text) {
            let hint = "leave it out: a sign-out clears the gateway's cookies";
            review.refuse_text(text, "this cookie is the gateway's own", hint);
        } else if patterns.contains(&pattern) {
            review.refuse_text(text, "this cookie is there twice", "keep one of them");
        } else {
            patterns.push(pattern);
        }
    }
    (patterns.len() == written.len()).then(|| CookiePatterns::new(patterns))
}

/// The application's own sign-out addresses.
pub(super) fn sign_out_paths(
    written: &Written,
    paths: &SitePaths,
    review: &mut Review<'_>,
) -> Option<Vec<SignOutPath>> {
    let mut parsed = Vec::new();
    for text in &written.sign_out_paths {
        let Some(address) = SignOutPath::parse(text) else {
            let hint = "write it like \"/accounts/logout/\" or \"/wp-login.php?action=logout\"";
            review.refuse_text(text, "this is no address of a sign-out", hint);
            continue;
        };
        if parsed.contains(&address) {
            review.refuse_text(text, "this address is there twice", "keep one of them");
            continue;
        }
        let own = paths.own.as_ref();
        let shadows = |own: &str| beneath(address.path(), own);
        if own.is_some_and(|own| own.iter().any(shadows)) || shadows("/_vestibule") {
            let what = format!("{} is the gateway's own already", quoted(text));
            let hint = "name an address of the application, or rename the gateway's in `paths`";
            review.refuse(&text.span, what, hint);
            continue;
        }
        // The first would sign out whoever has just signed in, the second go round for ever.
        for (key, path) in [
            ("landing", &paths.landing),
            ("after_logout", &paths.after_logout),
        ] {
            let Some(path) = path else { continue };
            let (path, query) = match path.as_str().split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (path.as_str(), None),
            };
            if address.matches(path.as_bytes(), query) {
                let what = format!("`{key}` leads to the sign-out {}", quoted(text));
                review.refuse(
                    &text.span,
                    what,
                    "name another page there, or take this one away",
                );
            }
        }
        parsed.push(address);
    }
    (parsed.len() == written.sign_out_paths.len()).then_some(parsed)
}
