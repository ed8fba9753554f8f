//! The alert above a form after a failed attempt.

use serde::Serialize;

use super::catalog::Catalog;
use super::duration_text;
use crate::model::local_response::StepPage;
use crate::model::login_step::LoginStep;
use crate::model::reason::Reason;

/// The alert above a form: what went wrong, and what to do.
#[derive(Serialize)]
pub struct FormAlert {
    pub title: String,
    pub text: String,
    /// `calm` if the user has made no mistake, else `alert`.
    pub tone: &'static str,
}

impl FormAlert {
    /// The alert with the messages of `group` below `trouble`. `retry_after` is in seconds.
    pub fn new(catalog: &Catalog, group: &str, reason: Reason, retry_after: Option<u32>) -> Self {
        let text = match (reason, retry_after) {
            (Reason::Throttled, Some(seconds)) => {
                let wait = duration_text::describe_wait(catalog, seconds);
                catalog.text_with(&format!("trouble.{group}.text_wait"), "wait", &wait)
            }
            _ => catalog.text(&format!("trouble.{group}.text")).to_owned(),
        };
        // The user has made no mistake.
        let is_calm = reason.is_failure()
            || matches!(
                reason,
                Reason::CsrfFailed
                    | Reason::Throttled
                    | Reason::NotRegistered
                    | Reason::EmailUnverified
                    | Reason::RegistrationUnverified
            );
        Self {
            title: catalog.text(&format!("trouble.{group}.title")).to_owned(),
            text,
            tone: if is_calm { "calm" } else { "alert" },
        }
    }

    /// The alert of a step after the password, if an attempt has failed.
    pub fn of_step(catalog: &Catalog, form: &StepPage) -> Option<Self> {
        let reason = form.error?;
        let group = match (reason, form.next_step.step) {
            (Reason::WrongCode, _) => "wrong_code",
            (Reason::Throttled, _) => "pause",
            (Reason::CsrfFailed, _) => "stale_step",
            (Reason::RejectedInput, LoginStep::TwoFactor) => "rejected_code",
            (Reason::RejectedInput, LoginStep::NewPassword) => "rejected_password",
            (Reason::ProviderUnavailable | Reason::StoreUnavailable, _) => "unavailable_step",
            (Reason::ProviderMisconfigured | Reason::TokensTooLarge, _) => "misconfigured",
            _ => "other",
        };
        Some(Self::new(catalog, group, reason, form.retry_after))
    }
}
