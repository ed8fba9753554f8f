//! Logins by redirect: what a browser carries, sealed, while its user is at the identity provider,
//! and what comes back with it.
//!
//! `state`, `nonce` and the code verifier of one login are made from the same random seed, so that
//! the cookie of the login is small: a browser may have several at once.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::reason::Reason;
use super::return_path::ReturnPath;
use super::sealing_keys::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;
use super::timestamp::Timestamp;
use super::token::CompletedLogin;

/// The path where the identity provider sends browsers back to.
pub const CALLBACK: &str = "/_vestibule/callback";
/// How long a user may take at the identity provider.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// The most logins that one browser may have under way. The oldest are given up first.
pub const MAX_LOGINS: usize = 7;
/// The length of the id of a login, the first characters of its `state`. It is part of the name of
/// its cookie.
pub const LOGIN_ID_CHARS: usize = 12;
/// The bytes of randomness that a login is made from.
pub const SEED_BYTES: usize = 32;
/// The longest return address that a login carries, in bytes. With a longer one the cookies of
/// several tabs could exceed what a request may hold; the landing page takes its place.
const MAX_RETURN: usize = 1024;

/// A login that is under way at the identity provider.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectLogin {
    /// What `state`, `nonce` and the code verifier are made from.
    seed: [u8; SEED_BYTES],
    /// Where to go after the login.
    pub return_to: Option<ReturnPath>,
    /// Whether the cookies shall outlive the browser session.
    pub remember: bool,
    /// Whether a posted form is kept for this login.
    pub has_preserved_post: bool,
    /// When it was begun.
    pub begun: Timestamp,
}

/// The options of a login that begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectOptions {
    /// Where to go after the login.
    pub return_to: Option<ReturnPath>,
    /// Whether the cookies shall outlive the browser session.
    pub remember: bool,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// The sealed form. The short names keep the cookie small; they must not change.
#[derive(Serialize, Deserialize)]
struct Sealed {
    s: String,
    t: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    g: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    m: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    p: bool,
}

impl RedirectLogin {
    /// A login that begins at `now`. `seed` is random and used once.
    #[must_use]
    pub fn new(seed: [u8; SEED_BYTES], options: &RedirectOptions, now: Timestamp) -> Self {
        let return_to = options.return_to.clone();
        Self {
            seed,
            return_to: return_to.filter(|path| path.as_str().len() <= MAX_RETURN),
            remember: options.remember,
            has_preserved_post: options.preserved_post.is_some(),
            begun: now,
        }
    }

    /// The value of `state` (RFC 6749, section 4.1.1): 256 bits in base64url.
    #[must_use]
    pub fn state(&self) -> String {
        self.derive("state")
    }

    /// The id of the login: the beginning of its `state`.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = self.state();
        id.truncate(LOGIN_ID_CHARS);
        id
    }

    /// The value of `nonce`, which the ID token must repeat (OpenID Connect Core, section 3.1.2.1).
    #[must_use]
    pub fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// The code verifier (RFC 7636, section 4.1).
    #[must_use]
    pub fn verifier(&self) -> Secret {
        Secret::new(self.derive("verifier"))
    }

    fn derive(&self, used_as: &str) -> String {
        let mut input = Vec::from(self.seed);
        input.extend_from_slice(used_as.as_bytes());
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &input))
    }

    /// Whether the user took too long, or the clock that began it is far ahead.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.begun.plus(LOGIN_LIFETIME) || self.begun >= now.plus(LOGIN_LIFETIME)
    }

    /// Seals the login for one site, in base64url. `nonce` is random and used once. `None` only if
    /// the cipher itself fails.
    #[must_use]
    pub fn seal(
        &self,
        keys: &SealingKeys,
        site: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<SealedRedirectLogin> {
        let inside = Sealed {
            s: URL_SAFE_NO_PAD.encode(self.seed),
            t: self.begun.millis(),
            g: self.return_to.as_ref().map(ToString::to_string),
            m: self.remember,
            p: self.has_preserved_post,
        };
        let body = serde_json::to_vec(&inside).ok()?;
        let sealed = keys.seal(&seal_purpose(site), body, nonce)?;
        Some(SealedRedirectLogin {
            id: self.id(),
            value: URL_SAFE_NO_PAD.encode(sealed),
        })
    }

    /// Opens what [`RedirectLogin::seal`] made for the same site; `None` for everything else.
    /// Whether it has expired is for the caller to check.
    #[must_use]
    pub fn open(keys: &SealingKeys, site: &str, text: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&keys.open(&seal_purpose(site), &sealed)?).ok()?;
        Some(Self {
            seed: URL_SAFE_NO_PAD.decode(inside.s).ok()?.try_into().ok()?,
            return_to: inside.g.as_deref().and_then(ReturnPath::parse),
            remember: inside.m,
            has_preserved_post: inside.p,
            begun: Timestamp::from_millis(inside.t),
        })
    }
}

impl fmt::Debug for RedirectLogin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RedirectLogin({:?})", self.begun)
    }
}

fn seal_purpose(site: &str) -> String {
    format!("vestibule login by redirect\0{site}")
}

/// The cookie of a login. `Debug` prints no value.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRedirectLogin {
    /// The id of the login, which is part of the cookie's name.
    pub id: String,
    /// The sealed login.
    pub value: String,
}

impl fmt::Debug for SealedRedirectLogin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SealedRedirectLogin")
    }
}

/// An address at the identity provider that a browser is sent to: an absolute URL in ASCII, without
/// blanks and control characters. `Debug` prints no query, which may hold a `state` or an ID token.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderAddress(String);

impl From<url::Url> for ProviderAddress {
    /// A parsed URL is written in ASCII, with every other character escaped.
    fn from(url: url::Url) -> Self {
        Self(url.into())
    }
}

impl ProviderAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProviderAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0.split('?').next().unwrap_or_default();
        out.debug_tuple("ProviderAddress").field(&address).finish()
    }
}

/// A login that has begun: where the browser is sent, and the cookies that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunRedirect {
    /// The authorization request.
    pub address: ProviderAddress,
    /// The cookie of the login.
    pub cookie: SealedRedirectLogin,
    /// The ids of earlier logins of this browser that are given up.
    pub given_up: Vec<String>,
}

/// What a provider sends back with the browser (RFC 6749, section 4.1.2; RFC 9207, section 2).
/// `Debug` prints the error alone.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackParameters {
    /// Binds the response to the login of this browser.
    pub state: String,
    /// The issuer, where the provider names it.
    pub issuer: Option<String>,
    /// What the provider decided.
    pub answer: CallbackAnswer,
}

/// What a provider decided about a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackAnswer {
    /// The code for the tokens.
    Code(Secret),
    /// The user is not logged in.
    Error(ProviderRefusal),
}

/// The error of an authorization response (RFC 6749, section 4.1.2.1), in printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefusal {
    /// The error code, such as `access_denied`.
    pub code: String,
    /// What the provider tells the operator besides.
    pub description: Option<String>,
}

impl CallbackParameters {
    /// Reads the query of the callback. `None` where a parameter is missing, or is there twice,
    /// which RFC 6749 forbids (section 3.1), or where there is both a code and an error.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let mut read: [(&str, Option<String>); 5] = [
            ("state", None),
            ("iss", None),
            ("code", None),
            ("error", None),
            ("error_description", None),
        ];
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if let Some((_, slot)) = read.iter_mut().find(|(known, _)| *known == name)
                && slot.replace(value.into_owned()).is_some()
            {
                return None;
            }
        }
        let [state, issuer, code, error, description] = read.map(|(_, value)| value);
        let answer = match (code, error) {
            (Some(code), None) if !code.is_empty() => CallbackAnswer::Code(Secret::new(code)),
            (None, Some(error)) => CallbackAnswer::Error(ProviderRefusal {
                code: printable(&error, MAX_ERROR),
                description: description.map(|text| printable(&text, MAX_DESCRIPTION)),
            }),
            (Some(_) | None, _) => return None,
        };
        Some(Self {
            state: state?,
            issuer,
            answer,
        })
    }

    /// The id of the login that the response is for; `None` where no login has such a `state`.
    #[must_use]
    pub fn login_id(&self) -> Option<&str> {
        self.state.get(..LOGIN_ID_CHARS)
    }
}

/// The longest error code that is logged.
const MAX_ERROR: usize = 64;
/// The longest explanation that is logged.
const MAX_DESCRIPTION: usize = 256;

/// The beginning of a text as it may be logged: RFC 6749 allows printable ASCII.
fn printable(text: &str, longest: usize) -> String {
    let printable = text.chars().filter(|c| *c == ' ' || c.is_ascii_graphic());
    printable.take(longest).collect()
}

impl fmt::Debug for CallbackParameters {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            CallbackAnswer::Code(_) => out.write_str("CallbackParameters(code)"),
            CallbackAnswer::Error(error) => write!(out, "CallbackParameters({:?})", error.code),
        }
    }
}

/// A login by redirect that succeeded.
#[derive(Clone, Debug)]
pub struct FinishedRedirect {
    /// The tokens and the user.
    pub login: CompletedLogin,
    /// Where to go now.
    pub return_to: Option<ReturnPath>,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// A login by redirect that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRedirect {
    /// Why.
    pub cause: RedirectRefusal,
    /// Where the user wanted to go, where that is known.
    pub return_to: Option<ReturnPath>,
}

/// A login by redirect that could not be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRedirect {
    /// What failed.
    pub reason: Reason,
    /// Where the user wanted to go.
    pub return_to: Option<ReturnPath>,
}

/// Why a login by redirect did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// The browser has no such login under way, or it has expired.
    Unknown,
    /// The response has come before: the code is used.
    Used,
    /// The provider said no, or another provider answered.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> RedirectLogin {
        let options = RedirectOptions {
            return_to: ReturnPath::parse("/cart?x=1#part-2"),
            remember: true,
            preserved_post: None,
        };
        RedirectLogin::new([7; SEED_BYTES], &options, Timestamp::from_secs(1000))
    }

    fn keys(byte: u8) -> SealingKeys {
        SealingKeys::new(&[[byte; 32]]).unwrap()
    }

    #[test]
    fn a_login_opens_at_its_own_site_only() {
        let sealed = login().seal(&keys(1), "store", [9; 12]).unwrap();
        let open = |keys: &SealingKeys, site| RedirectLogin::open(keys, site, &sealed.value);
        assert_eq!(open(&keys(1), "store"), Some(login()));
        assert_eq!(open(&keys(1), "forum"), None);
        assert_eq!(open(&keys(2), "store"), None);
        assert!(login().state().starts_with(&sealed.id) && sealed.id.len() == LOGIN_ID_CHARS);
        assert!(sealed.value.len() < 300, "{}", sealed.value.len());
        for junk in ["", "AAAA", "not base64!"] {
            assert_eq!(RedirectLogin::open(&keys(1), "store", junk), None);
        }
    }

    #[test]
    fn the_values_of_a_login_differ_and_do_not_tell_each_other() {
        let one = login();
        let other = RedirectLogin {
            seed: [8; SEED_BYTES],
            ..login()
        };
        let values = |login: &RedirectLogin| {
            let verifier = login.verifier().expose().to_owned();
            [login.state(), login.nonce(), verifier]
        };
        let mut all = [values(&one), values(&other)].concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
        // RFC 7636, section 4.1: 43 characters at least.
        assert!(all.iter().all(|value| value.len() == 43));
    }

    #[test]
    fn a_login_expires_after_ten_minutes() {
        let expired = |at| login().is_expired(Timestamp::from_secs(at));
        assert!(!expired(1000) && !expired(1599) && expired(1600));
        // Sealed by a replica whose clock is a little ahead, or far.
        assert!(!expired(900) && expired(300));
    }

    #[test]
    fn a_long_return_address_is_not_carried() {
        let options = |length: usize| RedirectOptions {
            return_to: ReturnPath::parse(&format!("/{}", "a".repeat(length - 1))),
            ..RedirectOptions::default()
        };
        let new = |length| RedirectLogin::new([7; 32], &options(length), Timestamp::from_secs(1));
        assert!(new(MAX_RETURN).return_to.is_some());
        assert_eq!(new(MAX_RETURN + 1).return_to, None);
    }

    #[test]
    fn a_callback_has_each_parameter_once() {
        let code = CallbackParameters::parse("code=c%2F1&state=s&iss=https://id&session_state=x");
        let code = code.unwrap();
        assert_eq!(code.answer, CallbackAnswer::Code(Secret::new("c/1")));
        assert_eq!(
            (code.state.as_str(), code.issuer.as_deref()),
            ("s", Some("https://id"))
        );
        let error = "error=access_denied%0A&error_description=No%0A+thanks%C3%A9&state=s";
        let refusal = ProviderRefusal {
            code: "access_denied".into(),
            description: Some("No thanks".into()),
        };
        let error = CallbackParameters::parse(error).unwrap();
        assert_eq!(error.answer, CallbackAnswer::Error(refusal));
        for bad in [
            "",
            "state=s",
            "code=c",
            "code=&state=s",
            "code=c&error=e&state=s",
            "code=c&state=s&state=s",
            "code=c&code=d&state=s",
            "code=c&state=s&iss=a&iss=b",
            "error=e&error=f&state=s",
        ] {
            assert_eq!(CallbackParameters::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let sealed = login().seal(&keys(1), "store", [9; 12]).unwrap();
        let callback = CallbackParameters::parse("code=leaky&state=leaky").unwrap();
        let address = ProviderAddress::from(url::Url::parse("https://id/?state=leaky").unwrap());
        let printed = format!("{:?} {sealed:?} {callback:?} {address:?}", login());
        assert!(
            !printed.contains("leaky") && !printed.contains(&sealed.value),
            "{printed}"
        );
    }
}
