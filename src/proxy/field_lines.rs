//! Lines of header fields, taken together as what they mean (RFC 9110, section 5.3).

use http::HeaderValue;

/// Takes a line of a list into `list`.
pub(super) fn join(list: &mut Option<HeaderValue>, line: &HeaderValue) {
    *list = Some(match list.take() {
        None => line.clone(),
        Some(lines) => {
            let joined = [lines.as_bytes(), b", ", line.as_bytes()].concat();
            // What is joined of header values is one.
            HeaderValue::try_from(joined).unwrap_or(lines)
        }
    });
}

/// Takes a line of a field that has one value. With a second line the value is empty, which is none
/// of the values that are looked for.
pub(super) fn only(value: &mut Option<HeaderValue>, line: &HeaderValue) {
    *value = Some(match value {
        None => line.clone(),
        Some(_) => HeaderValue::from_static(""),
    });
}

/// Whether a line of a list has the member `member`, in any letter case.
pub(super) fn lists(line: &HeaderValue, member: &[u8]) -> bool {
    line.as_bytes()
        .split(|b| *b == b',')
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(member))
}
