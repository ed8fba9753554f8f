//! Logins at the identity provider's own pages.

use std::sync::Arc;

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{logged_in, valid_token};
use crate::decide::csrf_token::csrf_token;
use crate::decide::{Known, RedirectResult};
use crate::model::credential::CredentialKind;
use crate::model::login::{LoginForm, LoginRefused};
use crate::model::reason::Reason;
use crate::model::redirect_login::SealedRedirectLogin;
use crate::model::redirect_result::{
    BegunRedirect, FailedRedirect, FinishedRedirect, RedirectRefusal, RefusedRedirect,
};
use crate::model::request_cookies::{PresentedCookie, PresentedRedirectLogin};
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;
use crate::model::site::SignIn;
use crate::model::token::TokenError;

const CALLBACK: &str = "/_vestibule/callback?code=C&state=AAAAAAAAAAAAaaaa";

fn at_redirect_site(mut case: Case) -> Case {
    case.site.sign_in = SignIn::Redirect;
    case
}

fn opens(target: &'static str) -> Case {
    at_redirect_site(navigation(target))
}

/// The browser comes back, with the cookie of its login.
pub(super) fn comes_back(result: Option<RedirectResult>) -> Case {
    let mut case = opens(CALLBACK);
    case.cookies.redirect_logins = vec![PresentedRedirectLogin {
        id: "AAAAAAAAAAAA",
        value: "L",
    }];
    case.facts.callback = result.map(Arc::new);
    case
}

fn begun() -> Known<Arc<BegunRedirect>, Box<LoginRefused>> {
    Known::Found(Arc::new(BegunRedirect {
        address: url::Url::parse("https://id.example/auth").unwrap().into(),
        cookie: SealedRedirectLogin {
            id: "new".into(),
            value: "L".into(),
        },
        given_up: vec!["old".into()],
    }))
}

fn cart() -> Option<ReturnPath> {
    ReturnPath::parse("/cart#x")
}

#[test]
fn the_login_page_leads_to_the_provider() {
    let mut case = opens("/login?return_to=/cart%23x");
    assert_eq!(case.decision(), "ask leave to /cart#x beside 0");
    case.facts.redirect = begun();
    let expected =
        "302 to provider https://id.example/auth own_endpoint, clear login old, login new";
    assert_eq!(case.decision(), expected);
    case.facts.redirect = Known::Failed(Reason::ProviderUnavailable);
    assert!(case.decision().starts_with("503"), "{}", case.decision());
    let authenticated = opens("/login?return_to=/cart").access(valid_token(&[]));
    assert_eq!(authenticated.decision(), "303 /cart own_endpoint");
    // While the provider's keys are missing the cookies are kept.
    let unknown = opens("/login").access(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(unknown.decision(), "ask leave beside 0");
}

#[test]
fn a_prefetch_begins_no_login_and_ends_none() {
    for target in ["/login", CALLBACK] {
        let mut case = opens(target).with_metadata(|metadata| metadata.is_prefetch = true);
        case.facts.redirect = begun();
        assert!(
            case.decision().contains("503"),
            "{target}: {}",
            case.decision()
        );
    }
}

#[test]
fn a_password_is_not_taken() {
    for target in ["/login", "/api/login"] {
        let case = at_redirect_site(request(&Method::POST, target));
        let decision = case.decision();
        assert!(
            decision.starts_with("409") && decision.ends_with("sign_in_redirects"),
            "{decision}"
        );
    }
}

#[test]
fn a_posted_form_goes_along() {
    let mut case = at_redirect_site(request(&Method::POST, "/login?unsent"));
    case.cookies.form = PresentedCookie::Single("F".into());
    let form = |csrf: &str| {
        Known::Found(LoginForm {
            login_id: String::new(),
            password: Secret::new(""),
            return_to: cart(),
            remember: false,
            csrf: csrf.into(),
            preserved_post: Some("sealed".into()),
        })
    };
    case.facts.login_form = form("wrong");
    assert!(
        case.decision().contains("csrf_failed"),
        "{}",
        case.decision()
    );
    case.facts.login_form = form(&csrf_token("store", "F"));
    assert_eq!(case.decision(), "ask leave to /cart#x with sealed beside 0");
    case.facts.redirect = begun();
    assert!(
        case.decision().starts_with("303 to provider"),
        "{}",
        case.decision()
    );
}

#[test]
fn a_callback_is_good_for_a_login_of_this_browser() {
    let asked = comes_back(None).decision();
    assert_eq!(asked, "ask finish CallbackParameters(code) of L");
    let Known::Found(login) = logged_in(CredentialKind::Jwt) else {
        panic!("a login");
    };
    let finished = RedirectResult::Finished(FinishedRedirect {
        login,
        return_to: cart(),
        preserved_post: None,
    });
    let decision = comes_back(Some(finished)).decision();
    assert!(
        decision.starts_with("303 /cart#x own_endpoint, set "),
        "{decision}"
    );
    assert!(
        decision.ends_with(", clear login AAAAAAAAAAAA"),
        "{decision}"
    );
}

#[test]
fn a_callback_of_no_login_leads_on_or_begins_again() {
    let refused = |cause| {
        RedirectResult::Refused(RefusedRedirect {
            cause,
            return_to: cart(),
        })
    };
    let failed = |reason, retry_after| {
        RedirectResult::Failed(FailedRedirect {
            reason,
            retry_after,
            return_to: cart(),
        })
    };
    let cases = vec![
        (
            comes_back(Some(refused(RedirectRefusal::Unknown))),
            "403 sign_in_failed, clear login AAAAAAAAAAAA",
        ),
        (
            comes_back(Some(refused(RedirectRefusal::Used))),
            "303 /cart#x own_endpoint, clear login AAAAAAAAAAAA",
        ),
        (
            comes_back(Some(refused(RedirectRefusal::Refused))),
            "403 sign_in_failed, clear login AAAAAAAAAAAA",
        ),
        (
            comes_back(Some(failed(Reason::ProviderUnavailable, None))),
            "503 retry 5 provider_unavailable, clear login AAAAAAAAAAAA",
        ),
        (
            comes_back(Some(failed(Reason::Throttled, Some(42)))),
            "429 retry 42 throttled, clear login AAAAAAAAAAAA",
        ),
        (opens(CALLBACK), "403 sign_in_failed"),
        (opens("/_vestibule/callback"), "403 sign_in_failed"),
        (
            opens("/_vestibule/callback?code=C&state=s"),
            "403 sign_in_failed",
        ),
        (
            opens("/_vestibule/callback?code=C&state=AAAAAAAAAAA%C3%A9"),
            "403 sign_in_failed",
        ),
        (
            opens(CALLBACK).access(valid_token(&[])),
            "303 /landing own_endpoint",
        ),
        (
            opens(CALLBACK).access(Known::Absent(TokenError::Expired)),
            "403 sign_in_failed, clear",
        ),
    ];
    for (case, expected) in cases {
        assert_eq!(case.decision(), expected, "{}", case.target);
    }
    // Nothing but a site whose users log in there has a callback.
    let at_form = navigation(CALLBACK).decision();
    assert!(!at_form.contains("sign_in_failed"), "{at_form}");
}

#[test]
fn a_logout_ends_at_the_provider_too() {
    let mut case = at_redirect_site(request(&Method::POST, "/logout")).access(Known::NotAsked);
    let address = url::Url::parse("https://id.example/logout").unwrap().into();
    case.facts.logout = Known::Found(Some(address));
    let decision = case.decision();
    assert!(
        decision.starts_with("303 to provider https://id.example/logout Clear-Site-Data"),
        "{decision}"
    );
}
