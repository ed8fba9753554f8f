use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provider::test_keys::{RSA_PUBLIC_PEM, TestKey};

mod claims;
mod id_tokens;
mod outer_form;
mod wycheproof;

const NOW: u64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn expect() -> Expectations {
    Expectations {
        issuer: "https://id.example.com".into(),
        audience: "store".into(),
        client: None,
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        leeway: Duration::from_secs(30),
    }
}

fn keys(keys: &[&TestKey]) -> KeySet {
    let jwks: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    KeySet::from_jwks(
        json!({ "keys": jwks }).to_string().as_bytes(),
        &expect().algorithms,
    )
    .unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "store", "sub": "u1", "exp": NOW + 60, "iat": NOW - 1, "sid": "s1",
        "jti": "j1", "roles": ["a"],
    })
}

/// The usual claims with one replaced, or removed by `null`.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

fn judge(key: &TestKey, token: &str) -> Result<VerifiedClaims, VerifyError> {
    verify(token, &keys(&[key]), &expect(), now())
}

fn judge_claims(claims: &Value) -> Result<VerifiedClaims, VerifyError> {
    let key = TestKey::ed25519("k");
    judge(&key, &key.token(claims))
}

fn any_algorithm() -> HeaderRule<'static> {
    HeaderRule {
        algorithms: Algorithm::ALL,
        is_type: is_access_token_type,
    }
}

#[test]
fn a_good_token_of_each_kind_is_accepted() {
    for key in [
        TestKey::es256("k"),
        TestKey::ed25519("k"),
        TestKey::rs256("k"),
    ] {
        let verified = judge(&key, &key.token(&claims())).unwrap();
        assert_eq!(Value::Object(verified.claims), claims());
        assert_eq!(verified.issued, Some(Timestamp::from_secs(NOW - 1)));
        assert_eq!(verified.expires, Timestamp::from_secs(NOW + 60));
        assert_eq!(verified.session, RevocationKey("s1".into()));
    }
}

#[test]
fn only_listed_algorithms_in_their_exact_spelling() {
    let key = TestKey::es256("k");
    for alg in [
        "none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES384", "HS256", "PS256",
    ] {
        let header = json!({ "alg": alg, "kid": "k" }).to_string();
        assert_eq!(
            judge(&key, &key.sign(&header, &claims().to_string())),
            Err(VerifyError::Invalid),
            "{alg}"
        );
    }
    for header in [
        r#"{"kid":"k"}"#,
        r#"{"alg":null,"kid":"k"}"#,
        r#"{"alg":["ES256"],"kid":"k"}"#,
    ] {
        assert_eq!(
            judge(&key, &key.sign(header, &claims().to_string())),
            Err(VerifyError::Invalid),
            "{header}"
        );
    }
    let narrow = Expectations {
        algorithms: vec![Algorithm::EdDsa],
        ..expect()
    };
    assert_eq!(
        verify(&key.token(&claims()), &keys(&[&key]), &narrow, now()),
        Err(VerifyError::Invalid)
    );
}

#[test]
fn the_algorithm_is_the_keys_own() {
    // The same key under both names: what the key is bound to decides.
    let key = TestKey::ed25519("k");
    let both = Expectations {
        algorithms: vec![Algorithm::EdDsa, Algorithm::Ed25519],
        ..expect()
    };
    let set = KeySet::from_jwks(
        json!({ "keys": [key.jwk()] }).to_string().as_bytes(),
        &both.algorithms,
    )
    .unwrap();
    let renamed = key.sign(r#"{"alg":"Ed25519","kid":"k"}"#, &claims().to_string());
    assert_eq!(
        verify(&renamed, &set, &both, now()),
        Err(VerifyError::Invalid)
    );
    assert!(verify(&key.token(&claims()), &set, &both, now()).is_ok());
}

#[test]
fn an_unsigned_token_is_refused() {
    let key = TestKey::es256("k");
    let token = key.token(&claims());
    let (input, _) = token.rsplit_once('.').unwrap();
    for token in [
        format!("{input}."),
        input.to_owned(),
        format!("{input}.AA"),
        format!("{input}.{}", "A".repeat(86)),
    ] {
        assert_eq!(judge(&key, &token), Err(VerifyError::Invalid));
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let rsa = TestKey::rs256("k");
    let der: Vec<u8> = {
        let body: String = RSA_PUBLIC_PEM
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap()
    };
    let n = URL_SAFE_NO_PAD
        .decode(rsa.jwk()["n"].as_str().unwrap())
        .unwrap();
    // Even where the operator listed both families.
    let all = Expectations {
        algorithms: vec![Algorithm::Rs256, Algorithm::Hs256],
        ..expect()
    };
    let set = KeySet::from_jwks(
        json!({ "keys": [rsa.jwk()] }).to_string().as_bytes(),
        &all.algorithms,
    )
    .unwrap();
    for secret in [
        RSA_PUBLIC_PEM.as_bytes(),
        RSA_PUBLIC_PEM.trim_end().as_bytes(),
        &der,
        &n,
    ] {
        let forged = TestKey::hs256("k", secret).token(&claims());
        assert_eq!(
            verify(&forged, &set, &all, now()),
            Err(VerifyError::Invalid)
        );
        assert_eq!(
            verify(&forged, &set, &expect(), now()),
            Err(VerifyError::Invalid)
        );
    }
    assert!(verify(&rsa.token(&claims()), &set, &all, now()).is_ok());
}

#[test]
fn keys_in_the_header_are_not_used() {
    let (ours, theirs) = (TestKey::es256("k"), TestKey::es256("k"));
    let mut header = ours.header();
    header["jwk"] = theirs.jwk();
    header["jku"] = json!("http://127.0.0.1:1/keys");
    header["x5u"] = json!("http://127.0.0.1:1/cert");
    header["x5c"] = json!(["MIIB"]);
    assert_eq!(
        judge(
            &ours,
            &theirs.sign(&header.to_string(), &claims().to_string())
        ),
        Err(VerifyError::Invalid)
    );
    assert!(
        judge(
            &ours,
            &ours.sign(&header.to_string(), &claims().to_string())
        )
        .is_ok()
    );
}

#[test]
fn header_members_that_change_the_meaning_are_refused() {
    let key = TestKey::es256("k");
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("kid", json!(1)),
        ("typ", json!("logout+jwt")),
        ("typ", json!("JOSE")),
        ("typ", json!("text/jwt")),
        ("typ", json!(1)),
        ("typ", Value::Null),
    ] {
        let mut header = key.header();
        header[name] = value.clone();
        let token = key.sign(&header.to_string(), &claims().to_string());
        assert_eq!(
            judge(&key, &token),
            Err(VerifyError::Invalid),
            "{name} {value}"
        );
    }
    for typ in [
        "JWT",
        "jwt",
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "application/JWT",
    ] {
        let mut header = key.header();
        header["typ"] = json!(typ);
        assert!(
            judge(&key, &key.sign(&header.to_string(), &claims().to_string())).is_ok(),
            "{typ}"
        );
    }
    let twice = r#"{"alg":"ES256","kid":"k","alg":"ES256"}"#;
    assert_eq!(
        judge(&key, &key.sign(twice, &claims().to_string())),
        Err(VerifyError::Invalid)
    );
    for header in ["[]", "1", "", "{", "null"] {
        assert_eq!(
            judge(&key, &key.sign(header, &claims().to_string())),
            Err(VerifyError::Invalid),
            "{header}"
        );
    }
}

#[test]
fn only_the_compact_form() {
    let key = TestKey::es256("k");
    let token = key.token(&claims());
    let (first, rest) = token.split_at(5);
    for form in [
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}="),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.AA.AA"),
        format!("\"{token}\""),
        format!("{first} {rest}"),
        format!("{first}+{rest}"),
        format!("{first}é{rest}"),
        "..".into(),
        ".".into(),
        String::new(),
        json!({ "payload": "", "signatures": [] }).to_string(),
    ] {
        assert_eq!(judge(&key, &form), Err(VerifyError::Invalid), "{form}");
    }
    let long = key.token(&claims_with("more", json!("x".repeat(MAX_TOKEN))));
    assert_eq!(judge(&key, &long), Err(VerifyError::TooLarge));
    assert!(
        judge(
            &key,
            &key.token(&claims_with("more", json!("x".repeat(5000))))
        )
        .is_ok()
    );
}

#[test]
fn an_unknown_key_differs_from_a_bad_signature() {
    let (old, new) = (TestKey::es256("old"), TestKey::es256("new"));
    assert_eq!(
        judge(&old, &new.token(&claims())),
        Err(VerifyError::UnknownKey)
    );
    assert_eq!(
        judge(&old, &TestKey::es256("old").token(&claims())),
        Err(VerifyError::Invalid)
    );
    assert_eq!(
        judge(&old, &TestKey::ed25519("old").token(&claims())),
        Err(VerifyError::Invalid)
    );
}

proptest! {
    #[test]
    fn no_text_is_a_token(text in "\\PC{0,200}", parts in "[A-Za-z0-9_.-]{0,300}") {
        let key = TestKey::ed25519("k");
        prop_assert!(judge(&key, &text).is_err());
        prop_assert!(judge(&key, &parts).is_err());
    }

    #[test]
    fn no_payload_panics(payload in "\\PC{0,100}", header in "\\PC{0,100}") {
        let key = TestKey::ed25519("k");
        prop_assert!(judge(&key, &key.sign(&key.header().to_string(), &payload)).is_err());
        prop_assert!(judge(&key, &key.sign(&header, &claims().to_string())).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(at in any::<prop::sample::Index>(), byte in 0u8..128) {
        for key in [TestKey::ed25519("k"), TestKey::es256("k")] {
            let token = key.token(&claims());
            let mut bytes = token.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(judge(&key, &changed).is_ok(), changed == token);
        }
    }
}
