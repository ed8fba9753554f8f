//! Colours, and the contrast between two of them (WCAG 2.2, "relative luminance" and "contrast
//! ratio").

/// A colour of the sRGB space, with eight bits for each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// The red part, 0 to 255.
    pub red: u8,
    /// The green part, 0 to 255.
    pub green: u8,
    /// The blue part, 0 to 255.
    pub blue: u8,
}

impl Colour {
    /// Black, `#000000`.
    pub const BLACK: Self = Self::new(0, 0, 0);
    /// White, `#ffffff`.
    pub const WHITE: Self = Self::new(255, 255, 255);

    /// A colour from its parts.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Reads `#rgb` or `#rrggbb`, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .strip_prefix('#')?
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        match *digits.as_slice() {
            [r, g, b] => Some(Self::new(r * 17, g * 17, b * 17)),
            [r, r2, g, g2, b, b2] => Some(Self::new(r * 16 + r2, g * 16 + g2, b * 16 + b2)),
            _ => None,
        }
    }

    /// The relative luminance, from 0 for black to 1 for white.
    #[must_use]
    pub fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let value = f64::from(part) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }

    /// The contrast ratio, from 1 (unreadable) to 21. Text needs [`TEXT_CONTRAST`], everything else
    /// [`NON_TEXT_CONTRAST`].
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// This colour mixed with `hundredths` of `other`; above 100 counts as 100.
    #[must_use]
    pub fn mix(self, other: Self, hundredths: u8) -> Self {
        let share = u16::from(hundredths.min(100));
        let mix = |a: u8, b: u8| {
            let sum = u16::from(a) * (100 - share) + u16::from(b) * share;
            u8::try_from((sum + 50) / 100).unwrap_or(u8::MAX)
        };
        Self::new(
            mix(self.red, other.red),
            mix(self.green, other.green),
            mix(self.blue, other.blue),
        )
    }
}

/// The contrast ratio that text needs (WCAG 2.2, success criterion 1.4.3, level AA).
pub const TEXT_CONTRAST: f64 = 4.5;

/// The contrast ratio that borders, icons and focus rings need (WCAG 2.2, success criterion
/// 1.4.11).
pub const NON_TEXT_CONTRAST: f64 = 3.0;

impl std::fmt::Display for Colour {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colour(text: &str) -> Colour {
        Colour::parse(text).unwrap()
    }

    #[test]
    fn colours_are_parsed_and_printed() {
        assert_eq!(colour("#0b6").to_string(), "#00bb66");
        assert_eq!(colour("#1F5f4F").to_string(), "#1f5f4f");
        for wrong in [
            "", "#", "0b6", "#0b", "#0b66", "#0b666", "#0b66666", "#xyz", "red", "#é1", "# bb",
        ] {
            assert_eq!(Colour::parse(wrong), None, "{wrong}");
        }
    }

    /// The expected values are those of WCAG's techniques and of common checkers.
    #[test]
    fn the_contrast_ratio_is_that_of_wcag() {
        let ratio = |one, two| (colour(one).contrast(colour(two)) * 100.0).round() / 100.0;
        assert_eq!(ratio("#000", "#fff").to_bits(), 21.0_f64.to_bits());
        assert_eq!(ratio("#777", "#fff").to_bits(), 4.48_f64.to_bits());
        assert_eq!(ratio("#767676", "#fff").to_bits(), 4.54_f64.to_bits());
        assert_eq!(ratio("#fff", "#f00").to_bits(), 4.0_f64.to_bits());
        assert_eq!(ratio("#00f", "#00f").to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn mixing_runs_from_one_colour_to_the_other() {
        let (one, two) = (colour("#204060"), Colour::WHITE);
        assert_eq!(
            (one.mix(two, 0), one.mix(two, 100), one.mix(two, 200)),
            (one, two, two)
        );
        assert_eq!(Colour::BLACK.mix(Colour::WHITE, 50).to_string(), "#808080");
    }
}
