use serde_json::{Value, json};

use super::*;
use crate::provider::test_keys::TestKey;

const ALLOWED: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::EdDsa,
];

fn read(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), ALLOWED)
}

fn changed(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

#[test]
fn entries_that_cannot_be_used_are_skipped() {
    let good = TestKey::es256("good");
    let other = || TestKey::es256("other").jwk();
    for odd in [
        changed(other(), "kty", json!("EC2")),
        without(other(), "kty"),
        changed(other(), "use", json!("enc")),
        changed(other(), "key_ops", json!(["encrypt"])),
        changed(other(), "key_ops", json!("verify")),
        changed(other(), "alg", json!("ES384")),
        changed(other(), "alg", json!("RS256")),
        changed(other(), "alg", json!("none")),
        changed(other(), "alg", json!(1)),
        changed(other(), "kid", json!(1)),
        changed(other(), "crv", json!("P-384")),
        changed(other(), "x", json!("AAAA")),
        changed(other(), "x", json!("not base64url!")),
        // Not on the curve.
        changed(other(), "x", good.jwk()["x"].clone()),
        without(other(), "y"),
        changed(TestKey::ed25519("other").jwk(), "crv", json!("X25519")),
        TestKey::hs256("other", &[7; 32]).jwk(),
        json!("text"),
        Value::Null,
    ] {
        assert!(read(std::slice::from_ref(&odd)).is_err(), "{odd}");
        let keys = read(&[odd.clone(), good.jwk()]).unwrap();
        assert_eq!(
            keys.choose(Some("other"), Algorithm::Es256).err(),
            Some(KeyChoiceError::Unknown),
            "{odd}"
        );
        assert!(keys.choose(Some("good"), Algorithm::Es256).is_ok(), "{odd}");
    }
}

#[test]
fn a_document_that_is_not_a_jwks_is_an_error() {
    for text in [
        "",
        "[]",
        "{}",
        "<html>",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[]}"#,
    ] {
        assert!(
            KeySet::from_jwks(text.as_bytes(), ALLOWED).is_err(),
            "{text}"
        );
    }
}

#[test]
fn weak_rsa_keys_are_refused() {
    // 1024 bits.
    let weak = "xhidfrE0NoWaYf41wSbDHgH2QVU2vlfHs9JeoSwNnoagz89Nk64YH_hIuy2ohZMfKC4DV91VZb0E7G-CqvTPGXngmtcIGRHgJ1ghy6w_gRmDtDTWo15QFPbiVz4ljDQqzrqk5m-rXRla3BB-PbQZSVCoiDzdn6xP_-WYWpv6Wz0";
    let strong = TestKey::rs256("k").jwk();
    assert!(read(std::slice::from_ref(&strong)).is_ok());
    assert!(read(&[changed(strong.clone(), "n", json!(weak))]).is_err());
    for exponent in ["AQ", "AAE", "AA", "", "Ag", "AQAA"] {
        assert!(
            read(&[changed(strong.clone(), "e", json!(exponent))]).is_err(),
            "{exponent}"
        );
    }
    assert!(
        read(&[changed(strong, "e", json!("AAEAAQ"))]).is_ok(),
        "a sign byte in front"
    );
}

#[test]
fn the_kid_picks_the_key_and_the_keys_algorithm_binds_it() {
    let (one, two) = (TestKey::es256("one"), TestKey::ed25519("two"));
    let keys = read(&[one.jwk(), two.jwk()]).unwrap();
    assert!(keys.choose(Some("one"), Algorithm::Es256).is_ok());
    assert_eq!(
        keys.choose(Some("one"), Algorithm::EdDsa).err(),
        Some(KeyChoiceError::Unsuitable)
    );
    assert_eq!(
        keys.choose(Some("ONE"), Algorithm::Es256).err(),
        Some(KeyChoiceError::Unknown)
    );

    let rsa = TestKey::rs256("r").jwk();
    let bound = read(std::slice::from_ref(&rsa)).unwrap();
    assert_eq!(
        bound.choose(Some("r"), Algorithm::Ps256).err(),
        Some(KeyChoiceError::Unsuitable)
    );
    let free = read(&[without(rsa, "alg")]).unwrap();
    assert!(
        free.choose(Some("r"), Algorithm::Ps256).is_ok()
            && free.choose(Some("r"), Algorithm::Rs256).is_ok()
    );
}

#[test]
fn without_a_kid_only_the_one_that_fits() {
    let (one, two) = (TestKey::es256("one"), TestKey::ed25519("two"));
    let keys = read(&[one.jwk(), two.jwk()]).unwrap();
    assert!(keys.choose(None, Algorithm::Es256).is_ok());
    assert_eq!(
        keys.choose(None, Algorithm::Rs256).err(),
        Some(KeyChoiceError::Unknown)
    );
    let crowd = read(&[one.jwk(), TestKey::es256("three").jwk()]).unwrap();
    assert_eq!(
        crowd.choose(None, Algorithm::Es256).err(),
        Some(KeyChoiceError::Unsuitable)
    );

    let nameless = read(&[without(one.jwk(), "kid")]).unwrap();
    assert!(nameless.choose(None, Algorithm::Es256).is_ok());
    assert_eq!(
        nameless.choose(Some("one"), Algorithm::Es256).err(),
        Some(KeyChoiceError::Unknown)
    );
}

#[test]
fn one_name_for_two_keys_is_no_name() {
    let (one, two) = (TestKey::es256("k"), TestKey::es256("k"));
    let keys = read(&[one.jwk(), two.jwk(), TestKey::es256("fine").jwk()]).unwrap();
    assert_eq!(
        keys.choose(Some("k"), Algorithm::Es256).err(),
        Some(KeyChoiceError::Unsuitable)
    );
    assert!(keys.choose(Some("fine"), Algorithm::Es256).is_ok());
    assert!(
        read(&[one.jwk(), one.jwk()])
            .unwrap()
            .choose(Some("k"), Algorithm::Es256)
            .is_ok(),
        "the same key twice"
    );
    // RFC 7517, section 4.5: keys of different types may share a name.
    let mixed = read(&[one.jwk(), TestKey::ed25519("k").jwk()]).unwrap();
    assert!(mixed.choose(Some("k"), Algorithm::Es256).is_ok());
}

#[test]
fn sets_are_the_same_when_their_keys_are() {
    let (one, two) = (TestKey::es256("one"), TestKey::es256("two"));
    let set = read(&[one.jwk(), two.jwk()]).unwrap();
    assert!(set.same_keys(&read(&[two.jwk(), one.jwk()]).unwrap().with_generation(7)));
    assert!(!set.same_keys(&read(&[one.jwk()]).unwrap()));
    assert!(!set.same_keys(&read(&[one.jwk(), TestKey::es256("two").jwk()]).unwrap()));
    assert!(
        !set.same_keys(&read(&[one.jwk(), changed(two.jwk(), "kid", json!("three"))]).unwrap())
    );
}

#[test]
fn an_hmac_secret_has_a_least_length_and_fits_every_kid() {
    assert!(KeySet::from_hmac_secret(&[1; 31], &[Algorithm::Hs256]).is_err());
    assert!(KeySet::from_hmac_secret(&[1; 32], &[Algorithm::Rs256]).is_err());
    let keys = KeySet::from_hmac_secret(&[1; 32], &[Algorithm::Hs256]).unwrap();
    for kid in [None, Some("any")] {
        assert!(keys.choose(kid, Algorithm::Hs256).is_ok());
        assert!(keys.choose(kid, Algorithm::Rs256).is_err());
    }
    assert!(!format!("{keys:?}").contains("[1, 1"));
}
