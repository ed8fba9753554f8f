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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: HookKind, status: u16) -> HookAnswer {
        HookAnswer {
            kind,
            status,
            reason: Reason::HookRefused,
            detail: Some("why".to_owned()),
        }
    }

    #[test]
    fn each_kind_has_a_body_of_its_own() {
        let (webhook, logout) = (HookKind::Fusionauth, HookKind::BackchannelLogout);
        assert_eq!(webhook.max_body(), 262_144);
        assert_eq!(logout.max_body(), 16_384);
        assert_eq!(webhook.media_type(), "application/json");
        assert_eq!(logout.media_type(), "application/x-www-form-urlencoded");
    }

    #[test]
    fn a_sender_is_told_when_to_come_back_and_how_to_authenticate() {
        for (status, retry_after, challenge) in [
            (400, None, None),
            (401, None, Some("Bearer")),
            (429, Some(1), None),
            (503, Some(1), None),
        ] {
            let answer = refused(HookKind::Fusionauth, status);
            assert_eq!(answer.retry_after(), retry_after, "{status}");
            assert_eq!(answer.challenge(), challenge, "{status}");
        }
    }

    #[test]
    fn a_refusal_says_why_in_the_form_of_its_protocol() {
        let (webhook, logout) = (HookKind::Fusionauth, HookKind::BackchannelLogout);
        assert_eq!(HookAnswer::accepted(logout).body("r1"), None);
        let oauth = serde_json::json!({ "error": "invalid_request", "error_description": "why" });
        let (media_type, body) = refused(logout, 400).body("r1").unwrap();
        assert_eq!(media_type, "application/json");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&body).unwrap(),
            oauth
        );
        for (kind, status) in [(logout, 503), (webhook, 400), (webhook, 401)] {
            let (media_type, body) = refused(kind, status).body("r1").unwrap();
            assert_eq!(media_type, "application/problem+json");
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            let expected = serde_json::json!({
                "type": "about:blank", "title": Reason::HookRefused.title(), "status": status,
                "code": "hook_refused", "detail": "why", "requestId": "r1",
            });
            assert_eq!(problem, expected);
        }
    }
}
