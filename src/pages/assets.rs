//! The pages' own files. Their names carry a hash of what is in them, so that browsers may keep them for ever.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

/// Where the files lie on every site.
pub const PREFIX: &str = "/_vestibule/";

/// How long a file may be kept: its name changes when it does.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// One file, ready to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The bytes.
    pub body: &'static [u8],
    /// The value of `Content-Type`.
    pub content_type: &'static str,
}

/// The addresses pages refer to.
#[derive(Debug, Serialize)]
pub struct Addresses {
    /// The style sheet.
    pub style: String,
    /// The script of the sign-in form.
    pub sign_in: String,
    /// The mark above each page.
    pub mark: String,
}

const STYLE: Asset = Asset { body: include_bytes!("../../static/style.css"), content_type: "text/css; charset=utf-8" };
const SIGN_IN: Asset =
    Asset { body: include_bytes!("../../static/sign-in.js"), content_type: "text/javascript; charset=utf-8" };
const MARK: Asset = Asset { body: include_bytes!("../../static/mark.svg"), content_type: "image/svg+xml" };

static ADDRESSES: OnceLock<Addresses> = OnceLock::new();

/// The file of that name beneath [`PREFIX`].
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let addresses = addresses();
    [(&addresses.style, STYLE), (&addresses.sign_in, SIGN_IN), (&addresses.mark, MARK)]
        .into_iter()
        .find(|(address, _)| address.strip_prefix(PREFIX) == Some(name))
        .map(|(_, asset)| asset)
}

/// The addresses, hashed at first use.
pub fn addresses() -> &'static Addresses {
    ADDRESSES.get_or_init(|| Addresses {
        style: address("style", STYLE, "css"),
        sign_in: address("sign-in", SIGN_IN, "js"),
        mark: address("mark", MARK, "svg"),
    })
}

fn address(stem: &str, asset: Asset, ending: &str) -> String {
    let mut hash = String::new();
    // 64 bits tell our own versions apart; nobody else makes any.
    for byte in digest(&SHA256, asset.body).as_ref().iter().take(8) {
        // Writing into a String does not fail.
        let _ = write!(hash, "{byte:02x}");
    }
    format!("{PREFIX}{stem}.{hash}.{ending}")
}
