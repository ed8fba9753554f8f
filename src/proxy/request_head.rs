//! The parts of a request's head that validation and policy look at, read from Pingora's form of
//! it.
//!
//! A [`RequestHead`] owns what it needs (header values are shared, not copied), so that the loop of
//! questions and answers can read the body meanwhile.
//!
//! A field may be there more than once, and its lines mean one list (RFC 9110, section 5.3). So the
//! lines of a list are joined. Of a field that has one value, several lines have none: they count
//! as a value that nobody looks for, and where even that could be misread, as malformed.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use pingora::http::RequestHeader;

use crate::decide::forward_auth::OriginalRequest;
use crate::decide::request_validation::{FieldCounts, UnvalidatedHead};
use crate::decide::trace_context::is_traceparent;
use crate::model::authorization::{BasicCredentials, bearer_jwt};
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::request_cookies::PresentedCookies;
use crate::model::rule::RuleClient;
use crate::model::service_token::{self, ServiceTokens};
use crate::model::target::Target;

use super::field_lines::{join, lists, only};

/// The parts of a request's head that are looked at, taken in one walk over its fields.
#[derive(Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one request, not a state"
)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    version: Version,
    /// The target of the request line as received.
    pub(super) target: Vec<u8>,
    /// The number of header fields.
    fields: usize,
    cookies: Vec<HeaderValue>,
    accept: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    /// The field that the site reads service tokens from, see [`Self::read_token_header`].
    token_header: Option<HeaderValue>,
    refresh_tokens: Vec<HeaderValue>,
    origin: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    fetch_mode: Option<HeaderValue>,
    fetch_site: Option<HeaderValue>,
    /// Whether there is any `Sec-Fetch-*` field.
    has_fetch_metadata: bool,
    is_prefetch: bool,
    has_requested_with: bool,
    /// Whether `User-Agent` begins with `Mozilla/`.
    has_browser_agent: bool,
    /// Whether `Upgrade` lists `websocket`.
    upgrades_to_websocket: bool,
    /// Whether `Connection` lists `upgrade`.
    connection_upgrade: bool,
    preflight: Option<HeaderValue>,
    host: Option<HeaderValue>,
    counts: FieldCounts,
    traceparent: Option<HeaderValue>,
    has_tracestate: bool,
    transfer_encoding: Vec<HeaderValue>,
    expectations: Vec<HeaderValue>,
    /// The client's `X-Request-Id`.
    pub(super) request_id: Option<HeaderValue>,
    /// The `X-Forwarded-For` fields, trusted or not.
    pub(super) forwarded_for: Vec<HeaderValue>,
    /// The last `X-Forwarded-Proto` field, trusted or not.
    pub(super) forwarded_proto: Option<HeaderValue>,
    /// The `Forwarded` fields, trusted or not.
    pub(super) forwarded: Vec<HeaderValue>,
}

impl RequestHead {
    /// Copies out what is needed. It refuses nothing.
    pub(super) fn read(request: &RequestHeader) -> Self {
        let mut head = Self {
            method: request.method.clone(),
            version: request.version,
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

    /// Reads the header that carries service tokens at the request's site.
    pub(super) fn read_token_header(&mut self, request: &RequestHeader, tokens: &ServiceTokens) {
        let Some(name) = tokens.header.as_ref().filter(|_| !tokens.is_empty()) else {
            return;
        };
        for value in request.headers.get_all(name) {
            only(&mut self.token_header, value);
        }
    }

    /// Turns the head of a proxy's question into that of the client's request, which the proxy has
    /// passed on but for method, target and host. It passes no field that is for one connection, so
    /// a WebSocket handshake shows by its key alone (RFC 6455, section 4.1).
    pub(super) fn become_original(
        &mut self,
        original: OriginalRequest,
        host: HeaderValue,
        fields: &HeaderMap,
    ) {
        let is_websocket = fields.contains_key(header::SEC_WEBSOCKET_KEY);
        self.method = original.method;
        self.target = original.target;
        self.host = Some(host);
        self.version = Version::HTTP_11;
        self.upgrades_to_websocket |= is_websocket;
        self.connection_upgrade |= is_websocket;
        self.preflight = None;
        if self.method == Method::OPTIONS {
            self.preflight = preflight(fields);
        }
    }

    fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            header::COOKIE => self.cookies.push(value.clone()),
            header::TRANSFER_ENCODING => self.transfer_encoding.push(value.clone()),
            header::EXPECT => self.expectations.push(value.clone()),
            header::FORWARDED => self.forwarded.push(value.clone()),
            header::CONTENT_LENGTH => {
                self.counts.lengths += 1 + memchr::memchr_iter(b',', value.as_bytes()).count();
            }
            header::HOST => {
                self.counts.hosts += 1;
                only(&mut self.host, value);
            }
            header::AUTHORIZATION => {
                self.counts.authorizations += 1;
                only(&mut self.authorization, value);
            }
            header::ORIGIN => {
                self.counts.origins += 1;
                only(&mut self.origin, value);
            }
            header::ACCEPT => join(&mut self.accept, value),
            header::REFERER => only(&mut self.referer, value),
            header::USER_AGENT => {
                self.has_browser_agent |= value.as_bytes().starts_with(b"Mozilla/");
            }
            header::UPGRADE => self.upgrades_to_websocket |= lists(value, b"websocket"),
            header::CONNECTION => self.connection_upgrade |= lists(value, b"upgrade"),
            _ => self.add_by_text(name.as_str(), value),
        }
    }

    /// Adds a field whose name has no constant in `http`.
    fn add_by_text(&mut self, name: &str, value: &HeaderValue) {
        self.has_fetch_metadata |= name.starts_with("sec-fetch-");
        match name {
            "vestibule-refresh-token" => self.refresh_tokens.push(value.clone()),
            "x-forwarded-for" => self.forwarded_for.push(value.clone()),
            "x-forwarded-proto" => self.forwarded_proto = Some(value.clone()),
            "x-requested-with" => self.has_requested_with = true,
            "sec-purpose" | "purpose" | "x-moz" => self.is_prefetch |= names_prefetch(value),
            "sec-fetch-mode" => only(&mut self.fetch_mode, value),
            "sec-fetch-site" => only(&mut self.fetch_site, value),
            // It proves nothing and only has to be harmless: any of them will do.
            "x-request-id" => drop(self.request_id.get_or_insert_with(|| value.clone())),
            "traceparent" => only(&mut self.traceparent, value),
            "tracestate" => self.has_tracestate = true,
            _ => {}
        }
    }

    /// What is validated before anything else. `bytes` is the head as received, where the protocol
    /// has such a form.
    pub(super) fn unvalidated<'a>(&'a self, bytes: &'a [u8]) -> UnvalidatedHead<'a> {
        UnvalidatedHead {
            method: &self.method,
            target: &self.target,
            version: self.version,
            fields: self.fields,
            bytes,
            transfer_encoding: &self.transfer_encoding,
            expectations: &self.expectations,
            counts: self.counts,
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
            is_websocket: self.is_websocket(),
            preflight_headers: self
                .preflight
                .as_ref()
                .map(|value| value.to_str().unwrap_or_default()),
            is_prefetch: self.is_prefetch,
            is_browser: self.has_fetch_metadata || self.origin.is_some(),
            has_browser_agent: self.has_browser_agent,
        }
    }

    /// Whether this is a WebSocket handshake (RFC 6455, section 4.1). Without `Connection: Upgrade`
    /// the `Upgrade` field was meant for another hop (RFC 9110, section 7.8).
    fn is_websocket(&self) -> bool {
        self.upgrades_to_websocket
            && self.connection_upgrade
            && self.method == Method::GET
            && self.version == Version::HTTP_11
    }

    /// Whether the client's trace cannot be continued, because its `traceparent` is none.
    pub(super) fn has_invalid_trace(&self) -> bool {
        match &self.traceparent {
            Some(value) => !is_traceparent(value.as_bytes()),
            None => self.has_tracestate,
        }
    }

    /// The `Host` field as received.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// Whether a body follows, or may follow after an upgrade.
    pub(super) fn has_body(&self) -> bool {
        !self.transfer_encoding.is_empty() || self.counts.lengths > 0 || self.is_websocket()
    }

    /// The view that policy sees.
    pub(super) fn view<'a>(
        &'a self,
        target: &'a Target<'a>,
        cookies: &'a PresentedCookies<'a>,
        client: RuleClient<'a>,
    ) -> RequestView<'a> {
        RequestView {
            method: &self.method,
            target,
            cookies,
            bearer: self.bearer(),
            basic: text(self.authorization.as_ref()).and_then(BasicCredentials::parse),
            fetch_metadata: self.fetch_metadata(),
            client,
        }
    }

    fn bearer(&self) -> BearerTokens<'_> {
        BearerTokens {
            access: self
                .authorization
                .as_ref()
                .and_then(|value| bearer_jwt(value.to_str().ok()?)),
            refresh: match &*self.refresh_tokens {
                [one] => one.to_str().ok(),
                // Which of two is the client's cannot be told.
                _ => None,
            },
            service: self.service_token(),
        }
    }

    fn service_token(&self) -> Option<&str> {
        let in_authorization =
            text(self.authorization.as_ref()).and_then(service_token::bearer_service_token);
        in_authorization.or_else(|| {
            let value = text(self.token_header.as_ref())?;
            value.starts_with(service_token::PREFIX).then_some(value)
        })
    }
}

/// The header names that a CORS preflight asks for, empty where it asks for none. `None` where the
/// request is no preflight.
fn preflight(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut names = None;
    for value in headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        join(&mut names, value);
    }
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

/// The value of a field that is text.
fn text(field: Option<&HeaderValue>) -> Option<&str> {
    field?.to_str().ok()
}

#[cfg(test)]
mod tests;
