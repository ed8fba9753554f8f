//! Writes every state of every page in every language to `target/pages/`, or to the folder that is
//! named, to be looked at. `sign-in-fresh.de.html` is the sign-in form in German, `themed.…` the
//! same with a theme and its links.

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
    for words in Catalog::all() {
        for (prefix, look) in [("", PageTheme::plain()), ("themed.", &themed)] {
            let frame = Layout {
                look,
                site_name: Some(SITE),
                words,
                request_id: REQUEST_ID,
            };
            for (name, html) in samples::samples(frame) {
                let html = html?;
                write_assets(&folder, look, &html)?;
                fs::write(
                    folder.join(format!("{prefix}{name}.{}.html", words.tag)),
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

/// Addresses are escaped in the pages; the files are found by reading them as a browser does.
fn write_assets(folder: &Path, look: &PageTheme, html: &str) -> std::io::Result<()> {
    for address in html
        .replace("&#x2f;", "/")
        .split('"')
        .filter_map(|text| text.strip_prefix(assets::PREFIX))
    {
        if let Some(asset) = look.asset(address) {
            fs::write(folder.join("_vestibule").join(address), &asset.body)?;
        }
    }
    Ok(())
}
