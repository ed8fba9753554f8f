//! Forward-auth: a proxy in front forwards requests to the application itself, and asks the gateway
//! about each (`docs/reference/forward-auth.md`). nginx calls it `auth_request`, Caddy and Traefik
//! forward-auth, Envoy `ext_authz`.
//!
//! * The request that is decided is the client's, as the proxy tells it. It is validated as
//!   strictly as one that arrived. What is told twice must be the same, and what is not told is not
//!   guessed: a proxy that sets one field may forward a forged one beside it.
//! * Everything but permission has a status outside 2xx. Proxies take every 2xx for permission.
//! * The headers of permission are complete: a header without a value is there, and empty, so that
//!   the proxy's copy replaces the client's.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::model::local_response::{LocalResponse, Problem, Redirect};
use crate::model::origin::Host;
use crate::model::reason::Reason;
use crate::model::site::Site;

use super::rejection::Rejection;
use super::request_validation::{validate_host, validate_method};
use super::upstream_headers::{AuthorizationField, UpstreamHeaders, X_AUTH_ASSERTION};

/// The path at which proxies ask.
pub const ENDPOINT: &str = "/_vestibule/auth";

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");

/// What becomes of a response that does not permit the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedResponse {
    /// The client gets it as it is: Caddy, Traefik, Envoy.
    Relayed,
    /// The proxy looks at its status and at fields that the operator names: nginx. It takes 401 and
    /// 403 for a refusal, and everything else outside 2xx for an error.
    StatusOnly,
}

/// The request of a proxy, as received.
#[derive(Clone, Copy)]
pub struct AuthRequest<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its target.
    pub target: &'a [u8],
    /// Its fields.
    pub fields: &'a HeaderMap,
}

/// The client's request, as the proxy tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRequest {
    /// The method: any but `TRACE` and `CONNECT`.
    pub method: Method,
    /// The target as received, not validated.
    pub target: Vec<u8>,
    /// The host; `None` where it is that of the proxy's own request.
    pub host: Option<Host>,
}

/// What one set of fields tells of the client's request.
#[derive(Default)]
struct Told {
    method: Option<Method>,
    target: Option<Vec<u8>>,
    host: Option<Host>,
}

impl AuthRequest<'_> {
    /// Whether the request is for the endpoint. Envoy appends the client's target to the path and
    /// keeps its method.
    #[must_use]
    pub fn is_for_endpoint(&self) -> bool {
        match self.suffix() {
            None => false,
            Some([b'/', ..]) => true,
            Some(_) => matches!(*self.method, Method::GET | Method::HEAD),
        }
    }

    /// How the proxy uses the response: `X-Original-*` alone is nginx's way of asking.
    #[must_use]
    pub fn denied_response(&self) -> DeniedResponse {
        let has = |name: &HeaderName| self.fields.contains_key(name);
        let is_appended = matches!(self.suffix(), Some([b'/', ..]));
        let is_forwarded = has(&X_FORWARDED_METHOD) || has(&X_FORWARDED_URI);
        if (has(&X_ORIGINAL_METHOD) || has(&X_ORIGINAL_URL)) && !is_forwarded && !is_appended {
            DeniedResponse::StatusOnly
        } else {
            DeniedResponse::Relayed
        }
    }

    /// The client's request.
    ///
    /// # Errors
    /// `400` where method or target are not told, where a field is there twice or malformed, and
    /// where two of them differ; `405` for `TRACE` and `CONNECT`.
    pub fn original(&self) -> Result<OriginalRequest, Rejection> {
        let told = self
            .appended()
            .and(self.told_by_x_forwarded()?)?
            .and(self.told_by_x_original()?)?;
        let method = told.method.ok_or(Rejection::MALFORMED)?;
        validate_method(&method)?;
        Ok(OriginalRequest {
            method,
            target: told.target.ok_or(Rejection::MALFORMED)?,
            host: told.host,
        })
    }

    /// What follows the endpoint in the target.
    fn suffix(&self) -> Option<&[u8]> {
        let rest = self.target.strip_prefix(ENDPOINT.as_bytes())?;
        matches!(rest.first(), None | Some(b'?' | b'/')).then_some(rest)
    }

    fn appended(&self) -> Told {
        match self.suffix() {
            Some(target @ [b'/', ..]) => Told {
                method: Some(self.method.clone()),
                target: Some(target.to_vec()),
                host: None,
            },
            Some(_) | None => Told::default(),
        }
    }

    fn told_by_x_forwarded(&self) -> Result<Told, Rejection> {
        Ok(Told {
            method: self.told_method(&X_FORWARDED_METHOD)?,
            target: self.only(&X_FORWARDED_URI)?.map(bytes),
            host: self
                .only(&X_FORWARDED_HOST)?
                .map(|host| validate_host(Some(host)))
                .transpose()?,
        })
    }

    /// `X-Original-URL` is a URL, or a target alone.
    fn told_by_x_original(&self) -> Result<Told, Rejection> {
        let method = self.told_method(&X_ORIGINAL_METHOD)?;
        let Some(url) = self.only(&X_ORIGINAL_URL)?.map(bytes) else {
            return Ok(Told {
                method,
                ..Told::default()
            });
        };
        let (host, target) = if url.starts_with(b"/") {
            (None, url)
        } else {
            let (host, target) = split_url(&url).ok_or(Rejection::MALFORMED)?;
            (Some(host), target)
        };
        Ok(Told {
            method,
            target: Some(target),
            host,
        })
    }

    fn told_method(&self, name: &HeaderName) -> Result<Option<Method>, Rejection> {
        let value = self.only(name)?;
        value
            .map(|value| Method::from_bytes(value.as_bytes()))
            .transpose()
            .map_err(|_| Rejection::MALFORMED)
    }

    /// The value of a field that may be there once.
    fn only(&self, name: &HeaderName) -> Result<Option<&HeaderValue>, Rejection> {
        let mut lines = self.fields.get_all(name).iter();
        let first = lines.next();
        if lines.next().is_some() {
            return Err(Rejection::MALFORMED);
        }
        Ok(first)
    }
}

fn bytes(value: &HeaderValue) -> Vec<u8> {
    value.as_bytes().to_vec()
}

/// The host of an http or https URL, and the target that a request for it has.
fn split_url(url: &[u8]) -> Option<(Host, Vec<u8>)> {
    let lower = url.get(..8.min(url.len()))?.to_ascii_lowercase();
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme))?;
    let rest = url.get(scheme.len()..)?;
    let at = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let (host, target) = rest.split_at(at);
    let host = std::str::from_utf8(host).ok().and_then(Host::parse)?;
    let target = match target.first() {
        Some(b'/') => target.to_vec(),
        _ => [b"/", target].concat(),
    };
    Some((host, target))
}

impl Told {
    /// What both tell together.
    ///
    /// # Errors
    /// `400` where they contradict each other.
    fn and(self, other: Self) -> Result<Self, Rejection> {
        Ok(Self {
            method: agreed(self.method, other.method)?,
            target: agreed(self.target, other.target)?,
            host: agreed(self.host, other.host)?,
        })
    }
}

fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, Rejection> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Rejection::MALFORMED),
        (one, other) => Ok(one.or(other)),
    }
}

/// The response to a proxy, in place of the one that the client would get from the gateway itself.
/// Never one with a status of 2xx, except [`LocalResponse::Allowed`].
#[must_use]
pub fn respond(response: LocalResponse, denied: DeniedResponse) -> LocalResponse {
    match response {
        LocalResponse::Allowed | LocalResponse::PrefetchRefused => response,
        LocalResponse::Redirect(redirect) => LocalResponse::Redirect(Redirect {
            status: match denied {
                DeniedResponse::Relayed => redirect.status,
                DeniedResponse::StatusOnly => 401,
            },
            ..redirect
        }),
        LocalResponse::Problem(problem) => LocalResponse::Problem(Problem {
            status: match (denied, problem.status) {
                (DeniedResponse::Relayed, status)
                | (DeniedResponse::StatusOnly, status @ (401 | 500..)) => status,
                // nginx would answer 500, and log an error of its own.
                (DeniedResponse::StatusOnly, _) => 403,
            },
            ..problem
        }),
        // It carries no credentials, and the gateway's own answer to it would be a 2xx.
        LocalResponse::Preflight(_) => LocalResponse::Problem(Problem::new(Reason::SignedOut)),
        LocalResponse::AllowedRedirect { .. }
        | LocalResponse::ProviderRedirect(_)
        | LocalResponse::LoginPage(_)
        | LocalResponse::PreservedPost(_)
        | LocalResponse::StepPage(_)
        | LocalResponse::LogoutPage
        | LocalResponse::SignedOutPage
        | LocalResponse::Asset(_)
        | LocalResponse::AssertionKeys
        | LocalResponse::Json(_)
        | LocalResponse::NoContent
        | LocalResponse::HealthCheck(_)
        | LocalResponse::AcmeChallenge(_)
        | LocalResponse::Hook(_)
        | LocalResponse::HttpsRedirect(_)
        | LocalResponse::LinkedPage(_) => LocalResponse::Problem(own_endpoint()),
    }
}

/// `403` for a path of the gateway's own: the proxy has to send such requests to the gateway, and
/// must not take its answer for permission to send them to the application.
#[must_use]
pub const fn own_endpoint() -> Problem {
    Problem::new(Reason::OwnEndpoint).with_status(403)
}

/// The fields of the response that permits a request, of which the proxy copies some into the
/// request for the application: the identity headers, `X-Auth-Site`, and with them those fields of
/// the client that the application must not get unchanged. A field without a value is empty.
///
/// `client` are the fields of the proxy's request, where the gateway's cookies were taken out.
#[must_use]
pub fn allowed_fields(headers: UpstreamHeaders<'_>, client: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let empty = || HeaderValue::from_static("");
    let site: &Site = headers.site;
    for name in site.identity_headers.names() {
        fields.insert(name, empty());
    }
    if site.assertion {
        fields.insert(X_AUTH_ASSERTION, empty());
    }
    headers
        .identity
        .for_each(|name, value| drop(fields.insert(name, value)));
    let own_fields = site.service_tokens.header.iter().chain([&AUTHORIZATION]);
    for name in own_fields {
        let value = client.get(name).cloned();
        fields.insert(name, value.unwrap_or_else(empty));
    }
    for name in site.service_tokens.fields_to_remove(client) {
        fields.insert(name, empty());
    }
    match headers.authorization {
        AuthorizationField::Keep => {}
        AuthorizationField::Remove => drop(fields.insert(AUTHORIZATION, empty())),
        AuthorizationField::SetBearer(token) => {
            // A verified JWT is a header value.
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            fields.insert(AUTHORIZATION, value.unwrap_or_else(|_| empty()));
        }
    }
    fields.insert(COOKIE, joined_cookies(client));
    for value in fields.values_mut() {
        value.set_sensitive(true);
    }
    fields
}

/// The `Cookie` fields as one. HTTP/2 cuts it into several (RFC 9113, section 8.2.3).
fn joined_cookies(client: &HeaderMap) -> HeaderValue {
    let lines: Vec<&[u8]> = client
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    HeaderValue::try_from(lines.join(&b"; "[..])).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::local_response::{LoginPage, Preflight};

    fn status(response: LocalResponse, denied: DeniedResponse) -> u16 {
        let response = respond(response, denied);
        let LocalResponse::Problem(problem) = response else {
            panic!("{response:?}");
        };
        problem.status
    }

    #[test]
    fn no_other_response_is_taken_for_permission() {
        let preflight = Preflight {
            methods: "GET",
            headers: String::new(),
        };
        for response in [
            LocalResponse::NoContent,
            LocalResponse::LogoutPage,
            LocalResponse::LoginPage(LoginPage::new()),
            LocalResponse::Preflight(preflight),
        ] {
            for denied in [DeniedResponse::Relayed, DeniedResponse::StatusOnly] {
                assert!(matches!(status(response.clone(), denied), 401 | 403));
            }
        }
    }

    #[test]
    fn nginx_takes_two_refusals() {
        let problem = |status| {
            LocalResponse::Problem(Problem::new(Reason::MalformedRequest).with_status(status))
        };
        for (before, after) in [(400, 403), (401, 401), (403, 403), (405, 403), (503, 503)] {
            assert_eq!(status(problem(before), DeniedResponse::StatusOnly), after);
            assert_eq!(status(problem(before), DeniedResponse::Relayed), before);
        }
    }

    #[test]
    fn a_url_is_a_host_and_a_target() {
        let split = |url: &str| {
            let (host, target) = split_url(url.as_bytes())?;
            Some((host.to_string(), String::from_utf8(target).unwrap()))
        };
        for (url, host, target) in [
            ("https://a.example/b?c", "a.example", "/b?c"),
            ("HTTP://A.example:81", "a.example:81", "/"),
            ("https://a.example?c", "a.example", "/?c"),
            ("https://a.example//b", "a.example", "//b"),
            ("https://a.example#b", "a.example", "/#b"),
        ] {
            assert_eq!(split(url), Some((host.to_owned(), target.to_owned())));
        }
        for bad in [
            "",
            "a.example/",
            "ftp://a/",
            "https:///b",
            "https://u@a/",
            "https:/",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
