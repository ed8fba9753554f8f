//! What an identity provider sends back with the browser (RFC 6749, section 4.1.2).

use std::fmt;

use super::redirect_login::LOGIN_ID_CHARS;
use super::secret::Secret;

/// What a provider sends back with the browser (RFC 6749, section 4.1.2; RFC 9207, section 2).
/// `Debug` prints the error alone.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackParameters {
    /// Binds the response to the login of this browser.
    pub state: String,
    /// The issuer, where the provider names it.
    pub issuer: Option<String>,
    /// What the provider decided.
    pub answer: CallbackAnswer,
}

/// What a provider decided about a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackAnswer {
    /// The code for the tokens.
    Code(Secret),
    /// The user is not logged in.
    Error(ProviderRefusal),
}

/// The error of an authorization response (RFC 6749, section 4.1.2.1), in printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRefusal {
    /// The error code, such as `access_denied`.
    pub code: String,
    /// What the provider tells the operator besides.
    pub description: Option<String>,
}

impl CallbackParameters {
    /// Reads the query of the callback. `None` where a parameter is missing, or is there twice,
    /// which RFC 6749 forbids (section 3.1), or where there is both a code and an error.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let mut read: [(&str, Option<String>); 5] = [
            ("state", None),
            ("iss", None),
            ("code", None),
            ("error", None),
            ("error_description", None),
        ];
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if let Some((_, slot)) = read.iter_mut().find(|(known, _)| *known == name)
                && slot.replace(value.into_owned()).is_some()
            {
                return None;
            }
        }
        let [state, issuer, code, error, description] = read.map(|(_, value)| value);
        let answer = match (code, error) {
            (Some(code), None) if !code.is_empty() => CallbackAnswer::Code(Secret::new(code)),
            (None, Some(error)) => CallbackAnswer::Error(ProviderRefusal {
                code: printable(&error, MAX_ERROR),
                description: description.map(|text| printable(&text, MAX_DESCRIPTION)),
            }),
            (Some(_) | None, _) => return None,
        };
        Some(Self {
            state: state?,
            issuer,
            answer,
        })
    }

    /// The id of the login that the response is for; `None` where no login has such a `state`.
    #[must_use]
    pub fn login_id(&self) -> Option<&str> {
        self.state.get(..LOGIN_ID_CHARS)
    }
}

/// The longest error code that is logged.
const MAX_ERROR: usize = 64;
/// The longest explanation that is logged.
const MAX_DESCRIPTION: usize = 256;

/// The beginning of a text as it may be logged: RFC 6749 allows printable ASCII.
fn printable(text: &str, longest: usize) -> String {
    let printable = text.chars().filter(|c| *c == ' ' || c.is_ascii_graphic());
    printable.take(longest).collect()
}

impl fmt::Debug for CallbackParameters {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            CallbackAnswer::Code(_) => out.write_str("CallbackParameters(code)"),
            CallbackAnswer::Error(error) => write!(out, "CallbackParameters({:?})", error.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_has_each_parameter_once() {
        let code = CallbackParameters::parse("code=c%2F1&state=s&iss=https://id&session_state=x");
        let code = code.unwrap();
        assert_eq!(code.answer, CallbackAnswer::Code(Secret::new("c/1")));
        assert_eq!(
            (code.state.as_str(), code.issuer.as_deref()),
            ("s", Some("https://id"))
        );
        let error = "error=access_denied%0A&error_description=No%0A+thanks%C3%A9&state=s";
        let refusal = ProviderRefusal {
            code: "access_denied".into(),
            description: Some("No thanks".into()),
        };
        let error = CallbackParameters::parse(error).unwrap();
        assert_eq!(error.answer, CallbackAnswer::Error(refusal));
        for bad in [
            "",
            "state=s",
            "code=c",
            "code=&state=s",
            "code=c&error=e&state=s",
            "code=c&state=s&state=s",
            "code=c&code=d&state=s",
            "code=c&state=s&iss=a&iss=b",
            "error=e&error=f&state=s",
        ] {
            assert_eq!(CallbackParameters::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let response = CallbackParameters::parse("code=leaky&state=leaky").unwrap();
        let printed = format!("{response:?}");
        assert!(!printed.contains("leaky"), "{printed}");
    }
}
