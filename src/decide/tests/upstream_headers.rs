//! What an application is sent, and what of the client's it never sees.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::decide::upstream_headers::{
    AuthorizationField, ForwardedFields, IdentityFields, TraceFields, UpstreamHeaders,
    forwarded_token,
};
use crate::decide::{Decision, Facts, Known, Outcome, decide};
use crate::model::constant_upstream_headers::SiteHeaders;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::request_cookies::{PresentedCookie, PresentedCookies};
use crate::model::rule::RuleClient;
use crate::model::site::{Site, ViaField};
use crate::model::target::{EncodedSlashes, Target};
use crate::model::token::Session;

use super::fixtures::{NOW, principal, refreshed, store, valid_token};

/// Everything that is known of a forwarded request.
struct Forward {
    site: Site,
    headers: SiteHeaders,
    principal: Vec<(HeaderName, HeaderValue)>,
    assertion: Option<HeaderValue>,
    authorization: AuthorizationField<'static>,
    client: &'static str,
    forwarded_for: Option<HeaderValue>,
    earlier: Option<&'static str>,
    trace: TraceFields<'static>,
    received: Version,
}

fn forward() -> Forward {
    let site = store();
    Forward {
        headers: SiteHeaders::new(&site.name, &site.origin).unwrap(),
        site,
        principal: Vec::new(),
        assertion: None,
        authorization: AuthorizationField::Keep,
        client: "10.0.0.1",
        forwarded_for: None,
        earlier: None,
        trace: TraceFields::Keep,
        received: Version::HTTP_11,
    }
}

fn ann() -> Vec<(HeaderName, HeaderValue)> {
    vec![(
        HeaderName::from_static("x-auth-user-id"),
        HeaderValue::from_static("ann"),
    )]
}

impl Forward {
    fn identity(&self) -> IdentityFields<'_> {
        IdentityFields {
            principal: &self.principal,
            site: &self.headers.site,
            assertion: self.assertion.clone(),
        }
    }

    fn apply(&self, fields: &mut HeaderMap) {
        let headers = UpstreamHeaders {
            site: &self.site,
            identity: self.identity(),
            authorization: self.authorization,
            forwarded: ForwardedFields {
                received: self.received,
                request_id: "r1",
                site: &self.headers,
                peer: "10.0.0.1".parse().unwrap(),
                peer_text: &HeaderValue::from_static("10.0.0.1"),
                client: self.client.parse().unwrap(),
                forwarded_for: self.forwarded_for.as_ref(),
                earlier: self.earlier,
            },
            trace: self.trace,
        };
        headers.apply(fields).unwrap();
    }

    /// The application's header for the client's, a line for each field, sorted.
    fn sent(&self, client: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut fields = client_header(client);
        self.apply(&mut fields);
        lines(&fields)
    }
}

fn client_header(client: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in client {
        fields.append(*name, HeaderValue::from_static(value));
    }
    fields
}

fn lines(fields: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn an_anonymous_request_tells_where_it_came_from() {
    assert_eq!(
        forward().sent(&[("host", "store.example.com"), ("accept", "*/*")]),
        [
            "accept: */*",
            "forwarded: for=10.0.0.1;host=\"store.example.com\";proto=https",
            "host: store.example.com",
            "via: 1.1 vestibule",
            "x-auth-site: store",
            "x-forwarded-for: 10.0.0.1",
            "x-forwarded-host: store.example.com",
            "x-forwarded-port: 443",
            "x-forwarded-proto: https",
            "x-real-ip: 10.0.0.1",
            "x-request-id: r1",
        ]
    );
}

#[test]
fn nothing_of_the_client_s_stands_in_for_the_gateway_s() {
    let forged = [
        ("x-auth-user-id", "eve"),
        ("x-auth-user-id", "mallory"),
        ("x-auth-roles", "admin"),
        ("x_auth_user_id", "eve"),
        ("x-auth-site", "forum"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-user", "eve"),
        ("x-real-ip", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-request-id", "theirs"),
        ("x-original-url", "/admin"),
        ("vestibule-refresh-token", "R"),
        ("proxy", "http://evil.example:8080"),
    ];
    assert_eq!(forward().sent(&forged), forward().sent(&[]));
    let signed_in = Forward {
        principal: ann(),
        ..forward()
    };
    assert_eq!(signed_in.sent(&forged), signed_in.sent(&[]));
    assert!(
        signed_in
            .sent(&[])
            .contains(&"x-auth-user-id: ann".to_owned())
    );
}

#[test]
fn a_retry_changes_nothing_that_was_set() {
    let forward = Forward {
        principal: ann(),
        authorization: AuthorizationField::SetBearer("A"),
        ..forward()
    };
    let mut once = client_header(&[("accept", "*/*")]);
    forward.apply(&mut once);
    let mut twice = once.clone();
    forward.apply(&mut twice);
    // Each try starts from the client's header, so `Via` is appended once.
    twice.remove("via");
    once.remove("via");
    assert_eq!(lines(&twice), lines(&once));
}

#[test]
fn what_trusted_proxies_said_is_continued() {
    let behind_a_proxy = Forward {
        client: "1.1.1.1",
        forwarded_for: Some(HeaderValue::from_static("1.1.1.1, 10.0.0.1")),
        earlier: Some("for=1.1.1.1"),
        ..forward()
    };
    let sent = behind_a_proxy.sent(&[("via", "1.1 edge")]);
    assert!(sent.contains(&"via: 1.1 edge".to_owned()));
    assert!(sent.contains(&"via: 1.1 vestibule".to_owned()));
    let forwarded = "forwarded: for=1.1.1.1, for=10.0.0.1;host=\"store.example.com\";proto=https";
    for line in [
        forwarded,
        "x-forwarded-for: 1.1.1.1, 10.0.0.1",
        "x-real-ip: 1.1.1.1",
    ] {
        assert!(sent.contains(&line.to_owned()), "{line}");
    }
}

#[test]
fn via_names_the_protocol_of_the_client() {
    for (received, expected) in [
        (Version::HTTP_10, "via: 1.0 vestibule"),
        (Version::HTTP_11, "via: 1.1 vestibule"),
        (Version::HTTP_2, "via: 2 vestibule"),
    ] {
        let sent = Forward {
            received,
            ..forward()
        };
        assert!(
            sent.sent(&[]).contains(&expected.to_owned()),
            "{received:?}"
        );
    }
}

#[test]
fn a_site_can_leave_via_out() {
    let mut without = forward();
    without.site.via = ViaField::Omit;
    for client in [&[][..], &[("via", "1.1 edge")]] {
        let sent = without.sent(client);
        assert!(!sent.iter().any(|line| line.starts_with("via")), "{sent:?}");
    }
}

#[test]
fn a_trace_that_cannot_be_continued_begins_anew() {
    let client = [("traceparent", "theirs"), ("tracestate", "a=b")];
    let sent = forward().sent(&client);
    for line in ["traceparent: theirs", "tracestate: a=b"] {
        assert!(sent.contains(&line.to_owned()), "{line}");
    }
    let anew = Forward {
        trace: TraceFields::Begin("ours"),
        ..forward()
    };
    let sent = anew.sent(&client);
    assert!(sent.contains(&"traceparent: ours".to_owned()));
    assert!(sent.iter().all(|line| !line.starts_with("tracestate")));
}

#[test]
fn a_trace_that_is_continued_keeps_its_state() {
    let continued = Forward {
        trace: TraceFields::Continue("ours"),
        ..forward()
    };
    let sent = continued.sent(&[("traceparent", "theirs"), ("tracestate", "a=b")]);
    let trace: Vec<_> = sent
        .iter()
        .filter(|line| line.starts_with("trace"))
        .collect();
    assert_eq!(trace.len(), 2, "{trace:?}");
    for line in ["traceparent: ours", "tracestate: a=b"] {
        assert!(sent.contains(&line.to_owned()), "{line}");
    }
}

#[test]
fn a_used_authorization_stays_behind() {
    let sent = |authorization| {
        let forward = Forward {
            authorization,
            ..forward()
        };
        let sent = forward.sent(&[("authorization", "Basic theirs")]);
        sent.into_iter()
            .find_map(|line| line.strip_prefix("authorization: ").map(str::to_owned))
    };
    assert_eq!(
        sent(AuthorizationField::Keep).as_deref(),
        Some("Basic theirs")
    );
    assert_eq!(sent(AuthorizationField::Remove), None);
    assert_eq!(
        sent(AuthorizationField::SetBearer("A")).as_deref(),
        Some("Bearer A")
    );
}

#[test]
fn an_upstream_host_replaces_the_client_s() {
    let mut renamed = forward();
    renamed.site.upstream_host = Some("app.internal".into());
    let sent = renamed.sent(&[("host", "store.example.com")]);
    assert!(sent.contains(&"host: app.internal".to_owned()));
    assert!(!sent.contains(&"host: store.example.com".to_owned()));
}

#[test]
fn the_identity_stands_apart_from_the_forwarded_fields() {
    let forward = Forward {
        principal: ann(),
        assertion: Some(HeaderValue::from_static("J")),
        ..forward()
    };
    let mut fields = HeaderMap::new();
    forward
        .identity()
        .for_each(|name, value| drop(fields.insert(name, value)));
    assert_eq!(
        lines(&fields),
        [
            "x-auth-assertion: J",
            "x-auth-site: store",
            "x-auth-user-id: ann"
        ]
    );
}

/// The token that goes along with a request that carries `A`, in a cookie or as a bearer.
fn token(site: &Site, bearer: BearerTokens<'_>, facts: &Facts) -> Option<String> {
    let target = Target::parse(b"/mine", EncodedSlashes::Reject).unwrap();
    let cookies = PresentedCookies {
        access: PresentedCookie::Single("A".into()),
        session: PresentedCookie::Single("S".into()),
        refresh: PresentedCookie::Single("R".into()),
        ..PresentedCookies::default()
    };
    let request = RequestView {
        method: &Method::GET,
        target: &target,
        cookies: &cookies,
        client: RuleClient::default(),
        bearer,
        basic: None,
        fetch_metadata: FetchMetadata::default(),
    };
    let Decision::Settled(verdict) = decide(&request, site, facts, NOW) else {
        panic!("something is not known");
    };
    let Outcome::Forward(grant) = verdict.outcome else {
        panic!("not forwarded");
    };
    forwarded_token(&request, site, facts, &grant).map(|token| token.to_string())
}

#[test]
fn the_newest_token_goes_along_where_the_site_wants_one() {
    let mut site = store();
    site.forward_token = true;
    site.bearer = true;
    let by_cookie = BearerTokens::default();
    let verified = Facts {
        token: valid_token(&[]),
        ..Facts::default()
    };
    assert_eq!(token(&site, by_cookie, &verified).as_deref(), Some("A"));
    let by_header = BearerTokens {
        access: Some("B"),
        ..BearerTokens::default()
    };
    assert_eq!(token(&site, by_header, &verified).as_deref(), Some("B"));
    let refreshed = Facts {
        token: Known::Absent(crate::model::token::TokenError::Expired),
        refresh: refreshed(&[]),
        ..Facts::default()
    };
    assert_eq!(token(&site, by_cookie, &refreshed).as_deref(), Some("A2"));
    site.forward_token = false;
    assert_eq!(token(&site, by_cookie, &verified), None);
}

#[test]
fn a_session_keeps_the_token_that_goes_along() {
    let mut site = store();
    site.forward_token = true;
    site.credential = crate::model::credential::CredentialKind::Session;
    let facts = Facts {
        session: Known::Found(Session {
            principal: principal("ann", &[], 600),
            access: Some("K".into()),
        }),
        ..Facts::default()
    };
    let token = token(&site, BearerTokens::default(), &facts);
    assert_eq!(token.as_deref(), Some("K"));
}
