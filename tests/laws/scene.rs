//! Any request, at any site, with any turn of events, and the loop that plays it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use vestibule::decide::sign_in::csrf_token;
use vestibule::decide::{Decision, Facts, Known, Outcome, Question, decide};
use vestibule::model::answer::{Answer, CookieChange};
use vestibule::model::cookie::{Presented, PresentedCookies};
use vestibule::model::credential::{Carried, CredentialKind};
use vestibule::model::identity::Identity;
use vestibule::model::moment::Moment;
use vestibule::model::reason::Reason;
use vestibule::model::request::{BearerTokens, Marks, RequestView};
use vestibule::model::return_path::ReturnPath;
use vestibule::model::rule::{Access, SignedOut};
use vestibule::model::secret::Secret;
use vestibule::model::sign_in::{LoginForm, SignInRefused};
use vestibule::model::site::{OwnPaths, Site};
use vestibule::model::target::Target;
use vestibule::model::token::{IssuedTokens, OpenSession, Renewed, SessionKey, SignedIn, TokenFault, Visitor};

use super::site;

pub const NOW: Moment = Moment::from_secs(1_700_000_000);
const ROLES: &[&str] = &["admin", "editor", "shopper"];
const FORM_COOKIE: &str = "form-cookie";

/// Everything that decides about one request.
#[derive(Clone, Debug)]
pub struct Scene {
    pub site: Site,
    pub method: Method,
    pub target: String,
    pub cookies: PresentedCookies<'static>,
    pub bearer: BearerTokens<'static>,
    pub marks: Marks<'static>,
    /// What comes of every question, should it be asked. No slot is empty.
    pub oracle: Facts,
}

/// The slots of [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Verify,
    LoadSession,
    Renew,
    ReadForm,
    SignIn,
    SignOut,
}

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Played {
    pub asked: Vec<Asked>,
    /// What had been found out in the end.
    pub facts: Facts,
    pub forwarded: Option<Forwarded>,
    pub answer: Option<Answer>,
    pub cookies: Vec<CookieChange>,
    pub reason: Reason,
    pub label: &'static str,
}

/// What a grant says.
#[derive(Clone, Debug)]
pub struct Forwarded {
    pub visitor: Option<Arc<Visitor>>,
    pub renew_ahead: Option<String>,
}

impl Scene {
    /// Asks and answers until it is settled. Panics when a question is asked twice.
    pub fn play(&self) -> Played {
        let target = self.target();
        let (cookies, bearer, marks) = (&self.cookies, self.bearer, self.marks);
        let request = RequestView { method: &self.method, target: &target, cookies, bearer, marks };
        let mut facts = Facts::default();
        let mut asked = Vec::new();
        loop {
            match decide(&request, &self.site, &facts, NOW) {
                Decision::Needs(question) => asked.push(self.answer(&question, &mut facts)),
                Decision::Settled(verdict) => {
                    let label = verdict.label();
                    let (forwarded, answer) = match verdict.outcome {
                        Outcome::Forward(grant) => {
                            let renew_ahead = grant.renew_ahead().map(|renewable| renewable.refresh.to_owned());
                            (Some(Forwarded { visitor: grant.visitor().cloned(), renew_ahead }), None)
                        }
                        Outcome::Reply(answer) => (None, Some(answer)),
                    };
                    let (cookies, reason) = (verdict.cookies, verdict.reason);
                    return Played { asked, facts, forwarded, answer, cookies, reason, label };
                }
            }
        }
    }

    fn answer(&self, question: &Question<'_>, facts: &mut Facts) -> Asked {
        match question {
            Question::Verify(token) => {
                assert!(matches!(facts.token, Known::NotAsked), "asked twice");
                assert_eq!(
                    (self.carried().kind == CredentialKind::Session, self.carried().proof),
                    (false, Some(*token))
                );
                facts.token = self.oracle.token.clone();
                Asked::Verify
            }
            Question::LoadSession(id) => {
                assert!(matches!(facts.session, Known::NotAsked), "asked twice");
                assert_eq!((self.carried().kind, self.carried().proof), (CredentialKind::Session, Some(*id)));
                facts.session = self.oracle.session.clone();
                Asked::LoadSession
            }
            Question::Renew(renewable) => {
                assert!(matches!(facts.renewal, Known::NotAsked), "asked twice");
                let Carried { kind, proof, refresh } = self.carried();
                let session = proof.filter(|_| kind == CredentialKind::Session);
                assert_eq!((kind, refresh, session), (renewable.kind, Some(renewable.refresh), renewable.session));
                facts.renewal = self.oracle.renewal.clone();
                Asked::Renew
            }
            Question::ReadForm => {
                assert!(matches!(facts.form, Known::NotAsked), "asked twice");
                facts.form = self.oracle.form.clone();
                Asked::ReadForm
            }
            Question::SignIn { credentials, session } => {
                assert_eq!(*session, self.cookies.session.value());
                assert!(matches!(facts.sign_in, Known::NotAsked), "asked twice");
                let Known::Found(form) = &facts.form else { panic!("a sign-in without a form") };
                assert_eq!((&credentials.login_id, &credentials.password), (&form.login_id, &form.password));
                facts.sign_in = self.oracle.sign_in.clone();
                Asked::SignIn
            }
            Question::SignOut(carried) => {
                assert!(matches!(facts.sign_out, Known::NotAsked), "asked twice");
                assert_eq!(*carried, self.carried());
                facts.sign_out = self.oracle.sign_out.clone();
                Asked::SignOut
            }
        }
    }

    /// What counts of all that the request carries.
    pub fn carried(&self) -> Carried<'static> {
        let value = |cookie: &Presented<'static>| match cookie {
            Presented::Once(std::borrow::Cow::Borrowed(value)) => Some(*value),
            Presented::Once(_) | Presented::Ambiguous | Presented::Absent => None,
        };
        if self.site.bearer && self.bearer != BearerTokens::default() {
            return Carried { kind: CredentialKind::Bearer, proof: self.bearer.access, refresh: self.bearer.refresh };
        }
        let kind = self.site.credential;
        let main = if kind == CredentialKind::Session { &self.cookies.session } else { &self.cookies.access };
        Carried { kind, proof: value(main), refresh: value(&self.cookies.refresh) }
    }

    pub fn target(&self) -> Target<'_> {
        Target::parse(self.target.as_bytes(), self.site.encoded_slashes).unwrap()
    }

    /// Whether the path is the application's: then what its rule asks for, and of whom.
    pub fn demand(&self) -> Option<(Access, Vec<String>)> {
        let target = self.target();
        let own = [self.site.paths.login.as_str(), &self.site.paths.logout, "/.well-known/vestibule/jwks.json"];
        let own = own.map(str::as_bytes).contains(&target.decoded_path())
            || target.decoded_path().starts_with(b"/_vestibule/");
        let demand = self.site.demand(&self.method, target.decoded_path());
        (!own).then(|| (demand.access, demand.roles.to_vec()))
    }

    pub fn is(&self, path: &str) -> bool {
        self.target().decoded_path() == path.as_bytes()
    }

    /// Whether another site's page made the browser send this, told by the two fields that scripts cannot forge.
    pub fn is_cross_site(&self) -> bool {
        match (self.marks.origin, self.marks.fetch_site) {
            (Some(origin), _) => !OWN_OR_LISTED.contains(&origin),
            (None, Some(fetch_site)) => !["same-origin", "none"].contains(&fetch_site),
            (None, None) => false,
        }
    }
}

const OWN_OR_LISTED: &[&str] = &[
    "https://store.example.com",
    "https://STORE.example.com:443",
    "https://shop.example.com",
    "https://app.example.com",
];

pub fn scene() -> impl Strategy<Value = Scene> {
    let request = (any_site(), method(), target(), cookies(), bearer(), marks());
    let posted = select(&[None, None, None, Some("in"), Some("out")][..]);
    (request, oracle(), posted).prop_map(|((site, method, target, cookies, bearer, marks), oracle, posted)| {
        let mut scene = Scene { site, method, target, cookies, bearer, marks, oracle };
        scene.marks.authorization |= bearer.access.is_some();
        // By chance alone a form would rarely be posted from the site's own page.
        if let Some(form) = posted {
            let paths = &scene.site.paths;
            scene.target = if form == "in" { paths.login.clone() } else { paths.logout.clone() };
            scene.method = Method::POST;
            scene.marks.origin = scene.marks.origin.map(|_| OWN_OR_LISTED[0]);
        }
        scene
    })
}

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
    let own = select(&["/login", "/logout", "/a/in", "/a/out", "/_vestibule/style.css", "/_vestibule/"][..]);
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
    (all, presented(FORM_COOKIE)).prop_map(|((access, refresh, session), form)| PresentedCookies {
        access,
        refresh,
        session,
        form,
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
    let flags = [1_u8, 1, 1].map(|weight| prop_oneof![4 => Just(false), u32::from(weight) => Just(true)]);
    (texts, flags).prop_map(|((accept, origin, referer, fetch_mode, fetch_site), flags)| {
        let [authorization, requested_with, websocket] = flags;
        let browser = origin.is_some() || fetch_mode.is_some() || fetch_site.is_some();
        Marks { accept, authorization, origin, referer, fetch_mode, fetch_site, requested_with, websocket, browser }
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
    let signed_in = (visitor(), any::<bool>())
        .prop_map(|(visitor, remember)| SignedIn { tokens: tokens("issued", remember), visitor });
    let refused = (select(REFUSALS), proptest::option::of(1_u32..99)).prop_map(|(reason, retry_after)| {
        let mut refused = SignInRefused::because(reason);
        refused.retry_after = retry_after;
        refused
    });
    let sign_in = known(signed_in, refused);
    let sign_out = known(Just(()), Just(Reason::SignedOut));
    let proofs = (token, session, renewal);
    (proofs, form, sign_in, sign_out).prop_map(|((token, session, renewal), form, sign_in, sign_out)| Facts {
        token,
        session,
        renewal,
        form,
        sign_in,
        sign_out,
    })
}

/// What a provider, or the throttle, may say to a password.
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

fn login_form() -> impl Strategy<Value = LoginForm> {
    let csrf = prop_oneof![
        3 => Just(csrf_token("store", FORM_COOKIE)),
        1 => Just(csrf_token("forum", FORM_COOKIE)),
        1 => Just(String::new()),
    ];
    let name = prop_oneof![4 => Just("ann@example.com"), 1 => Just(" ")];
    let password = prop_oneof![4 => Just("correct horse"), 1 => Just("")];
    let return_to = "/[!-~]{0,12}".prop_map(|text| ReturnPath::parse(&text));
    (name, password, csrf, return_to, any::<bool>()).prop_map(|(login_id, password, csrf, return_to, remember)| {
        LoginForm { login_id: login_id.into(), password: Secret::new(password), return_to, remember, csrf }
    })
}
