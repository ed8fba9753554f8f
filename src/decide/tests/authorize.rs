//! `docs/reference/request-handling.md`, from the rules on.

use http::Method;

use super::case::{Case, navigation, principal, refreshed, request, valid_token};
use crate::decide::Known;
use crate::model::cookie::PresentedCookie;
use crate::model::reason::Reason;
use crate::model::token::TokenError;

const MINE: &str = "/mine?tab=2";
const TO_THE_FORM: &str = "302 /login?return_to=/mine%3Ftab%3D2 signed_out";

fn foreign(ask: Case) -> Case {
    ask.with_metadata(|marks| marks.origin = Some("https://evil.example"))
}

/// Rules (`docs/reference/request-handling.md#rules`).
#[test]
fn the_first_rule_that_speaks_of_method_and_path_counts() {
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
        "once percent-decoded"
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
fn public_looks_at_no_credential_and_forwards_no_identity() {
    let ask = navigation("/public")
        .access(Known::NotAsked)
        .refresh(Known::NotAsked);
    assert_eq!(ask.decision(), "forward public");
    assert_eq!(
        foreign(request(&Method::POST, "/public")).decision(),
        "forward public"
    );
}

#[test]
fn optional_forwards_an_identity_when_there_is_one_else_goes_on_anonymous() {
    let maybe = || navigation("/maybe");
    assert_eq!(maybe().decision(), "forward anonymous");
    assert_eq!(maybe().access(Known::NotAsked).decision(), "ask verify A");
    assert_eq!(
        maybe().access(valid_token(&[])).decision(),
        "forward signed_in as ann"
    );
    let expired = || maybe().access(Known::Absent(TokenError::Expired));
    assert_eq!(expired().refresh(Known::NotAsked).decision(), "ask renew R");
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
    // The provider cannot be reached: cookies are kept.
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
fn required_asks_for_one_of_its_roles() {
    let staff = || navigation("/staff/desk");
    for (roles, expected) in [
        (&["admin"][..], "forward signed_in as ann"),
        (&["shopper", "editor"], "forward signed_in as ann"),
        (&["shopper"], "403 role_missing"),
        (&["Admin"], "403 role_missing"),
        (&[], "403 role_missing"),
    ] {
        assert_eq!(
            staff().access(valid_token(roles)).decision(),
            expected,
            "{roles:?}"
        );
    }
    // A renewal that took place is not lost with the refusal.
    assert_eq!(
        staff().refresh(refreshed(&["shopper"])).decision(),
        "403 role_missing, set A2"
    );
    assert_eq!(
        navigation("/mine").access(valid_token(&[])).decision(),
        "forward signed_in as ann"
    );
}

/// Credentials (`docs/reference/request-handling.md#credentials`), and what becomes of the pair.
#[test]
fn the_token_is_asked_first_and_the_refresh_token_only_then() {
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
        "ask renew R",
        "no access cookie counts as an expired one"
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
    let twice = |mut ask: Case| {
        ask.cookies.access = PresentedCookie::Duplicate;
        ask
    };
    assert_eq!(
        twice(navigation("/mine")).decision(),
        "302 /login?return_to=/mine signed_out, clear"
    );
    assert_eq!(
        twice(navigation("/mine"))
            .refresh(Known::NotAsked)
            .decision(),
        "ask renew R"
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
fn a_signed_out_token_is_refused_and_its_refresh_token_with_it() {
    let revoked = |ask: Case| {
        ask.access(Known::Absent(TokenError::Revoked))
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
fn renewal_runs_ahead_within_the_last_minute_and_at_most_a_third_of_the_tokens_life() {
    let left = |seconds| {
        navigation("/mine")
            .access(Known::Found(principal("ann", &[], seconds)))
            .refresh(Known::NotAsked)
    };
    assert_eq!(left(61).decision(), "forward signed_in as ann");
    assert_eq!(left(60).decision(), "forward signed_in as ann ahead R");
    let without_refresh = navigation("/mine").access(Known::Found(principal("ann", &[], 10)));
    assert_eq!(without_refresh.decision(), "forward signed_in as ann");
    // Issued 600 s ago: 300 s are a third of its life, 310 s are more.
    for (seconds, expected) in [
        (310, "forward signed_in as ann"),
        (300, "forward signed_in as ann ahead R"),
    ] {
        let mut ask = left(seconds);
        ask.site.refresh_ahead = std::time::Duration::from_secs(3600);
        assert_eq!(ask.decision(), expected, "{seconds} s left");
    }
}

/// Failures (`docs/reference/request-handling.md#failures`).
#[test]
fn a_hiccup_is_503_with_retry_after_and_signs_nobody_out() {
    let expired = |ask: Case| ask.access(Known::Absent(TokenError::Expired));
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
        // Nor is the refresh token spent when nobody could look at the access token.
        let unseen = navigation("/mine")
            .access(Known::Failed(reason))
            .refresh(Known::NotAsked);
        assert_eq!(unseen.decision(), expected);
    }
}

/// Unauthenticated requests (`docs/reference/request-handling.md#unauthenticated-requests`).
#[test]
fn a_navigation_is_sent_to_the_form_and_everything_else_is_told() {
    let status = "401 signed_out";
    for (what, ask, expected) in vec![
        ("a navigation", navigation(MINE), TO_THE_FORM),
        (
            "an old browser",
            navigation(MINE).with_metadata(|marks| marks.fetch_mode = None),
            TO_THE_FORM,
        ),
        (
            "fetch",
            navigation(MINE).with_metadata(|marks| marks.fetch_mode = Some("cors")),
            status,
        ),
        (
            "no Accept",
            navigation(MINE).with_metadata(|marks| (marks.fetch_mode, marks.accept) = (None, None)),
            status,
        ),
        (
            "Authorization",
            navigation(MINE).with_metadata(|marks| marks.has_authorization = true),
            status,
        ),
        (
            "X-Requested-With",
            navigation(MINE).with_metadata(|marks| marks.has_requested_with = true),
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
            navigation("/icon").with_metadata(|marks| marks.accept = Some("image/*")),
            "302 /login signed_out",
        ),
        ("a program", request(&Method::GET, MINE), status),
    ] {
        assert_eq!(ask.decision(), expected, "{what}");
    }
    let refused = navigation(MINE).refresh(Known::Absent(Reason::SignedOut));
    assert_eq!(refused.decision(), format!("{TO_THE_FORM}, clear"));
}

#[test]
fn a_rule_may_force_the_form_or_the_status() {
    assert_eq!(
        request(&Method::POST, "/page").decision(),
        "302 /login signed_out"
    );
    assert_eq!(navigation("/data").decision(), "401 signed_out");
}

/// Cross-site writes (`docs/reference/request-handling.md#cross-site-writes`).
#[test]
fn another_sites_write_is_refused() {
    let refused = "403 cross_site_request";
    let passes = "forward signed_in as ann";
    let post = || request(&Method::POST, "/mine").access(valid_token(&[]));
    for (origin, fetch_site, expected) in [
        (Some("https://store.example.com"), None, passes),
        (Some("https://app.example.com"), Some("same-site"), passes),
        (Some("https://evil.example"), None, refused),
        (Some("https://evil.example"), Some("same-origin"), refused),
        (Some("http://store.example.com"), None, refused),
        (Some("null"), None, refused),
        (None, Some("same-origin"), passes),
        (None, Some("none"), passes),
        (None, Some("same-site"), refused),
        (None, Some("cross-site"), refused),
        (None, None, passes),
    ] {
        let ask =
            post().with_metadata(|marks| (marks.origin, marks.fetch_site) = (origin, fetch_site));
        assert_eq!(ask.decision(), expected, "{origin:?} {fetch_site:?}");
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(foreign(Case { method, ..post() }).decision(), refused);
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert_eq!(foreign(Case { method, ..post() }).decision(), passes);
    }
    assert_eq!(
        foreign(request(&Method::POST, "/maybe")).decision(),
        "forward anonymous",
        "no cookie, no visitor to harm"
    );
    assert_eq!(
        foreign(request(&Method::POST, "/mine")).decision(),
        "401 signed_out",
        "step 7 comes first"
    );
    let renewed = foreign(request(&Method::POST, "/mine").refresh(refreshed(&[])));
    assert_eq!(renewed.decision(), "403 cross_site_request, set A2");
    assert_eq!(
        foreign(request(&Method::POST, "/staff").access(valid_token(&[]))).decision(),
        "403 role_missing",
        "step 4 first"
    );
}

#[test]
fn another_site_opens_no_websocket() {
    let handshake = || {
        request(&Method::GET, "/mine")
            .access(valid_token(&[]))
            .with_metadata(|marks| marks.is_websocket = true)
    };
    assert_eq!(foreign(handshake()).decision(), "403 cross_site_request");
    assert_eq!(handshake().decision(), "forward signed_in as ann");
}
