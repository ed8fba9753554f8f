//! What went wrong with an attempt, above its form.

use serde::Serialize;

use super::catalog::Catalog;
use super::duration_text;
use crate::model::challenge::Step;
use crate::model::local_response::StepPage;
use crate::model::reason::Reason;

/// What went wrong, in words.
#[derive(Serialize)]
pub struct FormAlert {
    pub title: String,
    pub text: String,
    /// `calm`: no fault of the visitor's, nothing to correct.
    pub tone: &'static str,
}

impl FormAlert {
    /// The messages beneath `trouble` that `stem` names. Where there is a wait it stands in the
    /// text.
    pub fn told(words: &Catalog, stem: &str, reason: Reason, retry_after: Option<u32>) -> Self {
        let text = match (reason, retry_after) {
            (Reason::Throttled, Some(seconds)) => {
                let wait = duration_text::describe(words, seconds);
                words.text_with(&format!("trouble.{stem}.text_wait"), "wait", &wait)
            }
            _ => words.text(&format!("trouble.{stem}.text")).to_owned(),
        };
        let calm = reason.is_failure() || matches!(reason, Reason::CsrfFailed | Reason::Throttled);
        let title = words.text(&format!("trouble.{stem}.title")).to_owned();
        Self {
            title,
            text,
            tone: if calm { "calm" } else { "alert" },
        }
    }

    /// What went wrong with a step that follows the password.
    pub fn of_step(words: &Catalog, form: &StepPage) -> Option<Self> {
        let reason = form.trouble?;
        let stem = match (reason, form.next.step) {
            (Reason::WrongCode, _) => "wrong_code",
            (Reason::Throttled, _) => "pause",
            (Reason::CsrfFailed, _) => "stale_step",
            (Reason::RejectedInput, Step::TwoFactor) => "rejected_code",
            (Reason::RejectedInput, Step::NewPassword) => "rejected_password",
            (Reason::ProviderUnavailable | Reason::StoreUnavailable, _) => "unavailable_step",
            (Reason::ProviderMisconfigured | Reason::TokensTooLarge, _) => "misconfigured",
            _ => "other",
        };
        Some(Self::told(words, stem, reason, form.retry_after))
    }
}
