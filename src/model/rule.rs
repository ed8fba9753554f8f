//! Rules: which paths require what of their users.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderName, Method};
use ipnet::IpNet;
use memchr::memmem;

use super::path_segments::SegmentKey;

/// Who may access a path (`docs/reference/request-handling.md#rules`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody. Credentials are not checked, and no identity is forwarded.
    Public,
    /// Everybody. The identity is forwarded where the credentials prove one.
    Optional,
    /// Authenticated users, with one of the rule's roles.
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

/// What an unauthenticated request for a `required` path gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnauthenticatedAction {
    /// A redirect to the login page for navigations, `401` for everything else.
    #[default]
    Auto,
    /// Always a redirect to the login page.
    Redirect,
    /// Always `401`, never a redirect.
    Status,
}

/// A path pattern: `/a` matches only itself, `/a/*` matches `/a`, `/a/` and everything beneath.
/// Elsewhere `*` stands for a part of one segment that is not empty: `/feeds/*.json`,
/// `/repos/*/info/refs`. Case-sensitive, compared with the path that was percent-decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Arc<str>,
    /// The text without `/*`, where the pattern ends so.
    stem: Option<String>,
    /// Whether a `*` occurs elsewhere than as the last segment.
    has_inner_star: bool,
    key: Option<SegmentKey>,
}

/// What is wrong with the text of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not start with `/`.
    NotAbsolute,
    /// It holds `**`. Neither meaning of `*` can be repeated, and in other programs `**` stands for
    /// several segments.
    DoubleStar,
    /// It can match no request: it holds `//`, a dot segment, `\`, a query, a fragment or a control
    /// character.
    NeverMatches,
}

impl Pattern {
    /// Parses a pattern of the configuration.
    ///
    /// # Errors
    /// [`PatternError`] where the text is not a pattern, or one that no request can match.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        let stem = text.strip_suffix("/*");
        let body = stem.unwrap_or(text);
        if text.contains("**") {
            return Err(PatternError::DoubleStar);
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
            has_inner_star: body.contains('*'),
            key: SegmentKey::of(body),
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// A segment that every path has that the pattern matches.
    #[must_use]
    pub fn key(&self) -> Option<SegmentKey> {
        self.key
    }

    /// Whether the pattern matches `path`, percent-decoded once.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        if self.has_inner_star {
            return self.matches_by_segment(path);
        }
        match &self.stem {
            None => path == self.text.as_bytes(),
            Some(stem) => match path.strip_prefix(stem.as_bytes()) {
                Some(rest) => rest.is_empty() || rest.first() == Some(&b'/'),
                None => false,
            },
        }
    }

    fn matches_by_segment(&self, path: &[u8]) -> bool {
        let body = self.stem.as_deref().unwrap_or(&self.text);
        let mut segments = path.split(|byte| *byte == b'/');
        let is_matched = body.split('/').all(|pattern| {
            segments
                .next()
                .is_some_and(|segment| matches_segment(pattern, segment))
        });
        is_matched && (self.stem.is_some() || segments.next().is_none())
    }

    /// Whether this pattern matches every path that `other` matches. A `*` inside `other` is
    /// matched as a character that only a `*` stands for.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.stem, &other.stem) {
            (_, None) => self.matches(other.text.as_bytes()),
            (None, Some(_)) => false,
            (Some(_), Some(theirs)) => self.matches(theirs.as_bytes()),
        }
    }
}

/// Whether `pattern` matches a segment. Each `*` stands for one byte or more.
fn matches_segment(pattern: &str, segment: &[u8]) -> bool {
    let mut literals = pattern.split('*').map(str::as_bytes);
    let Some(rest) = literals
        .next()
        .and_then(|first| segment.strip_prefix(first))
    else {
        return false;
    };
    let Some(last) = literals.next_back() else {
        return rest.is_empty();
    };
    let Some(mut rest) = rest.strip_suffix(last) else {
        return false;
    };
    for literal in literals {
        let Some(after_star) = rest.get(1..) else {
            return false;
        };
        let Some(at) = memmem::find(after_star, literal) else {
            return false;
        };
        rest = after_star.get(at + literal.len()..).unwrap_or_default();
    }
    !rest.is_empty()
}

/// What the conditions of rules are checked against: who sends a request, and which of the headers
/// that [rules name](Rule::header) it has.
#[derive(Clone, Copy, Debug)]
pub struct RuleClient<'a> {
    /// The client's address, as far as proxies are trusted.
    pub address: IpAddr,
    /// The headers that the request has, of those that a rule of the site names.
    pub headers: &'a [HeaderName],
}

/// A client of no known address and without any header.
impl Default for RuleClient<'_> {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            headers: &[],
        }
    }
}

/// A rule of a site. The first rule that matches a request applies.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The paths that the rule applies to.
    pub pattern: Pattern,
    /// The methods that the rule applies to; empty for every method. A request with another method
    /// is matched with later rules.
    pub methods: Vec<Method>,
    /// The networks of which one must contain the client's address; empty for every address. A
    /// request from elsewhere is matched with later rules.
    pub from: Vec<IpNet>,
    /// The header that a request must have, whatever its value. A request without it is matched
    /// with later rules.
    pub header: Option<HeaderName>,
    /// Who may access the paths.
    pub access: Access,
    /// The roles of which a user needs at least one, with `required`; empty where none is needed.
    pub roles: Vec<String>,
    /// What an unauthenticated request gets, with `required`.
    pub unauthenticated: UnauthenticatedAction,
    /// Whether clients without a form may present Basic credentials; `None` for the site's setting.
    pub basic: Option<bool>,
}

impl Rule {
    /// Whether the rule applies to `method` on `path`, percent-decoded once, of this client.
    #[must_use]
    pub fn matches(&self, method: &Method, path: &[u8], client: RuleClient<'_>) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && self.pattern.matches(path)
            && (self.from.is_empty() || self.from.iter().any(|net| net.contains(&client.address)))
            && self
                .header
                .as_ref()
                .is_none_or(|name| client.headers.contains(name))
    }

    /// Whether this rule applies to every request that `other` applies to.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let has_methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other
                    .methods
                    .iter()
                    .all(|method| self.methods.contains(method)));
        let has_addresses = self.from.is_empty()
            || (!other.from.is_empty()
                && other
                    .from
                    .iter()
                    .all(|net| self.from.iter().any(|wider| wider.contains(net))));
        let has_header = self.header.is_none() || self.header == other.header;
        has_methods && has_addresses && has_header && self.pattern.covers(&other.pattern)
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
    fn a_wildcard_pattern_matches_its_stem_and_everything_beneath() {
        for path in [&b"/a"[..], b"/a/", b"/a/b", b"/a/b/c"] {
            assert!(pattern("/a/*").matches(path));
        }
        assert!(!pattern("/a/*").matches(b"/ab"));
        assert!(pattern("/*").matches(b"/"));
        assert!(pattern("/*").matches(b"/anything/at/all"));
    }

    #[test]
    fn a_star_elsewhere_stands_for_a_part_of_one_segment() {
        for (text, matched, others) in [
            (
                "/repos/*/info/refs",
                &["/repos/a/info/refs", "/repos/a.git;x/info/refs"][..],
                &[
                    "/repos//info/refs",
                    "/repos/info/refs",
                    "/repos/a/b/info/refs",
                    "/repos/a/info/refs/",
                    "/repos/a/info/refsx",
                ][..],
            ),
            (
                "/feeds/*.json",
                &["/feeds/a.json", "/feeds/.json.json"],
                &[
                    "/feeds/.json",
                    "/feeds/a/b.json",
                    "/feeds/a.json/x",
                    "/feeds/a.jsonx",
                ],
            ),
            ("/a*", &["/ab", "/a*"], &["/a", "/a/b", "/ab/", "/b"]),
            ("/*", &["/", "/a", "/a/b"], &[]),
            (
                "/u/*/*",
                &["/u/a", "/u/a/", "/u/a/b/c"],
                &["/u", "/u/", "/u//b"],
            ),
            (
                "/v*.*.*-x/y",
                &["/v1.2.3-x/y", "/v1..2.3-x/y", "/v..x..-x-x/y"],
                &[
                    "/v1.2.-x/y",
                    "/v1.2-x/y",
                    "/v1.2.3-x/z",
                    "/v.1.2-x/y",
                    "/v-x/y",
                ],
            ),
        ] {
            for path in matched {
                assert!(pattern(text).matches(path.as_bytes()), "{text} {path}");
            }
            for path in others {
                assert!(!pattern(text).matches(path.as_bytes()), "{text} {path}");
            }
        }
    }

    #[test]
    fn a_pattern_that_no_request_can_match_is_refused() {
        assert_eq!(Pattern::parse("a"), Err(PatternError::NotAbsolute));
        for text in ["/a**", "/**", "/**/b", "/a/**/b"] {
            assert_eq!(
                Pattern::parse(text),
                Err(PatternError::DoubleStar),
                "{text}"
            );
        }
        for text in ["//a", "/a/../b", "/a?b", "/a#b", "/a\\b", "/."] {
            assert_eq!(
                Pattern::parse(text),
                Err(PatternError::NeverMatches),
                "{text}"
            );
        }
    }

    fn rule(from: &[&str], header: Option<&'static str>) -> Rule {
        Rule {
            pattern: pattern("/a"),
            methods: Vec::new(),
            from: from.iter().map(|net| net.parse().unwrap()).collect(),
            header: header.map(HeaderName::from_static),
            access: Access::Public,
            roles: Vec::new(),
            unauthenticated: UnauthenticatedAction::Auto,
            basic: None,
        }
    }

    #[test]
    fn all_conditions_of_a_rule_must_hold() {
        let key = [HeaderName::from_static("x-api-key")];
        let matches = |rule: &Rule, address: &str, headers| {
            let address = address.parse().unwrap();
            rule.matches(&Method::GET, b"/a", RuleClient { address, headers })
        };
        let inside = rule(&["10.0.0.0/8", "fd00::/8"], None);
        for (address, expected) in [("10.1.2.3", true), ("fd00::1", true), ("11.0.0.1", false)] {
            assert_eq!(matches(&inside, address, &[]), expected, "{address}");
        }
        let keyed = rule(&[], Some("x-api-key"));
        assert!(matches(&keyed, "1.1.1.1", &key));
        assert!(!matches(&keyed, "1.1.1.1", &[]));
        let both = rule(&["10.0.0.0/8"], Some("x-api-key"));
        assert!(matches(&both, "10.0.0.1", &key));
        assert!(!matches(&both, "10.0.0.1", &[]));
        assert!(!matches(&both, "1.1.1.1", &key));
    }

    #[test]
    fn a_rule_covers_another_whose_conditions_are_narrower() {
        let any = rule(&[], None);
        let (wide, narrow) = (rule(&["10.0.0.0/8"], None), rule(&["10.1.0.0/16"], None));
        let keyed = rule(&[], Some("x-api-key"));
        assert!(any.covers(&narrow) && any.covers(&keyed) && any.covers(&any));
        assert!(wide.covers(&narrow) && keyed.covers(&rule(&["10.0.0.0/8"], Some("x-api-key"))));
        assert!(!narrow.covers(&wide) && !wide.covers(&any) && !keyed.covers(&any));
        assert!(!keyed.covers(&rule(&[], Some("x-other"))) && !wide.covers(&keyed));
    }

    #[test]
    fn a_pattern_covers_another_that_matches_fewer_paths() {
        assert!(pattern("/*").covers(&pattern("/a")));
        assert!(pattern("/a/*").covers(&pattern("/a")));
        assert!(pattern("/a/*").covers(&pattern("/a/b/*")));
        assert!(!pattern("/a").covers(&pattern("/a/*")));
        assert!(!pattern("/a/*").covers(&pattern("/ab/*")));
        assert!(pattern("/*").covers(&pattern("/a/*/b")));
        assert!(pattern("/a/*/*").covers(&pattern("/a/b*/c")));
        assert!(pattern("/*/b").covers(&pattern("/a*c/b")));
        assert!(pattern("/*.json").covers(&pattern("/a.*.json")));
        assert!(!pattern("/a/*/*").covers(&pattern("/a/*")));
        assert!(!pattern("/a/*.json").covers(&pattern("/a/*")));
        assert!(!pattern("/a*/b").covers(&pattern("/*/b")));
    }
}
