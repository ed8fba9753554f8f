//! The parameters of a request, in a query or a form. None may be given twice (RFC 6749, section
//! 3.1).

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

/// The parameters of a request. A parameter without a value counts as left out (RFC 6749, section
/// 3.1).
#[derive(Debug, Default)]
pub struct FormParameters(Vec<(String, String)>);

/// A parameter that is given twice. Which of its values counts must not be guessed.
#[derive(Debug, PartialEq, Eq)]
pub struct RepeatedParameterError(pub String);

impl FormParameters {
    /// Parses `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// If a parameter is given twice.
    pub fn parse(text: &[u8]) -> Result<Self, RepeatedParameterError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if all.iter().any(|(known, _)| *known == name) {
                return Err(RepeatedParameterError(name.into_owned()));
            }
            all.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(all))
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

/// Whether the body of a request is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// `uri` with `parameters` added to its query. The URI itself stays as it was registered.
pub fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_given_once_and_has_a_value() {
        let parameters = FormParameters::parse(b"a=1&b=&c=x+y%26z").unwrap();
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!(parameters.get("b"), None);
        assert_eq!(parameters.get("c"), Some("x y&z"));
        assert_eq!(
            FormParameters::parse(b"a=1&b=2&a=1").unwrap_err(),
            RepeatedParameterError("a".to_owned())
        );
    }

    #[test]
    fn parameters_are_added_to_the_registered_uri() {
        assert_eq!(
            with_parameters("https://a.example", &[("code", "x y"), ("state", "&")]),
            "https://a.example?code=x+y&state=%26"
        );
        assert_eq!(
            with_parameters("https://a.example/?b=1", &[("c", "2")]),
            "https://a.example/?b=1&c=2"
        );
    }
}
