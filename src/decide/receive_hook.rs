//! Messages of the site's identity provider, where they are taken at its sites
//! (`docs/reference/hooks.md`). No credential is looked at: what they bring proves who sends them.

use crate::model::hook::HookKind;
use crate::model::local_response::LocalResponse;

use super::facts::{Facts, Known, Question};
use super::verdict::{Decision, Verdict};

/// Decides about a message.
pub(super) fn decide<'a>(kind: HookKind, facts: &Facts) -> Decision<'a> {
    Decision::Settled(match &facts.hook {
        Known::NotAsked => return Decision::Needs(Question::ReceiveHook(kind)),
        Known::Found(answer) => Verdict::reply(LocalResponse::Hook(answer.clone()), answer.reason),
        Known::Absent(reason) => Verdict::problem(*reason),
        Known::Failed(reason) => Verdict::unavailable(*reason),
    })
}
