//! `docs/reference/request-handling.md`, from the rules on.

use http::Method;

use super::ask::{Ask, calls, opens, proves, renews, somebody};
use crate::decide::Known;
use crate::model::cookie::Presented;
use crate::model::reason::Reason;
use crate::model::token::TokenError;

const MINE: &str = "/mine?tab=2";
const TO_THE_FORM: &str = "302 /login?return_to=/mine%3Ftab%3D2 signed_out";

fn foreign(ask: Ask) -> Ask {
    ask.marked(|marks| marks.origin = Some("https://evil.example"))
}

/// Rules (`docs/reference/request-handling.md#rules`).
#[test]
fn the_first_rule_that_speaks_of_method_and_path_counts() {
    assert_eq!(calls(&Method::GET, "/mixed").told(), "forward public");
    assert_eq!(calls(&Method::PUT, "/mixed").told(), "401 signed_out");
    assert_eq!(
        calls(&Method::GET, "/publicity").told(),
        "401 signed_out",
        "the default"
    );
    assert_eq!(
        calls(&Method::GET, "/Public").told(),
        "401 signed_out",
        "case-sensitive"
    );
    assert_eq!(
        calls(&Method::GET, "/%70ublic").told(),
        "forward public",
        "once percent-decoded"
    );
    for path in ["/public", "/public/", "/public/a/b"] {
        assert_eq!(calls(&Method::GET, path).told(), "forward public", "{path}");
    }
}

#[test]
fn public_looks_at_no_credential_and_forwards_no_identity() {
    let ask = opens("/public")
        .access(Known::NotAsked)
        .refresh(Known::NotAsked);
    assert_eq!(ask.told(), "forward public");
    assert_eq!(
        foreign(calls(&Method::POST, "/public")).told(),
        "forward public"
    );
}

#[test]
fn optional_forwards_an_identity_when_there_is_one_else_goes_on_anonymous() {
    let maybe = || opens("/maybe");
    assert_eq!(maybe().told(), "forward anonymous");
    assert_eq!(maybe().access(Known::NotAsked).told(), "ask verify A");
    assert_eq!(
        maybe().access(proves(&[])).told(),
        "forward signed_in as ann"
    );
    let expired = || maybe().access(Known::Absent(TokenError::Expired));
    assert_eq!(expired().refresh(Known::NotAsked).told(), "ask renew R");
    assert_eq!(
        expired().refresh(renews(&[])).told(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        expired().refresh(Known::Absent(Reason::SignedOut)).told(),
        "forward anonymous, clear"
    );
    // The provider cannot be reached: cookies are kept.
    assert_eq!(
        expired()
            .refresh(Known::Failed(Reason::ProviderUnavailable))
            .told(),
        "forward anonymous"
    );
    assert_eq!(
        maybe()
            .access(Known::Failed(Reason::ProviderUnavailable))
            .told(),
        "forward anonymous"
    );
}

#[test]
fn required_asks_for_one_of_its_roles() {
    let staff = || opens("/staff/desk");
    for (roles, expected) in [
        (&["admin"][..], "forward signed_in as ann"),
        (&["shopper", "editor"], "forward signed_in as ann"),
        (&["shopper"], "403 role_missing"),
        (&["Admin"], "403 role_missing"),
        (&[], "403 role_missing"),
    ] {
        assert_eq!(staff().access(proves(roles)).told(), expected, "{roles:?}");
    }
    // A renewal that took place is not lost with the refusal.
    assert_eq!(
        staff().refresh(renews(&["shopper"])).told(),
        "403 role_missing, set A2"
    );
    assert_eq!(
        opens("/mine").access(proves(&[])).told(),
        "forward signed_in as ann"
    );
}

/// Credentials (`docs/reference/request-handling.md#credentials`), and what becomes of the pair.
#[test]
fn the_token_is_asked_first_and_the_refresh_token_only_then() {
    let mine = || opens("/mine");
    assert_eq!(
        mine()
            .access(Known::NotAsked)
            .refresh(Known::NotAsked)
            .told(),
        "ask verify A"
    );
    assert_eq!(
        mine().access(proves(&[])).refresh(Known::NotAsked).told(),
        "forward signed_in as ann"
    );
    assert_eq!(
        mine().refresh(Known::NotAsked).told(),
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
                .refresh(renews(&[]))
                .told(),
            expected
        );
    }
    assert_eq!(
        mine().refresh(renews(&[])).told(),
        "forward renewed as ann, set A2"
    );
}

#[test]
fn a_duplicate_cookie_counts_as_none() {
    let twice = |mut ask: Ask| {
        ask.cookies.access = Presented::Duplicate;
        ask
    };
    assert_eq!(
        twice(opens("/mine")).told(),
        "302 /login?return_to=/mine signed_out, clear"
    );
    assert_eq!(
        twice(opens("/mine")).refresh(Known::NotAsked).told(),
        "ask renew R"
    );
    let renewed = twice(opens("/mine")).refresh(renews(&[]));
    assert_eq!(
        renewed.told(),
        "forward renewed_from_invalid as ann, set A2"
    );
    let mut refresh_twice = opens("/mine").access(Known::Absent(TokenError::Expired));
    refresh_twice.cookies.refresh = Presented::Duplicate;
    assert_eq!(
        refresh_twice.told(),
        "302 /login?return_to=/mine signed_out, clear"
    );
}

#[test]
fn a_signed_out_token_is_refused_and_its_refresh_token_with_it() {
    let revoked = |ask: Ask| {
        ask.access(Known::Absent(TokenError::Revoked))
            .refresh(Known::NotAsked)
    };
    assert_eq!(
        revoked(calls(&Method::GET, "/mine")).told(),
        "401 revoked, clear"
    );
    assert_eq!(
        revoked(opens("/mine")).told(),
        "302 /login?return_to=/mine revoked, clear"
    );
    assert_eq!(revoked(opens("/maybe")).told(), "forward anonymous, clear");
}

#[test]
fn renewal_runs_ahead_within_the_last_minute_and_at_most_a_third_of_the_tokens_life() {
    let left = |seconds| {
        opens("/mine")
            .access(Known::Found(somebody("ann", &[], seconds)))
            .refresh(Known::NotAsked)
    };
    assert_eq!(left(61).told(), "forward signed_in as ann");
    assert_eq!(left(60).told(), "forward signed_in as ann ahead R");
    let without_refresh = opens("/mine").access(Known::Found(somebody("ann", &[], 10)));
    assert_eq!(without_refresh.told(), "forward signed_in as ann");
    // Issued 600 s ago: 300 s are a third of its life, 310 s are more.
    for (seconds, expected) in [
        (310, "forward signed_in as ann"),
        (300, "forward signed_in as ann ahead R"),
    ] {
        let mut ask = left(seconds);
        ask.site.refresh_ahead = std::time::Duration::from_secs(3600);
        assert_eq!(ask.told(), expected, "{seconds} s left");
    }
}

/// Failures (`docs/reference/request-handling.md#failures`).
#[test]
fn a_hiccup_is_503_with_retry_after_and_signs_nobody_out() {
    let expired = |ask: Ask| ask.access(Known::Absent(TokenError::Expired));
    for (reason, expected) in [
        (
            Reason::ProviderUnavailable,
            "503 retry 5 provider_unavailable",
        ),
        (Reason::StoreUnavailable, "503 retry 5 store_unavailable"),
        (Reason::ProviderMisconfigured, "500 provider_misconfigured"),
    ] {
        assert_eq!(
            expired(opens("/mine"))
                .refresh(Known::Failed(reason))
                .told(),
            expected
        );
        assert_eq!(
            calls(&Method::POST, "/mine")
                .access(Known::Failed(reason))
                .told(),
            expected
        );
        // Nor is the refresh token spent when nobody could look at the access token.
        let unseen = opens("/mine")
            .access(Known::Failed(reason))
            .refresh(Known::NotAsked);
        assert_eq!(unseen.told(), expected);
    }
}

/// Unauthenticated requests (`docs/reference/request-handling.md#unauthenticated-requests`).
#[test]
fn a_navigation_is_sent_to_the_form_and_everything_else_is_told() {
    let status = "401 signed_out";
    for (what, ask, expected) in vec![
        ("a navigation", opens(MINE), TO_THE_FORM),
        (
            "an old browser",
            opens(MINE).marked(|marks| marks.fetch_mode = None),
            TO_THE_FORM,
        ),
        (
            "fetch",
            opens(MINE).marked(|marks| marks.fetch_mode = Some("cors")),
            status,
        ),
        (
            "no Accept",
            opens(MINE).marked(|marks| (marks.fetch_mode, marks.accept) = (None, None)),
            status,
        ),
        (
            "Authorization",
            opens(MINE).marked(|marks| marks.authorization = true),
            status,
        ),
        (
            "X-Requested-With",
            opens(MINE).marked(|marks| marks.requested_with = true),
            status,
        ),
        (
            "POST",
            Ask {
                method: Method::POST,
                ..opens(MINE)
            },
            status,
        ),
        (
            "HEAD",
            Ask {
                method: Method::HEAD,
                ..opens(MINE)
            },
            "302 /login signed_out",
        ),
        (
            "an icon",
            opens("/icon").marked(|marks| marks.accept = Some("image/*")),
            "302 /login signed_out",
        ),
        ("a program", calls(&Method::GET, MINE), status),
    ] {
        assert_eq!(ask.told(), expected, "{what}");
    }
    let refused = opens(MINE).refresh(Known::Absent(Reason::SignedOut));
    assert_eq!(refused.told(), format!("{TO_THE_FORM}, clear"));
}

#[test]
fn a_rule_may_force_the_form_or_the_status() {
    assert_eq!(
        calls(&Method::POST, "/page").told(),
        "302 /login signed_out"
    );
    assert_eq!(opens("/data").told(), "401 signed_out");
}

/// Cross-site writes (`docs/reference/request-handling.md#cross-site-writes`).
#[test]
fn another_sites_write_is_refused() {
    let refused = "403 cross_site_request";
    let passes = "forward signed_in as ann";
    let post = || calls(&Method::POST, "/mine").access(proves(&[]));
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
        let ask = post().marked(|marks| (marks.origin, marks.fetch_site) = (origin, fetch_site));
        assert_eq!(ask.told(), expected, "{origin:?} {fetch_site:?}");
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(foreign(Ask { method, ..post() }).told(), refused);
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert_eq!(foreign(Ask { method, ..post() }).told(), passes);
    }
    assert_eq!(
        foreign(calls(&Method::POST, "/maybe")).told(),
        "forward anonymous",
        "no cookie, no visitor to harm"
    );
    assert_eq!(
        foreign(calls(&Method::POST, "/mine")).told(),
        "401 signed_out",
        "step 7 comes first"
    );
    let renewed = foreign(calls(&Method::POST, "/mine").refresh(renews(&[])));
    assert_eq!(renewed.told(), "403 cross_site_request, set A2");
    assert_eq!(
        foreign(calls(&Method::POST, "/staff").access(proves(&[]))).told(),
        "403 role_missing",
        "step 4 first"
    );
}

#[test]
fn another_site_opens_no_websocket() {
    let handshake = || {
        calls(&Method::GET, "/mine")
            .access(proves(&[]))
            .marked(|marks| marks.websocket = true)
    };
    assert_eq!(foreign(handshake()).told(), "403 cross_site_request");
    assert_eq!(handshake().told(), "forward signed_in as ann");
}
