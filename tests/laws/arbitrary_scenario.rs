//! Strategies for scenarios: any request at any site, with any facts.

use std::time::Duration;

use http::Method;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::model::authorization::BasicCredentials;
use vestibule::model::credential::CredentialKind;
use vestibule::model::fusionauth_hosted_backend::{HostedBackend, RedirectUri};
use vestibule::model::redirect_login::CALLBACK;
use vestibule::model::request::{BearerTokens, FetchMetadata};
use vestibule::model::request_cookies::{
    PresentedCookie, PresentedCookies, PresentedRedirectLogin,
};
use vestibule::model::rule::{Access, UnauthenticatedAction};
use vestibule::model::site::{OwnPaths, SignIn, Site};

use super::arbitrary_facts::facts;
use super::scenario::{API_PATHS, OWN_OR_LISTED, Scenario};
use super::site;

const ROLES: &[&str] = &["admin", "editor", "shopper"];
pub const FORM_COOKIE: &str = "form-cookie";

pub fn scenario() -> impl Strategy<Value = Scenario> {
    let request = (
        any_site(),
        method(),
        target(),
        cookies(),
        (bearer(), basic()),
        fetch_metadata(),
    );
    (request, facts(), kind()).prop_map(
        |((site, method, target, cookies, (bearer, basic), mut metadata), answers, kind)| {
            // There is one `Authorization`.
            let basic = basic.filter(|_| bearer.access.is_none());
            metadata.has_authorization |= bearer.access.is_some() || basic.is_some();
            metadata.preflight_headers = metadata
                .preflight_headers
                .filter(|_| method == Method::OPTIONS);
            let mut scenario = Scenario {
                site,
                method,
                target,
                cookies,
                bearer,
                basic,
                fetch_metadata: metadata,
                answers,
            };
            make(&mut scenario, kind);
            scenario
        },
    )
}

/// The kinds of requests of which chance alone would make too few.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Any,
    Preflight,
    /// Posts of the site's own pages and of scripts.
    Login,
    Logout,
    Step,
    Api,
    /// A visit of the login page.
    LoginPage,
    /// The way back from the identity provider, with this query.
    Callback(&'static str),
    /// Calls of FusionAuth's SDKs: path and query.
    Sdk(&'static str, &'static str),
}

fn kind() -> impl Strategy<Value = Kind> {
    let sdk = (select(SDK_PATHS), select(SDK_QUERIES));
    prop_oneof![
        12 => Just(Kind::Any),
        5 => Just(Kind::Preflight),
        5 => Just(Kind::Login),
        5 => Just(Kind::Logout),
        5 => Just(Kind::Step),
        5 => Just(Kind::Api),
        3 => Just(Kind::LoginPage),
        5 => select(CALLBACK_QUERIES).prop_map(Kind::Callback),
        8 => sdk.prop_map(|(path, query)| Kind::Sdk(path, query)),
    ]
}

/// Makes the request one of this kind.
fn make(scenario: &mut Scenario, kind: Kind) {
    let (paths, length) = (&scenario.site.paths, scenario.target.len());
    let step = StepEndpoint::ALL[length % StepEndpoint::ALL.len()].suffix();
    let api = API_PATHS[length % API_PATHS.len()];
    let (method, target) = match kind {
        Kind::Any => return,
        Kind::Preflight => {
            scenario.method = Method::OPTIONS;
            scenario.fetch_metadata.preflight_headers = Some("x-csrf-token");
            return;
        }
        Kind::Login => (Method::POST, paths.login.clone()),
        Kind::Logout => (Method::POST, paths.logout.clone()),
        Kind::Step => (Method::POST, format!("{}{step}", paths.login_prefix())),
        Kind::Api => (
            Method::POST,
            format!("{}{api}", paths.api.as_deref().unwrap_or("/api")),
        ),
        Kind::LoginPage => (Method::GET, paths.login.clone()),
        Kind::Callback(query) => {
            scenario.site.sign_in = SignIn::Redirect;
            scenario.site.basic = false;
            (Method::GET, format!("{CALLBACK}?{query}"))
        }
        Kind::Sdk(path, query) => {
            scenario.site.credential = CredentialKind::Jwt;
            scenario.site.hosted_backend = Some(backend());
            let is_refresh = path == "/app/refresh";
            let method = if is_refresh {
                Method::POST
            } else {
                Method::GET
            };
            (method, format!("{path}?client_id=sdk{query}"))
        }
    };
    (scenario.method, scenario.target) = (method, target);
    scenario.fetch_metadata.preflight_headers = None;
    // The provider's page leads to the callback.
    if !matches!(kind, Kind::Sdk(..) | Kind::Callback(_)) {
        let origin = scenario.fetch_metadata.origin;
        scenario.fetch_metadata.origin = origin.map(|_| OWN_OR_LISTED[0]);
    }
}

/// The ids of the logins by redirect that a browser has under way.
pub const LOGIN_IDS: [&str; 2] = ["AAAAAAAAAAAA", "BBBBBBBBBBBB"];

/// Responses of the provider: to those logins, to an unknown one, with an error, and broken ones.
const CALLBACK_QUERIES: &[&str] = &[
    "code=c&state=AAAAAAAAAAAA-rest",
    "code=c&state=AAAAAAAAAAAA-rest",
    "code=c&state=BBBBBBBBBBBB-rest&iss=https%3A%2F%2Fid.example",
    "error=access_denied&state=AAAAAAAAAAAA-rest",
    "code=c&state=CCCCCCCCCCCC-rest",
    "code=c&state=AAAA",
    "code=c&state=AAAAAAAAAAAA-rest&state=x",
    "code=c",
    "",
];

/// A hosted backend with a redirect URI of the site and one of another origin.
pub fn backend() -> HostedBackend {
    let list = LISTED.iter().map(|uri| RedirectUri::parse(uri).unwrap());
    HostedBackend::new("sdk".into(), list.collect()).unwrap()
}

/// The redirect URIs of that backend.
pub const LISTED: &[&str] = &[
    "https://store.example.com/shop",
    "https://sdk.example/done?x",
];

const SDK_PATHS: &[&str] = &[
    "/app/login",
    "/app/register/sdk",
    "/app/me/",
    "/app/refresh",
    "/app/logout/",
    "/app/logout",
];
const SDK_QUERIES: &[&str] = &[
    "",
    "&redirect_uri=https%3A%2F%2Fsdk.example%2Fdone%3Fx&state=s",
    "&redirect_uri=https%3A%2F%2Fevil.example%2F",
    "&post_logout_redirect_uri=https%3A%2F%2Fsdk.example%2Fdone%3Fx",
];

fn any_site() -> impl Strategy<Value = Site> {
    let rule = (
        pattern(),
        subsequence(METHODS, 0..3),
        access(),
        roles(),
        unauthenticated(),
    );
    let policy = proptest::collection::vec(rule, 0..6);
    let paths = prop_oneof![
        3 => Just(OwnPaths::default()),
        1 => Just(OwnPaths { login: "/a/in".into(), logout: "/a/out".into(), api: Some("/a/api".into()) }),
        1 => Just(OwnPaths { login: "/a/in/".into(), logout: "/a/out/".into(), api: None }),
    ];
    let kinds = (
        select(&[CredentialKind::Jwt, CredentialKind::Session][..]),
        any::<bool>(),
        any::<bool>(),
        sign_in(),
    );
    (policy, access(), paths, kinds, 0_u64..400).prop_map(
        |(policy, default_access, paths, (credential, bearer, forward_token, sign_in), ahead)| {
            let mut site = site::store();
            (site.credential, site.bearer, site.forward_token) =
                (credential, bearer, forward_token);
            site.sign_in = sign_in;
            // Basic credentials need a provider that checks passwords.
            site.basic = ahead % 2 == 0 && sign_in == SignIn::Form;
            site.rules = policy
                .into_iter()
                .map(|(pattern, methods, access, roles, signed_out)| {
                    let roles: Vec<&str> = if access == Access::Required {
                        roles
                    } else {
                        Vec::new()
                    };
                    let mut rule = site::rule(&pattern, &methods, access, &roles);
                    rule.unauthenticated = signed_out;
                    rule
                })
                .collect();
            site.default_access = default_access;
            site.paths = paths;
            site.refresh_ahead = Duration::from_secs(ahead);
            // Every third site with JWT cookies has a hosted backend.
            site.hosted_backend =
                (credential == CredentialKind::Jwt && ahead % 3 == 0).then(backend);
            site
        },
    )
}

const METHODS: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![2 => Just(Method::GET), 1 => Just(Method::POST), 2 => select(METHODS)]
}

fn access() -> impl Strategy<Value = Access> {
    select(
        &[
            Access::Public,
            Access::Optional,
            Access::Required,
            Access::Required,
        ][..],
    )
}

fn sign_in() -> impl Strategy<Value = SignIn> {
    prop_oneof![3 => Just(SignIn::Form), 1 => Just(SignIn::Redirect)]
}

fn unauthenticated() -> impl Strategy<Value = UnauthenticatedAction> {
    select(
        &[
            UnauthenticatedAction::Auto,
            UnauthenticatedAction::Auto,
            UnauthenticatedAction::Redirect,
            UnauthenticatedAction::Status,
        ][..],
    )
}

pub fn roles() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(ROLES, 0..=ROLES.len())
}

fn pattern() -> impl Strategy<Value = String> {
    (path(), any::<bool>()).prop_map(|(path, all)| {
        if all {
            format!("{}/*", path.trim_end_matches('/'))
        } else {
            path
        }
    })
}

/// Of few words, so that rules match requests.
fn path() -> impl Strategy<Value = String> {
    let words = proptest::collection::vec(select(&["a", "b", "in", "out", "orders"][..]), 0..3);
    (words, any::<bool>()).prop_map(|(words, slash)| {
        let end = if slash && !words.is_empty() { "/" } else { "" };
        format!("/{}{end}", words.join("/"))
    })
}

fn target() -> impl Strategy<Value = String> {
    let own = [
        "/login",
        "/logout",
        "/a/in",
        "/a/out",
        "/_vestibule/style.css",
        "/_vestibule/",
    ];
    let calls = [
        "/api/user",
        "/api/user",
        "/a/api/user",
        "/api/login",
        "/api",
        "/api/login/two-factor/other",
    ];
    let hosted = [
        "/app/login",
        "/app/register/sdk",
        "/app/callback/",
        "/app/me/",
        "/app/refresh",
        "/app/logout/sdk/",
    ];
    let own = select([own, calls, hosted].concat());
    let keys = Just("/.well-known/vestibule/jwks.json");
    let path = prop_oneof![6 => path(), 3 => own.prop_map(str::to_owned), 1 => keys.prop_map(str::to_owned)];
    // `%61` is `a`: rules are matched with the decoded path.
    let path = (path, any::<bool>()).prop_map(|(path, odd)| {
        if odd {
            path.replace("/a", "/%61")
        } else {
            path
        }
    });
    let queries = [
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
    let query = select(queries.to_vec()).prop_map(str::to_owned);
    let query = prop_oneof![
        3 => Just(String::new()),
        3 => query.prop_map(|query| format!("?{query}")),
        2 => "[!\"$&'-;=?-~\\\\]{0,12}".prop_map(|query| format!("?{query}")),
        2 => "[!-~]{0,12}".prop_map(|query| format!("?return_to={}", escaped(&query))),
    ];
    (path, query).prop_map(|(path, query)| path + &query)
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn presented(value: &'static str) -> impl Strategy<Value = PresentedCookie<'static>> {
    prop_oneof![
        4 => Just(PresentedCookie::Single(value.into())),
        2 => Just(PresentedCookie::Absent),
        1 => Just(PresentedCookie::Duplicate),
    ]
}

fn cookies() -> impl Strategy<Value = PresentedCookies<'static>> {
    let all = (
        presented("access-cookie"),
        presented("refresh-cookie"),
        presented("session-cookie"),
    );
    let others = (
        presented(FORM_COOKIE),
        presented("device-cookie"),
        redirect_logins(),
    );
    (all, others).prop_map(
        |((access, refresh, session), (form, device, redirect_logins))| PresentedCookies {
            access,
            refresh,
            session,
            form,
            device,
            redirect_logins,
            ..PresentedCookies::default()
        },
    )
}

/// Logins by redirect under way. One that is there twice has no value.
fn redirect_logins() -> impl Strategy<Value = Vec<PresentedRedirectLogin<'static>>> {
    let login = |number: usize| PresentedRedirectLogin {
        id: LOGIN_IDS[number],
        value: ["login-a", "login-b"][number],
    };
    prop_oneof![
        3 => Just(vec![]),
        3 => Just(vec![login(0)]),
        2 => Just(vec![login(0), login(1)]),
        1 => Just(vec![login(0), login(1), login(0)]),
    ]
}

fn bearer() -> impl Strategy<Value = BearerTokens<'static>> {
    let carried = prop_oneof![
        3 => Just((None, None)),
        1 => Just((Some("access-token"), None)),
        1 => Just((Some("access-token"), Some("refresh-token"))),
        1 => Just((None, Some("refresh-token"))),
    ];
    carried.prop_map(|(access, refresh)| BearerTokens {
        access,
        refresh,
        service: None,
    })
}

fn basic() -> impl Strategy<Value = Option<BasicCredentials<'static>>> {
    prop_oneof![
        3 => Just(None),
        1 => Just(BasicCredentials::parse("Basic YW5uOnNlY3JldA==")),
    ]
}

fn fetch_metadata() -> impl Strategy<Value = FetchMetadata<'static>> {
    let origins = OWN_OR_LISTED.iter().chain(&[
        "https://evil.example",
        "http://store.example.com",
        "null",
        "",
    ]);
    let origins: Vec<&str> = origins.copied().collect();
    let referers = &[
        "https://store.example.com/a",
        "https://evil.example/https://store.example.com/",
        "x",
    ][..];
    let sites = &[
        "same-origin",
        "none",
        "same-site",
        "cross-site",
        "SAME-ORIGIN",
    ][..];
    let modes = &["navigate", "cors", "no-cors", "websocket"][..];
    let accepts = &["text/html,*/*;q=0.8", "application/json", "*/*"][..];
    let texts = (
        optional(accepts),
        optional(&origins),
        optional(referers),
        optional(modes),
        optional(sites),
    );
    let flags = [1_u8, 1, 1, 1]
        .map(|weight| prop_oneof![4 => Just(false), u32::from(weight) => Just(true)]);
    (texts, flags).prop_map(
        |((accept, origin, referer, fetch_mode, fetch_site), flags)| {
            let [authorization, requested_with, websocket, preflight] = flags;
            FetchMetadata {
                accept,
                has_authorization: authorization,
                origin,
                referer,
                fetch_mode,
                fetch_site,
                has_requested_with: requested_with,
                is_websocket: websocket,
                preflight_headers: preflight.then_some("x-csrf-token"),
                is_prefetch: false,
                has_browser_agent: false,
                is_browser: origin.is_some() || fetch_mode.is_some() || fetch_site.is_some(),
            }
        },
    )
}

fn optional(words: &[&'static str]) -> impl Strategy<Value = Option<&'static str>> + use<> {
    proptest::option::of(select(words.to_vec()))
}
