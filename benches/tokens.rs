//! What a token costs: remembered, verified, sealed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that cannot be set up ends there"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use vestibule::config::{FakeEnvironment, check_text};
use vestibule::model::algorithm::Algorithm;
use vestibule::model::authorization::{BasicCredentials, bearer_jwt};
use vestibule::model::credential::CredentialKind;
use vestibule::model::identity::Identity;
use vestibule::model::identity_headers::IdentityHeaders;
use vestibule::model::origin::Host;
use vestibule::model::refresh_token_envelope::RefreshTokenEnvelope;
use vestibule::model::sealing_keys::SealingKeys;
use vestibule::model::secret::Secret;
use vestibule::model::timestamp::Timestamp;
use vestibule::model::token::{CompletedLogin, IssuedTokens};
use vestibule::provider::Device;
use vestibule::provider::key_set::KeySet;
use vestibule::provider::verify::{Expectations, verify};
use vestibule::runtime::basic_auth::BasicAttempt;
use vestibule::runtime::{RequestContext, Runtime, build};
use vestibule::system::Clock;

const HMAC_SECRET: &str = "0123456789abcdefghijklmnopqrstuv";

/// The claims of a FusionAuth access token.
fn claims(now: Timestamp) -> Value {
    json!({
        "aud": "store-application", "iss": "bench", "sub": "e1f2b3c4-0000-4000-8000-000000000001",
        "exp": now.secs() + 3600, "iat": now.secs(), "jti": "d4c3b2a1-0000-4000-8000-000000000002",
        "sid": "a1b2c3d4-0000-4000-8000-000000000003", "authenticationType": "PASSWORD", "tid": "tenant",
        "email": "ann@example.com", "email_verified": true, "preferred_username": "ann",
        "applicationId": "store-application", "roles": ["editor", "shopper"],
    })
}

fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn runtime(state_dir: &std::path::Path) -> Runtime {
    let text = format!(
        r#"
state_dir = "{}"

[server]
listen = ["127.0.0.1:0"]

[providers.main]
kind = "fusionauth"
url = "http://127.0.0.1:9"
api_key = "key"
issuer = "bench"
algorithms = ["HS256"]
hmac_secret = "{HMAC_SECRET}"

[[sites]]
name = "store"
origin = "http://store.localhost:8080"
application_id = "store-application"
upstreams = ["http://127.0.0.1:9"]
landing = "/"
"#,
        state_dir.display()
    );
    let settings = check_text("bench.toml", &text, &FakeEnvironment::default())
        .unwrap_or_else(|problems| panic!("{problems}"));
    build(settings, None, Clock::new()).unwrap()
}

/// The value of a future that has nothing to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn remembered(bench: &mut Criterion) {
    let state = tempfile::tempdir().unwrap();
    let runtime = runtime(state.path());
    let site_runtime = runtime
        .site_for(&Host::parse("store.localhost:8080").unwrap())
        .unwrap();
    let now = runtime.clock().now();
    let key = hmac::Key::new(hmac::HMAC_SHA256, HMAC_SECRET.as_bytes());
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let token = signed(&header, &claims(now), |input| {
        hmac::sign(&key, input).as_ref().to_vec()
    });
    let context = RequestContext {
        site_runtime,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        host: None,
        request_id: "bench",
        now,
    };
    at_once(runtime.tokens.verify(context, &token)).unwrap();
    bench.bench_function("token, remembered", |timer| {
        timer.iter(|| at_once(runtime.tokens.verify(context, black_box(&token))));
    });
}

/// The same token in `Authorization: Bearer`, and remembered under the Basic credentials of its
/// user: from the field to the principal.
fn in_authorization(bench: &mut Criterion) {
    let state = tempfile::tempdir().unwrap();
    let runtime = runtime(state.path());
    let site_runtime = runtime
        .site_for(&Host::parse("store.localhost:8080").unwrap())
        .unwrap();
    let now = runtime.clock().now();
    let key = hmac::Key::new(hmac::HMAC_SHA256, HMAC_SECRET.as_bytes());
    let header =
        json!({ "alg": "HS256", "typ": "JWT", "kid": "d4c3b2a1-0000-4000-8000-000000000004" });
    let token = signed(&header, &claims(now), |input| {
        hmac::sign(&key, input).as_ref().to_vec()
    });
    let context = RequestContext {
        site_runtime,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        host: None,
        request_id: "bench",
        now,
    };
    let principal = at_once(runtime.tokens.verify(context, &token)).unwrap();
    let bearer = format!("Bearer {token}");
    bench.bench_function("authorization, bearer, remembered", |timer| {
        timer.iter(|| {
            let token = bearer_jwt(black_box(&bearer)).unwrap();
            at_once(runtime.tokens.verify(context, token)).unwrap()
        });
    });
    let basic = "Basic YW5uQGV4YW1wbGUuY29tOmNvcnJlY3QgaG9yc2UgYmF0dGVyeSBzdGFwbGU=";
    let login = CompletedLogin {
        tokens: IssuedTokens {
            kind: CredentialKind::Bearer,
            token: token.into(),
            refresh: None,
            remember: false,
        },
        principal,
        device: None,
    };
    let credentials = BasicCredentials::parse(basic).unwrap();
    runtime.basic_auth.remember(context, credentials, &login);
    bench.bench_function("authorization, basic, remembered", |timer| {
        timer.iter(|| {
            let attempt = BasicAttempt {
                credentials: BasicCredentials::parse(black_box(basic)).unwrap(),
                device: Device { user_agent: None },
            };
            at_once(runtime.basic_auth.check(context, attempt)).unwrap()
        });
    });
}

fn verified(bench: &mut Criterion) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (
        URL_SAFE_NO_PAD.encode(&point[1..33]),
        URL_SAFE_NO_PAD.encode(&point[33..]),
    );
    let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", "x": x, "y": y }] });
    let keys = KeySet::from_jwks(jwks.to_string().as_bytes(), &[Algorithm::Es256]).unwrap();
    let now = Timestamp::from_secs(1_700_000_000);
    let sign = |input: &[u8]| {
        pair.sign(&SystemRandom::new(), input)
            .unwrap()
            .as_ref()
            .to_vec()
    };
    let token = signed(
        &json!({ "alg": "ES256", "typ": "JWT", "kid": "k" }),
        &claims(now),
        sign,
    );
    let expect = Expectations {
        issuer: "bench".into(),
        audience: "store-application".into(),
        client: None,
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(30),
    };
    verify(&token, &keys, &expect, now).unwrap();
    bench.bench_function("token, ES256 verified", |timer| {
        timer.iter(|| verify(black_box(&token), &keys, &expect, now));
    });
    let identity = Identity::from_claims(claims(now).as_object().unwrap().clone()).unwrap();
    let headers = IdentityHeaders::x_auth();
    bench.bench_function("identity headers, rendered", |timer| {
        timer.iter(|| headers.render(black_box(&identity)));
    });
}

fn sealed(bench: &mut Criterion) {
    let keys = SealingKeys::new(&[[7; 32]]).unwrap();
    let envelope = RefreshTokenEnvelope {
        session_hash: None,
        registered: true,
        refresh: Secret::new("r".repeat(86)),
        sub: "e1f2b3c4-0000-4000-8000-000000000001".into(),
        revocation_key: "a1b2c3d4-0000-4000-8000-000000000003".into(),
        login_time: Timestamp::from_secs(1_700_000_000),
        login_issued: Some(Timestamp::from_secs(1_700_000_000)),
        remember: true,
        access_expires: Some(Timestamp::from_secs(1_700_000_000)),
        access_issued: Some(Timestamp::from_secs(1_700_000_000)),
        id_token: None,
    };
    let sealed = envelope
        .seal(&keys, "store", CredentialKind::Jwt, [9; 12])
        .unwrap();
    assert!(RefreshTokenEnvelope::open(&keys, "store", CredentialKind::Jwt, &sealed).is_some());
    bench.bench_function("refresh token, sealed", |timer| {
        timer.iter(|| black_box(&envelope).seal(&keys, "store", CredentialKind::Jwt, [9; 12]));
    });
    bench.bench_function("refresh token, opened", |timer| {
        timer.iter(|| {
            RefreshTokenEnvelope::open(&keys, "store", CredentialKind::Jwt, black_box(&sealed))
        });
    });
}

criterion_group!(benches, remembered, in_authorization, verified, sealed);
criterion_main!(benches);
