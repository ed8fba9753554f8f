//! The application's own sign-out (`sign_out_paths`, `docs/reference/sign-out.md#sign-out-paths`).

use std::fmt;

use url::form_urlencoded;

use super::return_path::ReturnPath;
use super::rule::Pattern;

/// An address at which the application signs out: a path, and parameters of the query that a
/// request must have.
#[derive(Clone, PartialEq, Eq)]
pub struct SignOutPath {
    path: String,
    /// Name and value of each.
    parameters: Vec<(String, String)>,
}

impl SignOutPath {
    /// Parses a path of the site, with a query or without. `None` for any other text, for one with
    /// a fragment, an escape in the path or an empty query, and for the path `/`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let is_plain = ReturnPath::parse(text).is_some_and(|parsed| parsed.as_str() == text);
        let has_unusual = path.contains(['*', '%', ';', '\\']) || text.contains('#');
        let is_path = Pattern::parse(path).is_ok() && path != "/";
        if !is_plain || has_unusual || !is_path || query == Some("") {
            return None;
        }
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Some(Self {
            path: path.to_owned(),
            parameters: pairs.into_owned().collect(),
        })
    }

    /// Whether a request with this path (percent-decoded once) and query is for this address.
    #[must_use]
    pub fn matches(&self, path: &[u8], query: Option<&str>) -> bool {
        path == self.path.as_bytes() && self.has_parameters(query.unwrap_or_default())
    }

    fn has_parameters(&self, query: &str) -> bool {
        self.parameters.iter().all(|(name, value)| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.any(|(have, with)| have == name.as_str() && with == value.as_str())
        })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Debug for SignOutPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SignOutPath({})", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_and_the_parameters_that_it_names() {
        let django = SignOutPath::parse("/accounts/logout/").unwrap();
        let wordpress = SignOutPath::parse("/wp-login.php?action=logout").unwrap();
        assert_eq!(format!("{wordpress:?}"), "SignOutPath(/wp-login.php)");
        for (address, path, query, matches) in [
            (&django, "/accounts/logout/", None, true),
            (&django, "/accounts/logout/", Some("next=/"), true),
            (&django, "/accounts/logout", None, false),
            (&django, "/accounts/logout/x", None, false),
            (&wordpress, "/wp-login.php", Some("action=logout"), true),
            (
                &wordpress,
                "/wp-login.php",
                Some("_wpnonce=a&action=%6cogout"),
                true,
            ),
            (&wordpress, "/wp-login.php", Some("action=logout2"), false),
            (&wordpress, "/wp-login.php", Some("xaction=logout"), false),
            (&wordpress, "/wp-login.php", None, false),
        ] {
            assert_eq!(
                address.matches(path.as_bytes(), query),
                matches,
                "{path} {query:?}"
            );
        }
    }

    #[test]
    fn every_other_text_is_none() {
        for text in [
            "",
            "/",
            "logout",
            "https://a.example/logout",
            "//a/logout",
            "/a//b",
            "/a/*",
            "/a%20b",
            "/a?",
            "/a#b",
            "/a b",
            "/a;b",
            "/../a",
        ] {
            assert_eq!(SignOutPath::parse(text), None, "{text}");
        }
    }
}
