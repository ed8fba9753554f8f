use serde_json::json;

use super::*;
use crate::provider::test_keys::TestKey;

fn keys(keys: &[&TestKey]) -> KeySet {
    let jwks = json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() });
    KeySet::from_jwks(jwks.to_string().as_bytes(), ALLOWED).unwrap()
}

const ALLOWED: &[Algorithm] = &[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const EXPECTED: SignatureExpectations<'_> = SignatureExpectations {
    algorithms: ALLOWED,
    leeway: Duration::from_secs(30),
};
const BODY: &[u8] = br#"{"event":{}}"#;

fn hash(body: &[u8]) -> Value {
    json!(STANDARD.encode(digest(&SHA256, body)))
}

#[test]
fn a_signature_is_of_one_body_byte_for_byte() {
    for key in [
        TestKey::es256("a"),
        TestKey::rs256("a"),
        TestKey::ed25519("a"),
    ] {
        let known = keys(&[&key]);
        let signature = key.token(&json!({ "request_body_sha256": hash(BODY) }));
        let verify = |body| verify_signature(&signature, body, &known, EXPECTED, NOW);
        assert_eq!(verify(BODY), Ok(()));
        for other in [&b""[..], br#"{"event": {}}"#, br#"{"event":{}} "#] {
            assert_eq!(verify(other), Err(VerifyError::Invalid));
        }
    }
}

#[test]
fn the_times_of_a_signature_count_where_it_has_them() {
    let key = TestKey::es256("a");
    let known = keys(&[&key]);
    let now = NOW.secs();
    for (name, value, is_valid) in [
        ("exp", json!(now + 1), true),
        ("exp", json!(now - 29), true),
        ("exp", json!(now - 30), false),
        ("exp", json!("never"), false),
        ("nbf", json!(now + 30), true),
        ("nbf", json!(now + 31), false),
        ("nbf", json!([]), false),
    ] {
        let claims = json!({ "request_body_sha256": hash(BODY), name: value });
        let verified = verify_signature(&key.token(&claims), BODY, &known, EXPECTED, NOW);
        assert_eq!(verified.is_ok(), is_valid, "{claims}");
    }
}

#[test]
fn what_is_no_signature_is_refused() {
    let (key, other) = (TestKey::es256("a"), TestKey::es256("a"));
    let known = keys(&[&key]);
    let verify = |signature: &str| verify_signature(signature, BODY, &known, EXPECTED, NOW);
    let good = json!({ "request_body_sha256": hash(BODY) });
    let header = |typ: Value| json!({ "alg": "ES256", "kid": "a", "typ": typ }).to_string();
    let invalid = [
        other.token(&good),
        key.token(&json!({})),
        key.token(&json!({ "request_body_sha256": [hash(BODY)] })),
        key.token(&json!({ "request_body_sha256": 7 })),
        key.token(&json!({ "request_body_sha256": "not base64!" })),
        key.token(&json!({ "request_body_sha256": "" })),
        key.token(&json!({ "sub": "u1", "iss": "id", "aud": "store", "exp": 9_999_999_999_u64 })),
        key.sign(&header(json!("at+jwt")), &good.to_string()),
        key.sign(&header(json!("logout+jwt")), &good.to_string()),
        key.sign(&header(json!(7)), &good.to_string()),
        key.sign(
            &json!({ "alg": "none", "kid": "a" }).to_string(),
            &good.to_string(),
        ),
        key.sign(
            &json!({ "alg": "HS256", "kid": "a" }).to_string(),
            &good.to_string(),
        ),
        key.sign(
            &header(json!("JWT")),
            r#"{"request_body_sha256":"","request_body_sha256":""}"#,
        ),
        String::new(),
        "a.b.c".to_owned(),
    ];
    for signature in invalid {
        assert_eq!(verify(&signature), Err(VerifyError::Invalid), "{signature}");
    }
    let unknown = TestKey::es256("b").token(&good);
    assert_eq!(verify(&unknown), Err(VerifyError::UnknownKey));
    let bare = key.sign(
        &json!({ "alg": "ES256", "kid": "a" }).to_string(),
        &good.to_string(),
    );
    assert_eq!(verify(&bare), Ok(()), "without a typ");
}

#[test]
fn secrets_are_the_same_or_not() {
    assert!(is_same_secret(b"abc", b"abc"));
    for other in [&b""[..], b"ab", b"abcd", b"abC"] {
        assert!(!is_same_secret(other, b"abc"));
    }
}

fn read(event: &Value) -> Result<Event, MalformedError> {
    read_event(json!({ "event": event }).to_string().as_bytes())
}

/// An event with these members beside those of the envelope.
fn event(kind: &str, members: &Value) -> Value {
    let mut event = json!({
        "type": kind,
        "id": "e1",
        "createInstant": 1_700_000_000_123_u64,
        "tenantId": "t1",
        "info": { "ipAddress": "192.0.2.1" },
    });
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// The same event with another value.
fn with(event: &Value, name: &str, value: Value) -> Value {
    let mut event = event.clone();
    event[name] = value;
    event
}

fn ended(event: &Value) -> EndedTokens {
    match read(event) {
        Ok(Event::Ending(event)) => {
            assert_eq!(event.id, "e1");
            assert_eq!(event.created, Timestamp::from_millis(1_700_000_000_123));
            assert_eq!(event.tenant.as_deref(), Some("t1"));
            event.ended
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_shape_of_a_revocation_ends_what_it_names() {
    let lifetimes = json!({ "store": 60, "forum": 3600 });
    let revoke = |mut members: Value| {
        members["applicationTimeToLiveInSeconds"] = lifetimes.clone();
        ended(&event("jwt.refresh-token.revoke", &members))
    };
    let user = json!({ "id": "another", "email": "a@example.com" });
    let single = json!({
        "applicationId": "store",
        "userId": "u1",
        "user": user,
        "refreshToken": { "id": "s1", "userId": "u1", "token": "…" },
    });
    assert_eq!(revoke(single), EndedTokens::SignIn("s1".into()));
    let of_user = EndedTokens::User("u1".into());
    assert_eq!(revoke(json!({ "userId": "u1", "user": user })), of_user);
    assert_eq!(revoke(json!({ "user": { "id": "u1" } })), of_user);
    let of_both = EndedTokens::UserAtApplication {
        user: "u1".into(),
        application: "store".into(),
    };
    assert_eq!(
        revoke(json!({ "userId": "u1", "applicationId": "store" })),
        of_both
    );
    assert_eq!(
        revoke(json!({ "applicationId": "store", "userId": null, "refreshToken": null })),
        EndedTokens::Application("store".into())
    );
    assert_eq!(revoke(json!({})), EndedTokens::All);
    let Ok(Event::Ending(event)) = read(&event(
        "jwt.refresh-token.revoke",
        &json!({ "applicationTimeToLiveInSeconds": lifetimes }),
    )) else {
        panic!()
    };
    assert_eq!(event.token_lifetime, Some(Duration::from_secs(3600)));
}

#[test]
fn events_of_users_end_what_is_theirs() {
    let of_user = EndedTokens::User("u1".into());
    for kind in [
        "user.deactivate",
        "user.delete",
        "user.delete.complete",
        "user.password.update",
    ] {
        let members = json!({ "user": { "id": "u1", "active": true } });
        assert_eq!(ended(&event(kind, &members)), of_user, "{kind}");
    }
    for kind in [
        "user.registration.delete",
        "user.registration.delete.complete",
    ] {
        let members = json!({ "user": { "id": "u1" }, "applicationId": "store" });
        let of_both = EndedTokens::UserAtApplication {
            user: "u1".into(),
            application: "store".into(),
        };
        assert_eq!(ended(&event(kind, &members)), of_both, "{kind}");
    }
}

#[test]
fn other_events_end_nothing() {
    for kind in [
        "user.login.success",
        "test",
        "jwt.refresh",
        "jwt.refresh-token.update",
    ] {
        assert_eq!(read(&json!({ "type": kind })), Ok(Event::Other), "{kind}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_member_wrong_in_turn_is_malformed() {
    let wrong_text = [
        json!(7),
        json!(""),
        json!(["u1"]),
        json!({}),
        json!(true),
        json!("x".repeat(257)),
    ];
    let full = event(
        "jwt.refresh-token.revoke",
        &json!({
            "applicationId": "store",
            "userId": "u1",
            "user": { "id": "u1" },
            "refreshToken": { "id": "s1" },
            "applicationTimeToLiveInSeconds": { "store": 60 },
        }),
    );
    let malformed = |event: &Value, name| {
        assert_eq!(read(event), Err(MalformedError(name)), "{event}");
    };
    for name in ["type", "id", "tenantId", "applicationId", "userId"] {
        for value in &wrong_text {
            malformed(&with(&full, name, value.clone()), name);
        }
    }
    for name in ["type", "createInstant"] {
        let mut event = full.clone();
        event.as_object_mut().unwrap().remove(name);
        malformed(&event, name);
    }
    for value in [
        json!(null),
        json!("1700000000123"),
        json!(-1),
        json!(1.5),
        json!([]),
        json!(1e30),
    ] {
        malformed(&with(&full, "createInstant", value), "createInstant");
    }
    for value in [json!("s1"), json!([]), json!(true), json!(7)] {
        for name in ["refreshToken", "user", "applicationTimeToLiveInSeconds"] {
            malformed(&with(&full, name, value.clone()), name);
        }
    }
    for value in [json!({}), json!({ "id": 7 }), json!({ "id": "" })] {
        malformed(&with(&full, "refreshToken", value.clone()), "id");
        let mut event = with(&full, "user", value);
        event.as_object_mut().unwrap().remove("userId");
        malformed(&event, "user");
    }
    for value in [
        json!({ "store": "60" }),
        json!({ "store": -1 }),
        json!({ "store": null }),
    ] {
        let name = "applicationTimeToLiveInSeconds";
        malformed(&with(&full, name, value), name);
    }
    // Everything of nobody in particular.
    let of_nobody = event("jwt.refresh-token.revoke", &json!({ "tenantId": null }));
    malformed(&of_nobody, "tenantId");
    for kind in [
        "user.deactivate",
        "user.delete",
        "user.password.update",
        "user.registration.delete",
    ] {
        malformed(&event(kind, &json!({ "applicationId": "store" })), "user");
    }
    let of_no_application = event(
        "user.registration.delete",
        &json!({ "user": { "id": "u1" } }),
    );
    malformed(&of_no_application, "applicationId");
}

#[test]
fn what_is_no_event_is_malformed() {
    let bodies: [&[u8]; 8] = [
        b"",
        b"null",
        b"[]",
        b"{}",
        br#"{"event":null}"#,
        br#"{"event":[]}"#,
        br#"{"event":{"type":"test"},"event":{"type":"test"}}"#,
        br#"{"event":{"type":"user.delete","type":"test"}}"#,
    ];
    for body in bodies {
        assert!(
            read_event(body).is_err(),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

/// Whoever sends it again sends the same bytes.
#[test]
fn an_event_without_an_id_is_told_apart_by_its_bytes() {
    let mut event = event("user.delete", &json!({ "user": { "id": "u1" } }));
    event.as_object_mut().unwrap().remove("id");
    let id = |event: &Value| match read(event) {
        Ok(Event::Ending(event)) => event.id,
        other => panic!("{other:?}"),
    };
    assert_eq!(id(&event), id(&event));
    let later = with(&event, "createInstant", json!(1_700_000_000_124_u64));
    assert_ne!(id(&event), id(&later));
}
