//! The application's own sign-out (`docs/reference/sign-out.md#sign-out-paths`).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{logged_in, valid_token};
use crate::decide::Known;
use crate::decide::csrf_token::csrf_token;
use crate::decide::request_target::{Ambiguity, find_ambiguity};
use crate::model::credential::CredentialKind;
use crate::model::login::LoginForm;
use crate::model::request::FetchMetadata;
use crate::model::request_cookies::PresentedCookie;
use crate::model::return_path::ReturnPath;
use crate::model::rule::RuleClient;
use crate::model::secret::Secret;
use crate::model::sign_out_path::SignOutPath;
use crate::model::target::{EncodedSlashes, Target};

const DONE: &str = "303 /bye Clear-Site-Data own_endpoint, clear";
const PAGE: &str = "200 logout page own_endpoint";
const LINK: &str = "/wp-login.php?_wpnonce=a1&action=logout";

fn at_wordpress(mut case: Case) -> Case {
    let addresses = ["/accounts/logout/", "/wp-login.php?action=logout"];
    case.site.sign_out_paths = addresses
        .map(|text| SignOutPath::parse(text).unwrap())
        .into();
    case
}

/// A signed-in user follows a link.
fn link(change: impl FnOnce(&mut FetchMetadata<'static>)) -> Case {
    let case = at_wordpress(navigation(LINK).access(valid_token(&[])));
    let mut case = case.with_metadata(change);
    case.facts.logout = Known::Found(None);
    case
}

/// A signed-in user presses a button.
fn form(change: impl FnOnce(&mut FetchMetadata<'static>)) -> Case {
    let mut case = link(change);
    (case.method, case.target) = (Method::POST, "/accounts/logout/");
    case
}

/// An application that merges slashes would take it for its own sign-out.
#[test]
fn another_spelling_of_the_address_is_refused() {
    let site = at_wordpress(navigation(LINK)).site;
    let target = Target::parse(b"/accounts//logout/", EncodedSlashes::Reject).unwrap();
    let found = find_ambiguity(&target, &Method::GET, RuleClient::default(), &site);
    assert_eq!(found, Some(Ambiguity::OwnEndpoint));
}

#[test]
fn a_users_own_link_or_button_signs_out() {
    for site in ["same-origin", "none"] {
        assert_eq!(
            link(|it| it.fetch_site = Some(site)).decision(),
            DONE,
            "{site}"
        );
    }
    let referer = Some("https://store.example.com/wp-admin/");
    assert_eq!(link(|it| it.referer = referer).decision(), DONE);
    assert_eq!(
        form(|it| it.origin = Some("https://store.example.com")).decision(),
        DONE
    );
    assert_eq!(
        form(|it| it.fetch_mode = None).decision(),
        DONE,
        "an old browser"
    );
    let mut asked = link(|it| it.fetch_site = Some("same-origin"));
    asked.facts.logout = Known::NotAsked;
    assert_eq!(asked.decision(), "ask logout A -");
    // The application's own parameters lead nowhere.
    let mut leading = link(|it| it.fetch_site = Some("same-origin"));
    leading.target = "/accounts/logout/?return_to=/x";
    assert_eq!(leading.decision(), DONE);
}

#[test]
fn everybody_else_gets_the_page_with_the_button() {
    let own = |it: &mut FetchMetadata<'static>| it.fetch_site = Some("same-origin");
    let page = |case: Case, why: &str| assert_eq!(case.decision(), PAGE, "{why}");
    page(
        link(|it| it.fetch_site = Some("cross-site")),
        "another site",
    );
    page(link(|it| it.fetch_site = Some("same-site")), "a sibling");
    page(link(|_| {}), "a link that may be anywhere");
    page(
        link(own).with_metadata(|it| it.is_prefetch = true),
        "a prefetch",
    );
    page(
        link(own).with_metadata(|it| it.fetch_mode = Some("cors")),
        "a script",
    );
    page(
        link(own).with_metadata(|it| it.fetch_mode = Some("no-cors")),
        "an image",
    );
    page(
        link(own).with_metadata(|it| it.has_requested_with = true),
        "a library",
    );
    page(
        form(|it| it.origin = Some("https://evil.example")),
        "a form of another site",
    );
    page(
        form(|it| it.origin = Some("https://app.example.com")),
        "a form of a listed origin",
    );
    let mut head = link(own);
    head.method = Method::HEAD;
    page(head, "nothing is shown");
    let nobody = at_wordpress(navigation(LINK));
    assert_eq!(nobody.decision(), "200 signed out page own_endpoint");
    let mut put = link(own);
    put.method = Method::PUT;
    assert_eq!(
        put.decision(),
        "405 allow GET, HEAD, POST method_not_allowed"
    );
}

#[test]
fn what_is_beside_it_is_the_applications() {
    for target in [
        "/wp-login.php",
        "/wp-login.php?action=logout2",
        "/accounts/logout",
    ] {
        let mut case = link(|it| it.fetch_site = Some("same-origin"));
        case.target = target;
        assert_eq!(case.decision(), "forward signed_in as ann", "{target}");
    }
}

#[test]
fn no_login_leads_there() {
    for return_to in [
        "/accounts/logout/?next=/",
        "/wp-login.php?a=b&action=logout#x",
    ] {
        let mut case = at_wordpress(request(&Method::POST, "/login"));
        case.cookies.form = PresentedCookie::Single("F".into());
        case.facts.login_form = Known::Found(LoginForm {
            login_id: "ann".into(),
            password: Secret::new("x"),
            return_to: ReturnPath::parse(return_to),
            remember: false,
            csrf: csrf_token("store", "F"),
            preserved_post: None,
        });
        case.facts.login = logged_in(CredentialKind::Jwt);
        let decision = case.decision();
        assert!(
            decision.starts_with("303 /landing "),
            "{return_to}: {decision}"
        );
    }
}
