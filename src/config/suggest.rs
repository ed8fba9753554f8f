//! Suggestions for misspelt words.

/// The longest word that gets a suggestion, in bytes: nobody misspells a longer one by accident,
/// and the comparison costs the square of the length.
const MAX_WORD: usize = 64;

/// The word of `known` that `written` most likely stands for: the nearest one whose edit distance
/// is at most one more than a quarter of its length. `None` where no word is that near. Case and
/// the difference between `-` and `_` do not count.
pub(super) fn suggest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > MAX_WORD {
        return None;
    }
    let normalize = |word: &str| word.to_lowercase().replace('-', "_");
    let written = normalize(written);
    known
        // Two swapped letters count as one edit.
        .map(|word| (strsim::osa_distance(&written, &normalize(word)), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use strsim::osa_distance as distance;

    use super::*;

    #[test]
    fn slips_are_counted() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("lisen", "listen"), 1);
        assert_eq!(distance("lsiten", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }

    #[test]
    fn only_near_words_are_offered() {
        let known = ["listen", "admin", "max_age"];
        assert_eq!(suggest("lisen", known.into_iter()), Some("listen"));
        assert_eq!(suggest("max-age", known.into_iter()), Some("max_age"));
        assert_eq!(suggest("colour", known.into_iter()), None);
    }
}
