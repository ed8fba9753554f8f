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

/// Which claims hold what providers name differently. A name with dots that is no claim is a path
/// into claims that are objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The claim of the roles.
    pub roles: String,
    /// The claim of the username.
    pub username: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            roles: "roles".into(),
            username: "preferred_username".into(),
        }
    }
}

/// The claim of this name, or the one inside of other claims that the dots in the name lead to. A
/// claim whose own name has dots, such as a URL, comes first.
pub(super) fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let mut dots = name.match_indices('.');
        dots.find_map(|(at, _)| {
            let (outer, inner) = (name.get(..at)?, name.get(at + 1..)?);
            claim(claims.get(outer)?.as_object()?, inner)
        })
    })
}

impl Identity {
    /// Reads the claims of a verified token by their usual names; `None` where `sub` is not a
    /// string.
    #[must_use]
    pub fn from_claims(claims: Map<String, Value>) -> Option<Self> {
        Self::from_named_claims(claims, &ClaimNames::default())
    }

    /// Reads the claims of a verified token; `None` where `sub` is not a string. The roles are a
    /// list, or text for a single one.
    #[must_use]
    pub fn from_named_claims(claims: Map<String, Value>, names: &ClaimNames) -> Option<Self> {
        let text = |name: &str| {
            claim(&claims, name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let roles = match claim(&claims, &names.roles) {
            Some(Value::Array(roles)) => roles
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            Some(Value::String(role)) if !role.is_empty() => vec![role.clone()],
            _ => Vec::new(),
        };
        Some(Self {
            sub: text("sub")?,
            email: text("email"),
            email_verified: claims
                .get("email_verified")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            username: text(&names.username),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn roles_are_a_list_or_one_text() {
        for (claim, expected) in [
            (json!(["a", 1, "b"]), &["a", "b"][..]),
            (json!("a"), &["a"]),
            (json!(""), &[]),
            (json!(null), &[]),
            (json!(1), &[]),
        ] {
            let claims = json!({ "sub": "u1", "roles": claim });
            let identity = Identity::from_claims(claims.as_object().unwrap().clone()).unwrap();
            assert_eq!(identity.roles, expected, "{claims}");
        }
    }
}
