//! The law of `forget`: no request of one user carries a cookie of the application that was set
//! while another was signed in. A browser is played with its cookie jar, through the very
//! `Set-Cookie` lines of the responses.

use std::sync::Arc;

use http::Method;
use proptest::prelude::*;
use proptest::sample::select;
use vestibule::decide::credential_response_headers::CredentialHeaders;
use vestibule::decide::forget::bind;
use vestibule::decide::{Decision, Facts, Known, Outcome, RequestCookies, Verdict, decide};
use vestibule::model::api_request::ApiRequestBody;
use vestibule::model::application_cookies::{CookiePattern, CookiePatterns};
use vestibule::model::authorization::BasicCredentials;
use vestibule::model::cookie_change::CookieChange;
use vestibule::model::credential::CredentialKind;
use vestibule::model::request::{BearerTokens, FetchMetadata, RequestView};
use vestibule::model::request_cookies::PresentedCookies;
use vestibule::model::rule::{Access, RuleClient};
use vestibule::model::site::Site;
use vestibule::model::target::{EncodedSlashes, Target};
use vestibule::model::token::{CompletedLogin, IssuedTokens, Principal};

use super::arbitrary_facts::principal_with;
use super::scenario::NOW;
use super::site;

const PEOPLE: &[&str] = &["ann", "bob"];
const PATHS: &[&str] = &["/", "/public/x", "/maybe/x", "/mine", "/mine/deep/er"];
/// Cookies that the application sets, without their value.
const COOKIES: &[&str] = &[
    "sid=; Path=/",
    "sid=; HttpOnly",
    "wp_in=; Path=/mine",
    "wp_in=; Path=/mine/deep; Domain=.example.com",
    "other=; Path=/",
];
const NOBODY: &str = "nobody";

#[derive(Clone, Debug)]
enum Step {
    LogIn(&'static str),
    LogOut,
    /// The login has expired: the browser has none of its cookies any more.
    Expire,
    Visit(&'static str, Vec<&'static str>),
    Prefetch(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let set = proptest::sample::subsequence(COOKIES, 0..=2);
    prop_oneof![
        2 => select(PEOPLE).prop_map(Step::LogIn),
        1 => Just(Step::LogOut),
        1 => Just(Step::Expire),
        6 => (select(PATHS), set).prop_map(|(path, cookies)| Step::Visit(path, cookies)),
        1 => select(PATHS).prop_map(Step::Prefetch),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
}

/// A browser at the site.
struct Shared {
    site: Site,
    jar: Vec<Cookie>,
}

impl Shared {
    fn new() -> Self {
        let mut site = site::store();
        let patterns = ["sid", "wp_*"].map(|text| CookiePattern::parse(text).unwrap());
        site.forget = CookiePatterns::new(patterns.into());
        site.rules = vec![
            site::rule("/", &[], Access::Public, &[]),
            site::rule("/public/*", &[], Access::Public, &[]),
            site::rule("/maybe/*", &[], Access::Optional, &[]),
        ];
        Self {
            site,
            jar: Vec::new(),
        }
    }

    /// Whose login the browser holds.
    fn signed_in(&self) -> Option<&str> {
        let access = &self.site.cookies.access;
        let cookie = self.jar.iter().find(|cookie| cookie.name == *access);
        cookie.map(|cookie| &*cookie.value)
    }

    /// The `Cookie` field of a request.
    fn field(&self, path: &str) -> String {
        let matches = |cookie: &&Cookie| {
            path == cookie.path
                || (path.starts_with(&cookie.path)
                    && (cookie.path.ends_with('/')
                        || path.as_bytes().get(cookie.path.len()) == Some(&b'/')))
        };
        let pair = |cookie: &Cookie| format!("{}={}", cookie.name, cookie.value);
        let pairs: Vec<String> = self.jar.iter().filter(matches).map(pair).collect();
        pairs.join("; ")
    }

    /// Takes a `Set-Cookie` line of a response to a request for `path`.
    fn take(&mut self, line: &str, path: &str) {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut cookie = Cookie {
            name: name.into(),
            value: value.into(),
            path: if parent.is_empty() {
                "/".into()
            } else {
                parent.into()
            },
            domain: None,
        };
        let mut is_expired = false;
        for attribute in parts {
            match attribute.split_once('=') {
                Some(("Path", path)) => cookie.path = path.into(),
                Some(("Domain", domain)) => {
                    cookie.domain = Some(domain.trim_start_matches('.').into());
                }
                Some(("Max-Age", age)) => is_expired = age == "0",
                _ => {}
            }
        }
        self.jar.retain(|have| {
            (&have.name, &have.path, &have.domain) != (&cookie.name, &cookie.path, &cookie.domain)
        });
        if !is_expired {
            self.jar.push(cookie);
        }
    }

    /// Sends a request; the application sets these cookies. Returns who the application was told,
    /// and the cookies that it got.
    fn send(&mut self, method: &Method, path: &str, extra: &Extra<'_>) -> Option<(String, String)> {
        let field = self.field(path);
        let target = Target::parse(path.as_bytes(), EncodedSlashes::Reject).unwrap();
        let names = self.site.cookies.clone();
        let fields = || std::iter::once(field.as_str());
        let mut cookies = PresentedCookies::parse(&names, fields());
        let rest = cookies.upstream_cookies.take();
        cookies.forgettable = self.site.forget.presented(&names, fields());
        let no_basic: Option<BasicCredentials<'_>> = None;
        let request = RequestView {
            method,
            target: &target,
            cookies: &cookies,
            bearer: BearerTokens::default(),
            basic: no_basic,
            fetch_metadata: FetchMetadata {
                is_prefetch: extra.is_prefetch,
                ..FetchMetadata::default()
            },
            client: RuleClient::default(),
        };
        let verdict = settled(&request, &self.site, &facts(&cookies, extra));
        let owner = verdict.application_cookies;
        let mut changes = verdict.cookies.clone();
        let mut seen = None;
        if let Outcome::Forward(grant) = &verdict.outcome {
            let user = grant.principal().map_or(NOBODY, |it| &it.identity.sub);
            let removed = owner.is_some_and(|it| it.request == RequestCookies::Removed);
            let upstream = if removed {
                self.site.forget.without(&names, fields())
            } else {
                rest.unwrap_or_else(|| field.clone().into_bytes())
            };
            seen = Some((user.to_owned(), String::from_utf8(upstream).unwrap()));
        }
        let presented = cookies.owner.value().map(str::to_owned);
        let owner = owner.and_then(|it| it.owner).filter(|_| seen.is_some());
        drop(cookies);
        let whose = self.signed_in().unwrap_or(NOBODY).to_owned();
        let lines: Vec<String> = match seen {
            Some(_) => extra
                .set
                .iter()
                .map(|line| line.replacen('=', &format!("={whose}"), 1))
                .collect(),
            None => Vec::new(),
        };
        if let Some(owner) = owner {
            let lines = lines.iter().map(String::as_bytes);
            let bound = bind(&self.site, owner, presented.as_deref(), path, lines);
            changes.extend(bound.map(CookieChange::SetOwner));
        }
        let headers = CredentialHeaders::new(&self.site, &changes, &[]).unwrap();
        let text = |line: &http::HeaderValue| line.to_str().unwrap().to_owned();
        let expired: Vec<String> = headers.expired_cookies.iter().map(text).collect();
        let own: Vec<String> = headers.set_cookies.iter().map(text).collect();
        for line in expired.into_iter().chain(lines).chain(own) {
            self.take(&line, path);
        }
        seen
    }
}

/// What a request has besides its cookies.
#[derive(Default)]
struct Extra<'a> {
    login: Option<&'a str>,
    set: &'a [&'a str],
    is_prefetch: bool,
}

fn user(sub: &str) -> Arc<Principal> {
    let mut principal = principal_with(&[], 1, 1000);
    principal.identity.sub = sub.to_owned();
    Arc::new(principal)
}

fn facts(cookies: &PresentedCookies<'_>, extra: &Extra<'_>) -> Facts {
    let mut facts = Facts {
        logout: Known::Found(None),
        redirects: Known::Found(1),
        body: Known::Found(ApiRequestBody::parse(b"{}").unwrap()),
        ..Facts::default()
    };
    if let Some(sub) = cookies.access.value() {
        facts.token = Known::Found(user(sub));
    }
    if let Some(sub) = extra.login {
        let body = br#"{"loginId":"a","password":"b"}"#;
        facts.body = Known::Found(ApiRequestBody::parse(body).unwrap());
        facts.login = Known::Found(CompletedLogin {
            tokens: IssuedTokens {
                kind: CredentialKind::Jwt,
                token: sub.into(),
                refresh: None,
                remember: true,
            },
            principal: user(sub),
            device: None,
        });
    }
    facts
}

fn settled<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Verdict<'a> {
    match decide(request, site, facts, NOW) {
        Decision::Settled(verdict) => verdict,
        Decision::Needs(question) => panic!("{question:?}"),
    }
}

/// The values of the cookies that `forget` names.
fn owners(field: &str) -> Vec<&str> {
    let pairs = field.split("; ").filter_map(|pair| pair.split_once('='));
    let named = pairs.filter(|(name, _)| *name == "sid" || name.starts_with("wp_"));
    named.map(|(_, value)| value).collect()
}

proptest! {
    #![proptest_config(super::scaled(4))]

    #[test]
    fn no_user_gets_the_cookies_of_another(steps in proptest::collection::vec(step(), 1..25)) {
        let mut browser = Shared::new();
        for step in &steps {
            let seen = match step {
                Step::LogIn(who) => {
                    let extra = Extra { login: Some(who), ..Extra::default() };
                    let seen = browser.send(&Method::POST, "/api/login", &extra);
                    prop_assert_eq!(browser.signed_in(), Some(*who));
                    seen
                }
                Step::LogOut => {
                    let seen = browser.send(&Method::POST, "/api/logout", &Extra::default());
                    prop_assert_eq!(browser.signed_in(), None);
                    prop_assert!(owners(&browser.field("/mine/deep/er")).iter().all(|whose| *whose == NOBODY));
                    seen
                }
                Step::Expire => {
                    let access = browser.site.cookies.access.clone();
                    browser.jar.retain(|cookie| cookie.name != access);
                    None
                }
                Step::Visit(path, set) => {
                    browser.send(&Method::GET, path, &Extra { set, ..Extra::default() })
                }
                Step::Prefetch(path) => {
                    browser.send(&Method::GET, path, &Extra { is_prefetch: true, ..Extra::default() })
                }
            };
            let Some((user, field)) = seen else { continue };
            prop_assert!(!field.contains("vestibule"), "{}", field);
            let signed_in = browser.signed_in().unwrap_or(NOBODY).to_owned();
            prop_assert!(user == NOBODY || user == signed_in);
            for whose in owners(&field) {
                // What nobody had belongs to the next user, and not the other way round.
                prop_assert!(whose == signed_in || whose == NOBODY, "{:?}: {} of {}", step, field, signed_in);
            }
        }
    }

    /// A basket that was filled before the first login survives it.
    #[test]
    fn the_first_user_keeps_what_nobody_had(path in select(PATHS), who in select(PEOPLE)) {
        let mut browser = Shared::new();
        let set = Extra { set: &["sid=; Path=/"], ..Extra::default() };
        browser.send(&Method::GET, "/maybe/x", &set);
        let extra = Extra { login: Some(who), ..Extra::default() };
        browser.send(&Method::POST, "/api/login", &extra);
        let (_, field) = browser.send(&Method::GET, path, &Extra::default()).unwrap();
        prop_assert_eq!(owners(&field), [NOBODY]);
    }
}
