//! The shades of a theme's accent colour for buttons, links and focus rings, in the light and in
//! the dark colour scheme.
//!
//! For every accent colour, text and graphical objects have the contrast that WCAG 2.2 requires on
//! level AA. Buttons are filled with the accent colour itself. Where it has too little contrast, a
//! darker or lighter shade of it is used.

use crate::model::colour::{Colour, NON_TEXT_CONTRAST, TEXT_CONTRAST};

/// The backgrounds in `static/style.css` for text in the accent colour: page and card.
const LIGHT_BACKGROUNDS: [Colour; 2] =
    [Colour::new(0xf4, 0xf2, 0xed), Colour::new(0xff, 0xfe, 0xfb)];
const DARK_BACKGROUNDS: [Colour; 2] =
    [Colour::new(0x14, 0x16, 0x13), Colour::new(0x1d, 0x20, 0x1c)];

/// The contrast of links. It is above the minimum [`TEXT_CONTRAST`], at which thin letters look
/// faint.
const LINK_CONTRAST: f64 = 5.5;

/// The share of black or white that is mixed into a button under the pointer, in percent.
const HOVER_PERCENT: u8 = 16;

/// The shades for one colour scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shades {
    /// Buttons.
    fill: Colour,
    /// Buttons under the pointer.
    fill_hover: Colour,
    /// Text on buttons.
    on_fill: Colour,
    /// The border of buttons, which is visible even if the fill is not.
    edge: Colour,
    /// Links, focus rings and check marks.
    link: Colour,
    /// Links under the pointer.
    link_hover: Colour,
}

/// The style sheet that replaces the built-in accent colour by `accent`.
#[must_use]
pub fn style(accent: Colour) -> String {
    let rules = |shades: Shades| {
        format!(
            "--accent:{};--accent-strong:{};--on-accent:{};--accent-edge:{};--accent-ink:{};--accent-ink-strong:{}",
            shades.fill,
            shades.fill_hover,
            shades.on_fill,
            shades.edge,
            shades.link,
            shades.link_hover
        )
    };
    let (light, dark) = (
        rules(shades(accent, LIGHT_BACKGROUNDS, Colour::BLACK)),
        rules(shades(accent, DARK_BACKGROUNDS, Colour::WHITE)),
    );
    format!(":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n")
}

/// The shades of `accent` on `backgrounds`. `extreme` is black or white, whichever has the most
/// contrast to them.
fn shades(accent: Colour, backgrounds: [Colour; 2], extreme: Colour) -> Shades {
    // White text if it has enough contrast; if it has not, black text has.
    let (on_fill, hover) = if Colour::WHITE.contrast(accent) >= TEXT_CONTRAST {
        (Colour::WHITE, Colour::BLACK)
    } else {
        (Colour::BLACK, Colour::WHITE)
    };
    let link = shade_with_contrast(accent, extreme, backgrounds, LINK_CONTRAST);
    Shades {
        fill: accent,
        fill_hover: accent.mix(hover, HOVER_PERCENT),
        on_fill,
        edge: if has_contrast(accent, backgrounds, NON_TEXT_CONTRAST) {
            accent
        } else {
            link
        },
        link,
        link_hover: link.mix(extreme, 2 * HOVER_PERCENT),
    }
}

/// The shade nearest to `colour`, mixed with `extreme`, that has at least `contrast` to all of
/// `backgrounds`.
fn shade_with_contrast(
    colour: Colour,
    extreme: Colour,
    backgrounds: [Colour; 2],
    contrast: f64,
) -> Colour {
    (0..=100)
        .map(|percent| colour.mix(extreme, percent))
        .find(|shade| has_contrast(*shade, backgrounds, contrast))
        .unwrap_or(extreme)
}

fn has_contrast(colour: Colour, backgrounds: [Colour; 2], contrast: f64) -> bool {
    backgrounds
        .iter()
        .all(|background| colour.contrast(*background) >= contrast)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = include_str!("../../static/style.css");

    #[test]
    fn every_accent_colour_has_enough_contrast_in_both_schemes() {
        let steps = (0..=255u8).step_by(17);
        let colours = steps.clone().flat_map(|r| {
            let blues = steps.clone();
            blues
                .clone()
                .flat_map(move |g| blues.clone().map(move |b| Colour::new(r, g, b)))
        });
        for accent in colours {
            for (backgrounds, extreme) in [
                (LIGHT_BACKGROUNDS, Colour::BLACK),
                (DARK_BACKGROUNDS, Colour::WHITE),
            ] {
                let all = shades(accent, backgrounds, extreme);
                assert_eq!(all.fill, accent);
                assert!(
                    all.on_fill.contrast(all.fill) >= TEXT_CONTRAST,
                    "text on {accent}"
                );
                assert!(
                    all.on_fill.contrast(all.fill_hover) >= TEXT_CONTRAST,
                    "text on {accent} under the pointer"
                );
                for link in [all.link, all.link_hover] {
                    assert!(
                        has_contrast(link, backgrounds, TEXT_CONTRAST),
                        "links of {accent}"
                    );
                }
                assert!(
                    has_contrast(all.edge, backgrounds, NON_TEXT_CONTRAST),
                    "the edge of {accent}"
                );
            }
        }
    }

    #[test]
    fn a_colour_with_enough_contrast_is_not_changed() {
        let blue = Colour::parse("#1a4fa0").unwrap();
        let light = shades(blue, LIGHT_BACKGROUNDS, Colour::BLACK);
        assert_eq!(
            (light.fill, light.link, light.edge, light.on_fill),
            (blue, blue, blue, Colour::WHITE)
        );
        let dark = shades(blue, DARK_BACKGROUNDS, Colour::WHITE);
        assert_eq!(dark.fill, blue);
        assert_ne!(dark.link, blue);
        assert!(style(blue).starts_with(":root{--accent:#1a4fa0;"));
    }

    /// The built-in colours must have the same contrast.
    #[test]
    fn the_backgrounds_are_those_of_the_style_sheet() {
        let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
        let value = |part: &str, name: &str| {
            let text = part
                .split_once(&format!("--{name}:"))
                .unwrap()
                .1
                .split_once(';')
                .unwrap()
                .0
                .trim()
                .to_owned();
            Colour::parse(&text).unwrap_or_else(|| panic!("{name} is {text}"))
        };
        for (part, backgrounds) in [(light, LIGHT_BACKGROUNDS), (dark, DARK_BACKGROUNDS)] {
            assert_eq!([value(part, "ground"), value(part, "card")], backgrounds);
            assert!(value(part, "on-accent").contrast(value(part, "accent")) >= TEXT_CONTRAST);
            assert!(
                value(part, "on-accent").contrast(value(part, "accent-strong")) >= TEXT_CONTRAST
            );
            for ink in ["ink", "soft", "accent-ink", "accent-ink-strong"] {
                assert!(
                    has_contrast(value(part, ink), backgrounds, TEXT_CONTRAST),
                    "{ink}"
                );
            }
            for sign in ["edge", "accent-edge", "alert-edge"] {
                assert!(
                    has_contrast(value(part, sign), backgrounds, NON_TEXT_CONTRAST),
                    "{sign}"
                );
            }
            for tone in ["alert", "calm"] {
                assert!(
                    value(part, &format!("{tone}-ink"))
                        .contrast(value(part, &format!("{tone}-ground")))
                        >= TEXT_CONTRAST
                );
            }
        }
    }
}
