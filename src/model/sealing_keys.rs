//! The keys that seal what a client carries but must not read or change.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};

/// The length of a sealing key, in bytes.
pub const KEY_BYTES: usize = 32;
/// The random bytes that one seal takes.
pub const NONCE_BYTES: usize = NONCE_LEN;
/// The length of a key id, in bytes.
const KEY_ID_BYTES: usize = 4;

/// Sealing keys in order: the first seals, all of them open. So a key can be replaced without
/// logging everybody out.
///
/// A seal is AES-256-GCM-SIV (RFC 8452), of which even a repeated nonce reveals no more than that
/// two texts are equal. It is laid out as key id (4 bytes), nonce (12), ciphertext and tag. The
/// associated data is the seal's purpose, so that one that was made for one site or cookie does not
/// open as another's.
pub struct SealingKeys {
    keys: Vec<SealingKey>,
}

struct SealingKey {
    /// The first bytes of the key's SHA-256.
    id: [u8; KEY_ID_BYTES],
    key: LessSafeKey,
}

impl SealingKeys {
    /// These keys in their order; `None` where there is none.
    #[must_use]
    pub fn new(keys: &[[u8; KEY_BYTES]]) -> Option<Self> {
        let keys: Vec<SealingKey> = keys.iter().filter_map(SealingKey::new).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// Seals `body` for `purpose`. `nonce` is random and used once. `None` only if the cipher
    /// itself fails.
    #[must_use]
    pub fn seal(
        &self,
        purpose: &str,
        mut body: Vec<u8>,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Vec<u8>> {
        let sealing_key = self.keys.first()?;
        let associated_data = Aad::from(purpose.as_bytes());
        sealing_key
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                associated_data,
                &mut body,
            )
            .ok()?;
        let mut sealed = Vec::with_capacity(KEY_ID_BYTES + NONCE_BYTES + body.len());
        sealed.extend_from_slice(&sealing_key.id);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        Some(sealed)
    }

    /// Opens what [`SealingKeys::seal`] made for the same purpose; `None` for everything else.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = sealed.split_first_chunk::<KEY_ID_BYTES>()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>()?;
        // Two keys may share an id by chance, so each of them is tried.
        self.keys
            .iter()
            .filter(|key| key.id == *id)
            .find_map(|key| {
                let mut body = body.to_vec();
                let nonce = Nonce::assume_unique_for_key(*nonce);
                let length = key
                    .key
                    .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body)
                    .ok()?
                    .len();
                body.truncate(length);
                Some(body)
            })
    }
}

impl SealingKey {
    fn new(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        let id = *digest(&SHA256, bytes)
            .as_ref()
            .first_chunk::<KEY_ID_BYTES>()?;
        Some(Self {
            id,
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, bytes).ok()?),
        })
    }
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SealingKeys({} keys)", self.keys.len())
    }
}
