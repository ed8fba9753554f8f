//! The checks of claims, expiry and the session, behind a good signature.

use super::*;

#[test]
fn claims_must_be_there_and_rightly_typed() {
    for (name, bad) in [
        (
            "iss",
            vec![Value::Null, json!(1), json!(["https://id.example.com"])],
        ),
        (
            "aud",
            vec![Value::Null, json!(1), json!(["store", 1]), json!({})],
        ),
        ("sub", vec![Value::Null, json!(""), json!(1), json!(["u1"])]),
        (
            "exp",
            vec![
                Value::Null,
                json!("1900000000"),
                json!(true),
                json!([NOW]),
                json!(-1),
                json!(-0.5),
                json!(1e300),
            ],
        ),
        ("iat", vec![json!("1"), json!(-1), json!({})]),
        ("nbf", vec![json!("1"), json!(false)]),
        ("sid", vec![json!(1)]),
        ("events", vec![json!({})]),
        ("at_hash", vec![json!("x")]),
    ] {
        for value in bad {
            assert_eq!(
                judge_claims(&claims_with(name, value.clone())),
                Err(VerifyError::Invalid),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_told_apart() {
    for (name, value) in [
        ("iss", json!("")),
        ("iss", json!("https://id.example.com/")),
        ("aud", json!("forum")),
        ("aud", json!(["forum"])),
        ("aud", json!([])),
    ] {
        assert_eq!(
            judge_claims(&claims_with(name, value.clone())),
            Err(VerifyError::NotForUs),
            "{name} {value}"
        );
    }
}

/// The gateway's clock is behind: nobody is signed out for it.
#[test]
fn a_token_that_is_not_valid_yet_is_told_apart() {
    for name in ["iat", "nbf"] {
        let early = claims_with(name, json!(NOW + 31));
        let Err(VerifyError::NotYetValid(verified)) = judge_claims(&early) else {
            panic!("{name}")
        };
        assert_eq!(verified.session, RevocationKey("s1".into()), "{name}");
        let mut of_another = early.clone();
        of_another["aud"] = json!("forum");
        assert_eq!(
            judge_claims(&of_another),
            Err(VerifyError::NotForUs),
            "{name}"
        );
    }
}

#[test]
fn rightly_typed_claims_are_accepted() {
    for (name, good) in [
        ("aud", vec![json!(["forum", "store"])]),
        (
            "exp",
            vec![
                json!(NOW + 1),
                json!(NOW - 29),
                json!(1_800_000_000.5),
                json!(u64::MAX),
            ],
        ),
        ("iat", vec![Value::Null, json!(NOW + 30), json!(1.5)]),
        ("nbf", vec![json!(NOW + 30), json!(0)]),
    ] {
        for value in good {
            assert!(
                judge_claims(&claims_with(name, value.clone())).is_ok(),
                "{name} {value}"
            );
        }
    }
}

#[test]
fn a_payload_that_is_no_unambiguous_object_is_refused() {
    let key = TestKey::ed25519("k");
    let good = claims().to_string();
    let twice = good.replacen('{', r#"{"sub":"admin","#, 1);
    let not_a_number = good.replacen(&(NOW + 60).to_string(), "1e999", 1);
    for payload in [
        twice.as_str(),
        &not_a_number,
        "[]",
        "1",
        "x",
        "{}",
        &format!("{good}{good}"),
    ] {
        assert_eq!(
            judge(&key, &key.sign(&key.header().to_string(), payload)),
            Err(VerifyError::Invalid),
            "{payload}"
        );
    }
}

#[test]
fn only_a_token_that_is_good_otherwise_is_expired() {
    let old = claims_with("exp", json!(NOW - 30));
    let Err(VerifyError::Expired(verified)) = judge_claims(&old) else {
        panic!("not expired")
    };
    assert_eq!(Value::Object(verified.claims), old);
    assert_eq!(verified.session, RevocationKey("s1".into()));

    let (key, other) = (TestKey::ed25519("k"), TestKey::ed25519("k"));
    assert_eq!(judge(&key, &other.token(&old)), Err(VerifyError::Invalid));
    for (name, value, error) in [
        ("iss", json!("x"), VerifyError::NotForUs),
        ("aud", json!("x"), VerifyError::NotForUs),
        ("sub", json!(""), VerifyError::Invalid),
    ] {
        let mut claims = old.clone();
        claims[name] = value;
        assert_eq!(judge_claims(&claims), Err(error), "{name}");
    }
}

#[test]
fn a_session_is_known_by_sid_then_jti_then_what_was_signed() {
    let session = |claims: &Value| judge_claims(claims).unwrap().session.0;
    let mut claims = claims();
    assert_eq!(session(&claims), "s1");
    claims["sid"] = json!("");
    assert_eq!(session(&claims), "j1");
    claims.as_object_mut().unwrap().remove("jti");

    // ECDSA signatures of one token differ, its session does not.
    let key = TestKey::es256("k");
    let (one, two) = (key.token(&claims), key.token(&claims));
    assert_ne!(one, two);
    let hash = judge(&key, &one).unwrap().session;
    assert_eq!(hash.0.len(), 43);
    assert_eq!(judge(&key, &two).unwrap().session, hash);
}
