//! The static files of the pages. Their names contain a hash of their content, so that browsers can
//! cache them without limit.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::Serialize;

use crate::model::theme::{Logo, LogoKind};

/// The path prefix of the files on every site.
pub const PREFIX: &str = "/_vestibule/";

/// The value of `Cache-Control`. A file that changes gets a new name.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// The `Content-Security-Policy` of images. An SVG that is opened directly is a document and may
/// contain scripts.
const IMAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// A static file with its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The content of the file.
    pub body: Bytes,
    /// The value of `Content-Type` in its response.
    pub content_type: &'static str,
    /// The value of `Content-Security-Policy` in its response, for images.
    pub policy: Option<&'static str>,
}

/// The paths of the files that pages link to.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    /// The path of the built-in style sheet.
    pub style: String,
    /// The path of the theme's style sheet, if it has one.
    pub theme: Option<String>,
    /// The path of the script for forms.
    pub sign_in: String,
    /// The path of the logo, above each page and on its tab.
    pub mark: String,
    /// The media type of the logo.
    pub mark_type: String,
}

/// The built-in files.
struct BuiltIn {
    addresses: Addresses,
    /// By path.
    files: Vec<(String, Asset)>,
}

/// The built-in file with the path `name` below [`PREFIX`]. Every site has it.
#[must_use]
pub fn asset(name: &str) -> Option<&'static Asset> {
    built_in()
        .files
        .iter()
        .find(|(address, _)| address.strip_prefix(PREFIX) == Some(name))
        .map(|(_, asset)| asset)
}

/// The paths for a site without a theme.
#[must_use]
pub fn addresses() -> &'static Addresses {
    &built_in().addresses
}

/// The built-in files, hashed on first use.
fn built_in() -> &'static BuiltIn {
    static BUILT_IN: OnceLock<BuiltIn> = OnceLock::new();
    BUILT_IN.get_or_init(|| {
        let style = style(include_str!("../../static/style.css"));
        let sign_in = Asset {
            body: Bytes::from_static(include_bytes!("../../static/sign-in.js")),
            content_type: "text/javascript; charset=utf-8",
            policy: None,
        };
        let mark = Asset {
            body: Bytes::from_static(include_bytes!("../../static/mark.svg")),
            content_type: LogoKind::Svg.names().1,
            policy: Some(IMAGE_POLICY),
        };
        let addresses = Addresses {
            style: address("style", &style, "css"),
            theme: None,
            sign_in: address("sign-in", &sign_in, "js"),
            mark: address("mark", &mark, "svg"),
            mark_type: mark.content_type.to_owned(),
        };
        let files = vec![
            (addresses.style.clone(), style),
            (addresses.sign_in.clone(), sign_in),
            (addresses.mark.clone(), mark),
        ];
        BuiltIn { addresses, files }
    })
}

/// A style sheet as a file.
pub fn style(text: impl Into<Bytes>) -> Asset {
    Asset {
        body: text.into(),
        content_type: "text/css; charset=utf-8",
        policy: None,
    }
}

/// The logo of a theme as a file.
#[must_use]
pub fn image(logo: &Logo) -> Asset {
    let body = Bytes::copy_from_slice(&logo.bytes);
    Asset {
        body,
        content_type: logo.kind.names().1,
        policy: Some(IMAGE_POLICY),
    }
}

/// The path of a file: its name, a hash of its content, and the extension.
pub fn address(name: &str, asset: &Asset, extension: &str) -> String {
    let mut hash = String::new();
    // 64 bits are enough to tell versions apart: all files come from the operator.
    for byte in digest(&SHA256, &asset.body).as_ref().iter().take(8) {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
    }
    format!("{PREFIX}{name}.{hash}.{extension}")
}
