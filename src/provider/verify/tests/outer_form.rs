//! The outer form of tokens: what is not a signed token in compact form (RFC 7515, section 7.1) is
//! refused before any claim is read.

use proptest::sample::{Index, select};

use super::*;

/// A key, and a good token that it signed.
fn signed() -> (TestKey, String) {
    let key = TestKey::ed25519("k");
    let token = key.token(&claims());
    (key, token)
}

/// Whether claims were read: nothing but a good signature leads to these.
fn has_read_claims(judged: &Result<VerifiedClaims, VerifyError>) -> bool {
    match judged {
        Ok(_)
        | Err(VerifyError::Expired(_) | VerifyError::NotYetValid(_) | VerifyError::NotForUs) => {
            true
        }
        Err(VerifyError::TooLarge | VerifyError::Invalid | VerifyError::UnknownKey) => false,
    }
}

/// The compact form, as the RFC describes it, without the decoder of the gateway: three parts of
/// base64url that are not empty, and no bit of their last characters is lost.
fn is_compact(text: &str) -> bool {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let is_base64url = |part: &str| {
        let last = part
            .chars()
            .next_back()
            .and_then(|last| ALPHABET.find(last));
        let unused_bits = match part.len() % 4 {
            0 => Some(0),
            2 => Some(4),
            3 => Some(2),
            _ => None,
        };
        part.chars().all(|letter| ALPHABET.contains(letter))
            && last
                .zip(unused_bits)
                .is_some_and(|(last, bits)| last.trailing_zeros() >= bits || last == 0)
    };
    text.split('.').count() == 3 && text.split('.').all(is_base64url)
}

/// The token in other forms that hold the same signed claims.
fn other_forms(token: &str) -> Vec<String> {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let flat = json!({ "protected": header, "payload": payload, "signature": signature });
    let general = json!({
        "payload": payload,
        "signatures": [{ "protected": header, "signature": signature }],
    });
    vec![
        flat.to_string(),
        general.to_string(),
        format!("\"{token}\""),
        format!("'{token}'"),
        format!("Bearer {token}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        token.replace('.', "%2E"),
        token.replace('.', ":"),
        token.replace('.', "\0."),
        format!("{header}.{payload}.{signature}{}", "A".repeat(MAX_TOKEN)),
    ]
}

#[test]
fn the_same_claims_in_another_form_are_not_read() {
    let (key, token) = signed();
    assert!(is_compact(&token) && judge(&key, &token).is_ok());
    for other in other_forms(&token) {
        let judged = judge(&key, &other);
        let expected = if other.len() > MAX_TOKEN {
            VerifyError::TooLarge
        } else {
            VerifyError::Invalid
        };
        assert_eq!(judged, Err(expected), "{other}");
    }
}

/// The longest token is verified; one byte more is not looked at.
#[test]
fn the_limit_of_size_is_exact() {
    let key = TestKey::ed25519("k");
    let with = |padding: usize| key.token(&claims_with("x", json!("x".repeat(padding))));
    let short = with(0).len();
    let of_length = |wanted: usize| {
        let about = (wanted - short) * 3 / 4;
        (about - 2..about + 3)
            .map(with)
            .find(|token| token.len() == wanted)
    };
    // Not every length is one of base64url.
    let longest = (MAX_TOKEN - 2..=MAX_TOKEN).rev().find_map(of_length);
    assert!(judge(&key, &longest.unwrap()).is_ok());
    let longer = (MAX_TOKEN + 1..MAX_TOKEN + 4).find_map(of_length);
    assert_eq!(judge(&key, &longer.unwrap()), Err(VerifyError::TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_without_reading_claims(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,40}", 0..7),
        between in select(vec![".", "..", " ", "\u{e9}", "\""]),
    ) {
        let (key, _) = signed();
        for text in [String::from_utf8_lossy(&bytes).into_owned(), parts.join(between)] {
            let judged = judge(&key, &text);
            prop_assert!(!has_read_claims(&judged), "{text:?}");
            if !is_compact(&text) {
                prop_assert_eq!(judged, Err(VerifyError::Invalid), "{}", text);
            }
        }
    }

    /// One change anywhere: no spelling but one is accepted, and one that is no compact form never
    /// makes the gateway look for a key.
    #[test]
    fn a_token_has_one_spelling(
        at in any::<Index>(),
        with in prop_oneof![
            "[A-Za-z0-9_-]",
            select(vec!["", ".", "=", "==", "+", "/", "%", "\"", " ", "\0", "\u{e9}", "{}"])
                .prop_map(str::to_owned),
        ],
        replaced in 0_usize..3,
    ) {
        let (key, token) = signed();
        let at = at.index(token.len());
        let end = (at + replaced).min(token.len());
        let changed = format!("{}{with}{}", &token[..at], &token[end..]);
        prop_assume!(changed != token);
        let judged = judge(&key, &changed);
        prop_assert!(!has_read_claims(&judged), "{changed}");
        if !is_compact(&changed) {
            prop_assert_eq!(judged, Err(VerifyError::Invalid), "{}", changed);
        }
    }
}
