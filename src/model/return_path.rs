//! The address that a user returns to after the login.

use std::fmt;

/// The longest return address, in bytes.
const MAX_RETURN: usize = 4 * 1024;

/// A path of the same site with an optional query and fragment, safe to put into `Location`.
///
/// Nothing that a browser could resolve to another origin is a `ReturnPath`: another scheme or
/// host, `//`, `/\`, control characters, white space (threat model, R-47).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// Parses an address; `None` where it could lead to another origin, or is longer than 4 KiB.
    /// The landing page takes its place then.
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
        // Browsers resolve dot segments first, so `/.//host` becomes `//host`.
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
    fn paths_of_this_site_keep_query_and_fragment() {
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
    fn every_other_address_is_refused() {
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
