//! The grammar of the `Forwarded` field (RFC 7239, section 4).
//!
//! What a trusted proxy said is continued only where it has exactly this form. An open quote or a
//! stray byte in it would swallow the element of this hop.

/// Whether a field value is a list of elements, each of pairs `name=value` between `;` and no name
/// twice. Some element has a pair. Bytes outside ASCII, which RFC 9110 calls obsolete, are refused.
#[must_use]
pub fn is_forwarded(value: &[u8]) -> bool {
    let mut rest = value;
    let mut names: Vec<&[u8]> = Vec::new();
    let mut has_pair = false;
    loop {
        rest = trim_start(rest);
        // Empty elements and empty pairs are allowed.
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            let Some((name, after)) = pair(rest) else {
                return false;
            };
            if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return false;
            }
            names.push(name);
            has_pair = true;
            rest = after;
        }
        // Blanks stand around `,` only.
        if let Some((b';', after)) = rest.split_first() {
            if matches!(after.first(), Some(b' ' | b'\t')) {
                return false;
            }
            rest = after;
            continue;
        }
        match trim_start(rest).split_first() {
            None => return has_pair,
            Some((b',', after)) => {
                names.clear();
                rest = after;
            }
            Some(_) => return false,
        }
    }
}

/// The name of the pair that `text` begins with, and what follows the pair.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix(b"=")?;
    let (_, rest) = token(rest).or_else(|| quoted_string(rest))?;
    Some((name, rest))
}

/// A token (RFC 9110, section 5.6.2), and what follows it.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text.iter().take_while(|b| is_token_byte(**b)).count();
    (length > 0).then(|| text.split_at(length))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A quoted string (RFC 9110, section 5.6.4), and what follows it.
fn quoted_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut bytes = text.iter().enumerate();
    if bytes.next()?.1 != &b'"' {
        return None;
    }
    loop {
        let (at, byte) = bytes.next()?;
        match byte {
            b'"' => return Some(text.split_at(at + 1)),
            b'\\' => {
                let (_, escaped) = bytes.next()?;
                if !is_text(*escaped) {
                    return None;
                }
            }
            other if is_text(*other) => {}
            _ => return None,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (0x20..0x7f).contains(&byte)
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    text.get(blanks..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_rfc_7239_are_accepted() {
        for good in [
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            "For=\"[2001:db8:cafe::17]:4711\"",
            "for=192.0.2.43, for=198.51.100.17",
            "for=_hidden, for=_SEVKISEK, for=unknown",
            "for=\"a\\\"b, c;d\" , host=\"x\\\\\"",
            ", for=a,, ,for=b,",
            ";for=a;;proto=http;",
            "for=a\t,\tfor=b  ",
            "  for=a",
        ] {
            assert!(is_forwarded(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            " ",
            ", ;",
            "for",
            "for=",
            "=a",
            "for=\"a",
            "for=\"a\\",
            "for=\"a\\\"",
            "for=a\"",
            "for=\"a\"b",
            "for=2001:db8::1",
            "for = a",
            "for=a; proto=http",
            "for=a ;proto=http",
            "for=a;FOR=b",
            "for=a proto=http",
            "for=\u{e9}",
            "for=\"\u{e9}\"",
            "for=\"\u{1}\"",
            "for=a\u{0}",
            "for=a/b",
        ] {
            assert!(!is_forwarded(bad.as_bytes()), "{bad:?}");
        }
    }
}
