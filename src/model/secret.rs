//! Text that must not be printed, and must not stay in memory.

use std::fmt;

use zeroize::{Zeroize as _, ZeroizeOnDrop};

/// A password, token, key or cookie value.
///
/// `Debug` and `Display` show `[secret]`, so that no log line, error or panic message can carry the
/// text; code that needs it calls [`Secret::expose`]. The memory is overwritten when the value is
/// dropped, so that a core dump or freed memory that is reused does not hold it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`. A `String` is moved and overwritten later; of a `&str` a copy is made, and the
    /// original stays as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to send, seal or compare it; it must not be shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown_and_is_overwritten_on_drop() {
        fn overwritten_on_drop<T: ZeroizeOnDrop>(_: &T) {}
        let secret = Secret::new("hush");
        assert_eq!(format!("{secret} {secret:?}"), "[secret] [secret]");
        overwritten_on_drop(&secret);
    }
}
