//! The look of a site's pages, as the operator configured it. Its form is validated, and its files
//! are read.

use std::sync::Arc;

use super::colour::Colour;
use super::return_path::ReturnPath;

/// The largest logo, in bytes.
pub const MAX_LOGO: usize = 64 * 1024;

/// The look of a site's pages. The default is the built-in look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// The name above the pages; `None` for the host.
    pub name: Option<String>,
    /// The logo beside the name.
    pub logo: Option<Logo>,
    /// The colour of buttons and links.
    pub accent: Option<Colour>,
    /// The language for users who accept none of the available ones (BCP 47).
    pub language: Option<String>,
    /// Links to other pages.
    pub links: Links,
    /// Templates in place of built-in ones.
    pub templates: Vec<TemplateText>,
    /// A style sheet after the built-in one.
    pub style: Option<String>,
}

/// A logo of at most [`MAX_LOGO`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// The format, detected from the bytes.
    pub kind: LogoKind,
    /// The content of the file.
    pub bytes: Arc<[u8]>,
}

/// The image formats that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoKind {
    /// Scalable Vector Graphics (`image/svg+xml`).
    Svg,
    /// Portable Network Graphics (`image/png`).
    Png,
    /// The WebP format (`image/webp`).
    Webp,
}

impl LogoKind {
    /// The format of `bytes`, by what they start with. The file name does not matter.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Some(Self::Webp);
        }
        let text = std::str::from_utf8(bytes)
            .ok()?
            .trim_start_matches('\u{feff}')
            .trim_start();
        let markup =
            text.starts_with("<svg") || text.starts_with("<?xml") || text.starts_with("<!--");
        (markup && text.contains("<svg")).then_some(Self::Svg)
    }

    /// The extension of the logo's file name, and its media type.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Svg => ("svg", "image/svg+xml"),
            Self::Png => ("png", "image/png"),
            Self::Webp => ("webp", "image/webp"),
        }
    }
}

/// The links at the end of the pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The link to the privacy policy.
    pub privacy: Option<Link>,
    /// The link to the help page.
    pub help: Option<Link>,
    /// The link to the page where accounts are created.
    pub register: Option<Link>,
    /// The link to the page where a forgotten password is reset.
    pub forgot_password: Option<Link>,
}

/// A path of the site, or an `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// Parses a link; `None` for anything else, whatever a browser would make of it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(path) = ReturnPath::parse(text) {
            return (path.as_str() == text).then(|| Self(text.to_owned()));
        }
        let plain = text.starts_with("https://") && text.bytes().all(|b| b.is_ascii_graphic());
        let url = url::Url::parse(text).ok().filter(|_| plain)?;
        let whole = url.has_host() && url.username().is_empty() && url.password().is_none();
        whole.then(|| Self(text.to_owned()))
    }

    /// The address as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A template that the operator wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateText {
    /// The name by which other templates refer to it.
    pub name: String,
    /// The source text of the template.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_a_logo_is_detected_from_its_bytes() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], Some(LogoKind::Png)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(LogoKind::Webp)),
            (
                b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
                Some(LogoKind::Svg),
            ),
            (
                "\u{feff}\n<?xml version=\"1.0\"?><svg/>".as_bytes(),
                Some(LogoKind::Svg),
            ),
            (b"<html><svg/></html>", None),
            (b"<?xml version=\"1.0\"?><html/>", None),
            (b"GIF89a", None),
            (b"RIFF\x10\0\0\0WAVE", None),
            (b"<svg \xff", None),
            (b"", None),
        ] {
            assert_eq!(LogoKind::of(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn a_link_is_a_path_or_an_https_url() {
        for good in [
            "/privacy",
            "/help?topic=sign-in#top",
            "https://example.com",
            "https://example.com:8443/a?b=c",
        ] {
            assert_eq!(Link::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "privacy",
            "http://example.com/",
            "javascript:alert(1)",
            "//evil.example",
            "/\\evil.example",
            "https:/example.com",
            "https://",
            "https://me:secret@example.com/",
            "https://example.com/ä b",
            "HTTPS://example.com",
            "mailto:help@example.com",
            "data:text/html,x",
        ] {
            assert_eq!(Link::parse(bad), None, "{bad}");
        }
    }
}
