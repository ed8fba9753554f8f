//! Addresses as a screen may show them: enough for their owner to know them by, too little for
//! anybody else.

/// More than an address has in practice; what is longer is not shown.
const LONGEST: usize = 100;

/// An e-mail address with its first letter and its host: `d***@example.com`. `None` where it is no
/// address or cannot be shown.
#[must_use]
pub fn email(address: &str) -> Option<String> {
    let (name, host) = address.rsplit_once('@')?;
    if name.is_empty() || host.is_empty() {
        return None;
    }
    // The first of two letters is half of the name; a star is masked already.
    let first = name
        .chars()
        .next()
        .filter(|first| *first != '*' && name.chars().count() > 2);
    shown(format!(
        "{}***@{host}",
        first.map(String::from).unwrap_or_default()
    ))
}

/// A telephone number with its last two digits: `***55`. `None` where it has fewer than four, stars
/// included.
#[must_use]
pub fn telephone(number: &str) -> Option<String> {
    let digits: Vec<char> = number
        .chars()
        .filter(|letter| letter.is_ascii_digit() || *letter == '*')
        .collect();
    let (hidden, last) = digits.split_at_checked(digits.len().checked_sub(2)?)?;
    (hidden.len() >= 2).then(|| format!("***{}", last.iter().collect::<String>()))
}

fn shown(text: String) -> Option<String> {
    let fit = text.chars().count() <= LONGEST
        && !text
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace());
    fit.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_by_its_owner_alone() {
        for (address, masked) in [
            ("dinesh@fusionauth.io", Some("d***@fusionauth.io")),
            ("ab@example.com", Some("***@example.com")),
            ("\"a@b\"@example.com", Some("\"***@example.com")),
            ("d****h@example.com", Some("d***@example.com")),
            ("***@example.com", Some("***@example.com")),
            ("no address", None),
            ("@example.com", None),
            ("dinesh@", None),
            ("dinesh@a\nb", None),
        ] {
            assert_eq!(email(address).as_deref(), masked, "{address}");
        }
        assert_eq!(email(&format!("dinesh@{}", "a".repeat(100))), None);
    }

    #[test]
    fn a_number_shows_its_end() {
        for (number, masked) in [
            ("+1 (555) 555-5512", Some("***12")),
            ("***-***-5512", Some("***12")),
            ("***12", Some("***12")),
            ("112", None),
            ("", None),
        ] {
            assert_eq!(telephone(number).as_deref(), masked, "{number}");
        }
    }
}
