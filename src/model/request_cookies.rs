//! The cookies of a request: the gateway's own, and what is sent upstream in their place.

use std::borrow::Cow;
use std::fmt;

use super::cookie_names::{CookieNames, ManagedCookie};

/// One of the gateway's cookies, as a request presents it. `Debug` prints no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum PresentedCookie<'a> {
    /// It is not there, or its chunks are incomplete.
    #[default]
    Absent,
    /// It is there once.
    Single(Cow<'a, str>),
    /// It is there more than once. Nothing tells which of them is the user's, so it has no value.
    Duplicate,
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

impl fmt::Debug for PresentedCookie<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Absent => "Absent",
            Self::Single(_) => "Single",
            Self::Duplicate => "Duplicate",
        })
    }
}

/// The cookie of a login by redirect. `Debug` prints no value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedRedirectLogin<'a> {
    /// The id of the login.
    pub id: &'a str,
    /// The sealed login.
    pub value: &'a str,
}

impl fmt::Debug for PresentedRedirectLogin<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PresentedRedirectLogin")
    }
}

/// The cookies of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentedCookies<'a> {
    /// The access cookie: the JWT.
    pub access: PresentedCookie<'a>,
    /// The refresh cookie: the sealed refresh token.
    pub refresh: PresentedCookie<'a>,
    /// The session cookie: the session id.
    pub session: PresentedCookie<'a>,
    /// The form cookie, which CSRF tokens are made from.
    pub form: PresentedCookie<'a>,
    /// The device cookie. It is no credential; only logins open it.
    pub device: PresentedCookie<'a>,
    /// The owner cookie: whose the application's cookies are.
    pub owner: PresentedCookie<'a>,
    /// The language cookie: in which language the user wants the gateway's pages.
    pub language: PresentedCookie<'a>,
    /// The cookies of logins by redirect that are under way.
    pub redirect_logins: Vec<PresentedRedirectLogin<'a>>,
    /// The names of the application's cookies that `forget` names. Empty at a site without it.
    pub forgettable: Vec<&'a [u8]>,
    /// The names of all managed cookies that were presented, chunks included, so that stale chunks
    /// can be cleared.
    pub managed_names: Vec<&'a str>,
    /// The value of the one `Cookie` field that is sent upstream in place of the request's: the
    /// cookies that are not the gateway's, byte for byte, UTF-8 or not. Empty where none is left.
    /// `None` where the request's fields are sent unchanged.
    pub upstream_cookies: Option<Vec<u8>>,
}

impl<'a> PresentedCookies<'a> {
    /// Reads all `Cookie` fields of a request, in their order. A managed cookie that is not UTF-8
    /// counts as absent; the cookies beside it are still read.
    #[must_use]
    pub fn parse<F: AsRef<[u8]> + ?Sized + 'a>(
        names: &'a CookieNames,
        fields: impl Iterator<Item = &'a F>,
    ) -> Self {
        let mut collected: [Collected<'a>; 7] = Default::default();
        let (mut managed_names, mut upstream) = (Vec::new(), Vec::new());
        let (mut any_managed, mut field_count) = (false, 0);
        let mut redirect_logins = Vec::new();
        for field in fields.map(AsRef::as_ref) {
            field_count += 1;
            for pair in pairs(field) {
                let (name, value) = split_pair(pair);
                match names.classify(name) {
                    Some(ManagedCookie::Own(kind, chunk)) => {
                        any_managed = true;
                        let name = match chunk {
                            None => Ok(names.name(kind)),
                            Some(_) => std::str::from_utf8(name),
                        };
                        let (Ok(name), Ok(value)) = (name, std::str::from_utf8(value)) else {
                            continue;
                        };
                        managed_names.push(name);
                        if let Some(collected) = collected.get_mut(kind as usize) {
                            collected.add(chunk, unquoted(value));
                        }
                    }
                    Some(ManagedCookie::RedirectLogin) => {
                        any_managed = true;
                        redirect_logins.extend(redirect_login(names, name, value));
                    }
                    Some(ManagedCookie::Sdk(name)) => {
                        any_managed = true;
                        managed_names.push(name);
                    }
                    None => {
                        if upstream.is_empty() {
                            upstream.reserve(field.len());
                        } else {
                            upstream.extend_from_slice(b"; ");
                        }
                        upstream.extend_from_slice(pair);
                    }
                }
            }
        }
        let [access, refresh, session, form, device, owner, language] =
            collected.map(Collected::assemble);
        Self {
            access,
            refresh,
            session,
            form,
            device,
            owner,
            language,
            redirect_logins,
            forgettable: Vec::new(),
            managed_names,
            upstream_cookies: (any_managed || field_count > 1).then_some(upstream),
        }
    }

    /// Whether a cookie of the gateway's was presented that only browsers get, usable or not. The
    /// owner cookie is none: it also goes to programs that keep the application's cookies.
    #[must_use]
    pub fn has_any(&self) -> bool {
        let others = [&self.form, &self.device];
        self.has_credential()
            || !self.redirect_logins.is_empty()
            || others
                .iter()
                .any(|cookie| **cookie != PresentedCookie::Absent)
    }

    /// The sealed login by redirect with this id. One that is there twice counts as absent.
    #[must_use]
    pub fn redirect_login(&self, id: &str) -> Option<&'a str> {
        let mut found = self.redirect_logins.iter().filter(|login| login.id == id);
        let login = found.next()?;
        found.next().is_none().then_some(login.value)
    }

    /// Whether any credential cookie was presented, usable or not.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        [&self.access, &self.refresh, &self.session]
            .into_iter()
            .any(|cookie| *cookie != PresentedCookie::Absent)
    }
}

/// Reads the cookie of a login by redirect.
fn redirect_login<'a>(
    names: &CookieNames,
    name: &'a [u8],
    value: &'a [u8],
) -> Option<PresentedRedirectLogin<'a>> {
    Some(PresentedRedirectLogin {
        id: std::str::from_utf8(names.redirect_login_id(name)?).ok()?,
        value: unquoted(std::str::from_utf8(value).ok()?),
    })
}

/// What was read of one cookie so far.
#[derive(Default)]
struct Collected<'a> {
    whole: Option<&'a str>,
    /// Index and value of each chunk.
    chunks: Vec<(usize, &'a str)>,
    is_duplicate: bool,
}

impl<'a> Collected<'a> {
    fn add(&mut self, chunk: Option<usize>, value: &'a str) {
        match chunk {
            None => self.is_duplicate |= self.whole.replace(value).is_some(),
            Some(index) => {
                self.is_duplicate |= self.chunks.iter().any(|(seen, _)| *seen == index);
                self.chunks.push((index, value));
            }
        }
    }

    fn assemble(mut self) -> PresentedCookie<'a> {
        if self.is_duplicate || (self.whole.is_some() && !self.chunks.is_empty()) {
            return PresentedCookie::Duplicate;
        }
        if let Some(value) = self.whole {
            return PresentedCookie::Single(Cow::Borrowed(value));
        }
        self.chunks.sort_unstable_by_key(|(index, _)| *index);
        let is_complete = self
            .chunks
            .iter()
            .enumerate()
            .all(|(at, (index, _))| at == *index);
        if self.chunks.is_empty() || !is_complete {
            return PresentedCookie::Absent;
        }
        PresentedCookie::Single(Cow::Owned(
            self.chunks.iter().map(|(_, value)| *value).collect(),
        ))
    }
}

/// The pairs of one `Cookie` field, without empty ones.
pub(super) fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b';', field).chain(std::iter::once(field.len()));
    let mut start = 0;
    ends.filter_map(move |end| {
        let pair = field.get(start..end).unwrap_or_default().trim_ascii();
        start = end + 1;
        (!pair.is_empty()).then_some(pair)
    })
}

/// The name and value of one pair. A pair without `=` has an empty name.
pub(super) fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = pair.split_at(memchr::memchr(b'=', pair).unwrap_or_default());
    (
        name.trim_ascii(),
        value.strip_prefix(b"=").unwrap_or(value).trim_ascii(),
    )
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Scheme;

    fn names() -> CookieNames {
        CookieNames::defaults(Scheme::Https)
    }

    fn parse<'a>(names: &'a CookieNames, fields: &[&'a str]) -> PresentedCookies<'a> {
        PresentedCookies::parse(names, fields.iter().copied())
    }

    #[test]
    fn cookies_are_read_from_one_field_or_many_alike() {
        let names = names();
        let one = ["a=1; __Host-vestibule-access=A; __Host-vestibule-refresh=R"];
        let many = [
            "a=1",
            "__Host-vestibule-access=A",
            "__Host-vestibule-refresh=R",
        ];
        assert_eq!(parse(&names, &one), parse(&names, &many));
        assert_eq!(parse(&names, &one).access.value(), Some("A"));
    }

    #[test]
    fn a_duplicate_has_no_value() {
        let names = names();
        for pairs in [
            "__Host-vestibule-access=A; __Host-vestibule-access=B",
            "__Host-vestibule-access=A; __Host-vestibule-access.0=B",
        ] {
            let cookies = parse(&names, &[pairs]);
            assert_eq!(cookies.access, PresentedCookie::Duplicate, "{pairs}");
        }
    }

    #[test]
    fn chunks_are_joined_in_order_and_only_when_complete() {
        let names = names();
        let out_of_order = parse(
            &names,
            &["__Host-vestibule-access.1=B; __Host-vestibule-access.0=A"],
        );
        assert_eq!(out_of_order.access.value(), Some("AB"));
        assert_eq!(
            parse(&names, &["__Host-vestibule-access.1=B"]).access,
            PresentedCookie::Absent
        );
    }

    #[test]
    fn logins_by_redirect_are_found_by_their_id() {
        let names = names();
        let field = "__Host-vestibule-login-AAAAAAAAAAAA=one; __Host-vestibule-login-BBBBBBBBBBBB=two; \
                     __Host-vestibule-login-BBBBBBBBBBBB=x; __Host-vestibule-login-AAAA=y; \
                     __Host-vestibule-login=z; a=1";
        let cookies = parse(&names, &[field]);
        assert_eq!(cookies.redirect_login("AAAAAAAAAAAA"), Some("one"));
        assert_eq!(cookies.redirect_login("BBBBBBBBBBBB"), None, "twice");
        assert_eq!(cookies.redirect_logins.len(), 3);
        assert!(cookies.has_any() && !cookies.has_credential());
        let upstream = cookies.upstream_cookies.unwrap();
        let kept = b"__Host-vestibule-login-AAAA=y; __Host-vestibule-login=z; a=1";
        assert_eq!(upstream, kept);
    }

    #[test]
    fn every_cookie_but_the_gateways_is_sent_upstream() {
        let names = names();
        let upstream = |fields: &[&[u8]]| {
            PresentedCookies::parse(&names, fields.iter().copied()).upstream_cookies
        };
        let fields = [
            &b"cart=7; __Host-vestibule-access=A"[..],
            b"theme=d\xff; __Host-vestibule-refresh.1=R; odd",
        ];
        assert_eq!(
            upstream(&fields).as_deref(),
            Some(&b"cart=7; theme=d\xff; odd"[..])
        );
        assert_eq!(
            upstream(&[b"__Host-vestibule-form=F"]).as_deref(),
            Some(&b""[..])
        );
        assert_eq!(
            upstream(&[b"__Host-vestibule-form=\xff"]).as_deref(),
            Some(&b""[..]),
            "the gateway's, although it is not UTF-8"
        );
        assert_eq!(upstream(&[b"cart=7;theme=d"]), None, "unchanged");
        assert_eq!(
            upstream(&[b"cart=7", b"theme=d"]).as_deref(),
            Some(&b"cart=7; theme=d"[..]),
            "one field of two"
        );
    }

    #[test]
    fn the_cookies_of_fusionauths_sdks_are_managed_at_a_hosted_backend() {
        let names = CookieNames::for_hosted_backend(Scheme::Https);
        let field = "app.at=A; app.rt.0=R; app.at_exp=7; app.idt=I; app.at_expected=1; app.id=2";
        let cookies = parse(&names, &[field]);
        assert_eq!(
            (cookies.access.value(), cookies.refresh.value()),
            (Some("A"), Some("R"))
        );
        assert_eq!(
            cookies.managed_names,
            ["app.at", "app.rt.0", "app.at_exp", "app.idt"]
        );
        assert_eq!(
            cookies.upstream_cookies.as_deref(),
            Some(&b"app.at_expected=1; app.id=2"[..])
        );
        assert!(
            !parse(&names, &["app.at_exp=7"]).has_credential(),
            "the expiry is no credential"
        );
    }
}
