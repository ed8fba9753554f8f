//! The address that a user returns to after the login.

use std::fmt;

use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::target::MAX_TARGET;

/// The longest return address, in bytes: no longer one could be requested.
const MAX_RETURN: usize = MAX_TARGET;

/// What is escaped in a return address, beside what is not ASCII: blanks, which end the request
/// line, and `"`, `<` and `>`, which browsers escape too. Control characters never get here.
const UNSAFE: &AsciiSet = &AsciiSet::EMPTY.add(b' ').add(b'"').add(b'<').add(b'>');

/// The same in its path, where browsers escape one more.
const UNSAFE_IN_PATH: &AsciiSet = &UNSAFE.add(b'`');

/// A path of the same site with an optional query and fragment, safe to put into `Location`.
///
/// The one criterion is the origin: a path of this site is accepted however it is spelled, and
/// written with the escapes that it needs. Nothing that a browser could resolve to another origin
/// is a `ReturnPath`: another scheme or host, `//` or `/\` at the start, also in encoded form or
/// behind dot segments, and control characters, which browsers drop (threat model, R-47).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// Parses an address; `None` where it could lead to another origin, or is longer than
    /// [`MAX_TARGET`]. The landing page takes its place then.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_RETURN || !text.starts_with('/') || text.chars().any(char::is_control) {
            return None;
        }
        let (path, rest) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
        let path = resolve(path)?;
        let escaped = utf8_percent_encode(rest, UNSAFE);
        let address = format!("{path}{escaped}");
        (address.len() <= MAX_RETURN).then_some(Self(address))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The path as a browser resolves it, with its escapes; `None` where the result may begin with an
/// authority.
fn resolve(path: &str) -> Option<String> {
    // Browsers take `\` for `/` in a path.
    if path.contains('\\') {
        return None;
    }
    let path = escape(path);
    let mut segments: Vec<&str> = Vec::new();
    let mut written = path.split('/').skip(1).peekable();
    while let Some(segment) = written.next() {
        // Browsers resolve dot segments first, so `/.//host` becomes `//host`.
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        match dots.as_str() {
            ".." => drop(segments.pop()),
            "." => {}
            _ => {
                segments.push(segment);
                continue;
            }
        }
        if written.peek().is_none() {
            segments.push("");
        }
    }
    let path = format!("/{}", segments.join("/"));
    (!names_authority(&path) && !has_encoded_control(&path)).then_some(path)
}

/// Whether a path has an encoded NUL, CR or LF, for which a request is malformed.
fn has_encoded_control(path: &str) -> bool {
    let mut escapes = path.split('%').skip(1).filter_map(|part| part.get(..2));
    escapes.any(|escape| ["00", "0d", "0D", "0a", "0A"].contains(&escape))
}

/// Whether a path begins with two slashes, in any spelling: a program that decodes it before it
/// redirects would go to another host.
fn names_authority(path: &str) -> bool {
    let mut rest = path.get(1..).unwrap_or_default();
    if rest.starts_with('/') {
        return true;
    }
    let Some(after) = rest.strip_prefix('%') else {
        return false;
    };
    // `%2f`, or `%252f` and so on for programs that decode more than once.
    rest = after;
    while let Some(after) = rest.strip_prefix("25") {
        rest = after;
    }
    let code = rest.get(..2).unwrap_or_default();
    code.eq_ignore_ascii_case("2f") || code.eq_ignore_ascii_case("5c")
}

/// The path with the escapes that it needs. A `%` that begins no escape becomes `%25`: a request
/// for such a path would be malformed.
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for (index, part) in path.split('%').enumerate() {
        if index > 0 {
            let is_escape = matches!(part.as_bytes(), [high, low, ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
            escaped.push_str(if is_escape { "%" } else { "%25" });
        }
        escaped.extend(utf8_percent_encode(part, UNSAFE_IN_PATH));
    }
    escaped
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        ReturnPath::parse(text).map(|path| path.to_string())
    }

    #[test]
    fn a_path_that_would_be_malformed_leads_nowhere() {
        for bad in ["/a%00", "/a%0d", "/a%0Ab", "/%0D%0a"] {
            assert_eq!(ReturnPath::parse(bad), None, "{bad}");
        }
        assert_eq!(ReturnPath::parse("/a%0b").unwrap().as_str(), "/a%0b");
    }

    #[test]
    fn paths_of_this_site_keep_query_and_fragment() {
        for good in [
            "/",
            "/cart",
            "/cart?x=1&u=http://elsewhere/",
            "/cart?x#part-2",
            "/a/b;c",
            "/?next=//x",
            "/a%2Fb",
            "/wiki/A//B",
            "/caf%C3%A9",
            "/a?path=C:\\Users",
            "/a?search=100%",
            "/a|b^c{d}?e`f",
        ] {
            assert_eq!(parsed(good).as_deref(), Some(good));
        }
    }

    #[test]
    fn a_path_of_this_site_is_one_however_it_is_spelled() {
        for (spelled, written) in [
            ("/my docs/a.html", "/my%20docs/a.html"),
            ("/café", "/caf%C3%A9"),
            ("/a?q=two words", "/a?q=two%20words"),
            ("/a?q=\"é\"#<ü>", "/a?q=%22%C3%A9%22#%3C%C3%BC%3E"),
            ("/ a ", "/%20a%20"),
            ("/100%", "/100%25"),
            ("/100%/%4", "/100%25/%254"),
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2E%2e", "/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/\u{ff0f}evil", "/%EF%BC%8Fevil"),
            ("/a\u{2028}", "/a%E2%80%A8"),
        ] {
            assert_eq!(parsed(spelled).as_deref(), Some(written), "{spelled:?}");
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
            "/a\u{85}b",
            "/a\u{7f}",
            "/.//evil",
            "/..//evil",
            "/%2e//evil",
            "/a/..//evil",
            "/a/b/../..//evil",
            "/a\\b",
            "/%5cevil",
            "/%2f%2fevil",
            "/%2Fevil",
            "/%252fevil",
            "/./%2fevil",
            "/%25255Cevil",
            "\u{0}/",
        ] {
            assert_eq!(ReturnPath::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_length_is_limited_as_it_is_written() {
        let long = format!("/{}", "a".repeat(MAX_RETURN - 1));
        assert_eq!(parsed(&long).as_deref(), Some(long.as_str()));
        assert_eq!(parsed(&format!("{long}a")), None);
        assert_eq!(parsed(&format!("/{}", "é".repeat(2000))), None);
    }
}
