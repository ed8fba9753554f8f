//! Whether an application takes `X_Auth_Email` for `X-Auth-Email`, as servers do that pass header
//! fields on as environment variables (CGI, WSGI, Rack, PHP).
//!
//! The application is asked with fields that name nobody: a forged identity might create a user.

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue};

use super::finding::{Finding, Topic};
use crate::model::site::Site;
use crate::proxy::{ProbeRequest, ProbeResponse, UpstreamProbe};
use crate::system;

const WITH_HYPHENS: HeaderName = HeaderName::from_static("x-vestibule-doctor");
const WITH_UNDERSCORES: HeaderName = HeaderName::from_static("x_vestibule_doctor");
const CONDITION_WITH_UNDERSCORES: HeaderName = HeaderName::from_static("if_none_match");

/// How much of a page before a value tells which header it is the value of, in bytes.
const CONTEXT: usize = 24;

/// What an application does with names with `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folding {
    /// They are other names, or there are none.
    Apart,
    /// They are the same as those with `-`.
    Folded,
    /// Its responses do not tell.
    Unknown,
}

/// Asks an upstream that has given this response.
pub(super) async fn examine(
    probe: &UpstreamProbe,
    request: ProbeRequest<'_>,
    response: &ProbeResponse,
) -> Folding {
    let by_echo = by_echo(probe, request).await;
    if by_echo != Folding::Unknown {
        return by_echo;
    }
    by_condition(probe, request, response).await
}

/// An application that shows the fields that it gets.
async fn by_echo(probe: &UpstreamProbe, request: ProbeRequest<'_>) -> Folding {
    let shown = async |name: HeaderName| -> Option<Shown> {
        let value = system::unique_id();
        let field = HeaderValue::try_from(&value).ok()?;
        let fields = [(name, field)];
        let request = ProbeRequest {
            fields: &fields,
            ..request
        };
        let response = probe.get(request).await.ok()?;
        Some(Shown::find(&response.body, value.as_bytes()))
    };
    let (Some(Shown::After(hyphens)), Some(underscores)) =
        (shown(WITH_HYPHENS).await, shown(WITH_UNDERSCORES).await)
    else {
        return Folding::Unknown;
    };
    if underscores == Shown::After(hyphens) {
        Folding::Folded
    } else {
        Folding::Apart
    }
}

/// Whether a page shows a value.
#[derive(PartialEq, Eq)]
enum Shown {
    Nowhere,
    /// It does, after this text.
    After(Vec<u8>),
}

impl Shown {
    fn find(page: &[u8], value: &[u8]) -> Self {
        memchr::memmem::find(page, value).map_or(Self::Nowhere, |at| {
            let context = page.get(at.saturating_sub(CONTEXT)..at);
            Self::After(context.unwrap_or_default().to_vec())
        })
    }
}

/// An application that answers conditional requests (RFC 9110, section 13.1.2).
async fn by_condition(
    probe: &UpstreamProbe,
    request: ProbeRequest<'_>,
    response: &ProbeResponse,
) -> Folding {
    let Some(etag) = response.headers.get(ETAG) else {
        return Folding::Unknown;
    };
    let is_unmodified = async |name: HeaderName| -> Option<bool> {
        let fields = [(name, etag.clone())];
        let request = ProbeRequest {
            fields: &fields,
            ..request
        };
        let response = probe.get(request).await.ok()?;
        Some(response.status == 304)
    };
    if is_unmodified(IF_NONE_MATCH).await != Some(true) {
        return Folding::Unknown;
    }
    match is_unmodified(CONDITION_WITH_UNDERSCORES).await {
        Some(true) => Folding::Folded,
        Some(false) => Folding::Apart,
        None => Folding::Unknown,
    }
}

impl Folding {
    pub(super) fn finding(self, topic: &Topic, site: &Site) -> Finding {
        match self {
            Self::Apart => topic.ok("it does not take header names with `_` for those with `-`"),
            Self::Folded => {
                let hint = if site.forward_auth {
                    "the proxy that asks the gateway must drop header names with `_`"
                } else {
                    "the gateway drops them: see that nobody reaches it around the gateway"
                };
                topic.warn("it takes `X_Auth_Email` for `X-Auth-Email`", hint)
            }
            Self::Unknown if site.forward_auth => topic.warn(
                "its responses do not show whether it takes `X_Auth_Email` for `X-Auth-Email`",
                "let the proxy that asks the gateway drop header names with `_`",
            ),
            Self::Unknown => topic.ok(
                "its responses do not show whether it takes `X_Auth_Email` for `X-Auth-Email`; the \
                 gateway drops such names",
            ),
        }
    }
}
