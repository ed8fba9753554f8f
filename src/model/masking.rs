//! Masked addresses: enough of one for its owner to recognise it, too little for anybody else.

/// The longest masked address, in characters. A longer one is not shown.
const MAX_LEN: usize = 100;

/// An e-mail address reduced to its first letter and its host: `d***@example.com`. `None` where it
/// is no address, is longer than 100 characters or holds white space or control characters.
#[must_use]
pub fn email(address: &str) -> Option<String> {
    let (name, host) = address.rsplit_once('@')?;
    if name.is_empty() || host.is_empty() {
        return None;
    }
    // Of two letters the first is half of the name; a star is masked already.
    let first = name
        .chars()
        .next()
        .filter(|first| *first != '*' && name.chars().count() > 2);
    displayable(format!(
        "{}***@{host}",
        first.map(String::from).unwrap_or_default()
    ))
}

/// A telephone number reduced to its last two digits: `***55`. `None` where it has fewer than four
/// digits, stars included.
#[must_use]
pub fn telephone(number: &str) -> Option<String> {
    let digits: Vec<char> = number
        .chars()
        .filter(|letter| letter.is_ascii_digit() || *letter == '*')
        .collect();
    let (hidden, last) = digits.split_at_checked(digits.len().checked_sub(2)?)?;
    (hidden.len() >= 2).then(|| format!("***{}", last.iter().collect::<String>()))
}

fn displayable(text: String) -> Option<String> {
    let fit = text.chars().count() <= MAX_LEN
        && !text
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace());
    fit.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_address_keeps_its_first_letter_and_host() {
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
    fn a_telephone_number_keeps_its_last_two_digits() {
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
