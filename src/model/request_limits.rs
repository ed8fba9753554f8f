//! How large the requests of a site may be.

use super::target::MAX_TARGET;

/// The most bytes of a request's header fields, where a site says nothing else.
pub const MAX_HEAD: usize = 16 * 1024;

/// The longest target that any site may accept. No longer one is a URI to the `http` crate.
const LONGEST_TARGET: usize = 65_534;

/// The limits of a request's head, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest target.
    pub target: usize,
    /// The most bytes of header fields, with their line ends.
    pub fields: usize,
}

impl HeadLimits {
    /// These limits, with a target that the gateway can represent.
    #[must_use]
    pub fn new(target: usize, fields: usize) -> Self {
        Self {
            target: target.min(LONGEST_TARGET),
            fields,
        }
    }

    /// Limits that accept whatever one of the two accepts.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            target: self.target.max(other.target),
            fields: self.fields.max(other.fields),
        }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::new(MAX_TARGET, MAX_HEAD)
    }
}

/// The limits of a site's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// The limits of the head.
    pub head: HeadLimits,
    /// The largest body for the application, in bytes; `None` for no limit.
    pub body: Option<u64>,
}

impl RequestLimits {
    /// The longest target of the gateway's own redirects to this site, in bytes: one that the site
    /// accepts, and that browsers and other proxies do.
    #[must_use]
    pub fn own_target(&self) -> usize {
        self.head.target.min(MAX_TARGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_of_two_limits_accepts_both() {
        let (long, wide) = (HeadLimits::new(32, 1), HeadLimits::new(1, 32));
        assert_eq!(long.or(wide), HeadLimits::new(32, 32));
    }

    #[test]
    fn no_target_is_longer_than_a_uri() {
        let most = HeadLimits::new(64 * 1024, 64 * 1024);
        assert_eq!((most.target, most.fields), (65_534, 65_536));
        let path = format!("/{}", "a".repeat(most.target - 1));
        assert!(path.parse::<http::Uri>().is_ok());
        assert!(format!("{path}a").parse::<http::Uri>().is_err());
    }

    #[test]
    fn own_redirects_are_as_long_as_the_site_accepts_and_no_longer_than_usual() {
        let own = |target| {
            let head = HeadLimits::new(target, MAX_HEAD);
            RequestLimits { head, body: None }.own_target()
        };
        assert_eq!((own(1024), own(64 * 1024)), (1024, MAX_TARGET));
    }
}
