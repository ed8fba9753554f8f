//! The laws of what the client carries but cannot read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use vestibule::model::credential::{CredentialKind, RefreshTicket, SealingKeys};
use vestibule::model::secret::Secret;
use vestibule::model::timestamp::Timestamp;

const JWT: CredentialKind = CredentialKind::Jwt;

fn ticket() -> impl Strategy<Value = RefreshTicket> {
    (
        any::<String>(),
        any::<String>(),
        any::<String>(),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(refresh, sub, session, started, remember)| RefreshTicket {
            session_hash: remember.then(|| "begun".to_owned()),
            refresh: Secret::new(refresh),
            sub,
            revocation_key: session,
            login_time: Timestamp::from_millis(started),
            remember,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_seal_opens_where_it_was_made_and_nowhere_else(
        ticket in ticket(),
        (key, other_key) in any::<([u8; 32], [u8; 32])>(),
        nonce in any::<[u8; 12]>(),
        (site, other_site) in ("[a-z0-9-]{1,12}", "[a-z0-9-]{1,12}"),
    ) {
        let ring = SealingKeys::new(&[key]).unwrap();
        let sealed = ring.seal(&site, JWT, &ticket, nonce).unwrap();
        let opened = ring.open(&site, JWT, &sealed);
        prop_assert_eq!(opened.as_ref(), Some(&ticket));
        let rotated = SealingKeys::new(&[other_key, key]).unwrap();
        prop_assert_eq!(rotated.open(&site, JWT, &sealed), Some(ticket));
        prop_assert!(site == other_site || ring.open(&other_site, JWT, &sealed).is_none());
        prop_assert!(key == other_key || SealingKeys::new(&[other_key]).unwrap().open(&site, JWT, &sealed).is_none());
    }

    #[test]
    fn nothing_changed_opens(
        ticket in ticket(), at in any::<prop::sample::Index>(), flip in 1_u8..=255, cut in any::<prop::sample::Index>(),
    ) {
        let ring = SealingKeys::new(&[[7; 32]]).unwrap();
        let sealed = ring.seal("store", JWT, &ticket, [9; 12]).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_eq!(ring.open("store", JWT, &URL_SAFE_NO_PAD.encode(&bytes)), None);
        prop_assert_eq!(ring.open("store", JWT, &sealed[..cut.index(sealed.len())]), None);
        prop_assert_eq!(ring.open("store", JWT, &format!("{sealed}A")), None);
        prop_assert_eq!(ring.open("store", JWT, &format!("{sealed}=")), None);
    }

    #[test]
    fn any_text_is_tried_without_a_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let ring = SealingKeys::new(&[[7; 32]]).unwrap();
        prop_assert_eq!(ring.open("store", JWT, &text), None);
        prop_assert_eq!(ring.open("store", JWT, &URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn a_seal_fits_into_a_cookie(ticket in ticket()) {
        let sealed = SealingKeys::new(&[[7; 32]]).unwrap().seal("store", JWT, &ticket, [9; 12]).unwrap();
        prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    }
}
