//! What a response tells a client of its new credentials.

use crate::decide::credential_response_headers::CredentialHeaders;
use crate::model::cookie_change::CookieChange;
use crate::model::cookie_names::{CookieNames, MAX_CHUNK};
use crate::model::credential::CredentialKind;
use crate::model::origin::Scheme;
use crate::model::site::Site;
use crate::model::token::IssuedTokens;

use super::fixtures::{sealed_device, store};

/// The store with development's cookie names.
fn plain_store() -> Site {
    Site {
        cookies: CookieNames::defaults(Scheme::Http),
        ..store()
    }
}

fn tokens(kind: CredentialKind) -> IssuedTokens {
    IssuedTokens {
        kind,
        token: "A".into(),
        refresh: Some("R".into()),
        remember: true,
    }
}

/// Each `Set-Cookie` in short: `set NAME=VALUE MAX-AGE` or `clear NAME`.
fn cookies(site: &Site, change: CookieChange, presented: &[&str]) -> Vec<String> {
    let presented: Vec<String> = presented.iter().map(ToString::to_string).collect();
    let headers = CredentialHeaders::new(site, &[change], &presented).unwrap();
    assert_eq!((headers.access_token, headers.refresh_token), (None, None));
    headers
        .set_cookies
        .iter()
        .map(|line| short(line.to_str().unwrap()))
        .collect()
}

fn short(line: &str) -> String {
    let mut parts = line.split("; ");
    let (name, value) = parts.next().unwrap().split_once('=').unwrap();
    let name = name.replace("vestibule-", "");
    let age = parts.find_map(|part| part.strip_prefix("Max-Age="));
    match (value, age) {
        ("", Some("0")) => format!("clear {name}"),
        (value, Some(age)) => format!("set {name}={value} {age}"),
        (value, None) => format!("set {name}={value} session"),
    }
}

#[test]
fn tokens_are_set_with_the_lifetime_that_the_visitor_chose() {
    let remembered = CookieChange::SetTokens(tokens(CredentialKind::Jwt));
    assert_eq!(
        cookies(&plain_store(), remembered, &[]),
        ["set access=A 3600", "set refresh=R 3600"]
    );
    let not_remembered = CookieChange::SetTokens(IssuedTokens {
        remember: false,
        ..tokens(CredentialKind::Jwt)
    });
    assert_eq!(
        cookies(&plain_store(), not_remembered, &[]),
        ["set access=A session", "set refresh=R session"]
    );
}

#[test]
fn a_kept_refresh_token_is_not_set_again() {
    let change = CookieChange::SetTokens(IssuedTokens {
        refresh: None,
        ..tokens(CredentialKind::Jwt)
    });
    assert_eq!(
        cookies(&plain_store(), change, &["vestibule-refresh"]),
        ["set access=A 3600"]
    );
}

#[test]
fn a_session_replaces_an_access_cookie_that_came() {
    let change = CookieChange::SetTokens(tokens(CredentialKind::Session));
    assert_eq!(
        cookies(&plain_store(), change.clone(), &["vestibule-session"]),
        ["set session=A 3600", "set refresh=R 3600"]
    );
    let presented = ["vestibule-access.0", "vestibule-access.1"];
    assert_eq!(
        cookies(&plain_store(), change, &presented),
        [
            "clear access.0",
            "clear access.1",
            "set session=A 3600",
            "set refresh=R 3600"
        ]
    );
}

#[test]
fn chunks_of_an_older_value_are_cleared() {
    let presented = [
        "vestibule-access.0",
        "vestibule-access.1",
        "vestibule-refresh",
    ];
    let change = CookieChange::SetTokens(tokens(CredentialKind::Jwt));
    assert_eq!(
        cookies(&plain_store(), change, &presented),
        [
            "clear access.0",
            "clear access.1",
            "set access=A 3600",
            "set refresh=R 3600"
        ]
    );
    let long = CookieChange::SetTokens(IssuedTokens {
        token: "A".repeat(MAX_CHUNK + 1).into(),
        refresh: None,
        ..tokens(CredentialKind::Jwt)
    });
    let lines = cookies(&plain_store(), long, &["vestibule-access"]);
    assert_eq!(lines[0], "clear access");
    assert!(lines[1].starts_with("set access.0=AAA"));
    assert_eq!(lines[2..], ["set access.1=A 3600"]);
}

#[test]
fn bearer_clients_get_headers_and_no_cookies() {
    let change = CookieChange::SetTokens(tokens(CredentialKind::Bearer));
    let headers = CredentialHeaders::new(&plain_store(), &[change], &[]).unwrap();
    assert_eq!(headers.access_token.as_ref().unwrap(), "A");
    assert_eq!(headers.refresh_token.as_ref().unwrap(), "R");
    assert!(headers.set_cookies.is_empty());
    assert!(!format!("{headers:?}").contains("\"A\""));
    let kept = CookieChange::SetTokens(IssuedTokens {
        refresh: None,
        ..tokens(CredentialKind::Bearer)
    });
    let headers = CredentialHeaders::new(&plain_store(), &[kept], &[]).unwrap();
    assert_eq!(headers.refresh_token, None);
}

#[test]
fn clearing_takes_what_came_and_the_site_s_own() {
    let clear =
        |site: &Site, presented: &[&str]| cookies(site, CookieChange::ClearCredentials, presented);
    let jwt = plain_store();
    assert_eq!(clear(&jwt, &[]), ["clear access", "clear refresh"]);
    let presented = [
        "vestibule-access.0",
        "vestibule-session",
        "vestibule-session",
        "vestibule-form",
    ];
    assert_eq!(
        clear(&jwt, &presented),
        [
            "clear access",
            "clear access.0",
            "clear refresh",
            "clear session"
        ]
    );
    let session = Site {
        credential: CredentialKind::Session,
        ..plain_store()
    };
    assert_eq!(clear(&session, &[]), ["clear refresh", "clear session"]);
    assert_eq!(
        cookies(&jwt, CookieChange::ClearRefresh, &["vestibule-refresh.0"]),
        ["clear refresh", "clear refresh.0"]
    );
}

#[test]
fn a_hosted_backend_s_expiry_goes_with_the_access_token() {
    use base64::Engine as _;
    let site = Site {
        cookies: CookieNames::for_hosted_backend(Scheme::Http),
        ..store()
    };
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"exp":7}"#);
    let change = CookieChange::SetTokens(IssuedTokens {
        token: format!("h.{claims}.s").into(),
        refresh: None,
        ..tokens(CredentialKind::Jwt)
    });
    assert_eq!(cookies(&site, change, &[])[1..], ["set app.at_exp=7 3600"]);
    assert_eq!(
        cookies(&site, CookieChange::ClearCredentials, &[]),
        ["clear app.at", "clear app.rt", "clear app.at_exp"]
    );
}

#[test]
fn a_device_outlives_the_browser_only_where_somebody_asked_for_that() {
    let device = sealed_device();
    let value = device.as_str().to_owned();
    let lines = cookies(&plain_store(), CookieChange::SetDevice(device), &[]);
    assert_eq!(lines, [format!("set device={value} session")]);
}

#[test]
fn several_changes_are_carried_out_in_their_order() {
    let changes = [
        CookieChange::SetTokens(tokens(CredentialKind::Jwt)),
        CookieChange::ClearRefresh,
    ];
    let headers = CredentialHeaders::new(&plain_store(), &changes, &[]).unwrap();
    let lines: Vec<String> = headers
        .set_cookies
        .iter()
        .map(|line| short(line.to_str().unwrap()))
        .collect();
    assert_eq!(
        lines,
        ["set access=A 3600", "set refresh=R 3600", "clear refresh"]
    );
}

#[test]
fn a_token_that_is_no_header_value_is_an_error() {
    let change = CookieChange::SetTokens(IssuedTokens {
        token: "A\nB".into(),
        ..tokens(CredentialKind::Bearer)
    });
    assert!(CredentialHeaders::new(&plain_store(), &[change], &[]).is_err());
}
