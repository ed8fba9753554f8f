//! The error pages.

use super::*;

#[test]
fn a_revoked_token_has_the_page_of_a_missing_one() {
    assert_eq!(
        render_problem(401, Reason::Revoked),
        render_problem(401, Reason::SignedOut)
    );
}

#[test]
fn error_pages_link_to_what_helps() {
    assert!(render_problem(503, Reason::ProviderUnavailable).contains("href=\"\">Try again"));
    assert!(render_problem(401, Reason::SignedOut).contains("href=\"/login\">Sign in"));
    assert!(!render_problem(421, Reason::UnknownSite).contains("<a "));
    assert!(
        !render_problem(503, Reason::ProviderUnavailable).contains("http-equiv"),
        "the page does not reload by itself"
    );
    assert!(render_problem(500, Reason::Internal).contains(REQUEST_ID));
}
