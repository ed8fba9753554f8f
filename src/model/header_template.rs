//! Templates of header values: text with placeholders for claims of a user.

use percent_encoding::{AsciiSet, utf8_percent_encode};
use serde_json::Value;

use super::identity::{Identity, claim};

/// One segment of a header template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    /// The first of these that the identity has; never empty.
    FirstOf(Vec<Placeholder>),
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    Sub,
    Email,
    Username,
    Roles,
    /// A claim by its name. A name with dots that is no claim is a path into claims that are
    /// objects.
    Claim(String),
}

/// A header value with placeholders: `{sub} {email} {username} {roles} {claim.NAME}`, or several in
/// one, `{username|email}`, for the first that the identity has.
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
            let placeholders = name.split('|').map(Placeholder::parse);
            pieces.push(Segment::FirstOf(placeholders.collect::<Result<_, _>>()?));
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
    pub(super) fn fill(&self, identity: &Identity) -> Result<String, Unfilled> {
        let mut value = String::new();
        for segment in &self.0 {
            match segment {
                // Printable ASCII, which the operator wrote.
                Segment::Text(text) => value.push_str(text),
                Segment::FirstOf(placeholders) => push_first(&mut value, placeholders, identity)?,
            }
        }
        Ok(value)
    }

    /// The template of the first of `placeholders` that the identity has.
    pub(super) fn of<const N: usize>(placeholders: [Placeholder; N]) -> Self {
        Self(vec![Segment::FirstOf(placeholders.into())])
    }
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        Ok(match name {
            "sub" => Self::Sub,
            "email" => Self::Email,
            "username" => Self::Username,
            "roles" => Self::Roles,
            other => match other.strip_prefix("claim.") {
                Some(claim) if !claim.is_empty() => Self::Claim(claim.to_owned()),
                _ => return Err(TemplateError::UnknownPlaceholder(other.to_owned())),
            },
        })
    }

    /// Appends what it stands for. Where that is absent, nothing is appended.
    fn push(&self, value: &mut String, identity: &Identity) -> Result<(), Unfilled> {
        match self {
            Self::Sub => push(value, &identity.sub),
            Self::Email => push(value, present(identity.email.as_ref())?),
            Self::Username => push(value, present(identity.username.as_ref())?),
            // No role counts as an absent claim: the header is left out rather than sent empty.
            Self::Roles if identity.roles.is_empty() => Err(Unfilled::Absent),
            Self::Roles => push_list(value, identity.roles.iter().map(String::as_str)),
            Self::Claim(name) => {
                push_claim(value, claim(&identity.claims, name).unwrap_or(&Value::Null))
            }
        }
    }
}

fn present(claim: Option<&String>) -> Result<&str, Unfilled> {
    claim.map(String::as_str).ok_or(Unfilled::Absent)
}

/// Appends the first of `placeholders` that the identity has.
fn push_first(
    value: &mut String,
    placeholders: &[Placeholder],
    identity: &Identity,
) -> Result<(), Unfilled> {
    for placeholder in placeholders {
        match placeholder.push(value, identity) {
            Err(Unfilled::Absent) => {}
            filled => return filled,
        }
    }
    Err(Unfilled::Absent)
}

/// Why a template has no value for an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfilled {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(claims: &Value) -> Identity {
        Identity::from_claims(claims.as_object().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_inside_of_objects_is_percent_encoded_too() {
        let nested = Template::parse("{claim.any}").unwrap();
        let identity = identity(&json!({"sub": "u", "any": {"a": ["%", "ë"]}}));
        assert_eq!(
            nested.fill(&identity).unwrap(),
            "{\"a\":[\"%25\",\"%C3%AB\"]}"
        );
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
    fn the_first_of_several_that_is_there_is_taken() {
        let template = Template::parse("{claim.nick|username|email} ({roles|sub})").unwrap();
        let filled = |claims| template.fill(&identity(&claims));
        for (claims, expected) in [
            (json!({"sub": "u", "email": "e@x"}), Ok("e@x (u)")),
            (
                json!({"sub": "u", "email": "e@x", "preferred_username": "n"}),
                Ok("n (u)"),
            ),
            (
                json!({"sub": "u", "nick": "k", "roles": ["a"]}),
                Ok("k (a)"),
            ),
            (json!({"sub": "u", "nick": null}), Err(Unfilled::Absent)),
            (
                json!({"sub": "u", "nick": "a\nb", "email": "e@x"}),
                Err(Unfilled::ControlCharacter),
            ),
        ] {
            assert_eq!(filled(claims), expected.map(str::to_owned));
        }
    }

    #[test]
    fn dots_lead_into_claims_unless_they_are_part_of_a_name() {
        let identity = identity(&json!({
            "sub": "u",
            "address": {"country": "PT", "geo": {"lat": 38}, "tags": ["x,y", "z"]},
            "https://id.example/claims": {"tenant": "t1"},
            "https://id.example/plain": "p",
            "address.country.flat": "f",
        }));
        for (name, expected) in [
            ("address.country", Some("PT")),
            ("address.geo.lat", Some("38")),
            ("address.tags", Some("x%2Cy,z")),
            ("https://id.example/claims.tenant", Some("t1")),
            ("https://id.example/plain", Some("p")),
            ("address.country.flat", Some("f")),
            ("address.city", None),
            ("address.country.name", None),
            ("country", None),
        ] {
            let template = Template::parse(&format!("{{claim.{name}}}")).unwrap();
            let filled = template.fill(&identity).ok();
            assert_eq!(filled.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn invalid_templates_have_an_error_each() {
        assert_eq!(
            Template::parse("{mail}"),
            Err(TemplateError::UnknownPlaceholder("mail".into()))
        );
        for (text, unknown) in [
            ("{username|mail}", "mail"),
            ("{username|}", ""),
            ("{|sub}", ""),
        ] {
            let error = TemplateError::UnknownPlaceholder(unknown.into());
            assert_eq!(Template::parse(text), Err(error), "{text}");
        }
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
}
