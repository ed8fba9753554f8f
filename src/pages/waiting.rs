//! How long to wait, in words.

/// A wait of `seconds`, rounded up so that nobody comes back too early.
pub fn in_words(seconds: u32) -> String {
    match seconds {
        0..=10 => "a few seconds".to_owned(),
        11..=55 => format!("{} seconds", seconds.div_ceil(5) * 5),
        56..=60 => "a minute".to_owned(),
        61..=3_300 => format!("{} minutes", seconds.div_ceil(60)),
        3_301..=3_600 => "an hour".to_owned(),
        3_601.. => format!("{} hours", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn a_wait_is_never_shorter_than_it_is() {
        let shown: Vec<_> = [0, 10, 11, 55, 60, 61, 120, 121, 3_300, 3_301, 3_600, 3_601].map(in_words).into();
        let meant = [
            "a few seconds",
            "a few seconds",
            "15 seconds",
            "55 seconds",
            "a minute",
            "2 minutes",
            "2 minutes",
            "3 minutes",
            "55 minutes",
            "an hour",
            "an hour",
            "2 hours",
        ];
        assert_eq!(shown, meant);
    }
}
