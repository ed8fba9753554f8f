//! Who a verified credential proves.

use serde_json::{Map, Value};

/// A person, as the provider's verified access token describes them.
///
/// The stable identifier is the provider's issuer together with `sub`, never the e-mail address,
/// which people change and providers hand to somebody else (threat model, R-12).
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The provider's identifier of the person: the `sub` claim.
    pub sub: String,
    /// The `email` claim.
    pub email: Option<String>,
    /// The `email_verified` claim; absent counts as no.
    pub email_verified: bool,
    /// The `preferred_username` claim.
    pub username: Option<String>,
    /// The `roles` claim, in the provider's order.
    pub roles: Vec<String>,
    /// Every claim, for `{claim.NAME}` in header templates.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// Reads the claims of a token that was verified. `None` when `sub` is not text.
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

    /// Whether this person has at least one of `wanted`; an empty list asks for nothing.
    #[must_use]
    pub fn has_any_role(&self, wanted: &[String]) -> bool {
        wanted.is_empty() || wanted.iter().any(|role| self.roles.contains(role))
    }
}
