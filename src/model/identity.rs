//! The user that a verified credential proves.

use serde_json::{Map, Value};

/// A user, as the provider's verified access token describes them.
///
/// The stable identifier is the provider's issuer together with `sub`, never the e-mail address,
/// which users change and providers assign to somebody else (threat model, R-12).
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The provider's identifier of the user: the `sub` claim.
    pub sub: String,
    /// The e-mail address: the `email` claim.
    pub email: Option<String>,
    /// The `email_verified` claim; absent counts as no.
    pub email_verified: bool,
    /// The username: the `preferred_username` claim.
    pub username: Option<String>,
    /// The `roles` claim, in the provider's order.
    pub roles: Vec<String>,
    /// Every claim, for `{claim.NAME}` in header templates.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// Reads the claims of a verified token; `None` where `sub` is not a string.
    #[must_use]
    pub fn from_claims(claims: Map<String, Value>) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let roles = match claims.get("roles") {
            Some(Value::Array(roles)) => roles
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        Some(Self {
            sub: text("sub")?,
            email: text("email"),
            email_verified: claims
                .get("email_verified")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            username: text("preferred_username"),
            roles,
            claims,
        })
    }

    /// Whether the user has at least one of the roles `wanted`; an empty list requires none.
    #[must_use]
    pub fn has_any_role(&self, wanted: &[String]) -> bool {
        wanted.is_empty() || wanted.iter().any(|role| self.roles.contains(role))
    }
}
