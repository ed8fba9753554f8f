//! Messages of identity providers that end sign-ins, and the answers to them.

use super::reason::Reason;

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// A webhook of FusionAuth.
    Fusionauth,
    /// A logout token (OIDC Back-Channel Logout 1.0).
    BackchannelLogout,
}

impl HookKind {
    /// The largest body, in bytes.
    #[must_use]
    pub const fn max_body(self) -> usize {
        match self {
            // Events carry whole users, with whatever an application stores about them.
            Self::Fusionauth => 256 * 1024,
            Self::BackchannelLogout => 16 * 1024,
        }
    }

    /// The media type of the body.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Fusionauth => "application/json",
            Self::BackchannelLogout => "application/x-www-form-urlencoded",
        }
    }
}

/// The answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookAnswer {
    /// The kind of the message.
    pub kind: HookKind,
    /// The status code.
    pub status: u16,
    /// `own_endpoint` where the message was accepted.
    pub reason: Reason,
    /// What is wrong with a message that was refused.
    pub detail: Option<String>,
}

impl HookAnswer {
    /// The message was accepted: what it ends has ended, or it ends nothing.
    #[must_use]
    pub const fn accepted(kind: HookKind) -> Self {
        Self {
            kind,
            status: 200,
            reason: Reason::OwnEndpoint,
            detail: None,
        }
    }

    /// The value of `Retry-After`, in seconds.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u32> {
        match self.status {
            429 | 503 => Some(1),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate`.
    #[must_use]
    pub const fn challenge(&self) -> Option<&'static str> {
        match self.status {
            401 => Some("Bearer"),
            _ => None,
        }
    }

    /// The media type and the text of the body; `None` for an empty one. A logout token that is
    /// refused gets an OAuth error (OIDC Back-Channel Logout 1.0, section 2.8), everything else a
    /// problem document (RFC 9457).
    #[must_use]
    pub fn body(&self, request_id: &str) -> Option<(&'static str, String)> {
        if self.status == 200 {
            return None;
        }
        if self.kind == HookKind::BackchannelLogout && self.status == 400 {
            let body = serde_json::json!({
                "error": "invalid_request",
                "error_description": self.detail,
            });
            return Some(("application/json", body.to_string()));
        }
        let mut body = serde_json::Map::new();
        body.insert("type".to_owned(), "about:blank".into());
        body.insert("title".to_owned(), self.reason.title().into());
        body.insert("status".to_owned(), self.status.into());
        body.insert("code".to_owned(), self.reason.as_str().into());
        if let Some(detail) = &self.detail {
            body.insert("detail".to_owned(), detail.as_str().into());
        }
        body.insert("requestId".to_owned(), request_id.into());
        let body = serde_json::Value::Object(body);
        Some(("application/problem+json", body.to_string()))
    }
}
