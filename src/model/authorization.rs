//! What an `Authorization` field holds, by its form alone.
//!
//! Applications have bearer tokens of their own: API keys, opaque OAuth tokens. Only a token with
//! the form of a JWT can be one of the provider's, so only such a token is looked at. Everything
//! else is the application's.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::login::Credentials;
use super::secret::Secret;

/// The longest header of a JWT that needs no memory of its own, decoded. Providers' headers have
/// `alg`, `kid` and `typ`, about 100 bytes.
const SHORT_HEADER: usize = 384;

/// The JWT of `Authorization: Bearer JWT` (RFC 6750, section 2.1); `None` for every other value of
/// the field. Nothing is verified here.
#[must_use]
pub fn bearer_jwt(value: &str) -> Option<&str> {
    bearer(value).filter(|token| is_jwt(token))
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, section 11.1).
pub(super) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

/// The credentials of `Authorization: Basic …` (RFC 7617) as they were sent: not decoded, not
/// checked. `Debug` does not print them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BasicCredentials<'a>(&'a str);

/// Clients leave out the padding, or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<'a> BasicCredentials<'a> {
    /// The credentials of a field with the scheme `Basic`, in any case; `None` for every other
    /// value of the field.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (scheme, encoded) = value.split_once(' ')?;
        let is_basic = scheme.eq_ignore_ascii_case("basic");
        is_basic.then(|| Self(encoded.trim_ascii()))
    }

    /// The credentials in base64.
    #[must_use]
    pub const fn encoded(self) -> &'a str {
        self.0
    }

    /// The user and the password, which the first `:` separates. What is not UTF-8 is ISO-8859-1,
    /// which older clients send whatever the challenge says.
    ///
    /// `None` where no user can have these credentials: they are not base64, the user or the
    /// password is empty, or one of them holds a control character.
    #[must_use]
    pub fn decode(self) -> Option<Credentials> {
        let bytes = Zeroizing::new(BASE64.decode(self.0).ok()?);
        let text = Zeroizing::new(match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        });
        let (user, password) = text.split_once(':')?;
        let is_usable =
            !user.trim().is_empty() && !password.is_empty() && !text.contains(char::is_control);
        is_usable.then(|| Credentials {
            login_id: user.to_owned(),
            password: Secret::new(password),
            remember: false,
            return_to: None,
            browser: None,
        })
    }
}

impl fmt::Debug for BasicCredentials<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("BasicCredentials")
    }
}

/// Whether `token` has the form of a signed JWT: three parts in base64url, the first of them a JSON
/// object with `alg` (RFC 7515, sections 3.1 and 4.1.1).
fn is_jwt(token: &str) -> bool {
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    is_base64url(payload) && is_base64url(signature) && is_header(header)
}

fn is_base64url(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_header(part: &str) -> bool {
    let mut short = [0; SHORT_HEADER];
    if base64::decoded_len_estimate(part.len()) <= SHORT_HEADER {
        let length = URL_SAFE_NO_PAD.decode_slice(part, &mut short);
        length.is_ok_and(|length| has_algorithm(short.get(..length).unwrap_or_default()))
    } else {
        let header = URL_SAFE_NO_PAD.decode(part);
        header.is_ok_and(|header| has_algorithm(&header))
    }
}

/// Whether `json` is an object with `alg`.
fn has_algorithm(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "alg")]
        _alg: IgnoredAny,
    }
    // `serde` takes an array for the fields of a struct, in their order.
    json.trim_ascii_start().first() == Some(&b'{') && serde_json::from_slice::<Header>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token with this header.
    fn token(header: &str) -> String {
        format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn a_bearer_token_with_the_form_of_a_jwt_is_found() {
        let long = format!(r#"{{"alg":"RS256","x5c":["{}"]}}"#, "a".repeat(2000));
        for header in [r#"{"alg":"RS256","kid":"a"}"#, r#" {"alg":null}"#, &long] {
            let jwt = token(header);
            assert_eq!(
                bearer_jwt(&format!("bEARER  {jwt} ")),
                Some(&*jwt),
                "{header}"
            );
        }
    }

    #[test]
    fn basic_credentials_are_a_user_and_a_password() {
        let decoded = |value: &str| {
            let credentials = BasicCredentials::parse(value)?.decode()?;
            let password = credentials.password.expose().to_owned();
            Some((credentials.login_id, password))
        };
        let encoded = |text: &[u8]| format!("bAsIc  {} ", BASE64.encode(text));
        for (text, user, password) in [
            (
                "ann@example.com:secret".as_bytes(),
                "ann@example.com",
                "secret",
            ),
            (b"ann:a:b::c", "ann", "a:b::c"),
            ("änn:pässwörd €".as_bytes(), "änn", "pässwörd €"),
            (b"ann:p\xe4ss", "ann", "päss"),
            (b"ann: x ", "ann", " x "),
        ] {
            let expected = Some((user.to_owned(), password.to_owned()));
            assert_eq!(decoded(&encoded(text)), expected, "{text:?}");
            let unpadded = encoded(text).replace('=', "");
            assert_eq!(decoded(&unpadded), expected, "{text:?}");
        }
        for text in [
            &b"ann"[..],
            b":secret",
            b" :secret",
            b"ann:",
            b"ann:a\nb",
            b"",
        ] {
            assert_eq!(decoded(&encoded(text)), None, "{text:?}");
        }
        for value in ["Basic", "Basic ann:secret", "Bearer YTpi", "YTpi"] {
            assert_eq!(decoded(value), None, "{value}");
        }
        let credentials = BasicCredentials::parse("Basic YTpi").unwrap();
        assert_eq!(format!("{credentials:?}"), "BasicCredentials");
    }

    #[test]
    fn every_other_authorization_is_the_applications() {
        let jwt = token(r#"{"alg":"RS256"}"#);
        let values = [
            format!("Basic {jwt}"),
            jwt.clone(),
            "Bearer".into(),
            "Bearer ".into(),
            "Bearer glsa_own".into(),
            "Bearer a.b.c".into(),
            format!("Bearer {jwt}.x"),
            format!("Bearer {jwt} x"),
            format!("Bearer {}", jwt.replace(".c2ln", ".")),
            format!("Bearer {}", jwt.replace(".c2ln", ".c2ln=")),
            format!("Bearer {}", jwt.replace(".e30", "")),
            format!("Bearer {}", token(r#"{"typ":"JWT"}"#)),
            format!("Bearer {}", token(r#"["RS256"]"#)),
            format!("Bearer {}", token(r#"{"alg":"RS256""#)),
            format!("Bearer {}", token("")),
        ];
        for value in values {
            assert_eq!(bearer_jwt(&value), None, "{value}");
        }
    }
}
