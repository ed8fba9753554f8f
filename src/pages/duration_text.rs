//! Durations as text, such as "in 5 minutes".

use super::catalog::Catalog;

/// A wait of `seconds` as the end of a sentence. It is rounded up, so that nobody tries again too
/// early.
pub fn describe_wait(catalog: &Catalog, seconds: u32) -> String {
    match seconds {
        0..=10 => catalog.text("wait.moment").to_owned(),
        11..=55 => catalog.count("wait.seconds", seconds.div_ceil(5) * 5),
        56..=60 => catalog.text("wait.minute").to_owned(),
        61..=3_300 => catalog.count("wait.minutes", seconds.div_ceil(60)),
        3_301..=3_600 => catalog.text("wait.hour").to_owned(),
        3_601.. => catalog.count("wait.hours", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up() {
        let waits = [0, 10, 11, 55, 60, 61, 120, 121, 3_300, 3_301, 3_600, 3_601];
        let shown = waits.map(|seconds| describe_wait(Catalog::english(), seconds));
        let expected = [
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
        assert_eq!(shown, expected);
    }
}
