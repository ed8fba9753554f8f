//! The application's cookies that belong to one user (`forget`), and the owner cookie, which says
//! to whom (`docs/reference/cookies.md#application-cookies`).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::cookie_names::CookieNames;
use super::request_cookies::{pairs, split_pair};

/// The length of an owner's hash in the cookie, in base64url characters.
const HASH_CHARS: usize = 22;
/// The most scopes that one owner cookie holds. Of more, the oldest are dropped.
const MAX_SCOPES: usize = 16;
/// The longest name or path of a scope, in bytes. Cookies with longer ones are not recorded.
const MAX_PART: usize = 128;

/// The cookies that `forget` names, of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookiePatterns(Vec<CookiePattern>);

/// A cookie name, or names with a common beginning and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiePattern {
    /// The name, or its beginning.
    start: String,
    /// The end of the names, where the pattern has a `*`.
    end: Option<String>,
}

/// The hash of a user's `sub` at one site. It is not keyed: the owner cookie stands beside the
/// access token, which names the user, and tells no more than whose cookies these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerHash([u8; 16]);

/// Which cookie of a browser a `Set-Cookie` means (RFC 6265, section 5.3, step 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieScope {
    /// The name.
    pub name: String,
    /// The path.
    pub path: String,
    /// The domain; `None` for a cookie of the host alone.
    pub domain: Option<String>,
}

/// The content of the owner cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieOwner {
    /// Whose the application's cookies are.
    pub owner: OwnerHash,
    /// The cookies that the application has set for them.
    scopes: Vec<CookieScope>,
}

impl CookiePattern {
    /// Parses a name, in which one `*` may stand for any characters. `None` for what no cookie is
    /// called (RFC 6265, section 4.1.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (start, end) = match text.split_once('*') {
            Some((start, end)) => (start, Some(end)),
            None => (text, None),
        };
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~[]".contains(&b);
        let parts = [start, end.unwrap_or_default()];
        let is_name = parts.iter().all(|part| part.bytes().all(is_token));
        (is_name && !text.is_empty() && text.len() <= MAX_PART).then(|| Self {
            start: start.to_owned(),
            end: end.map(str::to_owned),
        })
    }

    /// Whether the pattern names this cookie.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        match (&self.end, name.strip_prefix(self.start.as_bytes())) {
            (_, None) => false,
            (None, Some(rest)) => rest.is_empty(),
            (Some(end), Some(rest)) => rest.ends_with(end.as_bytes()),
        }
    }
}

impl CookiePatterns {
    /// These patterns.
    #[must_use]
    pub const fn new(patterns: Vec<CookiePattern>) -> Self {
        Self(patterns)
    }

    /// Whether the site names no cookies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a pattern names this cookie.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// The named cookies of a request, each by its name.
    #[must_use]
    pub fn presented<'a, F: AsRef<[u8]> + ?Sized + 'a>(
        &self,
        names: &CookieNames,
        fields: impl Iterator<Item = &'a F>,
    ) -> Vec<&'a [u8]> {
        fields
            .flat_map(|field| pairs(field.as_ref()))
            .map(|pair| split_pair(pair).0)
            .filter(|name| self.matches(name) && names.classify(name).is_none())
            .collect()
    }

    /// The value of the `Cookie` field without the named cookies and the gateway's own.
    #[must_use]
    pub fn without<'a, F: AsRef<[u8]> + ?Sized + 'a>(
        &self,
        names: &CookieNames,
        fields: impl Iterator<Item = &'a F>,
    ) -> Vec<u8> {
        let kept = fields
            .flat_map(|field| pairs(field.as_ref()))
            .filter(|pair| {
                let (name, value) = split_pair(pair);
                // Of a pair without `=` programs take the value for the name.
                let is_named = self.matches(name) || (name.is_empty() && self.matches(value));
                !is_named && names.classify(name).is_none()
            });
        kept.collect::<Vec<_>>().join(&b"; "[..])
    }
}

impl OwnerHash {
    /// The hash of this user at this site.
    #[must_use]
    pub fn of(site: &str, sub: &str) -> Self {
        let hash = digest(
            &SHA256,
            format!("vestibule owner\0{site}\0{sub}").as_bytes(),
        );
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl CookieScope {
    /// What a `Set-Cookie` value means in the response to a request for `request_path`. `None`
    /// where it has no name, or one that is too long or not text.
    #[must_use]
    pub fn of_set_cookie(line: &[u8], request_path: &str) -> Option<Self> {
        let mut parts = line.split(|b| *b == b';');
        let pair = parts.next()?.trim_ascii_start();
        // Browsers drop the `=` before a name, see `set_cookie::sets_managed`.
        let leading = pair
            .iter()
            .take_while(|b| **b == b'=' || b.is_ascii_whitespace());
        let pair = pair.get(leading.count()..)?;
        let name = text(pair.split(|b| *b == b'=').next()?.trim_ascii())?;
        let (mut path, mut domain) = (None, None);
        for attribute in parts {
            let mut halves = attribute.splitn(2, |b| *b == b'=');
            let key = halves.next().unwrap_or_default().trim_ascii();
            let value = halves.next().unwrap_or_default().trim_ascii();
            if key.eq_ignore_ascii_case(b"path") {
                path = text(value).filter(|path| path.starts_with('/'));
            } else if key.eq_ignore_ascii_case(b"domain") {
                let value = value.strip_prefix(b".").unwrap_or(value);
                domain = text(value).map(str::to_ascii_lowercase);
            }
        }
        let path = path.unwrap_or_else(|| default_path(request_path));
        Some(Self {
            name: name.to_owned(),
            path: text(path.as_bytes())?.to_owned(),
            domain,
        })
    }

    /// Every scope that a cookie of this name may have which came with a request for `path`: each
    /// path that matches it, for the host alone and for each of its `domains`. Lazily: a path may
    /// have thousands of prefixes.
    pub fn candidates<'a>(
        name: &'a str,
        path: &'a str,
        domains: &'a [String],
    ) -> impl Iterator<Item = Self> + use<'a> {
        let slashes = path.match_indices('/').map(|(at, _)| at);
        let mut paths: Vec<&str> = slashes
            .flat_map(|at| [path.get(..at), path.get(..=at)])
            .flatten()
            .chain([path])
            .filter(|path| !path.is_empty())
            .collect();
        paths.dedup();
        let all_domains = std::iter::once(None).chain(domains.iter().map(Some));
        all_domains.flat_map(move |domain| {
            let paths = paths.clone();
            paths.into_iter().map(move |path| Self {
                name: name.to_owned(),
                path: path.to_owned(),
                domain: domain.cloned(),
            })
        })
    }
}

impl CookieOwner {
    /// The owner of a browser in which the application has set no cookie for them yet.
    #[must_use]
    pub const fn new(owner: OwnerHash) -> Self {
        let scopes = Vec::new();
        Self { owner, scopes }
    }

    /// Reads the owner alone, which most requests need and no more; `None` where the value is none
    /// of the gateway's.
    #[must_use]
    pub fn parse_owner(value: &str) -> Option<OwnerHash> {
        let (hash, rest) = value.split_at_checked(HASH_CHARS)?;
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(hash, &mut bytes).ok()?;
        let is_whole = length == bytes.len() && (rest.is_empty() || rest.starts_with('.'));
        is_whole.then_some(OwnerHash(bytes))
    }

    /// Reads the value of the cookie; `None` where it is none of the gateway's. What becomes part
    /// of a `Set-Cookie` field is checked: browsers send what they like.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let owner = Self::parse_owner(value)?;
        let Some((_, encoded)) = value.split_once('.') else {
            return Some(Self::new(owner));
        };
        let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
        let scopes = decoded.split('\n').map(|line| {
            let mut parts = line.split('\t');
            let (name, path, domain) = (parts.next()?, parts.next()?, parts.next()?);
            Some(CookieScope {
                name: text(name.as_bytes())?.to_owned(),
                path: text(path.as_bytes())
                    .filter(|path| path.starts_with('/'))?
                    .to_owned(),
                domain: text(domain.as_bytes()).map(str::to_owned),
            })
        });
        let scopes = scopes.take(MAX_SCOPES).collect::<Option<_>>()?;
        Some(Self { owner, scopes })
    }

    /// The value of the cookie.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut value = URL_SAFE_NO_PAD.encode(self.owner.0);
        if !self.scopes.is_empty() {
            let line = |scope: &CookieScope| {
                let domain = scope.domain.as_deref().unwrap_or_default();
                format!("{}\t{}\t{domain}", scope.name, scope.path)
            };
            let lines: Vec<String> = self.scopes.iter().map(line).collect();
            value.push('.');
            URL_SAFE_NO_PAD.encode_string(lines.join("\n"), &mut value);
        }
        value
    }

    /// The cookies that the application has set for the owner.
    #[must_use]
    pub fn scopes(&self) -> &[CookieScope] {
        &self.scopes
    }

    /// Records that the application has set this cookie.
    pub fn record(&mut self, scope: CookieScope) {
        if !self.scopes.contains(&scope) {
            if self.scopes.len() >= MAX_SCOPES {
                self.scopes.remove(0);
            }
            self.scopes.push(scope);
        }
    }
}

/// Text that can be a part of a `Set-Cookie` value, and is not too long.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<&str> {
    let is_plain = bytes.iter().all(|b| b.is_ascii_graphic() && *b != b';');
    let is_short = (1..=MAX_PART).contains(&bytes.len());
    std::str::from_utf8(bytes)
        .ok()
        .filter(|_| is_plain && is_short)
}

/// The path of a cookie without one (RFC 6265, section 5.1.4).
fn default_path(request_path: &str) -> &str {
    match request_path.rfind('/') {
        None | Some(0) => "/",
        Some(last) => request_path.get(..last).unwrap_or("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Scheme;

    fn patterns(texts: &[&str]) -> CookiePatterns {
        let parsed = texts.iter().map(|text| CookiePattern::parse(text).unwrap());
        CookiePatterns::new(parsed.collect())
    }

    fn scope(name: &str, path: &str, domain: Option<&str>) -> CookieScope {
        CookieScope {
            name: name.into(),
            path: path.into(),
            domain: domain.map(str::to_owned),
        }
    }

    #[test]
    fn a_pattern_is_a_name_or_has_one_star() {
        let named = patterns(&["sessionid", "wordpress_*", "a*z"]);
        for (name, matches) in [
            ("sessionid", true),
            ("sessionid2", false),
            ("SESSIONID", false),
            ("wordpress_", true),
            ("wordpress_logged_in_1", true),
            ("xwordpress_", false),
            ("az", true),
            ("abcz", true),
            ("a", false),
        ] {
            assert_eq!(named.matches(name.as_bytes()), matches, "{name}");
        }
        for bad in ["", "a b", "a=b", "a;b", "a*b*c", "ä", &"a".repeat(200)] {
            assert_eq!(CookiePattern::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn named_cookies_are_found_and_taken_out() {
        let forgotten = patterns(&["sid", "wp_*"]);
        let names = CookieNames::defaults(Scheme::Http);
        let fields = [
            &b"a=1; sid=2;wp_x=3"[..],
            b"vestibule-access=A; b=\xff; sid; wp_x=4",
        ];
        let found = forgotten.presented(&names, fields.iter().copied());
        assert_eq!(found, [&b"sid"[..], b"wp_x", b"wp_x"]);
        let rest = forgotten.without(&names, fields.iter().copied());
        assert_eq!(rest, b"a=1; b=\xff");
        // The gateway's own cookies are never the application's.
        let all = patterns(&["*"]);
        let found = all.presented(&names, fields.iter().copied());
        assert!(!found.contains(&&b"vestibule-access"[..]));
    }

    #[test]
    fn a_set_cookie_means_one_cookie() {
        for (line, path, expected) in [
            ("sid=1", "/", scope("sid", "/", None)),
            ("sid=1", "/a", scope("sid", "/", None)),
            ("sid=1; HttpOnly", "/a/b/c", scope("sid", "/a/b", None)),
            (" = sid =1;path=/x", "/a/b", scope("sid", "/x", None)),
            ("sid=1; Path=x; Path=/y", "/a/b", scope("sid", "/y", None)),
            ("sid=1; Path=/y; Path=", "/a/b", scope("sid", "/a", None)),
            (
                "sid=1; Domain=.Example.COM; Path=/",
                "/a",
                scope("sid", "/", Some("example.com")),
            ),
        ] {
            let found = CookieScope::of_set_cookie(line.as_bytes(), path);
            assert_eq!(found, Some(expected), "{line}");
        }
        for bad in ["", "=", "s\u{e9}=1", "a b=1"] {
            assert_eq!(
                CookieScope::of_set_cookie(bad.as_bytes(), "/"),
                None,
                "{bad}"
            );
        }
    }

    #[test]
    fn candidates_are_all_that_match_the_request() {
        let domains = ["example.com".into()];
        let found: Vec<_> = CookieScope::candidates("sid", "/a/b", &domains).collect();
        let paths = ["/", "/a", "/a/", "/a/b"];
        let host = paths.map(|path| scope("sid", path, None));
        let domain = paths.map(|path| scope("sid", path, Some("example.com")));
        assert_eq!(found, [host, domain].concat());
        let root: Vec<_> = CookieScope::candidates("sid", "/", &[]).collect();
        assert_eq!(root, [scope("sid", "/", None)]);
    }

    #[test]
    fn the_owner_cookie_is_read_as_it_was_written() {
        let ann = OwnerHash::of("store", "ann");
        assert_ne!(ann, OwnerHash::of("store", "bob"));
        assert_ne!(ann, OwnerHash::of("forum", "ann"));
        let mut owner = CookieOwner::new(ann);
        assert_eq!(CookieOwner::parse(&owner.encode()), Some(owner.clone()));
        for number in 0..20 {
            let domain = (number % 2 == 0).then_some("example.com");
            owner.record(scope("sid", &format!("/{number}"), domain));
            owner.record(scope("sid", &format!("/{number}"), domain));
        }
        assert_eq!(owner.scopes().len(), MAX_SCOPES);
        assert_eq!(owner.scopes()[0].path, "/4");
        let value = owner.encode();
        assert_eq!(CookieOwner::parse(&value), Some(owner));
        assert_eq!(CookieOwner::parse_owner(&value), Some(ann));
    }

    #[test]
    fn an_owner_cookie_of_a_browsers_own_makes_no_other_set_cookie() {
        let hash = "A".repeat(HASH_CHARS);
        for text in [
            "sid\t/;Domain=x\t",
            "sid\tx\t",
            "s;id\t/\t",
            "sid\t/",
            "sid\t/\r\n\t",
            "",
        ] {
            let value = format!("{hash}.{}", URL_SAFE_NO_PAD.encode(text));
            assert_eq!(CookieOwner::parse(&value), None, "{text:?}");
        }
        for bad in ["", "A", &"A".repeat(HASH_CHARS + 1), &format!("{hash}.?")] {
            assert_eq!(CookieOwner::parse(bad), None, "{bad}");
        }
    }
}
