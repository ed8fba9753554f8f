//! The request headers that tell an application who its user is
//! (`docs/reference/headers.md#identity-headers`).

use http::{HeaderName, HeaderValue};

use super::header_template::{Placeholder, Template, Unfilled};
use super::identity::Identity;

/// A claim holds control characters. No header may carry it, so the login is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCharacter {
    /// The header that the claim was meant for.
    pub header: HeaderName,
}

/// The identity headers of one site: names and templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders(Vec<(HeaderName, Template)>);

impl IdentityHeaders {
    /// The headers that `[sites.headers]` lists.
    #[must_use]
    pub fn custom(headers: Vec<(HeaderName, Template)>) -> Self {
        Self(headers)
    }

    /// The default set: `X-Auth-User-Id`, `-Email`, `-Username`, `-Roles`.
    #[must_use]
    pub fn x_auth() -> Self {
        Self(vec![
            (
                HeaderName::from_static("x-auth-user-id"),
                Template::of([Placeholder::Sub]),
            ),
            (
                HeaderName::from_static("x-auth-email"),
                Template::of([Placeholder::Email]),
            ),
            (
                HeaderName::from_static("x-auth-username"),
                Template::of([Placeholder::Username]),
            ),
            (
                HeaderName::from_static("x-auth-roles"),
                Template::of([Placeholder::Roles]),
            ),
        ])
    }

    /// The preset of this name in the configuration.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let headers = match name {
            "remote-user" => vec![
                (
                    HeaderName::from_static("remote-user"),
                    Template::of([Placeholder::Username, Placeholder::Email]),
                ),
                (
                    HeaderName::from_static("remote-email"),
                    Template::of([Placeholder::Email]),
                ),
                (
                    HeaderName::from_static("remote-groups"),
                    Template::of([Placeholder::Roles]),
                ),
            ],
            "x-forwarded-user" => vec![
                (
                    HeaderName::from_static("x-forwarded-user"),
                    Template::of([Placeholder::Sub]),
                ),
                (
                    HeaderName::from_static("x-forwarded-email"),
                    Template::of([Placeholder::Email]),
                ),
                (
                    HeaderName::from_static("x-forwarded-preferred-username"),
                    Template::of([Placeholder::Username]),
                ),
                (
                    HeaderName::from_static("x-forwarded-groups"),
                    Template::of([Placeholder::Roles]),
                ),
            ],
            _ => return None,
        };
        Some(Self(headers))
    }

    /// The names of the headers.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The headers for `identity`. One whose claim is absent is left out.
    ///
    /// # Errors
    /// [`ControlCharacter`] where a claim holds one.
    pub fn render(
        &self,
        identity: &Identity,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, ControlCharacter> {
        let mut headers = Vec::with_capacity(self.0.len());
        for (name, template) in &self.0 {
            let control_character = || ControlCharacter {
                header: name.clone(),
            };
            let value = match template.fill(identity) {
                Ok(value) => HeaderValue::from_str(&value).map_err(|_| control_character())?,
                Err(Unfilled::Absent) => continue,
                Err(Unfilled::ControlCharacter) => return Err(control_character()),
            };
            headers.push((name.clone(), value));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn identity(claims: &Value) -> Identity {
        Identity::from_claims(claims.as_object().unwrap().clone()).unwrap()
    }

    fn rendered(headers: &IdentityHeaders, identity: &Identity) -> Vec<String> {
        let headers = headers.render(identity).unwrap();
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn absent_claims_are_left_out() {
        let identity = identity(&json!({"sub": "u1", "email": "a@b.c"}));
        assert_eq!(
            rendered(&IdentityHeaders::x_auth(), &identity),
            ["x-auth-user-id: u1", "x-auth-email: a@b.c"]
        );
    }

    #[test]
    fn a_role_cannot_add_another() {
        let identity = identity(&json!({"sub": "u1", "roles": ["a,admin", "100%", "ok"]}));
        let rendered = rendered(&IdentityHeaders::x_auth(), &identity);
        assert_eq!(
            rendered.last().unwrap(),
            "x-auth-roles: a%2Cadmin,100%25,ok"
        );
    }

    #[test]
    fn non_ascii_values_are_percent_encoded() {
        let identity = identity(&json!({"sub": "u1", "preferred_username": "Zoë"}));
        assert!(
            rendered(&IdentityHeaders::x_auth(), &identity)
                .contains(&"x-auth-username: Zo%C3%AB".to_owned())
        );
    }

    #[test]
    fn different_claims_have_different_values() {
        let header = |username: &str| {
            let identity = identity(&json!({"sub": "u1", "preferred_username": username}));
            let rendered = rendered(&IdentityHeaders::preset("remote-user").unwrap(), &identity);
            rendered.first().unwrap().clone()
        };
        for (username, value) in [
            ("alice", "alice"),
            (" alice", "%20alice"),
            ("alice  ", "alice%20%20"),
            ("alice smith", "alice smith"),
            ("  ", "%20%20"),
            ("", ""),
            ("Zoë", "Zo%C3%AB"),
            ("Zo%C3%AB", "Zo%25C3%25AB"),
            ("100%", "100%25"),
            ("a,b", "a,b"),
        ] {
            assert_eq!(header(username), format!("remote-user: {value}"));
        }
        let identity = identity(&json!({"sub": "u1", "roles": [" a", "b ", "c d"]}));
        assert_eq!(
            rendered(&IdentityHeaders::x_auth(), &identity)
                .last()
                .unwrap(),
            "x-auth-roles: %20a,b%20,c d"
        );
    }

    #[test]
    fn a_control_character_refuses_the_whole_set() {
        for bad in ["a\r\nX-Auth-Roles: admin", "a\u{0}", "a\u{85}b"] {
            let identity = identity(&json!({"sub": "u1", "email": bad}));
            let error = IdentityHeaders::x_auth().render(&identity).unwrap_err();
            assert_eq!(error.header, "x-auth-email");
        }
    }

    #[test]
    fn remote_user_falls_back_to_the_e_mail_address() {
        let identity = identity(&json!({"sub": "u", "email": "e@x"}));
        let set = IdentityHeaders::preset("remote-user").unwrap();
        assert_eq!(
            rendered(&set, &identity),
            ["remote-user: e@x", "remote-email: e@x"]
        );
    }
}
