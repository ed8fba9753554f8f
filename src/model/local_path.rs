//! Where a redirect of the gateway's own may lead: a path on the same site.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::return_path::ReturnPath;

/// What is escaped in the value of a query parameter: what would end the value or be read as
/// something else (`&`, `#`, `+`, `%`), and what browsers escape on their way, so that the length
/// is the one that arrives. Nothing else: the address of a page goes in here, and each escape makes
/// it longer.
const IN_VALUE: &AsciiSet = &CONTROLS
    .add(b'&')
    .add(b'#')
    .add(b'+')
    .add(b'%')
    .add(b' ')
    .add(b'"')
    .add(b'\'')
    .add(b'<')
    .add(b'>')
    .add(b'\\');

/// What is escaped in the name of a query parameter.
const IN_NAME: &AsciiSet = &IN_VALUE.add(b'=');

/// A path on the same site with optional query and fragment, safe as the value of `Location`.
///
/// It keeps the promise of [`ReturnPath`]: no browser resolves it to another origin. It differs in
/// its length: the address of an endpoint with a `return_to` parameter is longer than the
/// `ReturnPath` in it. See threat model, R-47.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalPath(String);

impl LocalPath {
    /// The address of one of the gateway's own endpoints.
    ///
    /// A text that could lead to another origin becomes `/`. The configuration refuses such paths
    /// for endpoints too, so no endpoint of a running gateway has one.
    #[must_use]
    pub fn endpoint(path: &str) -> Self {
        ReturnPath::parse(path).map_or_else(|| Self("/".to_owned()), Self::from)
    }

    /// The same endpoint with a query parameter. The value may be any text: it is percent-encoded,
    /// so it adds neither another parameter nor a fragment. `name` is encoded likewise.
    #[must_use]
    pub fn with_parameter(self, name: &str, value: &str) -> Self {
        let (path, fragment) = match self.0.split_once('#') {
            Some((path, fragment)) => (path, Some(fragment)),
            None => (self.0.as_str(), None),
        };
        let separator = if path.contains('?') { '&' } else { '?' };
        let name = utf8_percent_encode(name, IN_NAME);
        let value = utf8_percent_encode(value, IN_VALUE);
        let mut text = format!("{path}{separator}{name}={value}");
        if let Some(fragment) = fragment {
            text.push('#');
            text.push_str(fragment);
        }
        Self(text)
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ReturnPath> for LocalPath {
    fn from(path: ReturnPath) -> Self {
        Self(path.as_str().to_owned())
    }
}

impl From<&ReturnPath> for LocalPath {
    fn from(path: &ReturnPath) -> Self {
        Self(path.as_str().to_owned())
    }
}

/// Prints no query, which may hold a challenge.
impl fmt::Debug for LocalPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.split('?').next().unwrap_or_default();
        out.debug_tuple("LocalPath").field(&path).finish()
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_path_on_this_site_or_the_root() {
        assert_eq!(LocalPath::endpoint("/login").as_str(), "/login");
        for elsewhere in [
            "",
            "login",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "/.//evil.example",
            "/a\r\nSet-Cookie: a=b",
        ] {
            assert_eq!(
                LocalPath::endpoint(elsewhere).as_str(),
                "/",
                "{elsewhere:?}"
            );
        }
    }

    #[test]
    fn a_return_path_is_taken_as_it_is() {
        let path = ReturnPath::parse("/cart?x=1#part-2").unwrap();
        assert_eq!(LocalPath::from(&path).as_str(), "/cart?x=1#part-2");
        assert_eq!(LocalPath::from(path).to_string(), "/cart?x=1#part-2");
    }

    #[test]
    fn a_parameter_cannot_add_another_or_a_fragment() {
        let form = LocalPath::endpoint("/login");
        assert_eq!(
            form.clone()
                .with_parameter("return_to", "/a?b=c&d=é#e")
                .as_str(),
            "/login?return_to=/a?b=c%26d=%C3%A9%23e"
        );
        assert_eq!(
            form.with_parameter("a", "\r\n//evil.example")
                .with_parameter("b=", " ")
                .as_str(),
            "/login?a=%0D%0A//evil.example&b%3D=%20"
        );
    }

    #[test]
    fn a_parameter_stands_before_the_fragment() {
        let path = LocalPath::endpoint("/login#form").with_parameter("a", "1");
        assert_eq!(path.as_str(), "/login?a=1#form");
    }

    #[test]
    fn a_long_return_address_is_not_cut() {
        let long = format!("/{}", "&".repeat(4000));
        let path = LocalPath::endpoint("/login").with_parameter("return_to", &long);
        assert_eq!(path.as_str().len(), "/login?return_to=/".len() + 3 * 4000);
    }
}
