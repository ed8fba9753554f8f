//! From bytes to a view: the parts of a request's head that policy looks at, and the hygiene before
//! it.
//!
//! A [`RequestHead`] owns what it needs (header values are shared, not copied), so that the loop of
//! questions and answers can go on reading the body meanwhile.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;

use crate::model::cookie::PresentedCookies;
use crate::model::origin::Host;
use crate::model::reason::Reason;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::target::{EncodedSlashes, Target, TargetError};

use super::upstream::{X_FORWARDED_FOR, X_REQUEST_ID};

/// The most header fields taken.
const MAX_FIELDS: usize = 100;
/// The most bytes of header fields taken.
const MAX_FIELD_BYTES: usize = 16 * 1024;

/// Why a request is refused before anybody asks what it wants: the reason and the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) reason: Reason,
    pub(super) status: u16,
}

const MALFORMED: Rejection = Rejection {
    reason: Reason::MalformedRequest,
    status: 400,
};

impl From<TargetError> for Rejection {
    fn from(fault: TargetError) -> Self {
        match fault {
            TargetError::Malformed => MALFORMED,
            TargetError::TooLong => Self {
                reason: Reason::RequestTooLarge,
                status: 414,
            },
        }
    }
}

/// The parts of a request's head that decisions are made of, taken in one walk over its fields.
#[derive(Clone, Default)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    /// The target in origin-form, as bytes on the wire.
    pub(super) target: Vec<u8>,
    /// The `Cookie` fields.
    cookies: Vec<HeaderValue>,
    accept: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    refresh_tokens: Vec<HeaderValue>,
    origin: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    fetch_mode: Option<HeaderValue>,
    fetch_site: Option<HeaderValue>,
    requested_with: bool,
    upgrade: Option<HeaderValue>,
    preflight: Option<HeaderValue>,
    fetch: bool,
    host: Option<HeaderValue>,
    hosts: usize,
    has_length: bool,
    authorizations: usize,
    codings: Vec<HeaderValue>,
    /// Theirs.
    pub(super) request_id: Option<HeaderValue>,
    /// What stands in `X-Forwarded-For`, believed or not.
    pub(super) forwarded_for: Vec<HeaderValue>,
    /// What stands in `Forwarded`.
    pub(super) forwarded: Vec<HeaderValue>,
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REFRESH_TOKEN: HeaderName = HeaderName::from_static("vestibule-refresh-token");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

impl RequestHead {
    /// Copies out what is needed; refuses nothing yet.
    pub(super) fn of(request: &RequestHeader) -> Self {
        let mut head = Self {
            method: request.method.clone(),
            target: request.raw_path().to_vec(),
            ..Self::default()
        };
        for (name, value) in &request.headers {
            let slot = match *name {
                header::COOKIE => {
                    head.cookies.push(value.clone());
                    continue;
                }
                header::TRANSFER_ENCODING => {
                    head.codings.push(value.clone());
                    continue;
                }
                header::FORWARDED => {
                    head.forwarded.push(value.clone());
                    continue;
                }
                header::CONTENT_LENGTH => {
                    head.has_length = true;
                    continue;
                }
                header::HOST => {
                    head.hosts += 1;
                    &mut head.host
                }
                header::AUTHORIZATION => {
                    head.authorizations += 1;
                    &mut head.authorization
                }
                header::ACCEPT => &mut head.accept,
                header::ORIGIN => &mut head.origin,
                header::REFERER => &mut head.referer,
                header::UPGRADE => &mut head.upgrade,
                ref name if name.as_str().starts_with("sec-fetch-") => {
                    head.fetch = true;
                    match name {
                        name if *name == SEC_FETCH_MODE => &mut head.fetch_mode,
                        name if *name == SEC_FETCH_SITE => &mut head.fetch_site,
                        _ => continue,
                    }
                }
                ref name if *name == REFRESH_TOKEN => {
                    head.refresh_tokens.push(value.clone());
                    continue;
                }
                ref name if *name == X_FORWARDED_FOR => {
                    head.forwarded_for.push(value.clone());
                    continue;
                }
                ref name if *name == X_REQUEST_ID => &mut head.request_id,
                ref name if *name == X_REQUESTED_WITH => {
                    head.requested_with = true;
                    continue;
                }
                _ => continue,
            };
            // Of a field that stands more than once the first counts.
            slot.get_or_insert_with(|| value.clone());
        }
        if head.method == Method::OPTIONS {
            head.preflight = preflight(&request.headers);
        }
        head
    }

    /// The request's `Cookie` fields.
    pub(super) fn cookie_fields(&self) -> impl Iterator<Item = &HeaderValue> {
        self.cookies.iter()
    }

    /// The marks by which clients are told apart.
    pub(super) fn marks(&self) -> FetchMetadata<'_> {
        FetchMetadata {
            accept: self.accept.as_ref().and_then(|value| value.to_str().ok()),
            authorization: self.authorization.is_some(),
            // An `Origin` that is no text is nobody's own.
            origin: self
                .origin
                .as_ref()
                .map(|value| value.to_str().unwrap_or("null")),
            referer: self.referer.as_ref().and_then(|value| value.to_str().ok()),
            fetch_mode: self
                .fetch_mode
                .as_ref()
                .and_then(|value| value.to_str().ok()),
            fetch_site: self
                .fetch_site
                .as_ref()
                .and_then(|value| value.to_str().ok()),
            requested_with: self.requested_with,
            websocket: self.upgrade.as_ref().is_some_and(|value| {
                value
                    .as_bytes()
                    .windows(9)
                    .any(|part| part.eq_ignore_ascii_case(b"websocket"))
            }),
            preflight: self
                .preflight
                .as_ref()
                .map(|value| value.to_str().unwrap_or_default()),
            browser: self.fetch || self.origin.is_some(),
        }
    }

    /// The `Host` field, as it came.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// Whether the body comes in chunks, or the head says so.
    pub(super) fn is_chunked(&self) -> bool {
        !self.codings.is_empty()
    }

    /// Whether a body is sent, or may be after an upgrade.
    pub(super) fn sends(&self) -> bool {
        self.is_chunked() || self.has_length || self.upgrade.is_some()
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
            marks: self.marks(),
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
                // Nobody can say which of two is the client's.
                _ => None,
            },
        }
    }
}

/// What a preflight wants to send, empty where it names nothing.
fn preflight(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    Some(wanted.unwrap_or(HeaderValue::from_static("")))
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, section 11.1).
fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

/// The path without its query, for logs; what is not printable ASCII becomes `?`.
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

/// Everything about the head that does not depend on the site, but for what its host is.
pub(super) fn validate_head(
    head: &RequestHead,
    request: &RequestHeader,
    raw_head: &[u8],
) -> Result<(), Rejection> {
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Err(Rejection {
            reason: Reason::MethodNotAllowed,
            status: 405,
        });
    }
    if head.target.len() > crate::model::target::MAX_TARGET {
        return Err(TargetError::TooLong.into());
    }
    let field_bytes = raw_head.len().saturating_sub(head.target.len());
    if request.headers.len() > MAX_FIELDS || field_bytes > MAX_FIELD_BYTES {
        return Err(Rejection {
            reason: Reason::RequestTooLarge,
            status: 431,
        });
    }
    validate_framing(&head.codings, raw_head)?;
    if head.authorizations > 1 || head.hosts != 1 {
        Err(MALFORMED)
    } else {
        Ok(())
    }
}

/// Where a body ends must be beyond doubt: two programs that disagree about it see two different
/// requests.
fn validate_framing(codings: &[HeaderValue], raw_head: &[u8]) -> Result<(), Rejection> {
    let coding = match codings {
        [] => return Ok(()),
        [one] => one,
        _ => return Err(MALFORMED),
    };
    // Pingora has dropped `Content-Length` from the parsed head by now: the bytes still tell.
    let both = raw_head.split(|b| *b == b'\n').any(|line| {
        line.get(..15)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:"))
    });
    if both || coding.as_bytes() != b"chunked" {
        Err(MALFORMED)
    } else {
        Ok(())
    }
}

/// What the `Host` field says.
pub(super) fn validate_host(head: &RequestHead) -> Result<Host, Rejection> {
    head.host()
        .and_then(|host| host.to_str().ok())
        .and_then(Host::parse)
        .ok_or(MALFORMED)
}

/// `http://authority/path` as origin-form, when the authority is the host's; other targets as they
/// are.
pub(super) fn origin_form(target: &[u8], host: &Host) -> Result<Option<Vec<u8>>, Rejection> {
    let Some(rest) = target
        .strip_prefix(b"http://")
        .or_else(|| target.strip_prefix(b"https://"))
    else {
        return Ok(None);
    };
    let at = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let authority = std::str::from_utf8(authority)
        .ok()
        .and_then(Host::parse)
        .ok_or(MALFORMED)?;
    if authority != *host {
        return Err(MALFORMED);
    }
    Ok(Some(match path.first() {
        None => b"/".to_vec(),
        Some(b'?') => [b"/", path].concat(),
        Some(_) => path.to_vec(),
    }))
}

/// The judged target.
pub(super) fn validate_target(
    head: &RequestHead,
    slashes: EncodedSlashes,
) -> Result<Target<'_>, Rejection> {
    Target::parse(&head.target, slashes).map_err(Rejection::from)
}
