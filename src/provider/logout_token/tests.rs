use serde_json::json;

use super::*;
use crate::provider::test_keys::TestKey;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const LEEWAY: Duration = Duration::from_secs(30);
const ALLOWED: &[Algorithm] = &[Algorithm::Es256];

struct Provider {
    key: TestKey,
    known: KeySet,
}

impl Provider {
    fn new() -> Self {
        let key = TestKey::es256("a");
        let jwks = json!({ "keys": [key.jwk()] });
        let known = KeySet::from_jwks(jwks.to_string().as_bytes(), ALLOWED).unwrap();
        Self { key, known }
    }

    fn verify(&self, token: &str) -> Result<LogoutToken, LogoutTokenError> {
        let audiences = ["store".to_owned(), "forum".to_owned()];
        let expect = LogoutExpectations {
            issuer: "https://id.example.com",
            audiences: &audiences,
            algorithms: ALLOWED,
            leeway: LEEWAY,
        };
        verify_logout_token(token, &self.known, expect, NOW)
    }

    /// A token with a `typ` of its own.
    fn typed(&self, typ: Value, claims: &Value) -> String {
        let mut header = json!({ "alg": "ES256", "kid": "a" });
        if !typ.is_null() {
            header["typ"] = typ;
        }
        self.key.sign(&header.to_string(), &claims.to_string())
    }

    fn claims(&self, claims: &Value) -> Result<LogoutToken, LogoutTokenError> {
        self.verify(&self.typed(json!("logout+jwt"), claims))
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.com",
        "aud": "store",
        "iat": NOW.secs(),
        "jti": "j1",
        "sub": "u1",
        "sid": "s1",
        "events": { LOGOUT_EVENT: {} },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[test]
fn a_logout_token_ends_a_session_or_a_user() {
    let provider = Provider::new();
    let token = provider.claims(&claims()).unwrap();
    assert_eq!((token.id.as_str(), token.issued), ("j1", NOW));
    assert_eq!(token.ended, EndedTokens::SignIn("s1".into()));
    assert_eq!(token.expires, NOW.plus(MAX_AGE + LEEWAY));
    assert_eq!(provider.claims(&without("sub")).unwrap().ended, token.ended);
    let of_user = |application: &str| EndedTokens::UserAtApplication {
        user: "u1".into(),
        application: application.into(),
    };
    assert_eq!(
        provider.claims(&without("sid")).unwrap().ended,
        of_user("store")
    );
    let mut for_several = without("sid");
    for_several["aud"] = json!(["other", "forum"]);
    assert_eq!(
        provider.claims(&for_several).unwrap().ended,
        of_user("forum")
    );
    let ends = with("exp", json!(NOW.secs() + 600));
    assert_eq!(
        provider.claims(&ends).unwrap().expires,
        NOW.plus(Duration::from_secs(630))
    );
}

#[test]
fn the_type_is_that_of_a_logout_token_or_of_any() {
    let provider = Provider::new();
    let types = ["logout+jwt", "application/logout+jwt", "LOGOUT+JWT", "JWT"].map(|typ| json!(typ));
    for typ in types.into_iter().chain([json!(null)]) {
        assert!(provider.verify(&provider.typed(typ, &claims())).is_ok());
    }
    for typ in [json!("at+jwt"), json!("id_token"), json!(""), json!(7)] {
        let refused = provider.verify(&provider.typed(typ, &claims()));
        assert_eq!(refused, Err(LogoutTokenError::Token(VerifyError::Invalid)));
    }
}

#[test]
fn each_claim_wrong_in_turn_is_named() {
    let provider = Provider::new();
    let event = |value: Value| with("events", json!({ LOGOUT_EVENT: value }));
    let cases = [
        ("iss", without("iss")),
        ("iss", with("iss", json!("https://id.example.com/"))),
        ("iss", with("iss", json!(["https://id.example.com"]))),
        ("aud", without("aud")),
        ("aud", with("aud", json!("other"))),
        ("aud", with("aud", json!(["other"]))),
        ("aud", with("aud", json!(["store", 7]))),
        ("aud", with("aud", json!([]))),
        ("nonce", with("nonce", json!("n"))),
        ("nonce", with("nonce", json!(null))),
        ("events", without("events")),
        ("events", with("events", json!([LOGOUT_EVENT]))),
        ("events", with("events", json!({ "other": {} }))),
        ("events", event(json!(null))),
        ("events", event(json!("x"))),
        ("iat", without("iat")),
        ("iat", with("iat", json!("1700000000"))),
        ("iat", with("iat", json!(-1))),
        ("iat", with("iat", json!(NOW.secs() + 31))),
        ("iat", with("iat", json!(NOW.secs() - 150))),
        ("exp", with("exp", json!(NOW.secs() - 30))),
        ("exp", with("exp", json!("never"))),
        ("nbf", with("nbf", json!(NOW.secs() + 31))),
        ("jti", without("jti")),
        ("jti", with("jti", json!(""))),
        ("jti", with("jti", json!(7))),
        ("sid", with("sid", json!(7))),
        ("sid", with("sid", json!(""))),
        ("sub", with("sub", json!(["u1"]))),
        ("sub", {
            let mut claims = without("sid");
            claims.as_object_mut().unwrap().remove("sub");
            claims
        }),
    ];
    for (name, claims) in cases {
        let refused = provider.claims(&claims);
        let expected = LogoutTokenError::Claim(ClaimError(name));
        assert_eq!(refused, Err(expected), "{claims}");
    }
}

#[test]
fn the_age_counts_where_there_is_no_end() {
    let provider = Provider::new();
    let at_the_limit = with("iat", json!(NOW.secs() - 149));
    assert!(provider.claims(&at_the_limit).is_ok(), "with the leeway");
    let mut old = with("iat", json!(NOW.secs() - 3600));
    old["exp"] = json!(NOW.secs() + 1);
    assert!(provider.claims(&old).is_ok(), "its end counts");
}

#[test]
fn a_wrong_signature_says_nothing_of_the_claims() {
    let provider = Provider::new();
    let stranger = Provider::new();
    let forged = stranger.typed(json!("logout+jwt"), &claims());
    assert_eq!(
        provider.verify(&forged),
        Err(LogoutTokenError::Token(VerifyError::Invalid))
    );
    let of_unknown_key = TestKey::es256("b").token(&claims());
    assert_eq!(
        provider.verify(&of_unknown_key),
        Err(LogoutTokenError::Token(VerifyError::UnknownKey))
    );
}
