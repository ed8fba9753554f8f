//! The parts of a request's head that validation and policy look at, read from Pingora's form of
//! it.
//!
//! A [`RequestHead`] owns what it needs (header values are shared, not copied), so that the loop of
//! questions and answers can read the body meanwhile.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;

use crate::decide::request_validation::UnvalidatedHead;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::request_cookies::PresentedCookies;
use crate::model::target::Target;

/// The parts of a request's head that are looked at, taken in one walk over its fields. Of a field
/// that is there more than once the first counts, where it is not kept in a list.
#[derive(Clone, Default)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    /// The target of the request line as received.
    pub(super) target: Vec<u8>,
    /// The number of header fields.
    fields: usize,
    cookies: Vec<HeaderValue>,
    accept: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    authorizations: usize,
    refresh_tokens: Vec<HeaderValue>,
    origin: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    fetch_mode: Option<HeaderValue>,
    fetch_site: Option<HeaderValue>,
    /// Whether there is any `Sec-Fetch-*` field.
    has_fetch_metadata: bool,
    is_prefetch: bool,
    has_requested_with: bool,
    upgrade: Option<HeaderValue>,
    preflight: Option<HeaderValue>,
    host: Option<HeaderValue>,
    hosts: usize,
    has_length: bool,
    transfer_encoding: Vec<HeaderValue>,
    expectations: Vec<HeaderValue>,
    /// The client's `X-Request-Id`.
    pub(super) request_id: Option<HeaderValue>,
    /// The `X-Forwarded-For` fields, trusted or not.
    pub(super) forwarded_for: Vec<HeaderValue>,
    /// The `Forwarded` fields, trusted or not.
    pub(super) forwarded: Vec<HeaderValue>,
}

impl RequestHead {
    /// Copies out what is needed. It refuses nothing.
    pub(super) fn read(request: &RequestHeader) -> Self {
        let mut head = Self {
            method: request.method.clone(),
            target: request.raw_path().to_vec(),
            fields: request.headers.len(),
            ..Self::default()
        };
        for (name, value) in &request.headers {
            head.add(name, value);
        }
        if head.method == Method::OPTIONS {
            head.preflight = preflight(&request.headers);
        }
        head
    }

    fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        let slot = match *name {
            header::COOKIE => return self.cookies.push(value.clone()),
            header::TRANSFER_ENCODING => return self.transfer_encoding.push(value.clone()),
            header::EXPECT => return self.expectations.push(value.clone()),
            header::FORWARDED => return self.forwarded.push(value.clone()),
            header::CONTENT_LENGTH => {
                self.has_length = true;
                return;
            }
            header::HOST => {
                self.hosts += 1;
                &mut self.host
            }
            header::AUTHORIZATION => {
                self.authorizations += 1;
                &mut self.authorization
            }
            header::ACCEPT => &mut self.accept,
            header::ORIGIN => &mut self.origin,
            header::REFERER => &mut self.referer,
            header::UPGRADE => &mut self.upgrade,
            _ => return self.add_by_text(name.as_str(), value),
        };
        slot.get_or_insert_with(|| value.clone());
    }

    /// Adds a field whose name has no constant in `http`.
    fn add_by_text(&mut self, name: &str, value: &HeaderValue) {
        self.has_fetch_metadata |= name.starts_with("sec-fetch-");
        let slot = match name {
            "vestibule-refresh-token" => return self.refresh_tokens.push(value.clone()),
            "x-forwarded-for" => return self.forwarded_for.push(value.clone()),
            "x-requested-with" => {
                self.has_requested_with = true;
                return;
            }
            "sec-purpose" | "purpose" | "x-moz" => {
                self.is_prefetch |= names_prefetch(value);
                return;
            }
            "sec-fetch-mode" => &mut self.fetch_mode,
            "sec-fetch-site" => &mut self.fetch_site,
            "x-request-id" => &mut self.request_id,
            _ => return,
        };
        slot.get_or_insert_with(|| value.clone());
    }

    /// What is validated before anything else. `bytes` is the head as received.
    pub(super) fn unvalidated<'a>(&'a self, bytes: &'a [u8]) -> UnvalidatedHead<'a> {
        UnvalidatedHead {
            method: &self.method,
            target: &self.target,
            fields: self.fields,
            bytes,
            transfer_encoding: &self.transfer_encoding,
            expectations: &self.expectations,
            hosts: self.hosts,
            authorizations: self.authorizations,
        }
    }

    /// The request's `Cookie` fields.
    pub(super) fn cookie_fields(&self) -> impl Iterator<Item = &HeaderValue> {
        self.cookies.iter()
    }

    /// The fields that tell a browser's navigation from a script's call.
    pub(super) fn fetch_metadata(&self) -> FetchMetadata<'_> {
        FetchMetadata {
            accept: text(self.accept.as_ref()),
            has_authorization: self.authorization.is_some(),
            // An `Origin` that is no text is no site's own.
            origin: self
                .origin
                .as_ref()
                .map(|value| value.to_str().unwrap_or("null")),
            referer: text(self.referer.as_ref()),
            fetch_mode: text(self.fetch_mode.as_ref()),
            fetch_site: text(self.fetch_site.as_ref()),
            has_requested_with: self.has_requested_with,
            is_websocket: self.upgrade.as_ref().is_some_and(|value| {
                value
                    .as_bytes()
                    .windows(9)
                    .any(|part| part.eq_ignore_ascii_case(b"websocket"))
            }),
            preflight_headers: self
                .preflight
                .as_ref()
                .map(|value| value.to_str().unwrap_or_default()),
            is_prefetch: self.is_prefetch,
            is_browser: self.has_fetch_metadata || self.origin.is_some(),
        }
    }

    /// The first `Host` field as received.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// Whether a body follows, or may follow after an upgrade.
    pub(super) fn has_body(&self) -> bool {
        !self.transfer_encoding.is_empty() || self.has_length || self.upgrade.is_some()
    }

    /// The view that policy sees.
    pub(super) fn view<'a>(
        &'a self,
        target: &'a Target<'a>,
        cookies: &'a PresentedCookies<'a>,
    ) -> RequestView<'a> {
        RequestView {
            method: &self.method,
            target,
            cookies,
            bearer: self.bearer(),
            fetch_metadata: self.fetch_metadata(),
        }
    }

    fn bearer(&self) -> BearerTokens<'_> {
        BearerTokens {
            access: self
                .authorization
                .as_ref()
                .and_then(|value| bearer_of(value.to_str().ok()?)),
            refresh: match &*self.refresh_tokens {
                [one] => one.to_str().ok(),
                // Which of two is the client's cannot be told.
                _ => None,
            },
        }
    }
}

/// The header names that a CORS preflight asks for, empty where it asks for none. `None` where the
/// request is no preflight.
fn preflight(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let names = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    Some(names.unwrap_or(HeaderValue::from_static("")))
}

/// Whether a field such as `Sec-Purpose` names a prefetch: `prefetch`, `prerender`, or a list or
/// parameters with one of them, as `prefetch;prerender`.
fn names_prefetch(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|byte| matches!(byte, b',' | b';'))
        .map(<[u8]>::trim_ascii)
        .any(|token| {
            token.eq_ignore_ascii_case(b"prefetch") || token.eq_ignore_ascii_case(b"prerender")
        })
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, section 11.1).
fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

/// The value of a field that is text.
fn text(field: Option<&HeaderValue>) -> Option<&str> {
    field?.to_str().ok()
}

/// The path without its query, for logs, at most 512 bytes. What is not printable ASCII becomes
/// `?`.
pub(super) fn path_for_logs(request: &RequestHeader) -> String {
    let path = request
        .raw_path()
        .split(|b| *b == b'?')
        .next()
        .unwrap_or_default();
    path.iter()
        .take(512)
        .map(|b| {
            if (0x21..0x7f).contains(b) {
                char::from(*b)
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cookie::CookieNames;
    use crate::model::origin::Scheme;
    use crate::model::target::EncodedSlashes;

    fn read(method: &str, fields: &[(&'static str, &str)]) -> RequestHead {
        let mut request = RequestHeader::build(method, b"/a?b", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        RequestHead::read(&request)
    }

    #[test]
    fn fields_that_must_stand_once_are_counted() {
        let head = read(
            "GET",
            &[
                ("host", "a"),
                ("host", "b"),
                ("authorization", "Bearer A"),
                ("transfer-encoding", "gzip"),
                ("transfer-encoding", "chunked"),
            ],
        );
        let unvalidated = head.unvalidated(b"bytes");
        assert_eq!(unvalidated.target, b"/a?b");
        assert_eq!(unvalidated.fields, 5);
        assert_eq!((unvalidated.hosts, unvalidated.authorizations), (2, 1));
        assert_eq!(unvalidated.transfer_encoding, ["gzip", "chunked"]);
        assert_eq!(head.host().unwrap(), "a");
    }

    #[test]
    fn bearer_tokens_are_read_from_headers() {
        let target = Target::parse(b"/", EncodedSlashes::Reject).unwrap();
        let names = CookieNames::defaults(Scheme::Https);
        let cookies = PresentedCookies::parse(&names, std::iter::empty::<&str>());
        let tokens = |fields: &[(&'static str, &str)]| {
            let head = read("GET", fields);
            let BearerTokens { access, refresh } = head.view(&target, &cookies).bearer;
            (access.map(str::to_owned), refresh.map(str::to_owned))
        };
        let refresh = ("vestibule-refresh-token", "R");
        assert_eq!(
            tokens(&[("authorization", "bEARER  A "), refresh]),
            (Some("A".into()), Some("R".into()))
        );
        assert_eq!(tokens(&[("authorization", "Basic A")]), (None, None));
        assert_eq!(tokens(&[refresh, refresh]), (None, None));
    }

    #[test]
    fn a_browser_shows_itself_by_its_fields() {
        let browser = |fields: &[(&'static str, &str)]| {
            let head = read("GET", fields);
            head.fetch_metadata().is_browser
        };
        assert!(browser(&[("origin", "https://a")]));
        assert!(browser(&[("sec-fetch-dest", "document")]));
        assert!(!browser(&[("accept", "text/html"), ("user-agent", "x")]));
    }

    #[test]
    fn a_prefetch_is_known_by_every_field_that_names_one() {
        let prefetch = |name: &'static str, value: &str| {
            let head = read("GET", &[(name, value)]);
            head.fetch_metadata().is_prefetch
        };
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("sec-purpose", "Prerender"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
        ] {
            assert!(prefetch(name, value), "{name}: {value}");
        }
        for value in ["", "document", "no-prefetch", "prefetching"] {
            assert!(!prefetch("sec-purpose", value), "{value}");
        }
        assert!(!prefetch("x-purpose-of-all", "prefetch"));
    }

    #[test]
    fn a_preflight_is_an_options_request_that_names_a_method() {
        let method = ("access-control-request-method", "PUT");
        let headers = ("access-control-request-headers", "x-a");
        let preflight = |name: &str, fields: &[(&'static str, &str)]| {
            let head = read(name, fields);
            head.fetch_metadata().preflight_headers.map(str::to_owned)
        };
        assert_eq!(preflight("OPTIONS", &[method, headers]), Some("x-a".into()));
        assert_eq!(preflight("OPTIONS", &[method]), Some(String::new()));
        assert_eq!(preflight("OPTIONS", &[headers]), None);
        assert_eq!(preflight("GET", &[method, headers]), None);
    }

    #[test]
    fn logs_get_a_path_without_query_in_printable_ascii() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_raw_path(b"/caf\xc3\xa9?token=x").unwrap();
        assert_eq!(path_for_logs(&request), "/caf??");
        let long = format!("/{}", "a".repeat(600));
        request.set_raw_path(long.as_bytes()).unwrap();
        assert_eq!(path_for_logs(&request).len(), 512);
    }
}
