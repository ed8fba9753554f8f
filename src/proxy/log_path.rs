//! The path of a request, as the logs have it.

use pingora::http::RequestHeader;

/// The path without its query, for logs, at most 512 bytes. What is not printable ASCII becomes
/// `?`.
pub(super) fn path_for_logs(request: &RequestHeader) -> String {
    let path = request
        .raw_path()
        .split(|b| *b == b'?')
        .next()
        .unwrap_or_default();
    path.iter()
        .take(512)
        .map(|b| {
            if (0x21..0x7f).contains(b) {
                char::from(*b)
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_get_a_path_without_query_in_printable_ascii() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_raw_path(b"/caf\xc3\xa9?token=x").unwrap();
        assert_eq!(path_for_logs(&request), "/caf??");
        let long = format!("/{}", "a".repeat(600));
        request.set_raw_path(long.as_bytes()).unwrap();
        assert_eq!(path_for_logs(&request).len(), 512);
    }
}
