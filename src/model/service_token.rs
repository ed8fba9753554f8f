//! Service tokens: credentials of programs that have no account at the provider
//! (`docs/guide/service-tokens.md`).
//!
//! The operator lists the SHA-256 of each token in the configuration, never the token. A token has
//! 256 random bits, so a fast hash protects it, and looking the hash up in a table tells nothing
//! about other tokens by its timing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::authorization::bearer;
use super::timestamp::Timestamp;
use super::token::Principal;

/// The beginning of every service token. It tells them from bearer tokens of other kinds, and lets
/// secret scanners find those that were published by mistake.
pub const PREFIX: &str = "vst_";

/// The SHA-256 of a service token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceTokenHash([u8; 32]);

/// A service token of a site.
#[derive(Clone, Debug)]
pub struct ServiceToken {
    /// The identity that it proves. It expires with the token.
    pub principal: Arc<Principal>,
    /// The patterns of the rules that it may meet; empty for all.
    pub rules: Vec<String>,
}

/// The service tokens of a site.
#[derive(Clone, Debug, Default)]
pub struct ServiceTokens {
    /// The header that may carry a token instead of `Authorization`.
    pub header: Option<HeaderName>,
    /// The tokens by their hash.
    pub by_hash: HashMap<ServiceTokenHash, ServiceToken>,
}

/// Why a service token proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceTokenError {
    /// The site has no such token.
    Unknown,
    /// The token has expired.
    Expired,
}

/// The service token of `Authorization: Bearer vst_…`; `None` for every other value of the field.
/// Nothing is verified here.
#[must_use]
pub fn bearer_service_token(value: &str) -> Option<&str> {
    bearer(value).filter(|token| token.starts_with(PREFIX))
}

/// The service token that these random bytes make.
#[must_use]
pub fn from_random(bytes: &[u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

impl ServiceTokenHash {
    /// The hash of `token`.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let hash = digest(&SHA256, token.as_bytes());
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// Reads 64 hexadecimal digits; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let mut hash = [0; 32];
        if pairs.len() != hash.len() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
        }
        Some(Self(hash))
    }
}

/// 64 hexadecimal digits in lower case.
impl fmt::Display for ServiceTokenHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl ServiceToken {
    /// Whether it may meet the rule with this pattern; `None` stands for the site's default access.
    #[must_use]
    pub fn may_meet(&self, pattern: Option<&str>) -> bool {
        self.rules.is_empty()
            || pattern.is_some_and(|pattern| self.rules.iter().any(|rule| rule == pattern))
    }
}

impl ServiceTokens {
    /// Whether the site has none: then no header is read for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Checks a token that a client presented.
    ///
    /// # Errors
    /// [`ServiceTokenError`] where it proves nobody at `now`.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<&ServiceToken, ServiceTokenError> {
        let found = self.by_hash.get(&ServiceTokenHash::of(token));
        let token = found.ok_or(ServiceTokenError::Unknown)?;
        if token.principal.is_expired(now) {
            return Err(ServiceTokenError::Expired);
        }
        Ok(token)
    }

    /// The names of the fields of `headers` that carry a service token, whether it is valid or not.
    /// The application must not see it.
    pub fn fields_to_remove<'h>(
        &'h self,
        headers: &'h HeaderMap,
    ) -> impl Iterator<Item = &'h HeaderName> {
        let carries = |name: &HeaderName, is_token: fn(&HeaderValue) -> bool| {
            !self.is_empty() && headers.get_all(name).iter().any(is_token)
        };
        let own = self.header.as_ref();
        let in_own = own.filter(|name| {
            carries(name, |value| {
                value.as_bytes().starts_with(PREFIX.as_bytes())
            })
        });
        let in_authorization = carries(&AUTHORIZATION, |value| {
            value
                .to_str()
                .is_ok_and(|value| bearer_service_token(value).is_some())
        });
        in_authorization
            .then_some(&AUTHORIZATION)
            .into_iter()
            .chain(in_own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let token = from_random(&[7; 32]);
        assert_eq!(token.len(), PREFIX.len() + 43);
        let text = ServiceTokenHash::of(&token).to_string();
        assert_eq!(text.len(), 64);
        let hash = Some(ServiceTokenHash::of(&token));
        assert_eq!(ServiceTokenHash::parse(&text), hash);
        assert_eq!(ServiceTokenHash::parse(&text.to_uppercase()), hash);
        for bad in [
            "",
            &text[1..],
            &format!("{text}0"),
            &format!("g{}", &text[1..]),
            &format!("{text}00"),
        ] {
            assert_eq!(ServiceTokenHash::parse(bad), None, "{bad}");
        }
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        assert_eq!(
            ServiceTokenHash::of("abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
