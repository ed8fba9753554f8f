//! The request headers that tell an application who its user is
//! (`docs/reference/headers.md#identity-headers`).

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde_json::Value;

use super::identity::Identity;

/// One segment of a header template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Sub,
    Email,
    Username,
    /// The username, or else the e-mail address.
    UsernameOrEmail,
    Roles,
    Claim(String),
}

/// A header value with placeholders: `{sub} {email} {username} {roles} {claim.NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Segment>);

/// What is wrong with a template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without its `}`, or a `}` without its `{`.
    UnbalancedBrace,
    /// A placeholder of an unknown name.
    UnknownPlaceholder(String),
    /// A control character, or text outside printable ASCII.
    UnprintableText,
}

/// A claim holds control characters. No header may carry it, so the login is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCharacter {
    /// The header that the claim was meant for.
    pub header: HeaderName,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`TemplateError`] where the text is not a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.bytes().any(|b| !(0x20..0x7f).contains(&b)) {
            return Err(TemplateError::UnprintableText);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(open);
            if !before.is_empty() {
                pieces.push(Segment::Text(before.to_owned()));
            }
            let inner = from
                .strip_prefix('{')
                .ok_or(TemplateError::UnbalancedBrace)?;
            let (name, after) = inner
                .split_once('}')
                .ok_or(TemplateError::UnbalancedBrace)?;
            pieces.push(match name {
                "sub" => Segment::Sub,
                "email" => Segment::Email,
                "username" => Segment::Username,
                "roles" => Segment::Roles,
                other => match other.strip_prefix("claim.") {
                    Some(claim) if !claim.is_empty() => Segment::Claim(claim.to_owned()),
                    _ => return Err(TemplateError::UnknownPlaceholder(other.to_owned())),
                },
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Segment::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The value for `identity`.
    ///
    /// # Errors
    /// [`Unfilled`] where a claim that the template names is absent, or no header may carry it.
    fn fill(&self, identity: &Identity) -> Result<String, Unfilled> {
        let mut value = String::new();
        let (email, username) = (identity.email.as_deref(), identity.username.as_deref());
        for segment in &self.0 {
            match segment {
                // Printable ASCII, which the operator wrote.
                Segment::Text(text) => value.push_str(text),
                Segment::Sub => push(&mut value, &identity.sub)?,
                Segment::Email => push(&mut value, email.ok_or(Unfilled::Absent)?)?,
                Segment::Username => push(&mut value, username.ok_or(Unfilled::Absent)?)?,
                Segment::UsernameOrEmail => {
                    push(&mut value, username.or(email).ok_or(Unfilled::Absent)?)?;
                }
                Segment::Roles => {
                    // No role counts as an absent claim: the header is left out rather than sent
                    // empty.
                    if identity.roles.is_empty() {
                        return Err(Unfilled::Absent);
                    }
                    push_list(&mut value, identity.roles.iter().map(String::as_str))?;
                }
                Segment::Claim(name) => {
                    push_claim(
                        &mut value,
                        identity.claims.get(name).unwrap_or(&Value::Null),
                    )?;
                }
            }
        }
        Ok(value)
    }
}

/// Why a template has no value for an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfilled {
    /// The identity does not have a claim that the template names.
    Absent,
    /// A claim holds a control character.
    ControlCharacter,
}

/// What is percent-encoded in a claim, beside what is not ASCII: `%` itself. So different claims
/// never have the same value.
const IN_CLAIM: &AsciiSet = &AsciiSet::EMPTY.add(b'%');

/// The same for an item of a list, whose items stand between commas.
const IN_ITEM: &AsciiSet = &IN_CLAIM.add(b',');

/// Appends a claim.
fn push(value: &mut String, claim: &str) -> Result<(), Unfilled> {
    push_encoded(value, claim, IN_CLAIM)
}

/// Appends items joined by `,`. A `,` inside an item is percent-encoded, so that no item can add
/// another.
fn push_list<'a>(value: &mut String, items: impl Iterator<Item = &'a str>) -> Result<(), Unfilled> {
    for (index, item) in items.enumerate() {
        if index > 0 {
            value.push(',');
        }
        push_encoded(value, item, IN_ITEM)?;
    }
    Ok(())
}

/// Appends `text` with `encoded`, its outer blanks and what is not ASCII percent-encoded as UTF-8.
/// Blanks around a field value, or around an item of a list, are no part of it (RFC 9110, section
/// 5.5): unless encoded, ` alice` and `alice` would be one user.
fn push_encoded(
    value: &mut String,
    text: &str,
    encoded: &'static AsciiSet,
) -> Result<(), Unfilled> {
    if text.chars().any(char::is_control) {
        return Err(Unfilled::ControlCharacter);
    }
    let inner = text.trim_matches(' ');
    let leading = text.len() - text.trim_start_matches(' ').len();
    for _ in 0..leading {
        value.push_str("%20");
    }
    value.extend(utf8_percent_encode(inner, encoded));
    for _ in leading + inner.len()..text.len() {
        value.push_str("%20");
    }
    Ok(())
}

/// Appends a claim of any type. `null` counts as absent.
fn push_claim(value: &mut String, claim: &Value) -> Result<(), Unfilled> {
    match claim {
        Value::Null => Err(Unfilled::Absent),
        Value::String(text) => push(value, text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            push_list(value, items.iter().filter_map(Value::as_str))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            push(value, &claim.to_string())
        }
    }
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
                Template(vec![Segment::Sub]),
            ),
            (
                HeaderName::from_static("x-auth-email"),
                Template(vec![Segment::Email]),
            ),
            (
                HeaderName::from_static("x-auth-username"),
                Template(vec![Segment::Username]),
            ),
            (
                HeaderName::from_static("x-auth-roles"),
                Template(vec![Segment::Roles]),
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
                    Template(vec![Segment::UsernameOrEmail]),
                ),
                (
                    HeaderName::from_static("remote-email"),
                    Template(vec![Segment::Email]),
                ),
                (
                    HeaderName::from_static("remote-groups"),
                    Template(vec![Segment::Roles]),
                ),
            ],
            "x-forwarded-user" => vec![
                (
                    HeaderName::from_static("x-forwarded-user"),
                    Template(vec![Segment::Sub]),
                ),
                (
                    HeaderName::from_static("x-forwarded-email"),
                    Template(vec![Segment::Email]),
                ),
                (
                    HeaderName::from_static("x-forwarded-preferred-username"),
                    Template(vec![Segment::Username]),
                ),
                (
                    HeaderName::from_static("x-forwarded-groups"),
                    Template(vec![Segment::Roles]),
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
    use serde_json::json;

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
        let nested = Template::parse("{claim.any}").unwrap();
        let identity = self::identity(&json!({"sub": "u", "any": {"a": ["%", "ë"]}}));
        assert_eq!(
            nested.fill(&identity).unwrap(),
            "{\"a\":[\"%25\",\"%C3%AB\"]}"
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
    fn templates_render_claims_of_any_type() {
        let template = Template::parse("{username} <{email}> {claim.level} {claim.tags}").unwrap();
        let identity = identity(&json!({
            "sub": "u", "email": "e", "preferred_username": "n", "level": 3, "tags": ["x,y", "z"]
        }));
        assert_eq!(template.fill(&identity).unwrap(), "n <e> 3 x%2Cy,z");
        assert_eq!(
            Template::parse("{claim.absent}").unwrap().fill(&identity),
            Err(Unfilled::Absent)
        );
    }

    #[test]
    fn invalid_templates_have_an_error_each() {
        assert_eq!(
            Template::parse("{mail}"),
            Err(TemplateError::UnknownPlaceholder("mail".into()))
        );
        assert_eq!(
            Template::parse("{email"),
            Err(TemplateError::UnbalancedBrace)
        );
        assert_eq!(
            Template::parse("email}"),
            Err(TemplateError::UnbalancedBrace)
        );
        assert_eq!(Template::parse("a\nb"), Err(TemplateError::UnprintableText));
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
