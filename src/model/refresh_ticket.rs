//! The sealed refresh token: what the refresh cookie, and the refresh token of an API client, hold.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::credential::CredentialKind;
use super::sealing_keys::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;
use super::timestamp::Timestamp;

/// The provider's refresh token, and what must be known of the login when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTicket {
    /// The provider's refresh token.
    pub refresh: Secret,
    /// The `sub` of the user it was issued to. A refreshed token must be for the same user.
    pub sub: String,
    /// The [`RevocationKey`](super::token::RevocationKey) of the login's first access token.
    pub revocation_key: String,
    /// When the user logged in.
    pub login_time: Timestamp,
    /// Whether the cookies outlive the browser session.
    pub remember: bool,
    /// The hash of the id of the session that was created with this token and ends with it, for
    /// [`CredentialKind::Session`].
    pub session_hash: Option<String>,
    /// Whether an access token of this login said that the user is registered for the application.
    /// One that does not say so any more ends the login.
    pub registered: bool,
}

/// The sealed form. The short names keep the cookie small; they must not change.
#[derive(Serialize, Deserialize)]
struct Sealed {
    r: String,
    s: String,
    k: String,
    t: u64,
    m: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    g: bool,
}

impl RefreshTicket {
    /// Seals the ticket for one site and credential kind, in base64url. `nonce` is random and used
    /// once. `None` only if the cipher itself fails.
    #[must_use]
    pub fn seal(
        &self,
        keys: &SealingKeys,
        site: &str,
        kind: CredentialKind,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<String> {
        let inside = Sealed {
            r: self.refresh.expose().to_owned(),
            s: self.sub.clone(),
            k: self.revocation_key.clone(),
            t: self.login_time.millis(),
            m: self.remember,
            b: self.session_hash.clone(),
            g: self.registered,
        };
        let body = serde_json::to_vec(&inside).ok()?;
        Some(URL_SAFE_NO_PAD.encode(keys.seal(&seal_purpose(site, kind), body, nonce)?))
    }

    /// Opens what [`RefreshTicket::seal`] made for the same site and kind; `None` for everything
    /// else.
    #[must_use]
    pub fn open(keys: &SealingKeys, site: &str, kind: CredentialKind, text: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&keys.open(&seal_purpose(site, kind), &sealed)?).ok()?;
        Some(Self {
            refresh: Secret::new(inside.r),
            sub: inside.s,
            revocation_key: inside.k,
            login_time: Timestamp::from_millis(inside.t),
            remember: inside.m,
            session_hash: inside.b,
            registered: inside.g,
        })
    }
}

fn seal_purpose(site: &str, kind: CredentialKind) -> String {
    format!("vestibule refresh\0{}\0{site}", kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: CredentialKind = CredentialKind::Jwt;

    fn ticket() -> RefreshTicket {
        RefreshTicket {
            refresh: Secret::new("the-refresh-token"),
            sub: "u1".into(),
            revocation_key: "sid-1".into(),
            login_time: Timestamp::from_secs(7),
            remember: true,
            session_hash: Some("a-hash".into()),
            registered: true,
        }
    }

    fn keys(keys: &[[u8; 32]]) -> SealingKeys {
        SealingKeys::new(keys).unwrap()
    }

    #[test]
    fn a_ticket_opens_for_its_own_site_and_kind_only() {
        let keys = keys(&[[1; 32]]);
        let sealed = ticket().seal(&keys, "store", JWT, [9; 12]).unwrap();
        let open = |site, kind| RefreshTicket::open(&keys, site, kind, &sealed);
        assert_eq!(open("store", JWT), Some(ticket()));
        assert_eq!(open("forum", JWT), None);
        for other in [CredentialKind::Session, CredentialKind::Bearer] {
            assert_eq!(open("store", other), None, "{other:?}");
        }
    }

    /// Cookies that were sealed by earlier versions.
    #[test]
    fn a_ticket_without_later_members_opens() {
        let keys = keys(&[[1; 32]]);
        let body = br#"{"r":"R","s":"u1","k":"sid-1","t":7000,"m":false}"#.to_vec();
        let sealed = keys
            .seal(&seal_purpose("store", JWT), body, [9; 12])
            .unwrap();
        let text = URL_SAFE_NO_PAD.encode(sealed);
        let opened = RefreshTicket::open(&keys, "store", JWT, &text).unwrap();
        assert_eq!(
            (opened.session_hash, opened.registered, opened.login_time),
            (None, false, Timestamp::from_secs(7))
        );
    }

    #[test]
    fn the_first_key_seals_and_all_keys_open() {
        let old = keys(&[[1; 32]]);
        let rotated = keys(&[[2; 32], [1; 32]]);
        let sealed = ticket().seal(&old, "store", JWT, [9; 12]).unwrap();
        assert!(RefreshTicket::open(&rotated, "store", JWT, &sealed).is_some());
        let sealed = ticket().seal(&rotated, "store", JWT, [9; 12]).unwrap();
        assert_eq!(RefreshTicket::open(&old, "store", JWT, &sealed), None);
    }

    #[test]
    fn a_changed_byte_prevents_opening() {
        let keys = keys(&[[1; 32]]);
        let sealed = ticket().seal(&keys, "store", JWT, [9; 12]).unwrap();
        let open = |text: &str| RefreshTicket::open(&keys, "store", JWT, text);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            let byte = changed.get_mut(at).unwrap();
            *byte = if *byte == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(open(&changed), None, "byte {at}");
        }
        for junk in ["", "AAAA", "not base64!", &"A".repeat(5000)] {
            assert_eq!(open(junk), None);
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let printed = format!("{:?} {:?}", ticket(), SealingKeys::new(&[[1; 32]]));
        assert!(!printed.contains("the-refresh-token"), "{printed}");
    }
}
