//! What `explain` tells of odd spellings: each reading, and why the request passes or not.

use http::Method;

use crate::decide::explain::{
    ExplainedRequest, Explanation, explain, explain_health_check, explain_rejection,
    validate_request_line,
};
use crate::model::rule::{Access, Rule, RuleClient};
use crate::model::sign_out_path::SignOutPath;
use crate::model::site::Site;

use super::fixtures::{rule, store};
use super::fusionauth_hosted_backend;

fn explained(method: &str, target: &str, site: &Site) -> Explanation {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match validate_request_line(&method, target.as_bytes(), site) {
        Ok(target) => {
            let request = ExplainedRequest {
                method: &method,
                target: &target,
                client: RuleClient::default(),
            };
            explain(site, &request, &[])
        }
        Err(rejected) => explain_rejection(site, rejected),
    }
}

/// `RULE: WHY`, and each reading with what it meets.
fn told(target: &str) -> (String, Vec<String>) {
    let explanation = explained("GET", target, &store());
    let mut readings: Vec<String> = explanation
        .readings
        .iter()
        .map(|reading| format!("{} {}", reading.path, reading.rule))
        .collect();
    readings.sort();
    let why = explanation.why.unwrap_or("one reading");
    (format!("{}: {why}", explanation.rule), readings)
}

#[test]
fn each_reading_of_an_odd_spelling_is_told_with_what_it_meets() {
    let same = "every reading meets the same rule";
    let rules = "request checks: the readings meet different rules";
    let own = "request checks: one of the readings is an endpoint of the gateway";
    for (target, expected, readings) in [
        ("/public/a", "/public/*: one reading".to_owned(), &[][..]),
        (
            "/public//a",
            format!("/public/*: {same}"),
            &["/public//a /public/*", "/public/a /public/*"],
        ),
        (
            "/x/https://host/",
            format!("default_access: {same}"),
            &[
                "/x/https://host/ default_access",
                "/x/https:/host/ default_access",
            ],
        ),
        (
            "/a%5Cb",
            format!("default_access: {same}"),
            &["/a/b default_access", "/a\\b default_access"],
        ),
        (
            "/staff;x/",
            rules.to_owned(),
            &["/staff/ /staff/*", "/staff;x/ default_access"],
        ),
        (
            "/%2573taff",
            rules.to_owned(),
            &["/%73taff default_access", "/staff /staff/*"],
        ),
        (
            "/public/%252e%252e/staff",
            rules.to_owned(),
            &[
                "/public/%2e%2e/staff /public/*",
                "/public/../staff /public/*",
                "/staff /staff/*",
            ],
        ),
        (
            "/login;a",
            own.to_owned(),
            &["/login own endpoint", "/login;a default_access"],
        ),
        (
            "/_vestibule//health",
            own.to_owned(),
            &[
                "/_vestibule//health own endpoint",
                "/_vestibule/health own endpoint",
            ],
        ),
    ] {
        let readings: Vec<String> = readings.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(told(target), (expected, readings), "{target}");
    }
}

/// For who is signed in, and for who is not: `OUTCOME STATUS LOCATION`.
fn outcomes(explanation: &Explanation) -> [String; 2] {
    [&explanation.signed_in, &explanation.signed_out].map(|told| {
        let status = told
            .status
            .map_or_else(|| "-".to_owned(), |it| it.to_string());
        let location = told.location.as_deref().unwrap_or("-");
        format!("{} {status} {location}", told.outcome)
    })
}

#[test]
fn the_applications_sign_out_is_an_endpoint() {
    let mut site = store();
    site.sign_out_paths = vec![SignOutPath::parse("/leave?do=out").unwrap()];
    for method in ["GET", "POST"] {
        let told = explained(method, "/leave?do=out", &site);
        assert_eq!(told.rule, "own endpoint");
        assert_eq!(
            outcomes(&told),
            ["redirected 303 /bye", "redirected 303 /bye"]
        );
    }
    assert_eq!(explained("GET", "/leave", &site).rule, "default_access");
}

#[test]
fn a_health_check_belongs_to_no_site() {
    let health = |method: &str, target: &str| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        explain_health_check(&method, target.as_bytes())
    };
    let told = health("HEAD", "/_vestibule/health?x").unwrap();
    assert_eq!((&*told.site, &*told.rule), ("", "own endpoint"));
    assert_eq!(outcomes(&told), ["answered 200 -", "answered 200 -"]);
    let told = health("POST", "/_vestibule/health").unwrap();
    assert_eq!(outcomes(&told), ["refused 405 -", "refused 405 -"]);
    assert!(health("TRACE", "/_vestibule/health").is_none());
    assert!(health("GET", "/_vestibule/healthy").is_none());
}

/// Who is signed in has a refresh token, and the provider tells what comes of it.
#[test]
fn a_refresh_of_the_hosted_backend_depends_on_the_provider() {
    let site = fusionauth_hosted_backend::at("/").site;
    let told = explained("POST", "/app/refresh/c1", &site);
    assert_eq!(outcomes(&told), ["answered - -", "refused 400 -"]);
}

#[test]
fn whether_there_is_a_file_of_the_pages_is_not_told() {
    let told = explained("GET", "/_vestibule/style.css", &store());
    assert_eq!(outcomes(&told), ["answered - -", "answered - -"]);
    let told = explained("GET", "/_vestibule/other", &store());
    assert_eq!(outcomes(&told), ["refused 404 -", "refused 404 -"]);
}

#[test]
fn what_is_refused_before_rules_says_why() {
    let mut site = store();
    site.limits.head.target = 30;
    site.rules.insert(
        0,
        Rule {
            methods: vec![Method::from_bytes(b"PURGE").unwrap()],
            ..rule("/public/*", Access::Required, &[])
        },
    );
    for (method, target, status, reason, why) in [
        ("post", "/", 400, "malformed_request", "in capital letters"),
        (
            "purge",
            "/public/a",
            400,
            "malformed_request",
            "letter case requires more",
        ),
        ("TRACE", "/", 405, "method_not_allowed", "no `TRACE`"),
        (
            "GET",
            "/1234567890123456789012345678901",
            414,
            "request_too_large",
            "max_target",
        ),
        ("GET", "/a%2Fb", 400, "malformed_request", "encoded_slashes"),
        ("GET", "/a/../b", 400, "malformed_request", "`..` segment"),
        ("GET", "//a", 400, "malformed_request", "another host"),
        (
            "GET",
            "/%4",
            400,
            "malformed_request",
            "two hexadecimal digits",
        ),
        ("GET", "/a b", 400, "malformed_request", "a blank"),
    ] {
        let explanation = explained(method, target, &site);
        assert_eq!(explanation.access, "refused", "{target}");
        for outcome in [
            &explanation.signed_out,
            &explanation.signed_in,
            &explanation.without_role,
        ] {
            assert_eq!(
                (outcome.outcome, outcome.reason),
                ("refused", reason),
                "{target}"
            );
            assert_eq!(outcome.status, Some(status), "{target}");
        }
        let told = explanation.why.unwrap();
        assert!(told.contains(why), "{target}: {told}");
    }
}
