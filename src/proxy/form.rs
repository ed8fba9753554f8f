//! The fields of the sign-in form and of the forms of the steps that follow it. What is ambiguous
//! is refused.

use std::collections::HashMap;
use std::sync::Arc;

use percent_encoding::percent_decode;

use crate::model::login::LoginForm;
use crate::model::login_step::StepForm;
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;

/// Reads the sign-in form. `None` as [`fields`].
pub(super) fn login(body: &[u8]) -> Option<LoginForm> {
    let mut fields = fields(body)?;
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    Some(LoginForm {
        login_id: take("loginId"),
        password: Secret::new(take("password")),
        return_to: ReturnPath::parse(&take("return_to")),
        remember: is_ticked(&take("remember")),
        csrf: take("csrf"),
        preserved_post: non_empty(take("unsent")),
    })
}

/// Reads the form of a step that follows the password. `None` as [`fields`].
pub(super) fn step(body: &[u8]) -> Option<Box<StepForm>> {
    let mut fields = fields(body)?;
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    Some(Box::new(StepForm {
        challenge: Secret::new(take("challenge")),
        code: Secret::new(take("code")),
        trust_device: is_ticked(&take("trust")),
        choice: Secret::new(take("choice")),
        password: Secret::new(take("password")),
        csrf: take("csrf"),
        preserved_post: non_empty(take("unsent")),
    }))
}

fn non_empty(text: String) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| Arc::from(text))
}

fn is_ticked(value: &str) -> bool {
    !matches!(value, "" | "0" | "false" | "off")
}

/// Reads `application/x-www-form-urlencoded`. `None` where a field is there twice, which has no one
/// meaning (threat model, R-41), or is not UTF-8: the provider would get other text than was typed
/// (threat model, R-39).
fn fields(body: &[u8]) -> Option<HashMap<String, String>> {
    let mut fields = HashMap::new();
    for (name, value) in pairs(body)? {
        if fields.insert(name, value).is_some() {
            return None;
        }
    }
    Some(fields)
}

/// The fields of `application/x-www-form-urlencoded` in their order. `None` where one is not UTF-8.
pub(super) fn pairs(body: &[u8]) -> Option<Vec<(String, String)>> {
    let pairs = body.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            Some((
                decode(name)?,
                decode(value.strip_prefix(b"=").unwrap_or_default())?,
            ))
        })
        .collect()
}

fn decode(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|b| if *b == b'+' { b' ' } else { *b })
        .collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_byte_for_byte() {
        let form = login(
            "loginId=a%40b.c&password=+p%C3%A9%26+&return_to=%2Fcart%23x&remember=on&csrf=t"
                .as_bytes(),
        );
        let form = form.unwrap();
        assert_eq!(
            (form.login_id.as_str(), form.password.expose()),
            ("a@b.c", " pé& ")
        );
        assert_eq!(form.return_to.unwrap().as_str(), "/cart#x");
        assert!(form.remember);
        assert_eq!(form.csrf, "t");
    }

    #[test]
    fn the_form_of_a_step_is_read_byte_for_byte() {
        let form =
            step("challenge=C&code=12+34&trust=on&choice=D&password=+p%C3%A9&csrf=t".as_bytes())
                .unwrap();
        assert_eq!(
            (
                form.challenge.expose(),
                form.code.expose(),
                form.trust_device
            ),
            ("C", "12 34", true)
        );
        assert_eq!(
            (
                form.choice.expose(),
                form.password.expose(),
                form.csrf.as_str()
            ),
            ("D", " pé", "t")
        );
        let empty = step(b"").unwrap();
        assert_eq!((empty.challenge.expose(), empty.trust_device), ("", false));
        assert_eq!(step(b"code=1&code=2"), None);
    }

    #[test]
    fn what_has_two_meanings_is_refused() {
        assert_eq!(login(b"loginId=a&loginId=b"), None);
        assert_eq!(login(b"password=%ff"), None);
    }

    #[test]
    fn a_foreign_return_address_is_dropped() {
        assert_eq!(
            login(b"return_to=https%3A%2F%2Fevil.example")
                .unwrap()
                .return_to,
            None
        );
    }
}
