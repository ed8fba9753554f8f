//! From one colour of the operator's to all that buttons, links and rings need, in the light and in
//! the dark.
//!
//! Whatever the colour, text is read and signs are seen as WCAG 2.2 asks on level AA. The fill of
//! buttons stays what was given; what it is too pale or too dark for is done by shades of it.

use crate::model::colour::{Colour, SIGNS, TEXT};

/// The grounds of `static/style.css` that text of the accent colour stands on: page and card.
const LIGHT: [Colour; 2] = [Colour::new(0xf4, 0xf2, 0xed), Colour::new(0xff, 0xfe, 0xfb)];
const DARK: [Colour; 2] = [Colour::new(0x14, 0x16, 0x13), Colour::new(0x1d, 0x20, 0x1c)];

/// The contrast of links: more than [`TEXT`], at which thin letters are read but look tired.
const INK: f64 = 5.5;

/// How much of black or white a button takes on under the pointer, in hundredths.
const HOVER: u8 = 16;

/// The colours of one ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shades {
    /// Of buttons.
    fill: Colour,
    /// Of buttons under the pointer.
    fill_strong: Colour,
    /// Of text on both.
    on_fill: Colour,
    /// Around buttons: seen even where the fill is not.
    edge: Colour,
    /// Of links, rings and ticks.
    ink: Colour,
    /// Of links under the pointer.
    ink_strong: Colour,
}

/// The style sheet that puts `accent` in place of ours.
#[must_use]
pub fn style(accent: Colour) -> String {
    let rules = |shades: Shades| {
        format!(
            "--accent:{};--accent-strong:{};--on-accent:{};--accent-edge:{};--accent-ink:{};--accent-ink-strong:{}",
            shades.fill,
            shades.fill_strong,
            shades.on_fill,
            shades.edge,
            shades.ink,
            shades.ink_strong
        )
    };
    let (light, dark) = (
        rules(shades(accent, LIGHT, Colour::BLACK)),
        rules(shades(accent, DARK, Colour::WHITE)),
    );
    format!(":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n")
}

/// The shades on `grounds`, which are read from best in `far`.
fn shades(accent: Colour, grounds: [Colour; 2], far: Colour) -> Shades {
    // White where it can be read; where it cannot, black can.
    let (on_fill, away) = if Colour::WHITE.contrast(accent) >= TEXT {
        (Colour::WHITE, Colour::BLACK)
    } else {
        (Colour::BLACK, Colour::WHITE)
    };
    let ink = towards(accent, far, grounds, INK);
    Shades {
        fill: accent,
        fill_strong: accent.mixed(away, HOVER),
        on_fill,
        edge: if is_seen(accent, grounds, SIGNS) {
            accent
        } else {
            ink
        },
        ink,
        ink_strong: ink.mixed(far, 2 * HOVER),
    }
}

/// The first colour on the way from `colour` to `far` that is seen on all of `grounds`.
fn towards(colour: Colour, far: Colour, grounds: [Colour; 2], wanted: f64) -> Colour {
    (0..=100)
        .map(|share| colour.mixed(far, share))
        .find(|shade| is_seen(*shade, grounds, wanted))
        .unwrap_or(far)
}

fn is_seen(colour: Colour, grounds: [Colour; 2], wanted: f64) -> bool {
    grounds
        .iter()
        .all(|ground| colour.contrast(*ground) >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = include_str!("../../static/style.css");

    #[test]
    fn every_colour_is_read_and_seen_in_the_light_and_in_the_dark() {
        let steps = (0..=255u8).step_by(17);
        let colours = steps.clone().flat_map(|r| {
            let blues = steps.clone();
            blues
                .clone()
                .flat_map(move |g| blues.clone().map(move |b| Colour::new(r, g, b)))
        });
        for accent in colours {
            for (grounds, far) in [(LIGHT, Colour::BLACK), (DARK, Colour::WHITE)] {
                let all = shades(accent, grounds, far);
                assert_eq!(all.fill, accent);
                assert!(all.on_fill.contrast(all.fill) >= TEXT, "text on {accent}");
                assert!(
                    all.on_fill.contrast(all.fill_strong) >= TEXT,
                    "text on {accent} under the pointer"
                );
                for ink in [all.ink, all.ink_strong] {
                    assert!(is_seen(ink, grounds, TEXT), "links of {accent}");
                }
                assert!(is_seen(all.edge, grounds, SIGNS), "the edge of {accent}");
            }
        }
    }

    #[test]
    fn a_colour_that_serves_is_left_alone() {
        let blue = Colour::parse("#1a4fa0").unwrap();
        let light = shades(blue, LIGHT, Colour::BLACK);
        assert_eq!(
            (light.fill, light.ink, light.edge, light.on_fill),
            (blue, blue, blue, Colour::WHITE)
        );
        let dark = shades(blue, DARK, Colour::WHITE);
        assert_eq!(dark.fill, blue);
        assert_ne!(dark.ink, blue);
        assert!(style(blue).starts_with(":root{--accent:#1a4fa0;"));
    }

    /// The grounds are those of the style sheet, and our own colours hold what is asked of others'.
    #[test]
    fn the_grounds_are_those_of_the_style_sheet() {
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
        for (part, grounds) in [(light, LIGHT), (dark, DARK)] {
            assert_eq!([value(part, "ground"), value(part, "card")], grounds);
            assert!(value(part, "on-accent").contrast(value(part, "accent")) >= TEXT);
            assert!(value(part, "on-accent").contrast(value(part, "accent-strong")) >= TEXT);
            for ink in ["ink", "soft", "accent-ink", "accent-ink-strong"] {
                assert!(is_seen(value(part, ink), grounds, TEXT), "{ink}");
            }
            for sign in ["edge", "accent-edge", "alert-edge"] {
                assert!(is_seen(value(part, sign), grounds, SIGNS), "{sign}");
            }
            for tone in ["alert", "calm"] {
                assert!(
                    value(part, &format!("{tone}-ink"))
                        .contrast(value(part, &format!("{tone}-ground")))
                        >= TEXT
                );
            }
        }
    }
}
