//! Logins by redirect: what a browser carries, sealed, while its user is at the identity provider.
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

use super::return_path::ReturnPath;
use super::sealing_keys::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;
use super::timestamp::Timestamp;

/// The path where the identity provider sends browsers back to.
pub const CALLBACK: &str = "/_vestibule/callback";
/// How long a user may take at the identity provider.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// The most logins that one browser may have under way. The oldest are given up first.
pub const MAX_LOGINS: usize = 7;
/// The most bytes that the cookies of these logins may hold together, with the new one. A request
/// must have room for the other cookies too.
pub const MAX_LOGIN_BYTES: usize = 6 * 1024;
/// The length of the id of a login, the first characters of its `state`. It is part of the name of
/// its cookie.
pub const LOGIN_ID_CHARS: usize = 12;
/// The bytes of randomness that a login is made from.
pub const SEED_BYTES: usize = 32;
/// The longest return address that a login carries, in bytes. With a longer one the cookie could
/// exceed the 4096 bytes that browsers take; the landing page takes its place.
const MAX_RETURN: usize = 2560;

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
        let longest = new(MAX_RETURN);
        assert!(longest.return_to.is_some());
        let cookie = longest.seal(&keys(1), "store", [9; 12]).unwrap();
        assert!(cookie.value.len() < 3900, "{}", cookie.value.len());
        assert_eq!(new(MAX_RETURN + 1).return_to, None);
    }

    #[test]
    fn debug_prints_no_secret() {
        let sealed = login().seal(&keys(1), "store", [9; 12]).unwrap();
        let begun = login().begun;
        assert_eq!(
            format!("{:?}", login()),
            format!("RedirectLogin({begun:?})")
        );
        assert_eq!(format!("{sealed:?}"), "SealedRedirectLogin");
    }
}
