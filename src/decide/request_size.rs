//! The limits that a site sets for the size of its requests. They are checked once the site is
//! known; until then the largest limits of all sites hold
//! (`docs/reference/request-handling.md#size`).

use crate::model::request_limits::{HeadLimits, RequestLimits};
use crate::model::site::Site;
use crate::model::target::Target;

use super::endpoint;
use super::rejection::Rejection;

/// The size of a head, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSize {
    /// The target.
    pub target: usize,
    /// The header fields, with their line ends.
    pub fields: usize,
}

/// Checks the size of a head.
///
/// # Errors
/// `414` for the target, `431` for the header fields.
pub fn validate_head_size(size: HeadSize, limits: HeadLimits) -> Result<(), Rejection> {
    if size.target > limits.target {
        Err(Rejection::too_large(414))
    } else if size.fields > limits.fields {
        Err(Rejection::too_large(431))
    } else {
        Ok(())
    }
}

/// Checks the `Content-Length` of a request before anything is read of its body. The bodies of the
/// gateway's own endpoints have a limit of their own.
///
/// # Errors
/// `413`.
pub fn validate_content_length(
    length: u64,
    target: &Target<'_>,
    site: &Site,
) -> Result<(), Rejection> {
    match validate_body_size(length, site.limits) {
        Err(rejection) if endpoint::find(site, target).is_none() => Err(rejection),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Checks how much has arrived of a body for the application.
///
/// # Errors
/// `413`.
pub fn validate_body_size(length: u64, limits: RequestLimits) -> Result<(), Rejection> {
    match limits.body {
        Some(limit) if length > limit => Err(Rejection::too_large(413)),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_and_fields_have_a_limit_each() {
        let limits = HeadLimits::new(10, 20);
        let status = |target, fields| {
            validate_head_size(HeadSize { target, fields }, limits)
                .map_err(|rejection| rejection.status)
        };
        assert_eq!(status(10, 20), Ok(()));
        assert_eq!(status(11, 0), Err(414));
        assert_eq!(status(0, 21), Err(431));
        // The target does not count among the fields.
        assert_eq!(status(10, 21), Err(431));
    }
}
