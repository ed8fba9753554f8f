//! The gateway's cookies: which there are, and what they are called (`docs/reference/cookies.md`).

use super::origin::Scheme;
use super::redirect_login::LOGIN_ID_CHARS;

/// The longest value of one cookie, in bytes. Browsers store 4096 bytes with name and attributes.
/// A longer value is cut into chunks: `NAME.0`, `NAME.1` and so on.
pub const MAX_CHUNK: usize = 3900;
/// The most that the access and refresh values may take together, in bytes.
pub const MAX_CHUNKED_TOTAL: usize = 7500;

/// The cookie that tells scripts when the access token expires, at a site with a hosted backend.
pub const EXPIRY_COOKIE: &str = "app.at_exp";
/// FusionAuth's ID token cookie. The gateway never sets it, because no login brings an ID token,
/// but it manages the name at a site with a hosted backend.
pub const ID_TOKEN_COOKIE: &str = "app.idt";

/// A cookie of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieKind {
    /// The provider's JWT, as issued.
    Access,
    /// The sealed refresh token.
    Refresh,
    /// The id of the server-side session.
    Session,
    /// The random value that the CSRF token of a form is made from.
    Form,
    /// The sealed device: which accounts logged in from this browser before.
    Device,
    /// Whose the application's cookies are.
    Owner,
    /// The language that the user chose for the gateway's pages.
    Language,
}

impl CookieKind {
    /// All kinds, in the order of [`CookieNames`].
    pub const ALL: [Self; 7] = [
        Self::Access,
        Self::Refresh,
        Self::Session,
        Self::Form,
        Self::Device,
        Self::Owner,
        Self::Language,
    ];
}

/// The names and attributes of one site's cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    /// The name of the access cookie, by default `vestibule-access`. On https the default names
    /// start with `__Host-`.
    pub access: String,
    /// The name of the refresh cookie.
    pub refresh: String,
    /// The name of the session cookie.
    pub session: String,
    /// The name of the form cookie.
    pub form: String,
    /// The name of the device cookie.
    pub device: String,
    /// The name of the owner cookie.
    pub owner: String,
    /// The name of the language cookie.
    pub language: String,
    /// The beginning of the names of the cookies of logins by redirect. `-` and the id of the login
    /// follow.
    pub redirect_login: String,
    /// Whether the cookies are `Secure`: the site's origin is https.
    pub secure: bool,
    /// Whether the site has a hosted backend, so that [`EXPIRY_COOKIE`] accompanies the access
    /// cookie.
    pub hosted_backend: bool,
}

/// A cookie name that the gateway manages.
pub(super) enum ManagedCookie {
    /// One of its own cookies, or the chunk of this index of one.
    Own(CookieKind, Option<usize>),
    /// The cookie of a login by redirect.
    RedirectLogin,
    /// [`EXPIRY_COOKIE`] or [`ID_TOKEN_COOKIE`]: no credential.
    Sdk(&'static str),
}

impl CookieNames {
    /// The names where the operator chose none, at a site of this scheme.
    #[must_use]
    pub fn defaults(scheme: Scheme) -> Self {
        let secure = scheme == Scheme::Https;
        let prefix = if secure { "__Host-" } else { "" };
        let name = |what: &str| format!("{prefix}vestibule-{what}");
        Self {
            access: name("access"),
            refresh: name("refresh"),
            session: name("session"),
            form: name("form"),
            device: name("device"),
            owner: name("owner"),
            language: name("language"),
            redirect_login: name("login"),
            secure,
            hosted_backend: false,
        }
    }

    /// The names at a site with a hosted backend: access and refresh cookie have FusionAuth's.
    #[must_use]
    pub fn for_hosted_backend(scheme: Scheme) -> Self {
        Self {
            access: "app.at".into(),
            refresh: "app.rt".into(),
            hosted_backend: true,
            ..Self::defaults(scheme)
        }
    }

    /// The name of the cookie of this kind.
    #[must_use]
    pub fn name(&self, kind: CookieKind) -> &str {
        match kind {
            CookieKind::Access => &self.access,
            CookieKind::Refresh => &self.refresh,
            CookieKind::Session => &self.session,
            CookieKind::Form => &self.form,
            CookieKind::Device => &self.device,
            CookieKind::Owner => &self.owner,
            CookieKind::Language => &self.language,
        }
    }

    /// Whether the gateway manages a cookie of this name. Such a cookie is neither sent upstream
    /// nor accepted from there.
    #[must_use]
    pub fn manages(&self, name: &str) -> bool {
        self.classify(name.trim_ascii().as_bytes()).is_some()
    }

    /// Which managed cookie `name` is; `None` for a cookie that is not the gateway's.
    pub(super) fn classify(&self, name: &[u8]) -> Option<ManagedCookie> {
        self.classify_own(name)
            .map(|(kind, chunk)| ManagedCookie::Own(kind, chunk))
            .or_else(|| {
                self.redirect_login_id(name)
                    .map(|_| ManagedCookie::RedirectLogin)
            })
            .or_else(|| self.classify_sdk(name).map(ManagedCookie::Sdk))
    }

    /// The kind of the gateway's own cookie of this name, and the index of the chunk.
    pub(super) fn classify_own(&self, name: &[u8]) -> Option<(CookieKind, Option<usize>)> {
        // The length is compared first: most names have neither of the two that one of the
        // gateway's can have.
        let has_length =
            |kind: &CookieKind| matches!(name.len().wrapping_sub(self.name(*kind).len()), 0 | 2);
        CookieKind::ALL
            .into_iter()
            .filter(has_length)
            .find_map(
                |kind| match name.strip_prefix(self.name(kind).as_bytes())? {
                    [] => Some((kind, None)),
                    [b'.', digit @ b'0'..=b'9'] => Some((kind, Some(usize::from(digit - b'0')))),
                    _ => None,
                },
            )
    }

    /// The name of the cookie of the login by redirect with this id.
    #[must_use]
    pub fn redirect_login_name(&self, id: &str) -> String {
        format!("{}-{id}", self.redirect_login)
    }

    /// The id of the login by redirect whose cookie has this name.
    pub(super) fn redirect_login_id<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let has_length = name.len() == self.redirect_login.len() + "-".len() + LOGIN_ID_CHARS;
        let rest = has_length.then(|| name.strip_prefix(self.redirect_login.as_bytes()))??;
        rest.strip_prefix(b"-")
    }

    fn classify_sdk(&self, name: &[u8]) -> Option<&'static str> {
        [EXPIRY_COOKIE, ID_TOKEN_COOKIE]
            .into_iter()
            .find(|cookie| self.hosted_backend && cookie.as_bytes() == name)
    }
}
