//! The application's cookies that `forget` names (`docs/reference/cookies.md#application-cookies`).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{basic_login, logged_in, refreshed, store, valid_token};
use super::provider_login::comes_back;
use crate::decide::forget::bind;
use crate::decide::{Known, RedirectResult};
use crate::model::application_cookies::{
    CookieOwner, CookiePattern, CookiePatterns, CookieScope, OwnerHash,
};
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::redirect_result::FinishedRedirect;
use crate::model::request_cookies::PresentedCookie;
use crate::model::site::Site;
use crate::model::token::TokenError;

fn with_forget(mut site: Site) -> Site {
    let patterns = ["sid", "wp_*"].map(|text| CookiePattern::parse(text).unwrap());
    site.forget = CookiePatterns::new(patterns.into());
    site
}

/// `case` in a browser that has the cookie `sid`, and an owner cookie that names `owner`.
fn of(mut case: Case, owner: Option<&str>) -> Case {
    case.site = with_forget(case.site);
    case.cookies.forgettable = vec![b"sid"];
    if let Some(sub) = owner {
        let mut owner = CookieOwner::new(OwnerHash::of("store", sub));
        owner.record(scope("sid", "/"));
        owner.record(scope("wp_1", "/wp-admin"));
        case.cookies.owner = PresentedCookie::Single(owner.encode().into());
    }
    case
}

fn scope(name: &str, path: &str) -> CookieScope {
    CookieScope {
        name: name.into(),
        path: path.into(),
        domain: None,
    }
}

fn decision(case: Case, owner: Option<&str>) -> String {
    of(case, owner).decision()
}

const EXPIRED: &str = "expire sid at /";
const EXPIRED_BOTH: &str = "expire sid at / wp_1 at /wp-admin";

#[test]
fn the_cookies_of_another_user_are_expired() {
    let by_ann = || navigation("/mine").access(valid_token(&[]));
    assert_eq!(decision(by_ann(), Some("ann")), "forward signed_in as ann");
    let foreign = format!("forward signed_in as ann, {EXPIRED_BOTH}, owner ann");
    assert_eq!(decision(by_ann(), Some("bob")), foreign);
    // Their name is known, their path is not: every one that the browser may mean.
    let mut unknown = of(by_ann(), None);
    unknown.cookies.owner = PresentedCookie::Duplicate;
    unknown.target = "/a/b";
    let decision = unknown.decision();
    for scope in [
        "sid at /",
        "sid at /a",
        "sid at /a/",
        "sid at /a/b",
        "sid at example.com/a",
    ] {
        assert!(
            decision.contains(&format!(" {scope} ")),
            "{scope}: {decision}"
        );
    }
}

#[test]
fn what_an_anonymous_visitor_had_becomes_the_first_users() {
    let by_ann = || navigation("/mine").access(valid_token(&[]));
    assert_eq!(
        decision(by_ann(), None),
        "forward signed_in as ann, owner ann"
    );
    let mut renewed = navigation("/mine").access(Known::Absent(TokenError::Expired));
    renewed = renewed.refresh(refreshed(&[]));
    let expected = "forward renewed as ann, set A2, owner ann";
    assert_eq!(decision(renewed.clone(), None), expected);
    assert_eq!(
        decision(renewed, Some("ann")),
        "forward renewed as ann, set A2"
    );
    assert_eq!(decision(navigation("/maybe/x"), None), "forward anonymous");
    assert_eq!(decision(navigation("/public/x"), None), "forward public");
}

#[test]
fn a_login_settles_whose_they_are() {
    let body = "{\"loginId\":\"ann\",\"password\":\"x\"}";
    let login = |kind| {
        let mut case = request(&Method::POST, "/api/login").body(body);
        case.facts.login = logged_in(kind);
        case
    };
    let by_cookie = || login(CredentialKind::Jwt);
    let ends = |case: Case, owner, end: &str| {
        let decision = decision(case, owner);
        assert!(decision.ends_with(end), "{decision}");
    };
    ends(by_cookie(), None, "own_endpoint, set A1, device, owner ann");
    ends(by_cookie(), Some("ann"), "own_endpoint, set A1, device");
    let switched = format!("set A1, device, {EXPIRED_BOTH}, owner ann");
    ends(by_cookie(), Some("bob"), &switched);
    // A login that was refused settles nothing.
    let mut refused = by_cookie();
    refused.facts.login = Known::Failed(Reason::ProviderUnavailable);
    ends(refused, Some("bob"), "provider_unavailable");
}

#[test]
fn a_login_at_the_provider_settles_whose_they_are() {
    let Known::Found(login) = logged_in(CredentialKind::Jwt) else {
        panic!("a login");
    };
    let finished = RedirectResult::Finished(FinishedRedirect {
        login,
        return_to: None,
        preserved_post: None,
    });
    let decision = decision(comes_back(Some(finished)), Some("bob"));
    let switched = format!("{EXPIRED_BOTH}, owner ann");
    assert!(decision.contains(&switched), "{decision}");
}

/// Of a path with thousands of segments and a hundred names, each with thousands of scopes.
#[test]
fn what_one_response_expires_is_bounded() {
    let path: &'static str = Box::leak(format!("/maybe{}", "/a".repeat(3900)).into_boxed_str());
    let names: Vec<&'static [u8]> = (0..100)
        .map(|number| &*Box::leak(format!("wp_{number}").into_boxed_str()))
        .map(str::as_bytes)
        .collect();
    let mut case = of(navigation("/maybe/x"), None);
    case.cookies.owner = PresentedCookie::Duplicate;
    case.cookies.forgettable = names;
    case.target = path;
    let decision = case.decision();
    assert_eq!(decision.matches(" at ").count(), 64);
}

#[test]
fn nobody_is_another_user_and_who_was_not_checked_is_the_owner() {
    let nobody = format!("{EXPIRED_BOTH}, clear owner");
    for target in ["/maybe/x", "/public/x"] {
        let decision = decision(navigation(target), Some("bob"));
        assert!(decision.ends_with(&nobody), "{target}: {decision}");
    }
    let refused = navigation("/maybe/x").access(Known::Absent(TokenError::Revoked));
    let expected = format!("forward anonymous, clear, {nobody}");
    assert_eq!(decision(refused, Some("bob")), expected);
    // Nobody looks at the credentials of a public page, or can while the provider is away.
    let public = navigation("/public/x").access(Known::NotAsked);
    assert_eq!(decision(public, Some("bob")), "forward public");
    let outage = navigation("/maybe/x").access(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(decision(outage, Some("bob")), "forward anonymous");
    // The form leaves them: the owner may come back.
    let form = navigation("/mine");
    assert_eq!(
        decision(form, Some("bob")),
        "302 /login?return_to=/mine signed_out"
    );
}

#[test]
fn a_logout_expires_them() {
    let post = |target| {
        request(&Method::POST, target)
            .body("{}")
            .with_metadata(|metadata| {
                metadata.origin = Some("https://store.example.com");
            })
    };
    for target in ["/logout", "/api/logout"] {
        let mut case = of(post(target).access(Known::NotAsked), Some("ann"));
        case.facts.logout = Known::Found(None);
        let decision = case.decision();
        let expected = format!(", clear, {EXPIRED_BOTH}, clear owner");
        assert!(decision.ends_with(&expected), "{decision}");
        case.cookies.owner = PresentedCookie::Absent;
        let decision = case.decision();
        assert!(
            decision.contains(&format!(", clear, {EXPIRED}")),
            "{decision}"
        );
        assert!(!decision.contains("owner"), "{decision}");
    }
}

#[test]
fn a_prefetch_that_would_have_to_expire_them_is_refused() {
    let prefetch = |owner| {
        let case = navigation("/mine").access(valid_token(&[]));
        decision(
            case.with_metadata(|metadata| metadata.is_prefetch = true),
            owner,
        )
    };
    assert_eq!(prefetch(Some("ann")), "forward signed_in as ann");
    assert_eq!(prefetch(Some("bob")), "503 no prefetch own_endpoint");
}

#[test]
fn programs_get_no_owner_cookie_unasked() {
    let bearer = request(&Method::GET, "/mine").bearer(valid_token(&[]));
    assert_eq!(decision(bearer, None), "forward signed_in as ann");
    let basic = request(&Method::GET, "/mine").basic(basic_login(&[]));
    assert_eq!(decision(basic.clone(), None), "forward signed_in as ann");
    // A jar that two accounts share is a shared browser.
    let foreign = format!("forward signed_in as ann, {EXPIRED_BOTH}, owner ann");
    assert_eq!(decision(basic, Some("bob")), foreign);
}

#[test]
fn the_owner_cookie_goes_with_the_cookies_of_the_application() {
    let (site, ann) = (with_forget(store()), OwnerHash::of("store", "ann"));
    let bound = |presented: Option<&str>, lines: &[&str]| {
        let lines = lines.iter().map(|line| line.as_bytes());
        bind(&site, ann, presented, "/a/b", lines)
    };
    assert_eq!(bound(None, &["other=1"]), None);
    let first = bound(None, &["other=1", "sid=1; Path=/", "wp_1=2"]).unwrap();
    assert_eq!(first.owner, ann);
    assert_eq!(first.scopes(), [scope("sid", "/"), scope("wp_1", "/a")]);
    // Set again, and with what was known before.
    let again = bound(Some(&first.encode()), &["sid=2; Path=/"]).unwrap();
    assert_eq!(again, first);
    let bobs = CookieOwner::new(OwnerHash::of("store", "bob")).encode();
    assert_eq!(bound(Some(&bobs), &["sid=1; Path=/"]).unwrap().owner, ann);
}
