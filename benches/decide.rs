//! What one request costs in the pure core: its cookies, its target, the decision, the headers
//! taken away.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench that cannot be set up ends there"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use vestibule::decide::{Decision, Facts, Known, Question, Verdict, decide, upstream_headers};
use vestibule::model::identity::Identity;
use vestibule::model::request::{BearerTokens, FetchMetadata, RequestView};
use vestibule::model::request_cookies::PresentedCookies;
use vestibule::model::rule::Access;
use vestibule::model::rule::RuleClient;
use vestibule::model::site::Site;
use vestibule::model::target::{EncodedSlashes, Target};
use vestibule::model::timestamp::Timestamp;
use vestibule::model::token::{Principal, RevocationKey};

#[path = "../tests/laws/site.rs"]
mod site;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const TARGET: &[u8] = b"/account/orders/2024?page=2";

/// Fifty rules of which the last one speaks of [`TARGET`].
fn guarded() -> Site {
    let mut site = site::store();
    site.rules = (0..49)
        .map(|number| site::rule(&format!("/section-{number}/*"), &[], Access::Public, &[]))
        .chain([site::rule(
            "/account/*",
            &[Method::GET, Method::POST],
            Access::Required,
            &["shopper"],
        )])
        .collect();
    site
}

/// Two hundred rules of every kind of pattern, of which the last one speaks of [`TARGET`].
fn guarded_by_patterns() -> Site {
    let pattern = |number: usize| match number % 4 {
        0 => format!("/section-{number}/*"),
        1 => format!("/account/*/section-{number}"),
        2 => format!("/account/*/section-{number}/*"),
        _ => format!("/account/orders-{number}/*.json"),
    };
    let mut site = site::store();
    site.rules = (0..199)
        .map(|number| site::rule(&pattern(number), &[], Access::Public, &[]))
        .chain([site::rule(
            "/account/*/2*",
            &[Method::GET, Method::POST],
            Access::Required,
            &["shopper"],
        )])
        .collect();
    site
}

fn ann() -> Arc<Principal> {
    let claims = serde_json::json!({ "sub": "u1", "email": "ann@example.com", "roles": ["editor", "shopper"] });
    Arc::new(Principal {
        identity: Identity::from_claims(claims.as_object().unwrap().clone()).unwrap(),
        issued_at: NOW,
        expires_at: Timestamp::from_secs(NOW.secs() + 3600),
        revocation_key: RevocationKey("sid".into()),
        identity_headers: Vec::new(),
    })
}

/// An access token of 900 bytes and a sealed refresh token of 300 among an application's own
/// cookies.
fn cookie_field() -> String {
    let (access, refresh) = ("A".repeat(900), "R".repeat(300));
    format!(
        "theme=dark; cart=b7e1f2; _ga=GA1.2.1234567890.1234567890; lang=de; \
         __Host-vestibule-access={access}; __Host-vestibule-refresh={refresh}; consent=necessary"
    )
}

fn settle<'a>(request: &RequestView<'a>, site: &Site, principal: &Arc<Principal>) -> Verdict<'a> {
    let mut facts = Facts::default();
    loop {
        match decide(request, site, &facts, NOW) {
            Decision::Needs(Question::Verify(_)) => {
                facts.token = Known::Found(Arc::clone(principal));
            }
            Decision::Needs(other) => panic!("{other:?}"),
            Decision::Settled(verdict) => return verdict,
        }
    }
}

fn decisions(bench: &mut Criterion) {
    let (site, principal, field) = (guarded(), ann(), cookie_field());
    let cookies = PresentedCookies::parse(&site.cookies, std::iter::once(field.as_str()));
    let target = Target::parse(TARGET, EncodedSlashes::Reject).unwrap();
    let marks = FetchMetadata {
        accept: Some("text/html"),
        fetch_mode: Some("navigate"),
        ..FetchMetadata::default()
    };
    let request = RequestView {
        method: &Method::GET,
        target: &target,
        cookies: &cookies,
        client: RuleClient::default(),
        bearer: BearerTokens::default(),
        basic: None,
        fetch_metadata: marks,
    };
    let known = Facts {
        token: Known::Found(Arc::clone(&principal)),
        ..Facts::default()
    };
    bench.bench_function("decide, one call, 50 rules, signed in", |timer| {
        timer.iter(|| decide(black_box(&request), &site, &known, NOW));
    });
    let patterns = guarded_by_patterns();
    bench.bench_function(
        "decide, one call, 200 rules with patterns, signed in",
        |timer| {
            timer.iter(|| decide(black_box(&request), &patterns, &known, NOW));
        },
    );
    bench.bench_function("decide, all questions, 50 rules, signed in", |timer| {
        timer.iter(|| settle(black_box(&request), &site, &principal));
    });
}

fn heads(bench: &mut Criterion) {
    let (site, field) = (guarded(), cookie_field());
    bench.bench_function("target, judged", |timer| {
        timer.iter(|| Target::parse(black_box(TARGET), EncodedSlashes::Reject));
    });
    bench.bench_function("cookies, read", |timer| {
        timer.iter(|| {
            PresentedCookies::parse(&site.cookies, std::iter::once(black_box(field.as_str())))
        });
    });
    let names = "host user-agent accept accept-language accept-encoding cookie referer connection dnt priority \
                 sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site \
                 sec-fetch-user upgrade-insecure-requests cache-control pragma";
    let headers: HeaderMap = names
        .split_ascii_whitespace()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
        .collect();
    bench.bench_function("headers, removals among 20", |timer| {
        timer.iter(|| upstream_headers::removals(&site, black_box(&headers)));
    });
}

criterion_group!(benches, decisions, heads);
criterion_main!(benches);
