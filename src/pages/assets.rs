//! The pages' own files. Their names carry a hash of what is in them, so that browsers may keep
//! them for ever.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use serde::Serialize;

use crate::model::theme::{Logo, LogoKind};

/// Where the files lie on every site.
pub const PREFIX: &str = "/_vestibule/";

/// How long a file may be kept: its name changes when it does.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// What a picture may do when somebody opens it by itself: an SVG is a document, and may hold a
/// script.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// One file, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The bytes.
    pub body: Bytes,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Content-Security-Policy`.
    pub policy: Option<&'static str>,
}

/// The addresses pages refer to.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    /// The style sheet.
    pub style: String,
    /// What the site's theme adds to it.
    pub theme: Option<String>,
    /// The script of the sign-in form.
    pub sign_in: String,
    /// The mark above each page, and on its tab.
    pub mark: String,
    /// Its media type.
    pub mark_type: String,
}

static OURS: OnceLock<(Addresses, Vec<(String, Asset)>)> = OnceLock::new();

/// The file of that name beneath [`PREFIX`] that every site has.
#[must_use]
pub fn asset(name: &str) -> Option<&'static Asset> {
    let files = &ours().1;
    files
        .iter()
        .find(|(address, _)| address.strip_prefix(PREFIX) == Some(name))
        .map(|(_, asset)| asset)
}

/// The addresses on a site without a theme.
#[must_use]
pub fn addresses() -> &'static Addresses {
    &ours().0
}

/// Every site's files, hashed at first use.
fn ours() -> &'static (Addresses, Vec<(String, Asset)>) {
    OURS.get_or_init(|| {
        let style = style(include_str!("../../static/style.css"));
        let sign_in = Asset {
            body: Bytes::from_static(include_bytes!("../../static/sign-in.js")),
            content_type: "text/javascript; charset=utf-8",
            policy: None,
        };
        let mark = Asset {
            body: Bytes::from_static(include_bytes!("../../static/mark.svg")),
            content_type: LogoKind::Svg.names().1,
            policy: Some(PICTURE_POLICY),
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
        (addresses, files)
    })
}

/// A style sheet.
pub fn style(text: impl Into<Bytes>) -> Asset {
    Asset {
        body: text.into(),
        content_type: "text/css; charset=utf-8",
        policy: None,
    }
}

/// A site's logo.
#[must_use]
pub fn picture(logo: &Logo) -> Asset {
    let body = Bytes::copy_from_slice(&logo.bytes);
    Asset {
        body,
        content_type: logo.kind.names().1,
        policy: Some(PICTURE_POLICY),
    }
}

/// The address of a file, by what it is called and what is in it.
pub fn address(stem: &str, asset: &Asset, ending: &str) -> String {
    let mut hash = String::new();
    // 64 bits tell versions apart; nobody but the operator makes any.
    for byte in digest(&SHA256, &asset.body).as_ref().iter().take(8) {
        // Writing into a String does not fail.
        let _ = write!(hash, "{byte:02x}");
    }
    format!("{PREFIX}{stem}.{hash}.{ending}")
}
