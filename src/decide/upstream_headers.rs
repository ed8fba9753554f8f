//! The header of a request that goes to the application: what is removed from the client's, and
//! what the gateway sets. `docs/reference/headers.md` lists it for operators.
//!
//! Fields are set, not appended, except for `Via`: no field of the client's stands beside one of
//! the gateway's. Identity headers and forwarded headers are separate values, so that a response
//! without an upstream can carry the identity alone.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, FORWARDED, HOST, InvalidHeaderValue, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::model::constant_upstream_headers::SiteHeaders;
use crate::model::request::RequestView;
use crate::model::site::{Site, ViaField};

use super::client_address::{MAX_IP_LEN, format_ip, push_ip};
use super::facts::{Facts, Known};
use super::verdict::Grant;

const X_AUTH_SITE: HeaderName = HeaderName::from_static("x-auth-site");
pub(super) const X_AUTH_ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// About as many fields as [`UpstreamHeaders::apply`] sets: room for them is made at once.
const MAX_SET: usize = 16;

/// What the gateway makes of the header of a client's request before an application sees it.
pub struct UpstreamHeaders<'a> {
    /// The site, whose managed names are removed.
    pub site: &'a Site,
    /// Who the visitor is.
    pub identity: IdentityFields<'a>,
    /// What becomes of `Authorization`.
    pub authorization: AuthorizationField<'a>,
    /// Who asks, and under which name.
    pub forwarded: ForwardedFields<'a>,
    /// What becomes of the client's trace.
    pub trace: TraceFields<'a>,
}

/// What becomes of `traceparent` and `tracestate`.
#[derive(Clone, Copy)]
pub enum TraceFields<'a> {
    /// They are forwarded as they are.
    Keep,
    /// The client's trace is continued by a span with this `traceparent`.
    Continue(&'a str),
    /// The client's trace cannot be continued: another one begins with this `traceparent`.
    Begin(&'a str),
}

/// The fields that tell who the visitor is, and at which site.
pub struct IdentityFields<'a> {
    /// The identity headers of the signed-in visitor, rendered; empty for an anonymous one.
    pub principal: &'a [(HeaderName, HeaderValue)],
    /// The value of `X-Auth-Site`, which anonymous requests have too: it names nobody.
    pub site: &'a HeaderValue,
    /// The value of `X-Auth-Assertion`, where the site sends one.
    pub assertion: Option<HeaderValue>,
}

/// What becomes of the client's `Authorization` field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationField<'a> {
    /// It was not meant for the gateway: the application gets it.
    Keep,
    /// The gateway used it: the application does not get it.
    Remove,
    /// `Bearer` and this access token, whatever the client sent (`forward_token`).
    SetBearer(&'a str),
}

/// The fields that tell where a request came from.
#[derive(Clone, Copy)]
pub struct ForwardedFields<'a> {
    /// The value of `X-Request-Id`.
    pub request_id: &'a str,
    /// The protocol that the request was received over.
    pub received: Version,
    /// The values that all requests of the site share.
    pub site: &'a SiteHeaders,
    /// The peer of the connection.
    pub peer: IpAddr,
    /// `peer` as text.
    pub peer_text: &'a HeaderValue,
    /// The client: the peer, unless a trusted proxy named another.
    pub client: IpAddr,
    /// The value of `X-Forwarded-For`, where that is not the peer alone.
    pub forwarded_for: Option<&'a HeaderValue>,
    /// The `Forwarded` value of a trusted proxy, which this hop is added to.
    pub earlier: Option<&'a str>,
}

impl IdentityFields<'_> {
    /// Calls `set` with the name and value of each field.
    pub fn for_each(self, mut set: impl FnMut(HeaderName, HeaderValue)) {
        for (name, value) in self.principal {
            set(name.clone(), value.clone());
        }
        set(X_AUTH_SITE, self.site.clone());
        if let Some(assertion) = self.assertion {
            set(X_AUTH_ASSERTION, assertion);
        }
    }
}

impl ForwardedFields<'_> {
    /// Calls `set` with the name and value of each field.
    ///
    /// # Errors
    /// Where the request id or `earlier` holds a byte that no header value may hold. Values that
    /// were read from a header never do.
    pub fn for_each(
        self,
        mut set: impl FnMut(HeaderName, HeaderValue),
    ) -> Result<(), InvalidHeaderValue> {
        set(X_REQUEST_ID, HeaderValue::from_str(self.request_id)?);
        set(X_FORWARDED_PROTO, self.site.proto.clone());
        set(X_FORWARDED_HOST, self.site.host.clone());
        set(X_FORWARDED_PORT, self.site.port.clone());
        let forwarded = forwarded_value(self.earlier, self.peer, &self.site.forwarded);
        set(FORWARDED, HeaderValue::try_from(forwarded)?);
        let forwarded_for = self.forwarded_for.unwrap_or(self.peer_text);
        set(X_FORWARDED_FOR, forwarded_for.clone());
        let real_ip = if self.client == self.peer {
            self.peer_text.clone()
        } else {
            HeaderValue::try_from(format_ip(self.client))?
        };
        set(X_REAL_IP, real_ip);
        Ok(())
    }
}

/// The gateway's element of `Via`, which names the protocol that the request was received over (RFC
/// 9110, section 7.6.3).
fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_2 => "2 vestibule",
        Version::HTTP_10 => "1.0 vestibule",
        _ => "1.1 vestibule",
    })
}

impl UpstreamHeaders<'_> {
    /// Changes the client's header into the application's.
    ///
    /// # Errors
    /// Where the access token, the request id or `upstream_host` holds a byte that no header value
    /// may hold. The header is half changed then, and must not be sent.
    pub fn apply(self, fields: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        for name in removals(self.site, fields) {
            fields.remove(name);
        }
        fields.reserve(MAX_SET);
        self.identity
            .for_each(|name, value| drop(fields.insert(name, value)));
        match self.authorization {
            AuthorizationField::Keep => {}
            AuthorizationField::Remove => drop(fields.remove(AUTHORIZATION)),
            AuthorizationField::SetBearer(token) => {
                let value = HeaderValue::try_from(format!("Bearer {token}"))?;
                fields.insert(AUTHORIZATION, value);
            }
        }
        self.forwarded
            .for_each(|name, value| drop(fields.insert(name, value)))?;
        self.trace.apply(fields)?;
        // A line of its own means the same as an element at the end of a list (RFC 9110, section
        // 5.3), and keeps the lines before it. Each try starts from the client's header, so a
        // retry does not name the gateway twice.
        match self.site.via {
            ViaField::Append => {
                fields.append(VIA, via(self.forwarded.received));
            }
            ViaField::Omit => drop(fields.remove(VIA)),
        }
        if let Some(host) = &self.site.upstream_host {
            fields.insert(HOST, HeaderValue::from_str(host)?);
        }
        Ok(())
    }
}

impl TraceFields<'_> {
    fn apply(self, fields: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        let traceparent = match self {
            Self::Keep => return Ok(()),
            Self::Continue(traceparent) => traceparent,
            Self::Begin(traceparent) => {
                fields.remove(TRACESTATE);
                traceparent
            }
        };
        fields.insert(TRACEPARENT, HeaderValue::from_str(traceparent)?);
        Ok(())
    }
}

/// The names in a client's header that must not reach the application: everything the gateway
/// manages, in every spelling, and what carries a service token, on every route.
#[must_use]
pub fn removals(site: &Site, headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .keys()
        .filter(|name| site.manages_header(name))
        .chain(site.service_tokens.fields_to_remove(headers))
        .cloned()
        .collect()
}

/// The access token that a site with `forward_token` sends along: the one of a refresh on this
/// request, else that of the login with Basic credentials, else the one that the session keeps,
/// else the one that the client sent, if it was verified.
#[must_use]
pub fn forwarded_token(
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
    grant: &Grant<'_>,
) -> Option<Arc<str>> {
    if !site.forward_token {
        return None;
    }
    if let Known::Found(renewed) = &facts.refresh {
        return Some(Arc::clone(&renewed.access));
    }
    if let Known::Found(login) = &facts.basic {
        return Some(Arc::clone(&login.access));
    }
    if let Known::Found(session) = &facts.session {
        return session.access.clone();
    }
    let presented = if grant.used_authorization() {
        request.bearer.access
    } else {
        request.cookies.access.value()
    };
    presented
        .filter(|_| matches!(facts.token, Known::Found(_)))
        .map(Arc::from)
}

/// The value of `Forwarded` (RFC 7239): what a trusted proxy said before, then this hop. `site` is
/// the part that is the same for every request of a site, see [`SiteHeaders::forwarded`].
#[must_use]
pub fn forwarded_value(earlier: Option<&str>, peer: IpAddr, site: &str) -> String {
    let mut value =
        String::with_capacity(earlier.map_or(0, str::len) + site.len() + MAX_IP_LEN + 10);
    value.extend(earlier.into_iter().flat_map(|earlier| [earlier, ", "]));
    let peer = peer.to_canonical();
    let (open, close) = if peer.is_ipv4() {
        ("for=", "")
    } else {
        ("for=\"[", "]\"")
    };
    value.push_str(open);
    push_ip(&mut value, peer);
    value.push_str(close);
    value.push_str(site);
    value
}

/// Whether a client's `X-Request-Id` may be kept: 1 to 128 of `A-Za-z0-9-_.`.
#[must_use]
pub fn is_valid_request_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hop_is_added_to_what_a_trusted_proxy_said() {
        let at = |peer: &str| forwarded_value(Some("for=a"), peer.parse().unwrap(), ";proto=http");
        assert_eq!(at("10.0.0.1"), "for=a, for=10.0.0.1;proto=http");
        assert_eq!(at("::ffff:10.0.0.1"), "for=a, for=10.0.0.1;proto=http");
        assert_eq!(at("2001:db8::1"), "for=a, for=\"[2001:db8::1]\";proto=http");
        let alone = forwarded_value(None, "10.0.0.1".parse().unwrap(), ";proto=http");
        assert_eq!(alone, "for=10.0.0.1;proto=http");
    }

    #[test]
    fn request_ids_of_clients_are_kept_only_when_harmless() {
        assert!(is_valid_request_id("aZ09-_."));
        for bad in ["", "a b", "a\nb", "é", &"a".repeat(129)] {
            assert!(!is_valid_request_id(bad), "{bad:?}");
        }
    }
}
