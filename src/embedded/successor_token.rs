//! The refresh token that replaced a used one, encrypted with a key derived from the used token.
//! The database alone cannot decrypt it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encrypts `successor` with a key derived from `token`. `None` if the cryptographic library fails.
pub(super) fn seal(token: &str, successor: &str) -> Option<String> {
    let mut buffer = successor.as_bytes().to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    derive_key(token)?
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut buffer)
        .ok()?;
    Some(URL_SAFE_NO_PAD.encode(buffer))
}

/// Decrypts what [`seal`] made with the same `token`. `None` for any other token.
pub(super) fn open(token: &str, sealed: &str) -> Option<String> {
    let mut buffer = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let plain = derive_key(token)?
        .open_in_place(nonce, Aad::empty(), &mut buffer)
        .ok()?;
    String::from_utf8(plain.to_vec()).ok()
}

/// The nonce may be constant: the token has 256 random bits, and its key encrypts only one text.
fn derive_key(token: &str) -> Option<LessSafeKey> {
    let bytes = digest(&SHA256, format!("successor of {token}").as_bytes());
    Some(LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, bytes.as_ref()).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_used_token_opens_its_successor() {
        let sealed = seal("used", "next").unwrap();
        assert_eq!(open("used", &sealed).as_deref(), Some("next"));
        assert_eq!(open("Used", &sealed), None);
        assert_eq!(open("used", &sealed.replacen(&sealed[..1], "_", 1)), None);
    }
}
