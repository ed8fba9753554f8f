//! Random ids and secrets, ids derived from names, and the hash under which secrets are stored.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::system;

/// A random UUID (RFC 9562, version 4), for public ids such as session ids and token ids.
#[must_use]
pub fn random_uuid() -> String {
    format_uuid(system::random::<16>(), 4)
}

/// A secret of 256 random bits, in base64url.
#[must_use]
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(system::random::<32>())
}

/// The UUID of a user whose entry has no `id`. It depends only on the e-mail address, in any case,
/// so that the records of upstreams keep their owner.
#[must_use]
pub fn uuid_of_email(email: &str) -> String {
    uuid_of_name(&format!("user {}", email.to_lowercase()))
}

/// The UUID (RFC 9562, version 8) that is derived from `name`.
#[must_use]
pub fn uuid_of_name(name: &str) -> String {
    let hash = digest(&SHA256, format!("vestibule {name}").as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    format_uuid(bytes, 8)
}

/// `text` in lower case if it is a UUID in the form 8-4-4-4-12.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<String> {
    let is_uuid = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    is_uuid.then(|| text.to_ascii_lowercase())
}

/// The SHA-256 hash of `secret` in base64url. The database stores secrets in this form only.
/// Comparing two hashes takes a time that tells nothing about the secrets.
#[must_use]
pub fn sha256(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.as_bytes()))
}

fn format_uuid(bytes: [u8; 16], version: u128) -> String {
    let number =
        u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (version << 76) | (0x2 << 62);
    let hex = format!("{number:032x}");
    let parts: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32]
        .into_iter()
        .filter_map(|part| hex.get(part))
        .collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_version_and_form() {
        let random = random_uuid();
        assert_eq!(parse_uuid(&random), Some(random.clone()));
        assert_eq!(&random[14..15], "4");
        assert!(matches!(&random[19..20], "8" | "9" | "a" | "b"), "{random}");
        assert_ne!(random, random_uuid());
    }

    #[test]
    fn the_uuid_of_an_email_ignores_case_only() {
        assert_eq!(
            uuid_of_email("A@Example.com"),
            uuid_of_email("a@example.com")
        );
        assert_ne!(
            uuid_of_email("a@example.com"),
            uuid_of_email("b@example.com")
        );
        assert_eq!(uuid_of_email("a@example.com").as_bytes()[14], b'8');
    }

    #[test]
    fn other_texts_are_not_uuids() {
        for text in [
            "",
            "x",
            "3c219e58-ed0e-4b18-ad48-f4f92793ae3",
            "3c219e58-ed0e-4b18-ad48-f4f92793ae3g",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
        assert_eq!(
            parse_uuid("3C219E58-ED0E-4B18-AD48-F4F92793AE32").as_deref(),
            Some("3c219e58-ed0e-4b18-ad48-f4f92793ae32")
        );
    }
}
