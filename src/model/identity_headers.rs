//! The headers that tell an application who its visitor is
//! (`docs/reference/headers.md#identity-headers`).

use std::borrow::Cow;
use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::identity::Identity;

/// One piece of a header template.
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

/// A value with placeholders: `{sub} {email} {username} {roles} {claim.NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Segment>);

/// What is wrong with a template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without its `}`, or a `}` without its `{`.
    UnbalancedBrace,
    /// A placeholder of another name.
    UnknownPlaceholder(String),
    /// Control characters or text outside printable ASCII.
    UnprintableText,
}

/// A claim holds control characters: no header may carry it and the sign-in is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlCharacter {
    /// The header it was meant for.
    pub header: HeaderName,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The [`TemplateError`] that a person can mend.
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

    /// The value for `identity`, before any encoding; `None` when a claim it names is absent.
    fn fill(&self, identity: &Identity) -> Option<String> {
        let mut value = String::new();
        for piece in &self.0 {
            match piece {
                Segment::Text(text) => value.push_str(text),
                Segment::Sub => value.push_str(&identity.sub),
                Segment::Email => value.push_str(identity.email.as_deref()?),
                Segment::Username => value.push_str(identity.username.as_deref()?),
                Segment::UsernameOrEmail => {
                    value.push_str(identity.username.as_deref().or(identity.email.as_deref())?);
                }
                Segment::Roles => {
                    // No role is "no such claim": the header is left out rather than sent empty.
                    if identity.roles.is_empty() {
                        return None;
                    }
                    push_list(&mut value, identity.roles.iter().map(String::as_str));
                }
                Segment::Claim(name) => push_claim(&mut value, identity.claims.get(name)?)?,
            }
        }
        Some(value)
    }
}

/// Joined by `,`; a `,` or `%` inside an item is percent-encoded, so that no item can add another.
fn push_list<'a>(value: &mut String, items: impl Iterator<Item = &'a str>) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            value.push(',');
        }
        for c in item.chars() {
            match c {
                ',' => value.push_str("%2C"),
                '%' => value.push_str("%25"),
                other => value.push(other),
            }
        }
    }
}

fn push_claim(value: &mut String, claim: &Value) -> Option<()> {
    match claim {
        Value::String(text) => value.push_str(text),
        Value::Bool(_) | Value::Number(_) => {
            // Writing into a String does not fail.
            let _ = write!(value, "{claim}");
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            push_list(value, items.iter().filter_map(Value::as_str));
        }
        Value::Null => return None,
        Value::Array(_) | Value::Object(_) => {
            let _ = write!(value, "{claim}");
        }
    }
    Some(())
}

/// Bytes outside printable ASCII are percent-encoded as UTF-8. `None` when there is a control
/// character.
fn encode(value: &str) -> Option<Cow<'_, str>> {
    if value.chars().any(char::is_control) {
        return None;
    }
    if value.is_ascii() {
        return Some(Cow::Borrowed(value));
    }
    let mut encoded = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        if byte.is_ascii() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Some(Cow::Owned(encoded))
}

/// The identity headers of one site: which names, and what each says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders(Vec<(HeaderName, Template)>);

impl IdentityHeaders {
    /// The headers as `[sites.headers]` lists them.
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

    /// A preset by its name in the configuration.
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

    /// The names this set manages.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The headers for `identity`; one whose claim is absent is left out.
    ///
    /// # Errors
    /// [`ControlCharacter`] when a claim would smuggle one into a header.
    pub fn render(
        &self,
        identity: &Identity,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, ControlCharacter> {
        let mut headers = Vec::with_capacity(self.0.len());
        for (name, template) in &self.0 {
            let Some(value) = template.fill(identity) else {
                continue;
            };
            let value = encode(&value)
                .and_then(|value| HeaderValue::from_str(&value).ok())
                .ok_or_else(|| ControlCharacter {
                    header: name.clone(),
                })?;
            headers.push((name.clone(), value));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn somebody(claims: &Value) -> Identity {
        Identity::from_claims(claims.as_object().unwrap().clone()).unwrap()
    }

    fn shown(headers: &IdentityHeaders, identity: &Identity) -> Vec<String> {
        let rendered = headers.render(identity).unwrap();
        rendered
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn the_default_set_leaves_absent_claims_out() {
        let identity = somebody(&json!({"sub": "u1", "email": "a@b.c"}));
        assert_eq!(
            shown(&IdentityHeaders::x_auth(), &identity),
            ["x-auth-user-id: u1", "x-auth-email: a@b.c"]
        );
    }

    #[test]
    fn a_role_cannot_add_a_role() {
        let identity = somebody(&json!({"sub": "u1", "roles": ["a,admin", "100%", "ok"]}));
        let shown = shown(&IdentityHeaders::x_auth(), &identity);
        assert_eq!(shown.last().unwrap(), "x-auth-roles: a%2Cadmin,100%25,ok");
    }

    #[test]
    fn names_beyond_ascii_arrive_percent_encoded() {
        let identity = somebody(&json!({"sub": "u1", "preferred_username": "Zoë"}));
        assert!(
            shown(&IdentityHeaders::x_auth(), &identity)
                .contains(&"x-auth-username: Zo%C3%AB".to_owned())
        );
    }

    #[test]
    fn control_characters_refuse_the_whole_set() {
        for bad in ["a\r\nX-Auth-Roles: admin", "a\u{0}", "a\u{85}b"] {
            let identity = somebody(&json!({"sub": "u1", "email": bad}));
            let fault = IdentityHeaders::x_auth().render(&identity).unwrap_err();
            assert_eq!(fault.header, "x-auth-email");
        }
    }

    #[test]
    fn templates_name_claims_of_any_kind() {
        let template = Template::parse("{username} <{email}> {claim.level} {claim.tags}").unwrap();
        let identity = somebody(&json!({
            "sub": "u", "email": "e", "preferred_username": "n", "level": 3, "tags": ["x,y", "z"]
        }));
        assert_eq!(template.fill(&identity).unwrap(), "n <e> 3 x%2Cy,z");
        assert_eq!(
            Template::parse("{claim.absent}").unwrap().fill(&identity),
            None
        );
    }

    #[test]
    fn faulty_templates_are_named() {
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
        let identity = somebody(&json!({"sub": "u", "email": "e@x"}));
        let set = IdentityHeaders::preset("remote-user").unwrap();
        assert_eq!(
            shown(&set, &identity),
            ["remote-user: e@x", "remote-email: e@x"]
        );
    }
}
