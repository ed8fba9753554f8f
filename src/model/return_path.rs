//! Where to go after signing in: a path on this site, or nowhere.

use std::fmt;

/// The longest address that is remembered over a sign-in, in bytes.
const MAX_RETURN: usize = 4 * 1024;

/// A path of the same site with optional query and fragment, safe to put into `Location`.
///
/// Anything a browser could resolve to another origin is no `ReturnPath`: another scheme or host,
/// `//`, `/\`, control bytes, white space (threat model, R-47).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// Reads an address. `None` means: use the landing page instead.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() > MAX_RETURN || bytes.first() != Some(&b'/') {
            return None;
        }
        if matches!(bytes.get(1), Some(b'/' | b'\\'))
            || bytes
                .iter()
                .any(|b| !(0x21..0x7f).contains(b) || *b == b'\\')
        {
            return None;
        }
        // Browsers resolve dot segments before they look at the slashes: `/.//host` becomes
        // `//host`.
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let lower = path.to_ascii_lowercase().replace("%2e", ".");
        let ambiguous = lower.contains("//")
            || lower.contains("%5c")
            || lower.contains("%2f")
            || lower
                .split('/')
                .any(|segment| segment == "." || segment == "..");
        (!ambiguous).then(|| Self(text.to_owned()))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_site_are_kept_with_query_and_fragment() {
        for good in [
            "/",
            "/cart",
            "/cart?x=1&u=http://elsewhere/",
            "/cart?x#part-2",
            "/a/b;c",
            "/?next=//x",
        ] {
            assert_eq!(
                ReturnPath::parse(good)
                    .map(|path| path.to_string())
                    .as_deref(),
                Some(good)
            );
        }
    }

    #[test]
    fn everything_else_is_nowhere() {
        for bad in [
            "",
            "cart",
            "//evil",
            "/\\evil",
            "/\t/evil",
            "http://evil",
            "https:evil",
            "javascript:alert(1)",
            "/a\nb",
            "/ a",
            "/.//evil",
            "/..//evil",
            "/%2e//evil",
            "/a/..//evil",
            "/a\\b",
            "/%5cevil",
            "/%2f%2fevil",
            "/é",
            "\u{0}/",
        ] {
            assert_eq!(ReturnPath::parse(bad), None, "{bad:?}");
        }
    }
}
