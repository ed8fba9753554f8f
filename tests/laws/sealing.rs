//! Laws of sealed refresh envelopes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use vestibule::model::credential::CredentialKind;
use vestibule::model::refresh_token_envelope::RefreshTokenEnvelope;
use vestibule::model::sealing_keys::SealingKeys;
use vestibule::model::secret::Secret;
use vestibule::model::timestamp::Timestamp;

const JWT: CredentialKind = CredentialKind::Jwt;

fn envelope() -> impl Strategy<Value = RefreshTokenEnvelope> {
    (
        any::<String>(),
        any::<String>(),
        any::<String>(),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(
            |(refresh, sub, session, started, remember)| RefreshTokenEnvelope {
                session_hash: remember.then(|| "a-hash".to_owned()),
                refresh: Secret::new(refresh),
                sub,
                revocation_key: session,
                login_time: Timestamp::from_millis(started),
                login_issued: remember.then(|| Timestamp::from_millis(started)),
                registered: remember,
                id_token: remember.then(|| Secret::new("an-id-token")),
                remember,
                access_expires: remember.then(|| Timestamp::from_millis(started)),
                access_issued: remember.then(|| Timestamp::from_millis(started)),
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_envelope_opens_for_its_own_site_and_keys_only(
        envelope in envelope(),
        (key, other_key) in any::<([u8; 32], [u8; 32])>(),
        nonce in any::<[u8; 12]>(),
        (site, other_site) in ("[a-z0-9-]{1,12}", "[a-z0-9-]{1,12}"),
    ) {
        let keys = SealingKeys::new(&[key]).unwrap();
        let sealed = envelope.seal(&keys, &site, JWT, nonce).unwrap();
        let opened = RefreshTokenEnvelope::open(&keys, &site, JWT, &sealed);
        prop_assert_eq!(opened.as_ref(), Some(&envelope));
        let rotated = SealingKeys::new(&[other_key, key]).unwrap();
        prop_assert_eq!(RefreshTokenEnvelope::open(&rotated, &site, JWT, &sealed), Some(envelope));
        prop_assert!(site == other_site || RefreshTokenEnvelope::open(&keys, &other_site, JWT, &sealed).is_none());
        prop_assert!(key == other_key || RefreshTokenEnvelope::open(&SealingKeys::new(&[other_key]).unwrap(), &site, JWT, &sealed).is_none());
    }

    #[test]
    fn a_changed_envelope_does_not_open(
        envelope in envelope(), at in any::<prop::sample::Index>(), flip in 1_u8..=255, cut in any::<prop::sample::Index>(),
    ) {
        let keys = SealingKeys::new(&[[7; 32]]).unwrap();
        let sealed = envelope.seal(&keys, "store", JWT, [9; 12]).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(RefreshTokenEnvelope::open(&keys, "store", JWT, &URL_SAFE_NO_PAD.encode(&bytes)), None);
        prop_assert_eq!(RefreshTokenEnvelope::open(&keys, "store", JWT, &sealed[..cut.index(sealed.len())]), None);
        prop_assert_eq!(RefreshTokenEnvelope::open(&keys, "store", JWT, &format!("{sealed}A")), None);
        prop_assert_eq!(RefreshTokenEnvelope::open(&keys, "store", JWT, &format!("{sealed}=")), None);
    }

    #[test]
    fn any_text_is_opened_without_a_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let keys = SealingKeys::new(&[[7; 32]]).unwrap();
        prop_assert_eq!(RefreshTokenEnvelope::open(&keys, "store", JWT, &text), None);
        prop_assert_eq!(RefreshTokenEnvelope::open(&keys, "store", JWT, &URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn a_sealed_envelope_is_a_valid_cookie_value(envelope in envelope()) {
        let sealed = envelope.seal(&SealingKeys::new(&[[7; 32]]).unwrap(), "store", JWT, [9; 12]).unwrap();
        prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }
}
