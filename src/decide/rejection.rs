//! The refusal of a request before policy sees it.

use crate::model::local_response::Problem;
use crate::model::reason::Reason;
use crate::model::target::TargetError;

/// The methods that are not refused by themselves, for the `Allow` field.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request is refused before policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason that the client is told.
    pub reason: Reason,
    /// The status code, which says more than the reason: 400, 405, 413, 414, 417, 421 or 431.
    pub status: u16,
}

impl Rejection {
    /// The request is ambiguous, or not well-formed: `400`.
    pub const MALFORMED: Self = Self {
        reason: Reason::MalformedRequest,
        status: 400,
    };

    /// A part of the request is larger than the site accepts.
    pub(super) const fn too_large(status: u16) -> Self {
        Self {
            reason: Reason::RequestTooLarge,
            status,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.reason).with_status(self.status);
        if self.reason == Reason::MethodNotAllowed {
            problem.allow = Some(ALLOWED_METHODS);
        }
        problem
    }
}

impl From<TargetError> for Rejection {
    fn from(_: TargetError) -> Self {
        Self::MALFORMED
    }
}
