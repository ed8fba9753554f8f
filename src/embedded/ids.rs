//! Names nobody can guess, and names that stay the same.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::system;

/// A random UUID (RFC 9562, version 4), for what is public: session ids, token ids.
#[must_use]
pub fn random_uuid() -> String {
    written(system::random::<16>(), 4)
}

/// A secret of 256 random bits, URL-safe.
#[must_use]
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(system::random::<32>())
}

/// The UUID of a user without a written one: the same for the same e-mail address in
/// whatever case, so that an upstream's records keep their owner.
#[must_use]
pub fn uuid_of_email(email: &str) -> String {
    stable_uuid(&format!("user {}", email.to_lowercase()))
}

/// The UUID (RFC 9562, version 8) that always belongs to `name`.
#[must_use]
pub fn stable_uuid(name: &str) -> String {
    let hash = digest(&SHA256, format!("vestibule {name}").as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    written(bytes, 8)
}

/// `text` in lower case where it is a UUID in the usual 8-4-4-4-12 form.
#[must_use]
pub fn uuid(text: &str) -> Option<String> {
    let well_formed = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    well_formed.then(|| text.to_ascii_lowercase())
}

/// SHA-256, URL-safe: how secrets rest.
#[must_use]
pub fn hashed(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.as_bytes()))
}

fn written(bytes: [u8; 16], version: u128) -> String {
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
        assert_eq!(uuid(&random), Some(random.clone()));
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
    fn what_is_no_uuid_is_refused() {
        for text in [
            "",
            "x",
            "3c219e58-ed0e-4b18-ad48-f4f92793ae3",
            "3c219e58-ed0e-4b18-ad48-f4f92793ae3g",
        ] {
            assert_eq!(uuid(text), None, "{text}");
        }
        assert_eq!(
            uuid("3C219E58-ED0E-4B18-AD48-F4F92793AE32").as_deref(),
            Some("3c219e58-ed0e-4b18-ad48-f4f92793ae32")
        );
    }
}
