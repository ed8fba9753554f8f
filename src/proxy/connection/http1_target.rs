//! Targets that are right and that Pingora does not take, written as Pingora takes them.
//!
//! * Pingora compares the authority of a target in absolute-form with `Host` byte by byte. The
//!   letter case and the default port do not matter (RFC 9110, section 4.2.3): such a target
//!   becomes its origin-form.
//! * The `http` crate refuses `"`, `<` and `>` in a query. They become the escapes that browsers
//!   send in their place.

use memchr::memchr;

use crate::decide::request_target::origin_form;
use crate::model::origin::Host;

/// The head with another target; `None` where Pingora takes it as it is, or nothing makes it right.
/// `head` is a whole head whose request line is well-formed.
pub(super) fn rewrite(head: &[u8]) -> Option<Vec<u8>> {
    let start = head.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let target_start = start + memchr(b' ', head.get(start..)?)? + 1;
    let target_end = target_start + memchr(b' ', head.get(target_start..)?)?;
    let (before, after) = (head.get(..target_start)?, head.get(target_end..)?);
    let target = head.get(target_start..target_end)?;
    let origin = match target.first() {
        Some(b'/') => None,
        _ => host(after).and_then(|host| origin_form(target, &host).ok()?),
    };
    let escaped = escape_query(origin.as_deref().unwrap_or(target));
    let target = escaped.or(origin)?;
    Some([before, &target, after].concat())
}

/// The one host that the field lines name.
fn host(lines: &[u8]) -> Option<Host> {
    let mut values = lines.split(|b| *b == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked(b"host:".len())?;
        name.eq_ignore_ascii_case(b"host:").then_some(value)
    });
    let value = std::str::from_utf8(values.next()?.trim_ascii()).ok()?;
    values.next().is_none().then(|| Host::parse(value))?
}

/// The target with `"`, `<` and `>` escaped in its query; `None` where it has none.
fn escape_query(target: &[u8]) -> Option<Vec<u8>> {
    let query = memchr(b'?', target)?;
    let (path, query) = target.split_at(query);
    if !query.iter().any(|b| matches!(b, b'"' | b'<' | b'>')) {
        return None;
    }
    let mut escaped = path.to_vec();
    for byte in query {
        match byte {
            b'"' => escaped.extend_from_slice(b"%22"),
            b'<' => escaped.extend_from_slice(b"%3C"),
            b'>' => escaped.extend_from_slice(b"%3E"),
            other => escaped.push(*other),
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(target: &str, host: &str) -> Option<String> {
        let head = format!("\r\nGET {target} HTTP/1.1\r\nA: b\r\n{host}\r\nC: d\r\n\r\n");
        let rewritten = String::from_utf8(rewrite(head.as_bytes())?).unwrap();
        let (start, end) = head.split_once(target).unwrap();
        let new = rewritten.strip_prefix(start).unwrap();
        Some(new.strip_suffix(end).unwrap().to_owned())
    }

    #[test]
    fn a_target_that_pingora_takes_stays() {
        for same in ["/", "/a?b=\\%`{|}^", "*", "http:", "/http://a/"] {
            assert_eq!(target(same, "Host: a"), None, "{same}");
        }
    }

    #[test]
    fn the_absolute_form_of_the_host_becomes_the_origin_form() {
        for (absolute, host) in [
            ("http://a.example/b?c", "Host: a.example"),
            ("HTTP://A.example/b?c", "hOST:\ta.EXAMPLE "),
            ("http://a.example:80/b?c", "Host: a.example"),
            ("https://a.example/b?c", "Host: a.example:443"),
        ] {
            assert_eq!(
                target(absolute, host).as_deref(),
                Some("/b?c"),
                "{absolute}"
            );
        }
        for (other, host) in [
            ("http://b.example/b", "Host: a.example"),
            ("http://a.example:81/b", "Host: a.example"),
            ("http://u@a.example/b", "Host: a.example"),
            ("ftp://a.example/b", "Host: a.example"),
            ("http://a.example/b", "Host: a.example\r\nHost: a.example"),
            ("http://a.example/b", "X-Host: a.example"),
        ] {
            assert_eq!(target(other, host), None, "{other} {host}");
        }
    }

    #[test]
    fn what_a_query_may_hold_is_escaped_as_browsers_do() {
        assert_eq!(
            target("/a?q=\"<b>\"&r=%22", "Host: a").as_deref(),
            Some("/a?q=%22%3Cb%3E%22&r=%22")
        );
        assert_eq!(target("http://a/?\"", "Host: A").as_deref(), Some("/?%22"));
    }
}
