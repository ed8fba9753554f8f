//! Writes and WebSocket handshakes that a page of another site sends
//! (`docs/reference/request-handling.md#cross-site-writes`).

use http::Method;

use super::case::{Case, request};
use super::fixtures::{refreshed, valid_token};

fn cross_site(case: Case) -> Case {
    case.with_metadata(|metadata| metadata.origin = Some("https://evil.example"))
}

#[test]
fn a_cross_site_write_is_refused() {
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
        let case = post().with_metadata(|metadata| {
            (metadata.origin, metadata.fetch_site) = (origin, fetch_site);
        });
        assert_eq!(case.decision(), expected, "{origin:?} {fetch_site:?}");
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(cross_site(Case { method, ..post() }).decision(), refused);
    }
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert_eq!(cross_site(Case { method, ..post() }).decision(), passes);
    }
    assert_eq!(
        cross_site(request(&Method::POST, "/maybe")).decision(),
        "forward anonymous",
        "there is no user to harm"
    );
    assert_eq!(
        cross_site(request(&Method::POST, "/mine")).decision(),
        "401 signed_out",
        "a missing login is reported first"
    );
    let renewed = cross_site(request(&Method::POST, "/mine").refresh(refreshed(&[])));
    assert_eq!(renewed.decision(), "403 cross_site_request, set A2");
    assert_eq!(
        cross_site(request(&Method::POST, "/staff").access(valid_token(&[]))).decision(),
        "403 signed in as ann role_missing",
        "a missing role is reported first"
    );
}

#[test]
fn a_cross_site_websocket_is_refused() {
    let handshake = || {
        request(&Method::GET, "/mine")
            .access(valid_token(&[]))
            .with_metadata(|metadata| metadata.is_websocket = true)
    };
    assert_eq!(cross_site(handshake()).decision(), "403 cross_site_request");
    assert_eq!(handshake().decision(), "forward signed_in as ann");
}
