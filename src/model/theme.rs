//! What a site's pages look like, as the operator wrote it: checked in form, its files read.

use std::path::PathBuf;
use std::sync::Arc;

use super::colour::Colour;
use super::return_path::ReturnPath;

/// The largest logo, in bytes.
pub const MAX_LOGO: usize = 64 * 1024;

/// The look of a site's pages. The default is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// The name above the pages; `None`: the host.
    pub name: Option<String>,
    /// The mark beside it.
    pub logo: Option<Logo>,
    /// The colour of buttons and links.
    pub accent: Option<Colour>,
    /// The language of visitors who ask for none of ours (BCP 47).
    pub language: Option<String>,
    /// Where else visitors may go.
    pub links: Links,
    /// Templates in place of ours.
    pub templates: Vec<TemplateText>,
    /// A style sheet after ours.
    pub style: Option<String>,
    /// Every file and folder it was read from: when one of them changes, it is read again.
    pub source_files: Vec<PathBuf>,
}

/// A picture, up to [`MAX_LOGO`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// What kind it is, by its bytes.
    pub kind: LogoKind,
    /// The file.
    pub bytes: Arc<[u8]>,
}

/// The kinds of pictures that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoKind {
    /// Scalable Vector Graphics.
    Svg,
    /// Portable Network Graphics.
    Png,
    /// WebP.
    Webp,
}

impl LogoKind {
    /// What `bytes` are, by what they begin with; a file's name may say anything.
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

    /// The ending of its address and its media type.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Svg => ("svg", "image/svg+xml"),
            Self::Png => ("png", "image/png"),
            Self::Webp => ("webp", "image/webp"),
        }
    }
}

/// Where else visitors may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// What happens to what they tell.
    pub privacy: Option<Link>,
    /// Who helps.
    pub help: Option<Link>,
    /// Where accounts are made.
    pub register: Option<Link>,
    /// Where a password that was forgotten is replaced.
    pub forgot_password: Option<Link>,
}

/// A path of the site, or an `https` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// Reads a link; `None` for anything that is neither, whatever a browser would make of it.
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

/// A template of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateText {
    /// Its name, as other templates call it.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_what_its_bytes_say() {
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
    fn a_link_is_a_path_or_an_https_address() {
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
