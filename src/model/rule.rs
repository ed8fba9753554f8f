//! What a path asks of its visitors.

use std::sync::Arc;

use http::Method;

/// What a visitor must be to pass (`docs/reference/request-handling.md#rules`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Credentials are not looked at, no identity is forwarded.
    Public,
    /// An identity is forwarded when there is one.
    Optional,
    /// Only for the signed in.
    Required,
}

impl Access {
    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// What the signed-out visitor of a `required` path gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnauthenticatedAction {
    /// A redirect for navigations, a status for everything else.
    #[default]
    Auto,
    /// Always the redirect to the sign-in form.
    Redirect,
    /// Always `401`.
    Status,
}

/// A path pattern: `/a` matches only itself, `/a/*` matches `/a`, `/a/` and all beneath.
/// Case-sensitive, compared with the once-percent-decoded path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Arc<str>,
    /// The text without `/*`, when the pattern ends so.
    stem: Option<String>,
}

/// What is wrong with the text of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not start with `/`.
    NotAbsolute,
    /// A `*` stands elsewhere than as the last segment.
    MisplacedStar,
    /// It can never match: `//`, a dot segment, a query, a fragment or a control character.
    NeverMatches,
}

impl Pattern {
    /// Reads a pattern as written in the configuration.
    ///
    /// # Errors
    /// The [`PatternError`] when the text is not a pattern, or one that no request could ever meet.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        let stem = text.strip_suffix("/*");
        let body = stem.unwrap_or(text);
        if body.contains('*') {
            return Err(PatternError::MisplacedStar);
        }
        let unreachable = body.contains("//")
            || body
                .split('/')
                .any(|segment| segment == "." || segment == "..")
            || body
                .chars()
                .any(|c| c.is_control() || matches!(c, '?' | '#' | '\\'));
        if unreachable {
            return Err(PatternError::NeverMatches);
        }
        Ok(Self {
            text: text.into(),
            stem: stem.map(str::to_owned),
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether `path`, once percent-decoded, is covered.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.stem {
            None => path == self.text.as_bytes(),
            Some(stem) => match path.strip_prefix(stem.as_bytes()) {
                Some(rest) => rest.is_empty() || rest.first() == Some(&b'/'),
                None => false,
            },
        }
    }

    /// Whether every path that `other` matches is matched by this pattern too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.stem, &other.stem) {
            (None, None) => self.text == other.text,
            (None, Some(_)) => false,
            (Some(_), None) => self.matches(other.text.as_bytes()),
            (Some(_), Some(theirs)) => self.matches(theirs.as_bytes()),
        }
    }
}

/// One line of a site's policy. The first rule that matches counts.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The paths it speaks of.
    pub pattern: Pattern,
    /// The methods it speaks of; empty means every method, others fall through to later rules.
    pub methods: Vec<Method>,
    /// What it asks for.
    pub access: Access,
    /// With `required`: at least one of these; empty asks for no role.
    pub roles: Vec<String>,
    /// What the signed-out visitor gets.
    pub unauthenticated: UnauthenticatedAction,
}

impl Rule {
    /// Whether this rule speaks of `method` on `path` (once percent-decoded).
    #[must_use]
    pub fn matches(&self, method: &Method, path: &[u8]) -> bool {
        (self.methods.is_empty() || self.methods.contains(method)) && self.pattern.matches(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    #[test]
    fn an_exact_pattern_matches_only_itself() {
        assert!(pattern("/a").matches(b"/a"));
        for path in [&b"/a/"[..], b"/A", b"/ab", b"/", b"/a/b"] {
            assert!(!pattern("/a").matches(path));
        }
    }

    #[test]
    fn a_starred_pattern_matches_its_stem_and_all_beneath() {
        for path in [&b"/a"[..], b"/a/", b"/a/b", b"/a/b/c"] {
            assert!(pattern("/a/*").matches(path));
        }
        assert!(!pattern("/a/*").matches(b"/ab"));
        assert!(pattern("/*").matches(b"/"));
        assert!(pattern("/*").matches(b"/anything/at/all"));
    }

    #[test]
    fn what_no_request_could_meet_is_no_pattern() {
        assert_eq!(Pattern::parse("a"), Err(PatternError::NotAbsolute));
        assert_eq!(Pattern::parse("/a*"), Err(PatternError::MisplacedStar));
        assert_eq!(Pattern::parse("/*/b"), Err(PatternError::MisplacedStar));
        for text in ["//a", "/a/../b", "/a?b", "/a#b", "/a\\b", "/."] {
            assert_eq!(
                Pattern::parse(text),
                Err(PatternError::NeverMatches),
                "{text}"
            );
        }
    }

    #[test]
    fn covering_is_about_every_path() {
        assert!(pattern("/*").covers(&pattern("/a")));
        assert!(pattern("/a/*").covers(&pattern("/a")));
        assert!(pattern("/a/*").covers(&pattern("/a/b/*")));
        assert!(!pattern("/a").covers(&pattern("/a/*")));
        assert!(!pattern("/a/*").covers(&pattern("/ab/*")));
    }
}
