//! How a client carries its proof, and how the refresh token is sealed on its way through the
//! client.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::timestamp::Timestamp;

/// How a site's clients carry their proof (`docs/reference/request-handling.md#credentials`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// The JWT itself and the sealed refresh token, in cookies.
    Jwt,
    /// The id of a session that keeps the JWT, and the sealed refresh token, in cookies.
    Session,
    /// The JWT and the sealed refresh token in headers, for clients that are no browsers.
    Bearer,
}

impl CredentialKind {
    /// The word of the configuration, also part of what a seal is bound to.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Session => "session",
            Self::Bearer => "bearer",
        }
    }
}

/// What a client carries of a sign-in. `Debug` keeps it to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedCredential<'a> {
    /// How.
    pub kind: CredentialKind,
    /// The access token, or the session id.
    pub token: Option<&'a str>,
    /// The sealed refresh token.
    pub refresh: Option<&'a str>,
}

/// A refresh token and what goes when it is used. `Debug` keeps them to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefreshRequest<'a> {
    /// How it was carried, and how the new tokens will be.
    pub kind: CredentialKind,
    /// The sealed refresh token.
    pub refresh: &'a str,
    /// The id of the session that a new one replaces.
    pub session_id: Option<&'a str>,
}

impl<'a> PresentedCredential<'a> {
    /// What a client that is no browser posts.
    #[must_use]
    pub fn from_body(access: Option<&'a str>, refresh: &'a Secret) -> Self {
        Self {
            kind: CredentialKind::Bearer,
            token: access,
            refresh: Some(refresh.expose()),
        }
    }
}

impl<'a> RefreshRequest<'a> {
    /// What a client that is no browser posts.
    #[must_use]
    pub fn from_body(refresh: &'a Secret) -> Self {
        Self {
            kind: CredentialKind::Bearer,
            refresh: refresh.expose(),
            session_id: None,
        }
    }
}

impl std::fmt::Debug for PresentedCredential<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PresentedCredential({})", self.kind.as_str())
    }
}

impl std::fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "RefreshRequest({})", self.kind.as_str())
    }
}

/// The refresh token with what must not be forgotten on its way: the inside of the refresh cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTicket {
    /// The provider's refresh token.
    pub refresh: Secret,
    /// Whom it was issued to; a renewed token must be for the same person.
    pub sub: String,
    /// The sign-in it descends from, for revocation: the first token's session key.
    pub revocation_key: String,
    /// When that sign-in was.
    pub login_time: Timestamp,
    /// Whether the cookies outlive the browser.
    pub remember: bool,
    /// What the session is known as that was begun with it and ends with it.
    pub session_hash: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    r: String,
    s: String,
    k: String,
    t: u64,
    m: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<String>,
}

/// Seals and opens what the client must carry but not read: AES-256-GCM-SIV, so that even a
/// repeated nonce gives nothing away but equality.
///
/// A seal is `key id (4 bytes), nonce (12), ciphertext and tag`, for clients in base64url. The
/// associated data is what it is for: a refresh token of the store does not open at the forum, nor
/// one of a cookie as a bearer's.
pub struct SealingKeys {
    keys: Vec<SealingKey>,
}

struct SealingKey {
    id: [u8; KEY_ID],
    key: LessSafeKey,
}

/// Bytes of a sealing key.
pub const KEY_BYTES: usize = 32;
/// Bytes of randomness one seal takes.
pub const NONCE_BYTES: usize = NONCE_LEN;
const KEY_ID: usize = 4;

impl SealingKeys {
    /// A ring of these keys: the first seals, all open. `None` when there is no key at all.
    #[must_use]
    pub fn new(keys: &[[u8; KEY_BYTES]]) -> Option<Self> {
        let keys: Vec<SealingKey> = keys.iter().filter_map(SealingKey::new).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// Seals `ticket` for one site. `nonce` is random and used once. `None` only if the cipher
    /// itself fails.
    #[must_use]
    pub fn seal(
        &self,
        site: &str,
        kind: CredentialKind,
        ticket: &RefreshTicket,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<String> {
        let inside = Sealed {
            r: ticket.refresh.expose().to_owned(),
            s: ticket.sub.clone(),
            k: ticket.revocation_key.clone(),
            t: ticket.login_time.millis(),
            m: ticket.remember,
            b: ticket.session_hash.clone(),
        };
        let body = serde_json::to_vec(&inside).ok()?;
        Some(URL_SAFE_NO_PAD.encode(self.seal_bytes(&refresh_of(site, kind), body, nonce)?))
    }

    /// Opens what [`SealingKeys::seal`] made for the same site and kind; everything else is `None`.
    #[must_use]
    pub fn open(&self, site: &str, kind: CredentialKind, text: &str) -> Option<RefreshTicket> {
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&self.open_bytes(&refresh_of(site, kind), &whole)?).ok()?;
        Some(RefreshTicket {
            refresh: Secret::new(inside.r),
            sub: inside.s,
            revocation_key: inside.k,
            login_time: Timestamp::from_millis(inside.t),
            remember: inside.m,
            session_hash: inside.b,
        })
    }

    /// Seals `body` for one `purpose`, which tells apart whatever must not be taken for each other.
    /// `nonce` is random and used once. `None` only if the cipher itself fails.
    #[must_use]
    pub fn seal_bytes(
        &self,
        purpose: &str,
        mut body: Vec<u8>,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Vec<u8>> {
        let sealing = self.keys.first()?;
        let bound_to = Aad::from(purpose.as_bytes());
        sealing
            .key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to, &mut body)
            .ok()?;
        let mut whole = Vec::with_capacity(KEY_ID + NONCE_BYTES + body.len());
        whole.extend_from_slice(&sealing.id);
        whole.extend_from_slice(&nonce);
        whole.append(&mut body);
        Some(whole)
    }

    /// Opens what [`SealingKeys::seal_bytes`] made for the same purpose; everything else is `None`.
    #[must_use]
    pub fn open_bytes(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = sealed.split_first_chunk::<KEY_ID>()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>()?;
        // Two keys may share an id by chance: each is tried.
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

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SealingKeys({} keys)", self.keys.len())
    }
}

impl SealingKey {
    fn new(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        let id = *digest(&SHA256, bytes).as_ref().first_chunk::<KEY_ID>()?;
        Some(Self {
            id,
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, bytes).ok()?),
        })
    }
}

fn refresh_of(site: &str, kind: CredentialKind) -> String {
    format!("vestibule refresh\0{}\0{site}", kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> RefreshTicket {
        RefreshTicket {
            refresh: Secret::new("the-refresh-token"),
            sub: "u1".into(),
            revocation_key: "sid-1".into(),
            login_time: Timestamp::from_secs(7),
            remember: true,
            session_hash: Some("a-hash".into()),
        }
    }

    #[test]
    fn a_seal_opens_at_its_own_site_only() {
        let ring = SealingKeys::new(&[[1; 32]]).unwrap();
        let sealed = ring
            .seal("store", CredentialKind::Jwt, &ticket(), [9; 12])
            .unwrap();
        assert_eq!(
            ring.open("store", CredentialKind::Jwt, &sealed),
            Some(ticket())
        );
        assert_eq!(ring.open("forum", CredentialKind::Jwt, &sealed), None);
        for other in [CredentialKind::Session, CredentialKind::Bearer] {
            assert_eq!(ring.open("store", other, &sealed), None, "{other:?}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let old = SealingKeys::new(&[[1; 32]]).unwrap();
        let rotated = SealingKeys::new(&[[2; 32], [1; 32]]).unwrap();
        let sealed = old
            .seal("store", CredentialKind::Jwt, &ticket(), [9; 12])
            .unwrap();
        assert!(
            rotated
                .open("store", CredentialKind::Jwt, &sealed)
                .is_some()
        );
        let sealed = rotated
            .seal("store", CredentialKind::Jwt, &ticket(), [9; 12])
            .unwrap();
        assert_eq!(old.open("store", CredentialKind::Jwt, &sealed), None);
    }

    #[test]
    fn no_changed_byte_opens() {
        let ring = SealingKeys::new(&[[1; 32]]).unwrap();
        let sealed = ring
            .seal("store", CredentialKind::Jwt, &ticket(), [9; 12])
            .unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            let byte = changed.get_mut(at).unwrap();
            *byte = if *byte == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                ring.open("store", CredentialKind::Jwt, &changed),
                None,
                "byte {at}"
            );
        }
        for junk in ["", "AAAA", "not base64!", &"A".repeat(5000)] {
            assert_eq!(ring.open("store", CredentialKind::Jwt, junk), None);
        }
    }

    #[test]
    fn nothing_of_a_ticket_is_printed() {
        let shown = format!("{:?} {:?}", ticket(), SealingKeys::new(&[[1; 32]]));
        assert!(!shown.contains("the-refresh-token"), "{shown}");
    }
}
