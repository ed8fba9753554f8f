//! `Set-Cookie`: the lines that the gateway writes, and those of an upstream that it drops.

use std::time::Duration;

use cookie::{Cookie, SameSite};

use super::application_cookies::CookieScope;
use super::cookie_names::{CookieKind, CookieNames, EXPIRY_COOKIE, MAX_CHUNK};
use super::redirect_login::{LOGIN_LIFETIME, SealedRedirectLogin};
use super::timestamp::Timestamp;

/// A cookie has at most this many chunks. The size budget allows fewer.
const MAX_CHUNKS: usize = 8;

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the browser session ends: no `Max-Age`.
    BrowserSession,
    /// For this long: `Max-Age`, in whole seconds.
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

/// The `Set-Cookie` values that set the cookie of `kind` to `value`: one, or one for each chunk.
#[must_use]
pub fn set(names: &CookieNames, kind: CookieKind, value: &str, lifetime: Lifetime) -> Vec<String> {
    let name = names.name(kind);
    let max_age = lifetime.max_age();
    if value.len() <= MAX_CHUNK {
        return vec![set_cookie(names, name, value, max_age)];
    }
    let chunks = value
        .as_bytes()
        .chunks(MAX_CHUNK)
        .filter_map(|chunk| std::str::from_utf8(chunk).ok());
    chunks
        .enumerate()
        .map(|(index, chunk)| set_cookie(names, &format!("{name}.{index}"), chunk, max_age))
        .collect()
}

/// The `Set-Cookie` value that sets the cookie of a login by redirect. It is `SameSite=Lax` as all
/// are, because the provider sends the browser back by a navigation from another site.
#[must_use]
pub fn redirect_login(names: &CookieNames, login: &SealedRedirectLogin) -> String {
    let name = names.redirect_login_name(&login.id);
    set_cookie(names, &name, &login.value, Some(LOGIN_LIFETIME))
}

/// The `Set-Cookie` value that deletes the cookie of this name. It repeats every attribute, without
/// which some browsers keep the cookie.
#[must_use]
pub fn clear(names: &CookieNames, name: &str) -> String {
    set_cookie(names, name, "", Some(Duration::ZERO))
}

/// The `Set-Cookie` value that expires a cookie of the application.
#[must_use]
pub fn expire(names: &CookieNames, scope: &CookieScope) -> String {
    let mut line = format!(
        "{}=; Path={}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        scope.name, scope.path
    );
    if let Some(domain) = &scope.domain {
        line.push_str("; Domain=");
        line.push_str(domain);
    }
    // Browsers take no cookie of the names `__Secure-…` and `__Host-…` without it.
    if names.secure {
        line.push_str("; Secure");
    }
    line
}

/// The `Set-Cookie` value that tells scripts when the access token expires, in seconds since the
/// Unix epoch.
#[must_use]
pub fn expiry(names: &CookieNames, at: Timestamp, lifetime: Lifetime) -> String {
    let seconds = at.secs().to_string();
    set_cookie(names, EXPIRY_COOKIE, &seconds, lifetime.max_age())
}

fn set_cookie(names: &CookieNames, name: &str, value: &str, max_age: Option<Duration>) -> String {
    let is_for_scripts = name == EXPIRY_COOKIE;
    let mut cookie = Cookie::build((name, value))
        .path("/")
        .http_only(!is_for_scripts)
        .same_site(SameSite::Lax);
    if names.secure {
        cookie = cookie.secure(true);
    }
    if let Some(max_age) = max_age {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
    }
    cookie.build().to_string()
}

/// The presented names of the cookie of `kind` that setting it to `value` does not overwrite:
/// chunks of an earlier, longer value, or the whole of a shorter one.
#[must_use]
pub fn stale<'a>(
    names: &CookieNames,
    kind: CookieKind,
    presented: &[&'a str],
    value: &str,
) -> Vec<&'a str> {
    let chunks = if value.len() <= MAX_CHUNK {
        0
    } else {
        value.len().div_ceil(MAX_CHUNK).min(MAX_CHUNKS)
    };
    let mut stale: Vec<&str> = presented
        .iter()
        .copied()
        .filter(|name| match names.classify_own(name.as_bytes()) {
            Some((found, chunk)) => {
                found == kind && chunk.map_or(chunks > 0, |index| index >= chunks)
            }
            None => false,
        })
        .collect();
    stale.dedup();
    stale
}

/// Whether an upstream's `Set-Cookie` value would set one of the gateway's cookies, or one that
/// comes back as such: of `=name=value` browsers store a cookie without a name, and send its bare
/// value `name=value` (RFC 6265bis, section 5.7).
#[must_use]
pub fn sets_managed(names: &CookieNames, set_cookie: &[u8]) -> bool {
    let pair = set_cookie.split(|b| *b == b';').next().unwrap_or_default();
    let leading = pair
        .iter()
        .take_while(|b| **b == b'=' || b.is_ascii_whitespace())
        .count();
    let pair = pair.get(leading..).unwrap_or_default();
    let name = pair.split(|b| *b == b'=').next().unwrap_or_default();
    names.classify(name.trim_ascii()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Scheme;
    use crate::model::request_cookies::PresentedCookies;

    fn names() -> CookieNames {
        CookieNames::defaults(Scheme::Https)
    }

    #[test]
    fn a_long_value_is_read_as_it_was_set() {
        let names = names();
        let value = "x".repeat(MAX_CHUNK * 2 - 5);
        let lines = set(&names, CookieKind::Access, &value, Lifetime::BrowserSession);
        assert_eq!(lines.len(), 2);
        let sent: Vec<&str> = lines
            .iter()
            .map(|line| line.split(';').next().unwrap())
            .collect();
        let sent = sent.join("; ");
        let cookies = PresentedCookies::parse(&names, std::iter::once(sent.as_str()));
        assert_eq!(cookies.access.value(), Some(value.as_str()));
        assert!(lines.iter().all(|line| line.len() <= 4096));
    }

    #[test]
    fn cookies_have_the_documented_attributes() {
        let minute = Lifetime::For(Duration::from_secs(60));
        let line = &set(&names(), CookieKind::Refresh, "R", minute)[0];
        for part in [
            "__Host-vestibule-refresh=R",
            "HttpOnly",
            "SameSite=Lax",
            "Secure",
            "Path=/",
            "Max-Age=60",
        ] {
            assert!(
                line.split("; ").any(|have| have == part),
                "{part} in {line}"
            );
        }
        assert!(!line.contains("Domain"));
        let http = CookieNames::defaults(Scheme::Http);
        let plain = &set(&http, CookieKind::Refresh, "R", Lifetime::BrowserSession)[0];
        assert!(
            !plain.contains("Secure") && !plain.contains("Max-Age"),
            "{plain}"
        );
        let cleared = clear(&names(), "__Host-vestibule-refresh");
        for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=0"] {
            assert!(
                cleared.split("; ").any(|have| have == part),
                "{part} in {cleared}"
            );
        }
    }

    #[test]
    fn an_upstream_cannot_set_the_gateways_cookies() {
        assert!(sets_managed(
            &names(),
            b"__Host-vestibule-access=evil; Path=/"
        ));
        assert!(sets_managed(&names(), b" __Host-vestibule-access.0 =evil"));
        assert!(sets_managed(&names(), b" = __Host-vestibule-access =evil"));
        assert!(sets_managed(&names(), b"==__Host-vestibule-access=evil"));
        assert!(!sets_managed(&names(), b"__Host-vestibule-accessory=1"));
        assert!(!sets_managed(&names(), b"cart=__Host-vestibule-access"));
    }

    #[test]
    fn an_upstream_cannot_set_the_sdks_cookies_at_a_hosted_backend() {
        let hosted = CookieNames::for_hosted_backend(Scheme::Https);
        for line in [
            "app.at=x",
            "app.rt=x",
            "app.at_exp=9",
            " app.idt =x",
            "=app.at_exp=9",
        ] {
            assert!(sets_managed(&hosted, line.as_bytes()), "{line}");
            assert!(!sets_managed(&names(), line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn scripts_can_read_the_expiry_and_no_other_cookie() {
        let names = CookieNames::for_hosted_backend(Scheme::Https);
        let end = Timestamp::from_millis(1_700_000_000_999);
        assert_eq!(
            expiry(&names, end, Lifetime::For(Duration::from_secs(60))),
            "app.at_exp=1700000000; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        let plain = CookieNames::for_hosted_backend(Scheme::Http);
        assert_eq!(
            expiry(&plain, end, Lifetime::BrowserSession),
            "app.at_exp=1700000000; SameSite=Lax; Path=/"
        );
        assert_eq!(
            clear(&plain, EXPIRY_COOKIE),
            "app.at_exp=; SameSite=Lax; Path=/; Max-Age=0"
        );
        assert!(
            set(&names, CookieKind::Access, "A", Lifetime::BrowserSession)[0]
                .starts_with("app.at=A; HttpOnly; ")
        );
    }

    #[test]
    fn stale_chunks_are_found() {
        let presented = [
            "__Host-vestibule-access",
            "__Host-vestibule-access.0",
            "__Host-vestibule-access.2",
        ];
        assert_eq!(
            stale(&names(), CookieKind::Access, &presented, "short"),
            presented.get(1..).unwrap()
        );
        let long = "x".repeat(MAX_CHUNK + 1);
        let expected = ["__Host-vestibule-access", "__Host-vestibule-access.2"];
        assert_eq!(
            stale(&names(), CookieKind::Access, &presented, &long),
            expected
        );
    }
}
