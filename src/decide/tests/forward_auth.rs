//! What a proxy tells of the client's request (`docs/reference/forward-auth.md`).

use http::{HeaderMap, HeaderValue, Method};

use crate::decide::forward_auth::{AuthRequest, DeniedResponse, ENDPOINT, respond};
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, Redirect};

/// `ask`, about a request with these fields, of a proxy that sends `method` to `target`.
fn asked<T>(
    method: &Method,
    target: &str,
    fields: &[(&'static str, &'static str)],
    ask: impl FnOnce(AuthRequest<'_>) -> T,
) -> T {
    let mut header = HeaderMap::new();
    for (name, value) in fields {
        header.append(*name, HeaderValue::from_static(value));
    }
    ask(AuthRequest {
        method,
        target: target.as_bytes(),
        fields: &header,
    })
}

/// Method, target and host of the client's request; the status of the refusal where they are not
/// clear.
fn original(
    method: &Method,
    target: &str,
    fields: &[(&'static str, &'static str)],
) -> Result<String, u16> {
    let original = asked(method, target, fields, |asked| asked.original());
    original.map_err(|refused| refused.status).map(|original| {
        let target = String::from_utf8(original.target).unwrap();
        let host = original.host.map(|host| host.to_string());
        format!("{} {target} {}", original.method, host.unwrap_or_default())
    })
}

#[test]
fn the_endpoint_is_asked_with_get_or_with_the_target_behind_it() {
    for (method, suffix, expected) in [
        (Method::GET, "", true),
        (Method::HEAD, "?for=nginx", true),
        (Method::POST, "", false),
        (Method::POST, "/orders", true),
        (Method::GET, "orders", false),
    ] {
        let target = format!("{ENDPOINT}{suffix}");
        let is_for_endpoint = asked(&method, &target, &[], |asked| asked.is_for_endpoint());
        assert_eq!(is_for_endpoint, expected, "{method} {target}");
    }
    assert!(!asked(&Method::GET, "/orders", &[], |asked| asked
        .is_for_endpoint()));
}

#[test]
fn only_nginx_is_given_a_status_alone() {
    let url = ("x-original-url", "https://store.example.com/");
    let method = ("x-original-method", "GET");
    let denied = |suffix: &str, fields: &[_]| {
        let target = format!("{ENDPOINT}{suffix}");
        asked(&Method::GET, &target, fields, |asked| {
            asked.denied_response()
        })
    };
    for fields in [&[url][..], &[method], &[url, method]] {
        assert_eq!(denied("", fields), DeniedResponse::StatusOnly, "{fields:?}");
        assert_eq!(denied("/orders", fields), DeniedResponse::Relayed);
    }
    let forwarded = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/")];
    for field in forwarded {
        assert_eq!(
            denied("", &[url, field]),
            DeniedResponse::Relayed,
            "{field:?}"
        );
    }
    assert_eq!(denied("", &[]), DeniedResponse::Relayed);
}

#[test]
fn each_proxy_tells_the_request_in_its_own_way() {
    let traefik = [
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-uri", "/orders?a=1"),
        ("x-forwarded-host", "store.example.com"),
    ];
    let nginx = [
        ("x-original-method", "PUT"),
        ("x-original-url", "https://store.example.com/orders?a=1"),
    ];
    let without_host = [("x-original-method", "GET"), ("x-original-url", "//a")];
    let envoy = format!("{ENDPOINT}/orders?a=1");
    for (target, fields, expected) in [
        (
            ENDPOINT,
            &traefik[..],
            "DELETE /orders?a=1 store.example.com",
        ),
        (ENDPOINT, &nginx, "PUT /orders?a=1 store.example.com"),
        (ENDPOINT, &without_host, "GET //a "),
        (&envoy, &[], "POST /orders?a=1 "),
    ] {
        let told = original(&Method::POST, target, fields);
        assert_eq!(told.as_deref(), Ok(expected));
    }
}

#[test]
fn what_is_not_told_clearly_is_refused() {
    let (method, uri) = (("x-forwarded-method", "GET"), ("x-forwarded-uri", "/"));
    assert!(original(&Method::GET, ENDPOINT, &[method, uri]).is_ok());
    for (status, fields) in [
        // Neither the target nor the method is guessed.
        (400, &[method][..]),
        (400, &[uri]),
        (400, &[method, method, uri]),
        (400, &[("x-forwarded-method", "G T"), uri]),
        (400, &[method, uri, ("x-forwarded-host", "a b")]),
        (
            400,
            &[method, ("x-original-url", "ftp://store.example.com/")],
        ),
        (405, &[("x-forwarded-method", "TRACE"), uri]),
        // Two ways of telling contradict each other: one of them may be the client's.
        (400, &[method, uri, ("x-original-url", "/other")]),
        (400, &[method, uri, ("x-original-method", "POST")]),
    ] {
        let told = original(&Method::GET, ENDPOINT, fields);
        assert_eq!(told, Err(status), "{fields:?}");
    }
    let same = [
        method,
        uri,
        ("x-original-url", "/"),
        ("x-original-method", "GET"),
    ];
    assert_eq!(
        original(&Method::GET, ENDPOINT, &same).as_deref(),
        Ok("GET / ")
    );
}

#[test]
fn a_redirect_is_a_401_for_nginx() {
    let to_login = || {
        LocalResponse::Redirect(Redirect {
            status: 302,
            location: LocalPath::endpoint("/login"),
            clear_site_data: false,
        })
    };
    for (denied, expected) in [
        (DeniedResponse::Relayed, 302),
        (DeniedResponse::StatusOnly, 401),
    ] {
        let LocalResponse::Redirect(redirect) = respond(to_login(), denied) else {
            panic!("no redirect");
        };
        assert_eq!(redirect.status, expected);
    }
}
