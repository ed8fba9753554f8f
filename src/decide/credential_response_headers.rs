//! The response fields that give a client its new credentials, or take them away: `Set-Cookie` for
//! browsers (`docs/reference/cookies.md`), token headers for bearer clients
//! (`docs/reference/headers.md#bearer-headers`).

use http::header::InvalidHeaderValue;
use http::{HeaderName, HeaderValue};

use crate::model::cookie_change::CookieChange;
use crate::model::cookie_names::{self, CookieKind, CookieNames};
use crate::model::credential::CredentialKind;
use crate::model::known_device::{DEVICE_MAX_AGE, SealedDevice};
use crate::model::set_cookie::{self, Lifetime};
use crate::model::site::Site;
use crate::model::token::IssuedTokens;

/// Carries a new access token to a bearer client.
pub const ACCESS_TOKEN: HeaderName = HeaderName::from_static("vestibule-access-token");
/// Carries the sealed refresh token of a bearer client, in both directions.
pub const REFRESH_TOKEN: HeaderName = HeaderName::from_static("vestibule-refresh-token");

/// The value of `Cache-Control` where a response carries credentials: no cache may give one
/// visitor's to another.
pub const CACHE_CONTROL: &str = "private, no-store";

/// The fields that follow from the changes of one response. The values count as sensitive, so that
/// `Debug` does not print them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialHeaders {
    /// The values of `Set-Cookie` that come before those of the application, one field each.
    pub expired_cookies: Vec<HeaderValue>,
    /// The values of `Set-Cookie`, one field each.
    pub set_cookies: Vec<HeaderValue>,
    /// The value of [`ACCESS_TOKEN`].
    pub access_token: Option<HeaderValue>,
    /// The value of [`REFRESH_TOKEN`].
    pub refresh_token: Option<HeaderValue>,
}

impl CredentialHeaders {
    /// The fields that carry `changes` out at `site`. `presented` holds the names of the gateway's
    /// cookies that came with the request: of a value in chunks some may have to be cleared.
    ///
    /// # Errors
    /// Where a token holds a byte that no header value may hold. A verified JWT, a session id and
    /// a sealed value never do.
    pub fn new(
        site: &Site,
        changes: &[CookieChange],
        presented: &[String],
    ) -> Result<Self, InvalidHeaderValue> {
        let cookies = CookieWriter {
            names: &site.cookies,
            presented: presented.iter().map(String::as_str).collect(),
        };
        let mut headers = Self::default();
        for change in changes {
            let lines = match change {
                CookieChange::SetTokens(tokens) if tokens.kind == CredentialKind::Bearer => {
                    headers.set_bearer(tokens)?;
                    continue;
                }
                CookieChange::SetTokens(tokens) => set_tokens(&cookies, site, tokens),
                CookieChange::ClearCredentials => clear_credentials(&cookies, site.credential),
                CookieChange::ClearRefresh => cookies.clear(CookieKind::Refresh),
                CookieChange::SetDevice(device) => set_device(&cookies, device),
                CookieChange::SetRedirectLogin(login) => {
                    vec![set_cookie::redirect_login(&site.cookies, login)]
                }
                CookieChange::ClearRedirectLogin(id) => {
                    let name = site.cookies.redirect_login_name(id);
                    vec![set_cookie::clear(&site.cookies, &name)]
                }
                CookieChange::SetOwner(owner) => {
                    let lifetime = Lifetime::For(DEVICE_MAX_AGE);
                    cookies.set(CookieKind::Owner, &owner.encode(), lifetime)
                }
                CookieChange::ClearOwner => cookies.clear(CookieKind::Owner),
                CookieChange::ExpireApplication(scopes) => {
                    for scope in scopes {
                        let line = set_cookie::expire(&site.cookies, scope);
                        headers.expired_cookies.push(sensitive(&line)?);
                    }
                    continue;
                }
            };
            for line in lines {
                headers.set_cookies.push(sensitive(&line)?);
            }
        }
        Ok(headers)
    }

    fn set_bearer(&mut self, tokens: &IssuedTokens) -> Result<(), InvalidHeaderValue> {
        self.access_token = Some(sensitive(&tokens.token)?);
        if let Some(refresh) = &tokens.refresh {
            self.refresh_token = Some(sensitive(refresh)?);
        }
        Ok(())
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The cookies of new tokens.
fn set_tokens(cookies: &CookieWriter<'_>, site: &Site, tokens: &IssuedTokens) -> Vec<String> {
    let lifetime = if tokens.remember {
        Lifetime::For(site.cookie_max_age)
    } else {
        Lifetime::BrowserSession
    };
    let main = main_cookie(tokens.kind);
    // The site may have had the other kind of credential when its cookie was set. One credential
    // is enough.
    let other = if main == CookieKind::Session {
        CookieKind::Access
    } else {
        CookieKind::Session
    };
    let mut lines = cookies.clear_presented(other);
    lines.extend(cookies.set(main, &tokens.token, lifetime));
    if let Some(refresh) = &tokens.refresh {
        lines.extend(cookies.set(CookieKind::Refresh, refresh, lifetime));
    }
    if cookies.names.hosted_backend
        && let Some(end) = tokens.expires()
    {
        lines.push(set_cookie::expiry(cookies.names, end, lifetime));
    }
    lines
}

/// Clears every credential. The cookie of the kind that the site does not use is cleared only
/// where one came.
fn clear_credentials(cookies: &CookieWriter<'_>, credential: CredentialKind) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in [CookieKind::Access, CookieKind::Refresh, CookieKind::Session] {
        if kind == CookieKind::Refresh || kind == main_cookie(credential) {
            lines.extend(cookies.clear(kind));
        } else {
            lines.extend(cookies.clear_presented(kind));
        }
    }
    if cookies.names.hosted_backend {
        lines.push(set_cookie::clear(
            cookies.names,
            cookie_names::EXPIRY_COOKIE,
        ));
    }
    lines
}

fn set_device(cookies: &CookieWriter<'_>, device: &SealedDevice) -> Vec<String> {
    let lifetime = if device.is_persistent() {
        Lifetime::For(DEVICE_MAX_AGE)
    } else {
        Lifetime::BrowserSession
    };
    cookies.set(CookieKind::Device, device.as_str(), lifetime)
}

/// The cookie that carries the access token or the session id.
fn main_cookie(kind: CredentialKind) -> CookieKind {
    match kind {
        CredentialKind::Session => CookieKind::Session,
        CredentialKind::Jwt | CredentialKind::Bearer => CookieKind::Access,
    }
}

/// Writes `Set-Cookie` values for a browser that presented these cookies.
struct CookieWriter<'a> {
    names: &'a CookieNames,
    presented: Vec<&'a str>,
}

impl CookieWriter<'_> {
    /// Gives a cookie its new value, and clears the chunks of an older one that the new value does
    /// not overwrite.
    fn set(&self, kind: CookieKind, value: &str, lifetime: Lifetime) -> Vec<String> {
        set_cookie::stale(self.names, kind, &self.presented, value)
            .into_iter()
            .map(|name| set_cookie::clear(self.names, name))
            .chain(set_cookie::set(self.names, kind, value, lifetime))
            .collect()
    }

    /// Clears a cookie, whether it came or not, and each chunk of it that came.
    fn clear(&self, kind: CookieKind) -> Vec<String> {
        let own = self.names.name(kind);
        let chunks = self.of_kind(kind).filter(|name| *name != own);
        self.clear_names(std::iter::once(own).chain(chunks))
    }

    /// Clears a cookie, and each chunk of it, as far as they came.
    fn clear_presented(&self, kind: CookieKind) -> Vec<String> {
        self.clear_names(self.of_kind(kind))
    }

    fn clear_names<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for name in names {
            let line = set_cookie::clear(self.names, name);
            // A name may have come twice.
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// The presented names of one cookie: its own, and those of its chunks.
    fn of_kind(&self, kind: CookieKind) -> impl Iterator<Item = &str> {
        let own = self.names.name(kind);
        self.presented.iter().copied().filter(move |name| {
            name.strip_prefix(own)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}
