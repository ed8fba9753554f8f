//! Challenges: the step that a provider asks for after the password, sealed for the client.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::challenge::{Challenge, LoginOptions, MethodChoice, NextStep, OpenedChallenge};
use crate::model::login_step::LoginStep;
use crate::model::reason::Reason;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::system::{self, Clock};

use super::LoginError;

/// Seals and opens challenges.
pub struct Challenges {
    pub(in crate::runtime) sealing: Arc<SealingKeys>,
    pub(in crate::runtime) clock: Clock,
}

impl Challenges {
    /// Opens a challenge that a client returned; `None` where it is not one of this site and step.
    /// Whether it has expired is the caller's to check.
    #[must_use]
    pub fn open(
        &self,
        site: &Site,
        step: LoginStep,
        challenge: &Secret,
    ) -> Option<OpenedChallenge> {
        let opened = Challenge::open(&self.sealing, &site.name, step, challenge.expose())?;
        let shown = self.describe(site, &opened, challenge.clone())?;
        Some(OpenedChallenge {
            challenge: opened,
            next_step: shown,
        })
    }

    /// Where the provider asks for another step, seals it into the refusal. The provider's own ids
    /// go no further.
    pub(super) fn seal_next_step(
        &self,
        site: &Site,
        chosen: LoginOptions,
        error: LoginError,
    ) -> LoginError {
        let LoginError::Refused(mut refused) = error else {
            return error;
        };
        let Some(awaited) = refused.pending_step.take() else {
            return LoginError::Refused(refused);
        };
        let challenge = Challenge {
            id: URL_SAFE_NO_PAD.encode(system::random::<16>()),
            expires: self.clock.now().plus(awaited.step().lifetime()),
            pending_step: *awaited,
            options: chosen,
            change_reason: refused.change_reason.clone(),
        };
        let sealed = challenge.seal(&self.sealing, &site.name, system::random());
        match sealed.and_then(|sealed| self.describe(site, &challenge, sealed)) {
            Some(next) => {
                refused.next_step = Some(Box::new(next));
                LoginError::Refused(refused)
            }
            None => LoginError::Unavailable(Reason::Internal),
        }
    }

    /// A challenge as its client sees it. `None` only if the cipher fails.
    fn describe(&self, site: &Site, challenge: &Challenge, sealed: Secret) -> Option<NextStep> {
        let methods = challenge.methods().iter().map(|method| {
            let choice = challenge.seal_choice(&self.sealing, &site.name, method, system::random());
            Some(MethodChoice {
                kind: method.kind,
                label: method.label.clone(),
                choice: choice?,
            })
        });
        Some(NextStep {
            step: challenge.pending_step.step(),
            challenge: sealed,
            methods: methods.collect::<Option<_>>()?,
            change_reason: challenge.change_reason.clone(),
        })
    }
}
