//! What somebody may have meant.

/// The nearest of `known` when it is near enough to have been meant.
pub(super) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A very long word is nobody's slip, and the distance costs its square.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_lowercase().replace('-', "_");
    known
        .map(|word| {
            (
                distance(&lower, &word.to_lowercase().replace('-', "_")),
                word,
            )
        })
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let cell = |line: &Vec<usize>, at: usize| line.get(at).copied().unwrap_or(usize::MAX);
            let changed = cell(&last, column).saturating_add(usize::from(letter != *other));
            let dropped = cell(&last, column + 1).saturating_add(1);
            let added = cell(&current, column).saturating_add(1);
            let swap =
                column > 0 && previous == Some(*other) && to.get(column - 1) == Some(&letter);
            let swapped = if swap {
                cell(&before_last, column - 1).saturating_add(1)
            } else {
                usize::MAX
            };
            current.push(changed.min(dropped).min(added).min(swapped));
        }
        before_last = std::mem::replace(&mut last, current);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
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
        assert_eq!(nearest("lisen", known.into_iter()), Some("listen"));
        assert_eq!(nearest("max-age", known.into_iter()), Some("max_age"));
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
