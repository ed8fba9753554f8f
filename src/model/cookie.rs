//! The gateway's cookies: read from a request, written to a response, kept from the upstream
//! (`docs/reference/cookies.md`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cookie::{Cookie, SameSite};

use super::timestamp::Timestamp;

/// The longest value one cookie carries, in bytes; browsers stop at 4096 with name and attributes.
pub const MAX_CHUNK: usize = 3900;
/// The most that the access and refresh values may take together, in bytes.
pub const MAX_CHUNKED_TOTAL: usize = 7500;
/// More pieces than the budget can fill are not ours.
const MAX_CHUNKS: usize = 8;

/// Which of the gateway's cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieKind {
    /// The provider's JWT, as issued.
    Access,
    /// The sealed refresh token.
    Refresh,
    /// The session id.
    Session,
    /// The binding of the sign-in form.
    Form,
    /// What the browser is known by where accounts signed in before.
    Device,
}

impl CookieKind {
    /// All five, in the order of [`CookieNames`].
    pub const ALL: [Self; 5] = [
        Self::Access,
        Self::Refresh,
        Self::Session,
        Self::Form,
        Self::Device,
    ];
}

/// The cookie names of one site and whether they are `Secure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    /// Default `vestibule-access`, on https with `__Host-` in front; likewise the others.
    pub access: String,
    /// The sealed refresh token's.
    pub refresh: String,
    /// The session id's.
    pub session: String,
    /// The sign-in form's.
    pub form: String,
    /// The device's.
    pub device: String,
    /// Whether the site's origin is https.
    pub secure: bool,
    /// Whether FusionAuth's single-page SDKs read them: then [`EXPIRY_COOKIE`] goes with the access token.
    pub hosted_backend: bool,
}

/// For scripts to read, at a site with a hosted backend: the second in which the access token ends.
pub const EXPIRY_COOKIE: &str = "app.at_exp";
/// The gateway's name at such a site too, although it never sets it: no sign-in brings an id token.
pub const ID_TOKEN_COOKIE: &str = "app.idt";

impl CookieNames {
    /// The names where the operator chose none.
    #[must_use]
    pub fn defaults(secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        let name = |what: &str| format!("{prefix}vestibule-{what}");
        let (access, refresh) = (name("access"), name("refresh"));
        let (session, form, device) = (name("session"), name("form"), name("device"));
        Self {
            access,
            refresh,
            session,
            form,
            device,
            secure,
            hosted_backend: false,
        }
    }

    /// The names at a site with a hosted backend: two of them FusionAuth's.
    #[must_use]
    pub fn for_hosted_backend(secure: bool) -> Self {
        Self {
            access: "app.at".into(),
            refresh: "app.rt".into(),
            hosted_backend: true,
            ..Self::defaults(secure)
        }
    }

    /// The name of one of them.
    #[must_use]
    pub fn name(&self, kind: CookieKind) -> &str {
        match kind {
            CookieKind::Access => &self.access,
            CookieKind::Refresh => &self.refresh,
            CookieKind::Session => &self.session,
            CookieKind::Form => &self.form,
            CookieKind::Device => &self.device,
        }
    }

    /// Whose cookie `name` is, and which piece of it; `None` for a cookie that is not the
    /// gateway's.
    fn classify(&self, name: &[u8]) -> Option<(CookieKind, Option<usize>)> {
        // Names are told apart by their length first: most are neither of the two that one of ours
        // can have.
        let of_length =
            |kind: &CookieKind| matches!(name.len().wrapping_sub(self.name(*kind).len()), 0 | 2);
        CookieKind::ALL
            .into_iter()
            .filter(of_length)
            .find_map(
                |kind| match name.strip_prefix(self.name(kind).as_bytes())? {
                    [] => Some((kind, None)),
                    [b'.', digit @ b'0'..=b'9'] => Some((kind, Some(usize::from(digit - b'0')))),
                    _ => None,
                },
            )
    }

    /// Whether the gateway manages a cookie of this name: such a one is not sent upstream, nor
    /// taken from there.
    #[must_use]
    pub fn manages(&self, name: &str) -> bool {
        is_managed(self, name.as_bytes())
    }

    /// The name, where it is one of those that stand beside the five and prove nothing.
    fn sdk_cookie(&self, name: &[u8]) -> Option<&'static str> {
        [EXPIRY_COOKIE, ID_TOKEN_COOKIE]
            .into_iter()
            .find(|companion| self.hosted_backend && companion.as_bytes() == name)
    }
}

/// One of the gateway's cookies as a request carries it. `Debug` keeps the value to itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum PresentedCookie<'a> {
    /// Not there, or not usable.
    #[default]
    Absent,
    /// There, once.
    Single(Cow<'a, str>),
    /// There more than once: nobody can say which is the visitor's, so it counts as none.
    Duplicate,
}

impl fmt::Debug for PresentedCookie<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Absent => "Absent",
            Self::Single(_) => "Single",
            Self::Duplicate => "Duplicate",
        })
    }
}

impl PresentedCookie<'_> {
    /// The value, where there is exactly one.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Single(value) => Some(value),
            Self::Absent | Self::Duplicate => None,
        }
    }
}

/// The gateway's cookies of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentedCookies<'a> {
    /// The JWT.
    pub access: PresentedCookie<'a>,
    /// The sealed refresh token.
    pub refresh: PresentedCookie<'a>,
    /// The session id.
    pub session: PresentedCookie<'a>,
    /// The sign-in form's binding.
    pub form: PresentedCookie<'a>,
    /// The sealed device: no credential, and opened by sign-ins only.
    pub device: PresentedCookie<'a>,
    /// Names of all gateway cookies that arrived, for clearing stale pieces.
    pub managed_names: Vec<&'a str>,
    /// What the application is sent in place of the fields: the cookies that are not the gateway's
    /// joined into one, byte for byte, UTF-8 or not; empty when nothing is left. `None` where the
    /// fields go on as they are.
    pub upstream_cookies: Option<Vec<u8>>,
}

#[derive(Default)]
struct Found<'a> {
    whole: Option<&'a str>,
    pieces: Vec<(usize, &'a str)>,
    ambiguous: bool,
}

impl<'a> Found<'a> {
    fn add(&mut self, piece: Option<usize>, value: &'a str) {
        match piece {
            None => self.ambiguous |= self.whole.replace(value).is_some(),
            Some(index) => {
                self.ambiguous |= self.pieces.iter().any(|(seen, _)| *seen == index);
                self.pieces.push((index, value));
            }
        }
    }

    fn assemble(mut self) -> PresentedCookie<'a> {
        if self.ambiguous || (self.whole.is_some() && !self.pieces.is_empty()) {
            return PresentedCookie::Duplicate;
        }
        if let Some(value) = self.whole {
            return PresentedCookie::Single(Cow::Borrowed(value));
        }
        self.pieces.sort_unstable_by_key(|(index, _)| *index);
        let gapless = self
            .pieces
            .iter()
            .enumerate()
            .all(|(at, (index, _))| at == *index);
        if self.pieces.is_empty() || !gapless {
            return PresentedCookie::Absent;
        }
        PresentedCookie::Single(Cow::Owned(
            self.pieces.iter().map(|(_, value)| *value).collect(),
        ))
    }
}

/// The name and value of one piece; what has no `=` has an empty name.
fn split(piece: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = piece.split_at(memchr::memchr(b'=', piece).unwrap_or_default());
    (
        name.trim_ascii(),
        value.strip_prefix(b"=").unwrap_or(value).trim_ascii(),
    )
}

/// What stands between the semicolons of one `Cookie` field, without what is empty.
fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b';', field).chain(std::iter::once(field.len()));
    let mut start = 0;
    ends.filter_map(move |end| {
        let piece = field.get(start..end).unwrap_or_default().trim_ascii();
        start = end + 1;
        (!piece.is_empty()).then_some(piece)
    })
}

impl<'a> PresentedCookies<'a> {
    /// Reads the gateway's cookies out of all `Cookie` fields of a request, in their order. One
    /// that is no UTF-8 counts as absent, and does not hide those beside it in its field.
    #[must_use]
    pub fn parse<F: AsRef<[u8]> + ?Sized + 'a>(
        names: &'a CookieNames,
        fields: impl Iterator<Item = &'a F>,
    ) -> Self {
        let mut found: [Found<'a>; 5] = Default::default();
        let (mut arrived, mut rest, mut of_ours, mut read) = (Vec::new(), Vec::new(), false, 0);
        for field in fields.map(AsRef::as_ref) {
            read += 1;
            for piece in pieces(field) {
                let (name, value) = split(piece);
                if let Some((kind, part)) = names.classify(name) {
                    of_ours = true;
                    let name = if part.is_none() {
                        Ok(names.name(kind))
                    } else {
                        std::str::from_utf8(name)
                    };
                    let (Ok(name), Ok(value)) = (name, std::str::from_utf8(value)) else {
                        continue;
                    };
                    arrived.push(name);
                    if let Some(slot) = found.get_mut(kind as usize) {
                        slot.add(
                            part,
                            value
                                .strip_prefix('"')
                                .and_then(|v| v.strip_suffix('"'))
                                .unwrap_or(value),
                        );
                    }
                } else if let Some(name) = names.sdk_cookie(name) {
                    of_ours = true;
                    arrived.push(name);
                } else {
                    if rest.is_empty() {
                        rest.reserve(field.len());
                    } else {
                        rest.extend_from_slice(b"; ");
                    }
                    rest.extend_from_slice(piece);
                }
            }
        }
        let [access, refresh, session, form, device] = found.map(Found::assemble);
        let rest = (of_ours || read > 1).then_some(rest);
        Self {
            access,
            refresh,
            session,
            form,
            device,
            managed_names: arrived,
            upstream_cookies: rest,
        }
    }

    /// Whether any credential arrived, usable or not.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        [&self.access, &self.refresh, &self.session]
            .into_iter()
            .any(|cookie| *cookie != PresentedCookie::Absent)
    }
}

/// Whether an upstream's `Set-Cookie` value would set one of the gateway's cookies, or one that
/// comes back as such: of `=name=value` browsers keep a cookie without a name and send its bare
/// value, `name=value` (RFC 6265bis, section 5.7).
#[must_use]
pub fn sets_managed(names: &CookieNames, set_cookie: &[u8]) -> bool {
    let pair = set_cookie.split(|b| *b == b';').next().unwrap_or_default();
    let signs = pair
        .iter()
        .take_while(|b| **b == b'=' || b.is_ascii_whitespace())
        .count();
    let kept = pair.get(signs..).unwrap_or_default();
    is_managed(names, kept.split(|b| *b == b'=').next().unwrap_or_default())
}

fn is_managed(names: &CookieNames, name: &[u8]) -> bool {
    let name = name.trim_ascii();
    names.classify(name).is_some() || names.sdk_cookie(name).is_some()
}

/// How long a cookie lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the browser ends.
    BrowserSession,
    /// This long.
    For(Duration),
}

impl Lifetime {
    const fn max_age(self) -> Option<Duration> {
        match self {
            Self::BrowserSession => None,
            Self::For(span) => Some(span),
        }
    }
}

/// The `Set-Cookie` values that give a cookie its new value: one, or one for each piece.
#[must_use]
pub fn set(names: &CookieNames, kind: CookieKind, value: &str, lifetime: Lifetime) -> Vec<String> {
    let name = names.name(kind);
    let age = lifetime.max_age();
    if value.len() <= MAX_CHUNK {
        return vec![line(names, name, value, age)];
    }
    let pieces = value
        .as_bytes()
        .chunks(MAX_CHUNK)
        .filter_map(|piece| std::str::from_utf8(piece).ok());
    pieces
        .enumerate()
        .map(|(at, piece)| line(names, &format!("{name}.{at}"), piece, age))
        .collect()
}

/// The `Set-Cookie` value that makes a browser forget the cookie of this name: every attribute
/// repeated, or some browsers keep it.
#[must_use]
pub fn clear(names: &CookieNames, name: &str) -> String {
    line(names, name, "", Some(Duration::ZERO))
}

/// The `Set-Cookie` value that tells scripts when the access token ends, in seconds since the Unix
/// epoch.
#[must_use]
pub fn expiry(names: &CookieNames, at: Timestamp, lifetime: Lifetime) -> String {
    line(
        names,
        EXPIRY_COOKIE,
        &at.secs().to_string(),
        lifetime.max_age(),
    )
}

fn line(names: &CookieNames, name: &str, value: &str, age: Option<Duration>) -> String {
    let hidden = name != EXPIRY_COOKIE;
    let mut cookie = Cookie::build((name, value))
        .path("/")
        .http_only(hidden)
        .same_site(SameSite::Lax);
    if names.secure {
        cookie = cookie.secure(true);
    }
    if let Some(age) = age {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
    }
    cookie.build().to_string()
}

/// The names under which `kind` was presented but that writing `value` does not overwrite: the
/// stale pieces.
#[must_use]
pub fn stale<'a>(
    names: &CookieNames,
    kind: CookieKind,
    presented: &[&'a str],
    value: &str,
) -> Vec<&'a str> {
    let pieces = if value.len() <= MAX_CHUNK {
        0
    } else {
        value.len().div_ceil(MAX_CHUNK).min(MAX_CHUNKS)
    };
    let mut stale: Vec<&str> = presented
        .iter()
        .copied()
        .filter(|name| match names.classify(name.as_bytes()) {
            Some((owner, piece)) => {
                owner == kind && piece.map_or(pieces > 0, |index| index >= pieces)
            }
            None => false,
        })
        .collect();
    stale.dedup();
    stale
}

#[cfg(test)]
mod tests;
