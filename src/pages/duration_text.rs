//! How long to wait, in words.

use super::catalog::Catalog;

/// A wait of `seconds`, rounded up so that nobody comes back too early, as the end of a sentence.
pub fn describe(words: &Catalog, seconds: u32) -> String {
    match seconds {
        0..=10 => words.text("wait.moment").to_owned(),
        11..=55 => words.count("wait.seconds", seconds.div_ceil(5) * 5),
        56..=60 => words.text("wait.minute").to_owned(),
        61..=3_300 => words.count("wait.minutes", seconds.div_ceil(60)),
        3_301..=3_600 => words.text("wait.hour").to_owned(),
        3_601.. => words.count("wait.hours", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_shorter_than_it_is() {
        let waits = [0, 10, 11, 55, 60, 61, 120, 121, 3_300, 3_301, 3_600, 3_601];
        let shown = waits.map(|seconds| describe(Catalog::english(), seconds));
        let meant = [
            "in a few seconds",
            "in a few seconds",
            "in 15 seconds",
            "in 55 seconds",
            "in a minute",
            "in 2 minutes",
            "in 2 minutes",
            "in 3 minutes",
            "in 55 minutes",
            "in an hour",
            "in an hour",
            "in 2 hours",
        ];
        assert_eq!(shown, meant);
    }
}
