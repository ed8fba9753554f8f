//! Any request, at any site, with any turn of events.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use vestibule::decide::endpoint::StepCall;
use vestibule::decide::sign_in::csrf_token;
use vestibule::decide::{Facts, Known};
use vestibule::model::api_call::{CallBody, TokensIn};
use vestibule::model::challenge::{Challenge, Chosen, NextStep, Opened, Step, StepFields};
use vestibule::model::cookie::{Presented, PresentedCookies};
use vestibule::model::credential::CredentialKind;
use vestibule::model::hosted::{HostedBackend, RedirectUri};
use vestibule::model::identity::Identity;
use vestibule::model::moment::Moment;
use vestibule::model::reason::Reason;
use vestibule::model::request::{BearerTokens, Marks};
use vestibule::model::return_path::ReturnPath;
use vestibule::model::rule::{Access, SignedOut};
use vestibule::model::secret::Secret;
use vestibule::model::sign_in::{Awaited, LoginForm, SignInRefused};
use vestibule::model::site::{OwnPaths, Site};
use vestibule::model::token::{IssuedTokens, OpenSession, Renewed, SessionKey, SignedIn, TokenFault, Visitor};
use vestibule::model::unsent::{FormEncoding, PostedForm, Returned, UnsentForm};

use super::scene::{CALLS, NOW, OWN_OR_LISTED, Scene};
use super::site;

const ROLES: &[&str] = &["admin", "editor", "shopper"];
const FORM_COOKIE: &str = "form-cookie";

pub fn scene() -> impl Strategy<Value = Scene> {
    let request = (any_site(), method(), target(), cookies(), bearer(), marks());
    let posted =
        select(&[None, None, None, None, Some("in"), Some("out"), Some("call"), Some("step"), Some("preflight")][..]);
    let by_the_sdk = proptest::option::weighted(0.4, (select(SDK_CALLS), select(SDK_WISHES)));
    let chosen = (posted, by_the_sdk);
    (request, oracle(), chosen).prop_map(|((site, method, target, cookies, bearer, marks), oracle, (posted, sdk))| {
        let mut scene = Scene { site, method, target, cookies, bearer, marks, oracle };
        scene.marks.authorization |= bearer.access.is_some();
        scene.marks.preflight = scene.marks.preflight.filter(|_| scene.method == Method::OPTIONS);
        // By chance alone a browser would rarely ask what it may send, or post a form from the site's own page.
        if posted == Some("preflight") {
            (scene.method, scene.marks.preflight) = (Method::OPTIONS, Some("x-csrf-token"));
        } else if let Some(form) = posted {
            let paths = &scene.site.paths;
            scene.target = match form {
                "in" => paths.login.clone(),
                "out" => paths.logout.clone(),
                "step" => format!("{}{}", paths.login, StepCall::ALL[scene.target.len() % StepCall::ALL.len()].path()),
                _ => format!("{}{}", paths.api, CALLS[scene.target.len() % CALLS.len()]),
            };
            (scene.method, scene.marks.preflight) = (Method::POST, None);
            scene.marks.origin = scene.marks.origin.map(|_| OWN_OR_LISTED[0]);
        } else if let Some((call, wish)) = sdk {
            scene.target = format!("{call}?client_id=sdk{wish}");
            scene.method = if call == "/app/refresh" { Method::POST } else { Method::GET };
            scene.marks.preflight = None;
            (scene.site.credential, scene.site.hosted) = (CredentialKind::Jwt, Some(backend()));
        }
        scene
    })
}

/// A hosted backend that leads to the site's own page and to one of another origin.
pub fn backend() -> HostedBackend {
    let list = LISTED.iter().map(|uri| RedirectUri::parse(uri).unwrap());
    HostedBackend::new("sdk".into(), list.collect()).unwrap()
}

/// Where that backend leads.
pub const LISTED: &[&str] = &["https://store.example.com/shop", "https://sdk.example/done?x"];

const SDK_CALLS: &[&str] =
    &["/app/login", "/app/register/sdk", "/app/me/", "/app/refresh", "/app/logout/", "/app/logout"];
const SDK_WISHES: &[&str] = &[
    "",
    "&redirect_uri=https%3A%2F%2Fsdk.example%2Fdone%3Fx&state=s",
    "&redirect_uri=https%3A%2F%2Fevil.example%2F",
    "&post_logout_redirect_uri=https%3A%2F%2Fsdk.example%2Fdone%3Fx",
];

fn any_site() -> impl Strategy<Value = Site> {
    let rule = (pattern(), subsequence(METHODS, 0..3), access(), roles(), signed_out());
    let policy = proptest::collection::vec(rule, 0..6);
    let paths = prop_oneof![
        3 => Just(OwnPaths::default()),
        1 => Just(OwnPaths { login: "/a/in".into(), logout: "/a/out".into(), api: "/a/api".into() }),
    ];
    let kinds = (select(&[CredentialKind::Jwt, CredentialKind::Session][..]), any::<bool>(), any::<bool>());
    (policy, access(), paths, kinds, 0_u64..400).prop_map(
        |(policy, default_access, paths, (credential, bearer, forward_token), ahead)| {
            let mut site = site::store();
            (site.credential, site.bearer, site.forward_token) = (credential, bearer, forward_token);
            site.rules = policy
                .into_iter()
                .map(|(pattern, methods, access, roles, signed_out)| {
                    let roles: Vec<&str> = if access == Access::Required { roles } else { Vec::new() };
                    let mut rule = site::rule(&pattern, &methods, access, &roles);
                    rule.signed_out = signed_out;
                    rule
                })
                .collect();
            site.default_access = default_access;
            site.paths = paths;
            site.refresh_ahead = Duration::from_secs(ahead);
            // By the way, so that every third is one.
            site.hosted = (credential == CredentialKind::Jwt && ahead % 3 == 0).then(backend);
            site
        },
    )
}

const METHODS: &[Method] =
    &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![2 => Just(Method::GET), 1 => Just(Method::POST), 2 => select(METHODS)]
}

fn access() -> impl Strategy<Value = Access> {
    select(&[Access::Public, Access::Optional, Access::Required, Access::Required][..])
}

fn signed_out() -> impl Strategy<Value = SignedOut> {
    select(&[SignedOut::Auto, SignedOut::Auto, SignedOut::Redirect, SignedOut::Status][..])
}

fn roles() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(ROLES, 0..=ROLES.len())
}

fn pattern() -> impl Strategy<Value = String> {
    (path(), any::<bool>()).prop_map(|(path, all)| if all { format!("{}/*", path.trim_end_matches('/')) } else { path })
}

/// Few words, so that rules and requests meet.
fn path() -> impl Strategy<Value = String> {
    let words = proptest::collection::vec(select(&["a", "b", "in", "out", "orders"][..]), 0..3);
    (words, any::<bool>()).prop_map(|(words, slash)| {
        let end = if slash && !words.is_empty() { "/" } else { "" };
        format!("/{}{end}", words.join("/"))
    })
}

fn target() -> impl Strategy<Value = String> {
    let own = ["/login", "/logout", "/a/in", "/a/out", "/_vestibule/style.css", "/_vestibule/"];
    let calls = ["/api/user", "/api/user", "/a/api/user", "/api/login", "/api", "/api/login/two-factor/other"];
    let hosted = ["/app/login", "/app/register/sdk", "/app/callback/", "/app/me/", "/app/refresh", "/app/logout/sdk/"];
    let own = select([own, calls, hosted].concat());
    let keys = Just("/.well-known/vestibule/jwks.json");
    let path = prop_oneof![6 => path(), 3 => own.prop_map(str::to_owned), 1 => keys.prop_map(str::to_owned)];
    // `%61` is `a`: rules speak of the decoded path.
    let path = (path, any::<bool>()).prop_map(|(path, odd)| if odd { path.replace("/a", "/%61") } else { path });
    let wishes = [
        "return_to=/orders%23last",
        "return_to=%2F%2Fevil.example",
        "return_to=%2F%5Cevil.example",
        "return_to=https%3A%2F%2Fevil.example%2F",
        "return_to=/%0d%0aSet-Cookie:x",
        "return_to=/.//evil.example",
        "return_to=/login",
        "return_to=/a&return_to=/b",
        "client_id=other",
    ];
    let wish = select(wishes.to_vec()).prop_map(str::to_owned);
    let query = prop_oneof![
        3 => Just(String::new()),
        3 => wish.prop_map(|wish| format!("?{wish}")),
        2 => "[!\"$&'-;=?-~\\\\]{0,12}".prop_map(|query| format!("?{query}")),
        2 => "[!-~]{0,12}".prop_map(|wish| format!("?return_to={}", escaped(&wish))),
    ];
    (path, query).prop_map(|(path, query)| path + &query)
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn presented(value: &'static str) -> impl Strategy<Value = Presented<'static>> {
    prop_oneof![
        4 => Just(Presented::Once(value.into())),
        2 => Just(Presented::Absent),
        1 => Just(Presented::Ambiguous),
    ]
}

fn cookies() -> impl Strategy<Value = PresentedCookies<'static>> {
    let all = (presented("access-cookie"), presented("refresh-cookie"), presented("session-cookie"));
    let others = (presented(FORM_COOKIE), presented("device-cookie"));
    (all, others).prop_map(|((access, refresh, session), (form, device))| PresentedCookies {
        access,
        refresh,
        session,
        form,
        device,
        names: Vec::new(),
    })
}

fn bearer() -> impl Strategy<Value = BearerTokens<'static>> {
    let carried = prop_oneof![
        3 => Just((None, None)),
        1 => Just((Some("access-token"), None)),
        1 => Just((Some("access-token"), Some("refresh-token"))),
        1 => Just((None, Some("refresh-token"))),
    ];
    carried.prop_map(|(access, refresh)| BearerTokens { access, refresh })
}

fn marks() -> impl Strategy<Value = Marks<'static>> {
    let origins = OWN_OR_LISTED.iter().chain(&["https://evil.example", "http://store.example.com", "null", ""]);
    let origins: Vec<&str> = origins.copied().collect();
    let referers = &["https://store.example.com/a", "https://evil.example/https://store.example.com/", "x"][..];
    let sites = &["same-origin", "none", "same-site", "cross-site", "SAME-ORIGIN"][..];
    let modes = &["navigate", "cors", "no-cors", "websocket"][..];
    let accepts = &["text/html,*/*;q=0.8", "application/json", "*/*"][..];
    let texts = (perhaps(accepts), perhaps(&origins), perhaps(referers), perhaps(modes), perhaps(sites));
    let flags = [1_u8, 1, 1, 1].map(|weight| prop_oneof![4 => Just(false), u32::from(weight) => Just(true)]);
    (texts, flags).prop_map(|((accept, origin, referer, fetch_mode, fetch_site), flags)| {
        let [authorization, requested_with, websocket, preflight] = flags;
        Marks {
            accept,
            authorization,
            origin,
            referer,
            fetch_mode,
            fetch_site,
            requested_with,
            websocket,
            preflight: preflight.then_some("x-csrf-token"),
            browser: origin.is_some() || fetch_mode.is_some() || fetch_site.is_some(),
        }
    })
}

fn perhaps(words: &[&'static str]) -> impl Strategy<Value = Option<&'static str>> + use<> {
    proptest::option::of(select(words.to_vec()))
}

fn visitor() -> impl Strategy<Value = Arc<Visitor>> {
    (roles(), 1_u64..1000, 0_u64..1000).prop_map(|(roles, age, left)| Arc::new(somebody(&roles, age, left)))
}

/// Whose token is `age` seconds old and has `left` seconds to go.
pub fn somebody(roles: &[&str], age: u64, left: u64) -> Visitor {
    let identity = Identity {
        sub: "u1".into(),
        email: None,
        email_verified: false,
        username: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        claims: serde_json::Map::new(),
    };
    Visitor {
        identity,
        issued: Moment::from_secs(NOW.secs() - age),
        expires: Moment::from_secs(NOW.secs() + left),
        session: SessionKey("sid".into()),
        headers: Vec::new(),
    }
}

fn tokens(proof: &str, remember: bool) -> IssuedTokens {
    let refresh = Some(format!("{proof}, sealed").into());
    IssuedTokens { kind: CredentialKind::Jwt, proof: proof.into(), refresh, remember }
}

fn oracle() -> impl Strategy<Value = Facts> {
    let faults = &[TokenFault::Expired, TokenFault::Invalid, TokenFault::Revoked][..];
    let token = known(visitor(), select(faults));
    let open = (visitor(), proptest::option::of(Just("access-token")))
        .prop_map(|(visitor, access)| OpenSession { visitor, access: access.map(Arc::from) });
    let session = known(open, select(faults));
    let renewed = (visitor(), any::<bool>()).prop_map(|(visitor, remember)| Renewed {
        tokens: tokens("renewed", remember),
        visitor,
        access: "renewed".into(),
    });
    let renewal = known(renewed, select(&[Reason::SignedOut, Reason::Revoked][..]));
    let unread = &[Reason::RejectedInput, Reason::RequestTooLarge, Reason::UnsupportedMediaType][..];
    let form = known(login_form(), select(unread));
    let body = known(body(), select(unread));
    let signed_in = (visitor(), any::<bool>()).prop_map(|(visitor, remember)| SignedIn {
        tokens: tokens("issued", remember),
        visitor,
        device: None,
    });
    let refused = (select(REFUSALS), proptest::option::of(1_u32..99)).prop_map(|(reason, retry_after)| {
        let mut refused = SignInRefused::because(reason);
        refused.retry_after = retry_after;
        refused
    });
    let sign_in = known(signed_in, refused);
    let sign_out = known(Just(()), Just(Reason::SignedOut));
    let proofs = (token, session, renewal);
    let steps = (known(step_fields(), select(unread)), challenge(), known(0_usize..3, not_sent()));
    let unsent = (
        known(Just("sealed".into()), Just(Reason::UnsupportedMediaType)),
        known(returned(), Just(Reason::RejectedInput)),
    );
    let rounds = (1_u32..4).prop_map(Known::Found);
    (proofs, form, body, sign_in, (sign_out, rounds), unsent, steps).prop_map(
        |(proofs, form, body, sign_in, (sign_out, rounds), (kept, returned), steps)| {
            let ((token, session, renewal), (step_form, challenge, sent)) = (proofs, steps);
            Facts {
                token,
                session,
                renewal,
                form,
                kept,
                returned,
                body,
                step_form,
                challenge,
                sent,
                sign_in,
                sign_out,
                rounds,
            }
        },
    )
}

fn returned() -> impl Strategy<Value = Returned> {
    let target = select(vec!["/posts?x=1", "//evil.example/"]);
    (target, any::<bool>(), any::<bool>()).prop_map(|(target, by_same_person, first_time)| {
        let form = PostedForm { encoding: FormEncoding::UrlEncoded, fields: vec![("text".into(), "hello".into())] };
        let unsent = UnsentForm { id: "i".into(), author: None, target: target.into(), form, until: u64::MAX };
        Returned { unsent, by_same_person, first_time }
    })
}

fn step_fields() -> impl Strategy<Value = Box<StepFields>> {
    let typed = || prop_oneof![4 => Just("123 456"), 1 => Just(" "), 1 => Just("")].prop_map(Secret::new);
    let unsent = prop_oneof![Just(None), Just(Some(Arc::from("sealed")))];
    (typed(), typed(), csrf(), any::<bool>(), unsent).prop_map(|(code, password, csrf, trust, unsent)| {
        Box::new(StepFields {
            challenge: Secret::new("posted-challenge"),
            code,
            trust,
            choice: Secret::new("posted-choice"),
            password,
            csrf,
            unsent,
        })
    })
}

/// One that was opened: some are over, some are an app's.
fn challenge() -> impl Strategy<Value = Known<Arc<Opened>, Reason>> {
    let tokens = select(&[TokensIn::Cookie, TokensIn::Cookie, TokensIn::Body][..]);
    let left = prop_oneof![4 => 1_u64..300, 1 => Just(0)];
    let return_to = "/[!-~]{0,12}".prop_map(|text| ReturnPath::parse(&text));
    let opened = (tokens, left, return_to, any::<bool>()).prop_map(|(tokens, left, return_to, two_factor)| {
        let id = Secret::new("theirs");
        let (awaited, step) = if two_factor {
            (Awaited::SecondFactor { id, methods: Vec::new() }, Step::TwoFactor)
        } else {
            (Awaited::NewPassword { id }, Step::NewPassword)
        };
        let chosen = Chosen { login_id: "ann@example.com".into(), remember: two_factor, tokens, return_to };
        let ends = NOW.plus(Duration::from_secs(left));
        let shown =
            NextStep { step, challenge: Secret::new("posted-challenge"), methods: Vec::new(), change_reason: None };
        Arc::new(Opened { challenge: Challenge { id: "c".into(), awaited, ends, chosen, change_reason: None }, shown })
    });
    // No key is far away: opening does not fail.
    prop_oneof![4 => opened.prop_map(Known::Found), 1 => Just(Known::Absent(Reason::ChallengeExpired))]
}

fn not_sent() -> impl Strategy<Value = Box<SignInRefused>> {
    let reasons = select(&[Reason::ChallengeExpired, Reason::RejectedInput, Reason::Throttled][..]);
    reasons.prop_map(|reason| Box::new(SignInRefused::because(reason)))
}

/// What a provider, or the throttle, may say to a password or to the step that follows it.
pub const REFUSALS: &[Reason] = &[
    Reason::NotRegistered,
    Reason::PasswordChangeRequired,
    Reason::EmailUnverified,
    Reason::RegistrationUnverified,
    Reason::TwoFactorRequired,
    Reason::InvalidCredentials,
    Reason::LoginPrevented,
    Reason::AccountExpired,
    Reason::AccountLocked,
    Reason::RejectedInput,
    Reason::Throttled,
    Reason::WrongCode,
    Reason::ChallengeExpired,
];

const FAILURES: &[Reason] =
    &[Reason::ProviderUnavailable, Reason::ProviderMisconfigured, Reason::StoreUnavailable, Reason::TokensTooLarge];

fn known<T, No>(
    found: impl Strategy<Value = T>,
    absent: impl Strategy<Value = No>,
) -> impl Strategy<Value = Known<T, No>>
where
    T: Clone + std::fmt::Debug,
    No: Clone + std::fmt::Debug,
{
    prop_oneof![
        2 => found.prop_map(Known::Found),
        2 => absent.prop_map(Known::Absent),
        1 => select(FAILURES).prop_map(Known::Failed),
    ]
}

fn body() -> impl Strategy<Value = CallBody> {
    let bodies = [
        r#"{"loginId":"ann@example.com","password":"correct horse"}"#,
        r#"{"loginId":"ann@example.com","password":"correct horse","tokens":"body"}"#,
        r#"{"loginId":" ","password":"correct horse"}"#,
        r#"{"challenge":"posted-challenge","code":"123 456"}"#,
        r#"{"challenge":"posted-challenge","code":"123456","trust":true}"#,
        r#"{"challenge":"posted-challenge","code":" "}"#,
        r#"{"challenge":"posted-challenge","choice":"posted-choice"}"#,
        r#"{"challenge":"posted-challenge","password":"a new one"}"#,
        r#"{"refreshToken":"posted-token"}"#,
        r#"{"refreshToken":"refresh-token"}"#,
        r#"{"else":1}"#,
        "{}",
        "",
    ];
    select(bodies.to_vec()).prop_map(|text| CallBody::read(text.as_bytes()).unwrap())
}

fn login_form() -> impl Strategy<Value = LoginForm> {
    let name = prop_oneof![4 => Just("ann@example.com"), 1 => Just(" ")];
    let password = prop_oneof![4 => Just("correct horse"), 1 => Just("")];
    let return_to = "/[!-~]{0,12}".prop_map(|text| ReturnPath::parse(&text));
    let unsent = prop_oneof![Just(None), Just(Some(Arc::from("sealed")))];
    (name, password, csrf(), return_to, any::<bool>(), unsent).prop_map(
        |(login_id, password, csrf, return_to, remember, unsent)| LoginForm {
            login_id: login_id.into(),
            password: Secret::new(password),
            return_to,
            remember,
            csrf,
            unsent,
        },
    )
}

fn csrf() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(csrf_token("store", FORM_COOKIE)),
        1 => Just(csrf_token("forum", FORM_COOKIE)),
        1 => Just(String::new()),
    ]
}
