//! The path of a request, as the logs have it.

/// The path of a target without its query, for logs, at most 512 bytes. What is not printable ASCII
/// becomes `?`.
pub(super) fn path_for_logs(target: &[u8]) -> String {
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
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
        assert_eq!(path_for_logs(b"/caf\xc3\xa9?token=x"), "/caf??");
        let long = format!("/{}", "a".repeat(600));
        assert_eq!(path_for_logs(long.as_bytes()).len(), 512);
    }
}
