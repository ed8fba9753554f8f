//! The sealed refresh token: what the refresh cookie, and the refresh token of an API client, hold.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::credential::CredentialKind;
use super::sealing_keys::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;
use super::timestamp::Timestamp;

/// The provider's refresh token, and what must be known of the login when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenEnvelope {
    /// The provider's refresh token.
    pub refresh: Secret,
    /// The `sub` of the user it was issued to. A refreshed token must be for the same user.
    pub sub: String,
    /// The [`RevocationKey`](super::token::RevocationKey) of the login's first access token.
    pub revocation_key: String,
    /// When the user logged in, by the clock of the gateway.
    pub login_time: Timestamp,
    /// The `iat` of the login's first access token, by the clock of the provider; `None` where it
    /// had none, and in envelopes of earlier versions.
    pub login_issued: Option<Timestamp>,
    /// Whether the cookies outlive the browser session.
    pub remember: bool,
    /// The hash of the id of the session that was created with this token and ends with it, for
    /// [`CredentialKind::Session`].
    pub session_hash: Option<String>,
    /// The latest `exp` among the access tokens that were issued up to this refresh token; `None`
    /// in envelopes of earlier versions.
    pub access_expires: Option<Timestamp>,
    /// The `iat` of the access token that was issued with this refresh token; `None` in envelopes of
    /// earlier versions.
    pub access_issued: Option<Timestamp>,
    /// Whether an access token of this login said that the user is registered for the application.
    /// One that does not say so any more ends the login.
    pub registered: bool,
    /// The last ID token of the login, where the provider issues one: it tells who the user is
    /// where the access token does not, and is shown to the provider at a logout.
    pub id_token: Option<Secret>,
}

/// How long an access token may live of which nothing is known.
const MAX_ACCESS_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    i: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    g: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<u64>,
}

impl RefreshTokenEnvelope {
    /// Seals the envelope for one site and credential kind, in base64url. `nonce` is random and used
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
            x: self.access_expires.map(Timestamp::millis),
            i: self.access_issued.map(Timestamp::millis),
            g: self.registered,
            d: self
                .id_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            f: self.login_issued.map(Timestamp::millis),
        };
        let body = serde_json::to_vec(&inside).ok()?;
        Some(URL_SAFE_NO_PAD.encode(keys.seal(&seal_purpose(site, kind), body, nonce)?))
    }

    /// Opens what [`RefreshTokenEnvelope::seal`] made for the same site and kind; `None` for everything
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
            login_issued: inside.f.map(Timestamp::from_millis),
            remember: inside.m,
            session_hash: inside.b,
            access_expires: inside.x.map(Timestamp::from_millis),
            access_issued: inside.i.map(Timestamp::from_millis),
            registered: inside.g,
            id_token: inside.d.map(Secret::new),
        })
    }

    /// Whether somebody may have refreshed with this envelope by `at`: its access token was issued,
    /// and was to be refreshed, which begins at most `ahead` and a third of its life before its
    /// end. API clients may refresh at any time, and are expected not to.
    #[must_use]
    pub fn was_due(&self, at: Timestamp, ahead: Duration) -> bool {
        let Some(expires) = self.access_expires else {
            return true;
        };
        let issued = self.access_issued.unwrap_or(self.login_time);
        let ahead = ahead.min(issued.until(expires) / 3);
        issued <= at && expires <= at.plus(ahead)
    }

    /// Whether the login was made at `event` or before, a time by the clock of the provider. The
    /// `iat` tells in which second it was made. Where `event` is in the same second, the clock of
    /// the gateway decides.
    #[must_use]
    pub fn was_issued_by(&self, event: Timestamp) -> bool {
        match self.login_issued {
            Some(issued) if issued.secs() != event.secs() => issued < event,
            Some(_) | None => self.login_time <= event,
        }
    }

    /// When every access token of the sign-in that exists at `now` has expired.
    ///
    /// Where the provider does not replace the refresh token, a client may keep an envelope while it
    /// is given further access tokens. Those were issued by now and live as long as the ones
    /// before, which is at most from the sign-in to the `exp` that the envelope knows.
    #[must_use]
    pub fn access_tokens_end(&self, now: Timestamp) -> Timestamp {
        let Some(expires) = self.access_expires else {
            return now.plus(MAX_ACCESS_LIFETIME);
        };
        expires.max(now.plus(self.login_time.until(expires)))
    }
}

fn seal_purpose(site: &str, kind: CredentialKind) -> String {
    format!("vestibule refresh\0{}\0{site}", kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: CredentialKind = CredentialKind::Jwt;

    fn envelope() -> RefreshTokenEnvelope {
        RefreshTokenEnvelope {
            refresh: Secret::new("the-refresh-token"),
            sub: "u1".into(),
            revocation_key: "sid-1".into(),
            login_time: Timestamp::from_secs(7),
            login_issued: Some(Timestamp::from_secs(6)),
            remember: true,
            session_hash: Some("a-hash".into()),
            access_expires: Some(Timestamp::from_secs(67)),
            access_issued: Some(Timestamp::from_secs(7)),
            registered: true,
            id_token: Some(Secret::new("the-id-token")),
        }
    }

    fn keys(keys: &[[u8; 32]]) -> SealingKeys {
        SealingKeys::new(keys).unwrap()
    }

    #[test]
    fn an_envelope_opens_for_its_own_site_and_kind_only() {
        let keys = keys(&[[1; 32]]);
        let sealed = envelope().seal(&keys, "store", JWT, [9; 12]).unwrap();
        let open = |site, kind| RefreshTokenEnvelope::open(&keys, site, kind, &sealed);
        assert_eq!(open("store", JWT), Some(envelope()));
        assert_eq!(open("forum", JWT), None);
        for other in [CredentialKind::Session, CredentialKind::Bearer] {
            assert_eq!(open("store", other), None, "{other:?}");
        }
    }

    #[test]
    fn an_envelope_of_an_earlier_version_opens() {
        let keys = keys(&[[1; 32]]);
        let body = br#"{"r":"the-refresh-token","s":"u1","k":"sid-1","t":7000,"m":true}"#;
        let sealed = keys.seal(&seal_purpose("store", JWT), body.to_vec(), [9; 12]);
        let opened = RefreshTokenEnvelope::open(
            &keys,
            "store",
            JWT,
            &URL_SAFE_NO_PAD.encode(sealed.unwrap()),
        );
        let expected = RefreshTokenEnvelope {
            login_issued: None,
            session_hash: None,
            access_expires: None,
            access_issued: None,
            registered: false,
            id_token: None,
            ..envelope()
        };
        assert_eq!(opened, Some(expected));
    }

    #[test]
    fn an_envelope_was_due_shortly_before_its_access_token_ended() {
        let due = |envelope: &RefreshTokenEnvelope, at, ahead| {
            envelope.was_due(Timestamp::from_secs(at), Duration::from_secs(ahead))
        };
        // Issued at 7, ends at 67.
        let third = |at| due(&envelope(), at, 60);
        assert!(!third(46) && third(47) && third(67) && third(1000));
        assert!(!due(&envelope(), 61, 5) && due(&envelope(), 62, 5));
        // It was issued at 40, after an earlier token of the sign-in.
        let later = RefreshTokenEnvelope {
            access_issued: Some(Timestamp::from_secs(40)),
            ..envelope()
        };
        assert!(!due(&later, 57, 60) && due(&later, 58, 60));
        let outlived = RefreshTokenEnvelope {
            access_issued: Some(Timestamp::from_secs(70)),
            ..envelope()
        };
        assert!(!due(&outlived, 69, 60) && due(&outlived, 70, 60));
        let earlier_versions = [
            RefreshTokenEnvelope {
                access_issued: None,
                ..later
            },
            RefreshTokenEnvelope {
                access_expires: None,
                ..envelope()
            },
        ];
        assert!(
            earlier_versions
                .iter()
                .all(|envelope| due(envelope, 47, 60))
        );
    }

    #[test]
    fn a_login_was_made_in_the_second_of_its_first_token() {
        let at = Timestamp::from_millis;
        // Issued in the seventh second by the provider, while the gateway's clock said 7.000.
        let issued_by = |event| envelope().was_issued_by(at(event));
        assert!(!issued_by(5_999) && issued_by(7_000) && issued_by(60_000));
        // In the same second the gateway's clock decides.
        assert!(!issued_by(6_000) && !issued_by(6_999));
        let earlier = RefreshTokenEnvelope {
            login_time: at(6_500),
            ..envelope()
        };
        assert!(!earlier.was_issued_by(at(6_499)) && earlier.was_issued_by(at(6_500)));
        let of_earlier_version = RefreshTokenEnvelope {
            login_issued: None,
            ..envelope()
        };
        let issued_by = |event| of_earlier_version.was_issued_by(at(event));
        assert!(!issued_by(6_999) && issued_by(7_000));
    }

    #[test]
    fn the_access_tokens_end_with_the_last_that_may_exist() {
        let at = Timestamp::from_secs;
        // The only access token was issued at 7 and ends at 67.
        assert_eq!(envelope().access_tokens_end(at(7)), at(67));
        // By now a further one may have been issued, for as long.
        assert_eq!(envelope().access_tokens_end(at(1000)), at(1060));
        // The clock was set back.
        assert_eq!(envelope().access_tokens_end(at(1)), at(67));
        let earlier_version = RefreshTokenEnvelope {
            access_expires: None,
            ..envelope()
        };
        let month = 30 * 24 * 60 * 60;
        assert_eq!(earlier_version.access_tokens_end(at(7)), at(7 + month));
    }

    #[test]
    fn the_first_key_seals_and_all_keys_open() {
        let old = keys(&[[1; 32]]);
        let rotated = keys(&[[2; 32], [1; 32]]);
        let sealed = envelope().seal(&old, "store", JWT, [9; 12]).unwrap();
        assert!(RefreshTokenEnvelope::open(&rotated, "store", JWT, &sealed).is_some());
        let sealed = envelope().seal(&rotated, "store", JWT, [9; 12]).unwrap();
        assert_eq!(
            RefreshTokenEnvelope::open(&old, "store", JWT, &sealed),
            None
        );
    }

    #[test]
    fn a_changed_byte_prevents_opening() {
        let keys = keys(&[[1; 32]]);
        let sealed = envelope().seal(&keys, "store", JWT, [9; 12]).unwrap();
        let open = |text: &str| RefreshTokenEnvelope::open(&keys, "store", JWT, text);
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
        let printed = format!("{:?} {:?}", envelope(), SealingKeys::new(&[[1; 32]]));
        for secret in ["the-refresh-token", "the-id-token"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
