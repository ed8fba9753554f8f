use super::super::id_token::{IdTokenExpectations, read_kept_id_token, verify_id_token};
use super::*;

const ACCESS: &str = "an-access-token";
const ALGORITHMS: &[Algorithm] = &[Algorithm::Es256, Algorithm::EdDsa];

fn expectations() -> IdTokenExpectations<'static> {
    IdTokenExpectations {
        issuer: "https://id.example.com",
        client_id: "gateway",
        algorithms: ALGORITHMS,
        leeway: Duration::from_secs(30),
        nonce: Some("n1"),
        access: Some(ACCESS),
    }
}

fn id_claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "gateway", "sub": "u1", "exp": NOW + 60,
        "iat": NOW - 1, "nonce": "n1", "sid": "s1",
    })
}

fn judge_id(claims: &Value, expect: &IdTokenExpectations<'_>) -> Result<(), VerifyError> {
    let key = TestKey::es256("k");
    verify_id_token(&key.token(claims), &keys(&[&key]), expect, now()).map(drop)
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = id_claims();
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

/// Its key is gone and its time is over, but it is still of this issuer and for this client.
#[test]
fn a_kept_id_token_is_read_without_its_key() {
    let kept = IdTokenExpectations {
        nonce: None,
        access: None,
        ..expectations()
    };
    let token = |claims: &Value| TestKey::es256("withdrawn").token(claims);
    let read = read_kept_id_token(&token(&with("exp", json!(NOW - 3600))), &kept);
    assert_eq!(read.map(|read| read.session.0).ok().as_deref(), Some("s1"));
    for (name, value) in [
        ("iss", json!("https://other.example.com")),
        ("aud", json!("another")),
    ] {
        let read = read_kept_id_token(&token(&with(name, value)), &kept);
        assert!(matches!(read, Err(VerifyError::NotForUs)), "{name}");
    }
    assert!(matches!(
        read_kept_id_token("no token", &kept),
        Err(VerifyError::Invalid)
    ));
}

#[test]
fn an_id_token_of_this_login_is_accepted() {
    // The left half of SHA-256 of the access token.
    let hash = digest::digest(&digest::SHA256, ACCESS.as_bytes());
    let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
    for claims in [
        id_claims(),
        with("aud", json!(["gateway"])),
        with("azp", json!("gateway")),
        with("at_hash", json!(hash)),
    ] {
        assert_eq!(judge_id(&claims, &expectations()), Ok(()), "{claims}");
    }
    let mut several = with("aud", json!(["gateway", "other"]));
    several["azp"] = json!("gateway");
    assert_eq!(judge_id(&several, &expectations()), Ok(()));
}

#[test]
fn an_id_token_for_anything_else_is_refused() {
    for (name, value) in [
        ("iss", json!("https://id.example.com/")),
        ("aud", json!("other")),
        ("aud", json!(["gateway", "other"])),
        ("azp", json!("other")),
        ("nonce", json!("n2")),
        ("nonce", Value::Null),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("at_hash", json!(7)),
    ] {
        let answer = judge_id(&with(name, value.clone()), &expectations());
        assert_eq!(answer, Err(VerifyError::NotForUs), "{name} {value}");
    }
    for (name, value) in [
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("sub", Value::Null),
        ("exp", Value::Null),
        ("iat", Value::Null),
        ("nonce", json!(1)),
        ("azp", json!(["gateway"])),
        ("events", json!({})),
    ] {
        let answer = judge_id(&with(name, value.clone()), &expectations());
        assert_eq!(answer, Err(VerifyError::Invalid), "{name} {value}");
    }
    let old = with("exp", json!(NOW - 31));
    assert!(matches!(
        judge_id(&old, &expectations()),
        Err(VerifyError::Expired(_))
    ));
}

#[test]
fn an_id_token_of_a_refresh_has_no_nonce_of_its_own() {
    let expect = IdTokenExpectations {
        nonce: None,
        access: None,
        ..expectations()
    };
    for claims in [
        id_claims(),
        with("nonce", Value::Null),
        with("at_hash", json!("of-another")),
    ] {
        assert_eq!(judge_id(&claims, &expect), Ok(()), "{claims}");
    }
}

#[test]
fn tokens_of_other_kinds_are_no_access_tokens() {
    for (name, value) in [
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("typ", json!("Logout")),
    ] {
        assert_eq!(
            judge_claims(&claims_with(name, value)),
            Err(VerifyError::Invalid)
        );
    }
    assert!(judge_claims(&claims_with("typ", json!("Bearer"))).is_ok());
}

#[test]
fn the_party_of_a_token_counts_as_its_audience_where_it_is_the_gateway() {
    let key = TestKey::ed25519("k");
    let mut claims = claims_with("aud", json!(["account"]));
    claims["azp"] = json!("gateway");
    let ours = Expectations {
        audience: "gateway".into(),
        client: Some("gateway".into()),
        ..expect()
    };
    let judge = |claims: &Value, expect: &Expectations| {
        verify(&key.token(claims), &keys(&[&key]), expect, now()).map(drop)
    };
    assert_eq!(judge(&claims, &ours), Ok(()));
    let audience_only = Expectations {
        client: None,
        ..ours.clone()
    };
    assert_eq!(judge(&claims, &audience_only), Err(VerifyError::NotForUs));
    claims["azp"] = json!("another");
    assert_eq!(judge(&claims, &ours), Err(VerifyError::NotForUs));
}
