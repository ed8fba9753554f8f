//! Pages of the application (`docs/reference/request-handling.md`, from the rules on).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{principal, refreshed, valid_token};
use crate::decide::Known;
use crate::model::reason::Reason;
use crate::model::request_cookies::PresentedCookie;
use crate::model::token::TokenError;

const MINE: &str = "/mine?tab=2";
const TO_THE_FORM: &str = "302 /login?return_to=/mine?tab=2 signed_out";

/// Rules (`docs/reference/request-handling.md#rules`).
#[test]
fn the_first_rule_that_matches_method_and_path_applies() {
    assert_eq!(request(&Method::GET, "/mixed").decision(), "forward public");
    assert_eq!(request(&Method::PUT, "/mixed").decision(), "401 signed_out");
    assert_eq!(
        request(&Method::GET, "/publicity").decision(),
        "401 signed_out",
        "the default"
    );
    assert_eq!(
        request(&Method::GET, "/Public").decision(),
        "401 signed_out",
        "case-sensitive"
    );
    assert_eq!(
        request(&Method::GET, "/%70ublic").decision(),
        "forward public",
        "percent-decoded once"
    );
    for path in ["/public", "/public/", "/public/a/b"] {
        assert_eq!(
            request(&Method::GET, path).decision(),
            "forward public",
            "{path}"
        );
    }
}

#[test]
fn a_public_page_checks_no_credential_and_forwards_no_identity() {
    let case = navigation("/public")
        .access(Known::NotAsked)
        .refresh(Known::NotAsked);
    assert_eq!(case.decision(), "forward public");
    let cross_site = request(&Method::POST, "/public")
        .with_metadata(|metadata| metadata.origin = Some("https://evil.example"));
    assert_eq!(cross_site.decision(), "forward public");
}

#[test]
fn an_optional_page_forwards_the_identity_or_anonymously() {
    let maybe = || navigation("/maybe");
    assert_eq!(maybe().decision(), "forward anonymous");
    assert_eq!(maybe().access(Known::NotAsked).decision(), "ask verify A");
    assert_eq!(
        maybe().access(valid_token(&[])).decision(),
        "forward signed_in as ann"
    );
    let expired = || maybe().access(Known::Absent(TokenError::Expired));
    assert_eq!(
        expired().refresh(Known::NotAsked).decision(),
        "ask refresh R"
    );
    assert_eq!(
        expired().refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        expired()
            .refresh(Known::Absent(Reason::SignedOut))
            .decision(),
        "forward anonymous, clear"
    );
    // An outage of the provider clears no cookie.
    assert_eq!(
        expired()
            .refresh(Known::Failed(Reason::ProviderUnavailable))
            .decision(),
        "forward anonymous"
    );
    assert_eq!(
        maybe()
            .access(Known::Failed(Reason::ProviderUnavailable))
            .decision(),
        "forward anonymous"
    );
}

#[test]
fn a_required_page_needs_one_of_its_roles() {
    let staff = || navigation("/staff/desk");
    for (roles, expected) in [
        (&["admin"][..], "forward signed_in as ann"),
        (&["shopper", "editor"], "forward signed_in as ann"),
        (&["shopper"], "403 signed in as ann role_missing"),
        (&["Admin"], "403 signed in as ann role_missing"),
        (&[], "403 signed in as ann role_missing"),
    ] {
        assert_eq!(
            staff().access(valid_token(roles)).decision(),
            expected,
            "{roles:?}"
        );
    }
    // The cookies of a refresh are set with the refusal.
    assert_eq!(
        staff().refresh(refreshed(&["shopper"])).decision(),
        "403 signed in as ann role_missing, set A2"
    );
    assert_eq!(
        navigation("/mine").access(valid_token(&[])).decision(),
        "forward signed_in as ann"
    );
}

/// Credentials (`docs/reference/request-handling.md#credentials`).
#[test]
fn the_access_token_is_checked_before_the_refresh_token_is_used() {
    let mine = || navigation("/mine");
    assert_eq!(
        mine()
            .access(Known::NotAsked)
            .refresh(Known::NotAsked)
            .decision(),
        "ask verify A"
    );
    assert_eq!(
        mine()
            .access(valid_token(&[]))
            .refresh(Known::NotAsked)
            .decision(),
        "forward signed_in as ann"
    );
    assert_eq!(
        mine().refresh(Known::NotAsked).decision(),
        "ask refresh R",
        "a missing access cookie counts as an expired one"
    );
    for (fault, expected) in [
        (TokenError::Expired, "forward renewed as ann, set A2"),
        (
            TokenError::Invalid,
            "forward renewed_from_invalid as ann, set A2",
        ),
    ] {
        assert_eq!(
            mine()
                .access(Known::Absent(fault))
                .refresh(refreshed(&[]))
                .decision(),
            expected
        );
    }
    assert_eq!(
        mine().refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
}

#[test]
fn a_duplicate_cookie_counts_as_none() {
    let twice = |mut case: Case| {
        case.cookies.access = PresentedCookie::Duplicate;
        case
    };
    assert_eq!(
        twice(navigation("/mine")).decision(),
        "302 /login?return_to=/mine signed_out, clear"
    );
    assert_eq!(
        twice(navigation("/mine"))
            .refresh(Known::NotAsked)
            .decision(),
        "ask refresh R"
    );
    let renewed = twice(navigation("/mine")).refresh(refreshed(&[]));
    assert_eq!(
        renewed.decision(),
        "forward renewed_from_invalid as ann, set A2"
    );
    let mut refresh_twice = navigation("/mine").access(Known::Absent(TokenError::Expired));
    refresh_twice.cookies.refresh = PresentedCookie::Duplicate;
    assert_eq!(
        refresh_twice.decision(),
        "302 /login?return_to=/mine signed_out, clear"
    );
}

#[test]
fn a_revoked_token_is_not_refreshed() {
    let revoked = |case: Case| {
        case.access(Known::Absent(TokenError::Revoked))
            .refresh(Known::NotAsked)
    };
    assert_eq!(
        revoked(request(&Method::GET, "/mine")).decision(),
        "401 revoked, clear"
    );
    assert_eq!(
        revoked(navigation("/mine")).decision(),
        "302 /login?return_to=/mine revoked, clear"
    );
    assert_eq!(
        revoked(navigation("/maybe")).decision(),
        "forward anonymous, clear"
    );
}

#[test]
fn a_token_is_refreshed_early_within_its_last_minute_or_third() {
    let left = |seconds| {
        navigation("/mine")
            .access(Known::Found(principal("ann", &[], seconds)))
            .refresh(Known::NotAsked)
    };
    assert_eq!(left(61).decision(), "forward signed_in as ann");
    assert_eq!(left(60).decision(), "forward signed_in as ann ahead R");
    let without_refresh = navigation("/mine").access(Known::Found(principal("ann", &[], 10)));
    assert_eq!(without_refresh.decision(), "forward signed_in as ann");
    // Issued 600 s ago: 300 s are a third of its lifetime, 310 s are more.
    for (seconds, expected) in [
        (310, "forward signed_in as ann"),
        (300, "forward signed_in as ann ahead R"),
    ] {
        let mut case = left(seconds);
        case.site.refresh_ahead = std::time::Duration::from_secs(3600);
        assert_eq!(case.decision(), expected, "{seconds} s left");
    }
}

/// Failures (`docs/reference/request-handling.md#failures`).
#[test]
fn an_outage_is_503_with_retry_after_and_logs_nobody_out() {
    let expired = |case: Case| case.access(Known::Absent(TokenError::Expired));
    for (reason, expected) in [
        (
            Reason::ProviderUnavailable,
            "503 retry 5 provider_unavailable",
        ),
        (Reason::StoreUnavailable, "503 retry 5 store_unavailable"),
        (Reason::ProviderMisconfigured, "500 provider_misconfigured"),
    ] {
        assert_eq!(
            expired(navigation("/mine"))
                .refresh(Known::Failed(reason))
                .decision(),
            expected
        );
        assert_eq!(
            request(&Method::POST, "/mine")
                .access(Known::Failed(reason))
                .decision(),
            expected
        );
        // The refresh token is not used where the access token could not be checked.
        let unseen = navigation("/mine")
            .access(Known::Failed(reason))
            .refresh(Known::NotAsked);
        assert_eq!(unseen.decision(), expected);
    }
}

/// The provider may have changed its keys a moment ago.
#[test]
fn a_token_of_a_key_that_was_not_looked_up_is_refreshed_or_a_failure() {
    let unknown = |case: Case| case.access(Known::Absent(TokenError::UnknownKey));
    let alone = "503 retry 5 provider_unavailable";
    assert_eq!(unknown(navigation("/mine")).decision(), alone);
    assert_eq!(unknown(request(&Method::POST, "/mine")).decision(), alone);
    assert_eq!(
        unknown(navigation("/maybe")).decision(),
        "forward anonymous"
    );
    let asks = unknown(navigation("/mine")).refresh(Known::NotAsked);
    assert_eq!(asks.decision(), "ask refresh R");
    let renewed = unknown(navigation("/mine")).refresh(refreshed(&[]));
    assert!(
        renewed.decision().contains(" renewed "),
        "{}",
        renewed.decision()
    );
}

/// Unauthenticated requests (`docs/reference/request-handling.md#unauthenticated-requests`).
#[test]
fn a_navigation_is_redirected_to_the_login_page_and_everything_else_refused() {
    let status = "401 signed_out";
    for (what, case, expected) in vec![
        ("a navigation", navigation(MINE), TO_THE_FORM),
        (
            "an old browser",
            navigation(MINE).with_metadata(|metadata| metadata.fetch_mode = None),
            TO_THE_FORM,
        ),
        (
            "fetch",
            navigation(MINE).with_metadata(|metadata| metadata.fetch_mode = Some("cors")),
            status,
        ),
        (
            "no Accept",
            navigation(MINE)
                .with_metadata(|metadata| (metadata.fetch_mode, metadata.accept) = (None, None)),
            status,
        ),
        (
            "Authorization of a browser, which sends it by itself",
            navigation(MINE).with_metadata(|metadata| metadata.has_authorization = true),
            TO_THE_FORM,
        ),
        (
            "Authorization of a program",
            navigation(MINE).with_metadata(|metadata| {
                (metadata.fetch_mode, metadata.has_authorization) = (None, true);
            }),
            status,
        ),
        (
            "X-Requested-With",
            navigation(MINE).with_metadata(|metadata| metadata.has_requested_with = true),
            status,
        ),
        (
            "POST",
            Case {
                method: Method::POST,
                ..navigation(MINE)
            },
            status,
        ),
        (
            "HEAD",
            Case {
                method: Method::HEAD,
                ..navigation(MINE)
            },
            "302 /login signed_out",
        ),
        (
            "an icon",
            navigation("/icon").with_metadata(|metadata| metadata.accept = Some("image/*")),
            "302 /login signed_out",
        ),
        ("a program", request(&Method::GET, MINE), status),
    ] {
        assert_eq!(case.decision(), expected, "{what}");
    }
    let refused = navigation(MINE).refresh(Known::Absent(Reason::SignedOut));
    assert_eq!(refused.decision(), format!("{TO_THE_FORM}, clear"));
}

#[test]
fn a_rule_may_force_redirect_or_status() {
    assert_eq!(
        request(&Method::POST, "/page").decision(),
        "302 /login signed_out"
    );
    assert_eq!(navigation("/data").decision(), "401 signed_out");
}
