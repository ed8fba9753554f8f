//! The successor of a used refresh token, sealed under the used token: the database alone does not
//! open it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `successor`, for who presents `token`.
pub(super) fn sealed(token: &str, successor: &str) -> Option<String> {
    let mut text = successor.as_bytes().to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    key_of(token)?
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut text)
        .ok()?;
    Some(URL_SAFE_NO_PAD.encode(text))
}

/// What was sealed for who presents `token`.
pub(super) fn opened(token: &str, sealed: &str) -> Option<String> {
    let mut text = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let plain = key_of(token)?
        .open_in_place(nonce, Aad::empty(), &mut text)
        .ok()?;
    String::from_utf8(plain.to_vec()).ok()
}

/// The key is of 256 random bits and seals this one text, so the nonce may be fixed.
fn key_of(token: &str) -> Option<LessSafeKey> {
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
        let kept = sealed("used", "next").unwrap();
        assert_eq!(opened("used", &kept).as_deref(), Some("next"));
        assert_eq!(opened("Used", &kept), None);
        assert_eq!(opened("used", &kept.replacen(&kept[..1], "_", 1)), None);
    }
}
