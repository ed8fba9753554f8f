//! `[sites.theme]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::spans::At;

/// The look of the gateway's own pages.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Theme {
    /// The name at the top of the pages. Left out, the host.
    #[serde(default)]
    pub name: Option<At<String>>,
    /// The logo beside the name, shown 40 pixels high: an SVG, PNG or WebP file of at most 64 KiB.
    #[serde(default)]
    pub logo: Option<At<String>>,
    /// The colour of buttons and links, `#rgb` or `#rrggbb`. Shades are adjusted so that text stays
    /// readable.
    #[serde(default)]
    pub accent: Option<At<String>>,
    /// The fallback language, for browsers that ask for none of the available ones. Left out,
    /// English.
    #[serde(default)]
    pub language: Option<At<String>>,
    /// Links on the pages.
    #[serde(default)]
    pub links: Option<Links>,
    /// A folder with templates (`.html`) that replace the built-in ones, and a style sheet
    /// (`style.css`) that is loaded after the built-in one.
    #[serde(default)]
    pub templates: Option<At<String>>,
}

/// Links on the pages: each a path of the site or an `https` address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Links {
    /// The privacy policy, at the foot of every page.
    #[serde(default)]
    pub privacy: Option<At<String>>,
    /// Help, at the foot of every page.
    #[serde(default)]
    pub help: Option<At<String>>,
    /// Registration, below the sign-in form.
    #[serde(default)]
    pub register: Option<At<String>>,
    /// Reset of a forgotten password, below the sign-in form.
    #[serde(default)]
    pub forgot_password: Option<At<String>>,
}
