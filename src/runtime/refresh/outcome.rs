//! How a refresh came out, for its callers and, sealed, for the store.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
use crate::model::sealing_keys::SealingKeys;
use crate::model::site::Site;
use crate::model::token::{CompletedRefresh, IssuedTokens, TokenPair};
use crate::system;

/// How a refresh came out.
#[derive(Clone, Debug)]
#[must_use = "the caller revokes the sign-in of a refresh token that was reused"]
pub enum RefreshOutcome {
    /// There are new tokens.
    Renewed {
        /// What the client carries from now on, and whom it authenticates.
        renewed: CompletedRefresh,
        /// What is sealed with the new refresh token.
        ticket: Box<RefreshTicket>,
        /// Where the new tokens came from.
        source: RefreshSource,
    },
    /// The refresh token is not accepted any more: `signed_out` or `revoked`.
    Refused(Reason),
    /// The refresh token was exchanged for another so long ago that whoever presents it has a copy.
    /// The caller revokes the sign-in of this ticket.
    Reused(Box<RefreshTicket>),
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
                renewed, ticket, ..
            } => Self::Renewed {
                renewed,
                ticket,
                source: RefreshSource::Shared,
            },
            Self::Refused(_) | Self::Reused(_) | Self::Unavailable(_) => self,
        }
    }
}

/// The result of a refresh in the form in which it is sealed for the store: for this process, its
/// successor and other replicas.
#[derive(Serialize, Deserialize)]
pub(super) enum StoredOutcome {
    /// New tokens that were issued to the client.
    Issued {
        access: String,
        /// Sealed already; `None` where the client keeps the refresh token that it has.
        refresh: Option<String>,
        /// The id of the session that was created.
        session: Option<String>,
    },
    /// The provider's tokens, which could not be used yet: they are kept so that no rotated token
    /// is lost.
    Unused {
        access: String,
        refresh: Option<String>,
    },
    /// The provider refused the refresh token.
    SignedOut,
    /// The sign-in was revoked meanwhile.
    Revoked,
}

impl StoredOutcome {
    /// Tokens that were issued to the client.
    pub fn issued(tokens: &IssuedTokens, access: &str) -> Self {
        Self::Issued {
            access: access.to_owned(),
            refresh: tokens.refresh.as_deref().map(str::to_owned),
            session: (tokens.kind == CredentialKind::Session).then(|| tokens.token.to_string()),
        }
    }

    /// Tokens that could not be used yet.
    pub fn unused(pair: &TokenPair) -> Self {
        let refresh = pair.refresh.as_ref();
        Self::Unused {
            access: pair.access.expose().to_owned(),
            refresh: refresh.map(|refresh| refresh.expose().to_owned()),
        }
    }

    /// A refusal: `revoked`, or any other for `signed_out`.
    pub fn refused(reason: Reason) -> Self {
        if reason == Reason::Revoked {
            Self::Revoked
        } else {
            Self::SignedOut
        }
    }

    /// Seals the outcome for the refreshes of one site's clients of one kind. `None` only if the
    /// cipher fails.
    pub fn seal(
        &self,
        sealing: &SealingKeys,
        site: &Site,
        kind: CredentialKind,
    ) -> Option<Arc<[u8]>> {
        let body = serde_json::to_vec(self).ok()?;
        sealing
            .seal(&purpose(site, kind), body, system::random())
            .map(Arc::from)
    }

    /// Opens what [`StoredOutcome::seal`] made for the same site and kind; `None` for everything
    /// else.
    pub fn open(
        sealing: &SealingKeys,
        site: &Site,
        kind: CredentialKind,
        sealed: &[u8],
    ) -> Option<Self> {
        let body = sealing.open(&purpose(site, kind), sealed)?;
        serde_json::from_slice(&body).ok()
    }
}

/// The purpose that the seal is bound to.
fn purpose(site: &Site, kind: CredentialKind) -> String {
    format!("vestibule renewal\0{}\0{}", kind.as_str(), site.name)
}
