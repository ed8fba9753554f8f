//! How a refresh came out, for its callers.

use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::token::CompletedRefresh;

/// How a refresh came out.
#[derive(Clone, Debug)]
#[must_use = "the caller revokes the sign-in of a refresh token that was reused"]
pub enum RefreshOutcome {
    /// There are new tokens.
    Renewed {
        /// What the client carries from now on, and whom it authenticates.
        renewed: CompletedRefresh,
        /// What is sealed with the new refresh token.
        envelope: Box<RefreshTokenEnvelope>,
        /// Where the new tokens came from.
        source: RefreshSource,
    },
    /// The refresh token is not accepted any more: `signed_out` or `revoked`.
    Refused(Reason),
    /// The refresh token was exchanged for another so long ago that whoever presents it has a copy.
    /// The caller revokes the sign-in of this envelope.
    Reused(Box<RefreshTokenEnvelope>),
    /// There is no usable answer: the client keeps what it has, and may try again.
    Unavailable(Reason),
}

/// Where the tokens of [`RefreshOutcome::Renewed`] came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshSource {
    /// This refresh called the provider.
    Provider,
    /// Another refresh of the same token was under way, here or on another replica.
    Shared,
    /// The stored result of an earlier refresh.
    Replayed,
}

impl RefreshOutcome {
    /// The outcome for a follower of the refresh that had this one.
    pub(super) fn shared(self) -> Self {
        match self {
            Self::Renewed {
                renewed, envelope, ..
            } => Self::Renewed {
                renewed,
                envelope,
                source: RefreshSource::Shared,
            },
            Self::Refused(_) | Self::Reused(_) | Self::Unavailable(_) => self,
        }
    }
}
