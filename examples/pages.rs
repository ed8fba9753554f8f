//! Writes every page in every state and language to `target/pages/` or to the directory given as an
//! argument. For example, `sign-in-fresh.de.html` is the sign-in form in German, and
//! `themed.sign-in-fresh.de.html` is the same form with a theme and its links.

use std::fs;
use std::path::{Path, PathBuf};

use vestibule::model::colour::Colour;
use vestibule::model::theme::{Link, Links, Theme};
use vestibule::pages::{Catalog, Layout, PageTheme, assets, samples};

const SITE: &str = "Lantern & Loom";
const REQUEST_ID: &str = "01JD3K8Q5W9X2Y7Z";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/pages"), PathBuf::from);
    fs::create_dir_all(folder.join("_vestibule"))?;
    let themed = PageTheme::of(&theme())?;
    for catalog in Catalog::all() {
        for (prefix, theme) in [("", PageTheme::plain()), ("themed.", &themed)] {
            let layout = Layout {
                theme,
                site_name: Some(SITE),
                catalog,
                request_id: REQUEST_ID,
                page_address: None,
            };
            for (name, html) in samples::samples(layout) {
                let html = html?;
                write_assets(&folder, theme, &html)?;
                fs::write(
                    folder.join(format!("{prefix}{name}.{}.html", catalog.tag)),
                    html,
                )?;
            }
        }
    }
    Ok(())
}

fn theme() -> Theme {
    let link = |text: &str| Link::parse(text);
    Theme {
        accent: Colour::parse("#ffd400"),
        links: Links {
            privacy: link("/privacy"),
            help: link("https://help.example.com/sign-in"),
            register: link("/register"),
            forgot_password: link("/forgot"),
        },
        ..Theme::default()
    }
}

/// Writes the files that a page links to.
fn write_assets(folder: &Path, theme: &PageTheme, html: &str) -> std::io::Result<()> {
    for address in html
        .split('"')
        .filter_map(|text| text.strip_prefix(assets::PREFIX))
    {
        if let Some(asset) = theme.asset(address) {
            fs::write(folder.join("_vestibule").join(address), &asset.body)?;
        }
    }
    Ok(())
}
