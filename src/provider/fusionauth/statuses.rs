//! What each status means for a sign-in: `docs/reference/endpoints.md#fusionauth-responses`, in one
//! place.
//!
//! The rule above all others is that only `200` is a sign-in: FusionAuth says "right password, but
//! …" with other codes from 202 to 242.

use crate::model::reason::Reason;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A name and a password.
    Password,
    /// A code.
    SecondFactor,
    /// A new password.
    NewPassword,
    /// The one-time password that a new password brings.
    OneTimePassword,
}

/// Whether visitors are told that their account has expired or is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountState {
    Revealed,
    Hidden,
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A yes.
    Done,
    /// Right so far; a new password is wanted.
    WantsNewPassword,
    /// Right so far; a code is wanted.
    WantsSecondFactor,
    /// A no.
    Refused(Reason),
    /// The gateway itself is refused.
    KeyRefused,
    /// Nothing that FusionAuth documents here.
    Unexpected,
}

/// The table.
pub(super) fn meaning(step: Step, status: u16, state: AccountState) -> Meaning {
    use AccountState::{Hidden, Revealed};
    use Step::{NewPassword, OneTimePassword, Password, SecondFactor};
    match (status, step) {
        (200, _) => Meaning::Done,
        (400, _) => Meaning::Refused(Reason::RejectedInput),
        (401, _) => Meaning::KeyRefused,
        // The wrong password and the unknown name; for a later step the id that is known no more.
        (404, Password) => Meaning::Refused(Reason::InvalidCredentials),
        (404, SecondFactor | NewPassword | OneTimePassword) => {
            Meaning::Refused(Reason::ChallengeExpired)
        }
        (421, SecondFactor) => Meaning::Refused(Reason::WrongCode),
        // A change of password only says whether it was made.
        (202..=242 | 409 | 410 | 423, NewPassword) => Meaning::Unexpected,
        (202, _) => Meaning::Refused(Reason::NotRegistered),
        (203, _) => Meaning::WantsNewPassword,
        (212, _) => Meaning::Refused(Reason::EmailUnverified),
        (213, _) => Meaning::Refused(Reason::RegistrationUnverified),
        (242, _) => Meaning::WantsSecondFactor,
        (409, _) => Meaning::Refused(Reason::LoginPrevented),
        (410, _) => Meaning::Refused(match state {
            Revealed => Reason::AccountExpired,
            Hidden => Reason::InvalidCredentials,
        }),
        (423, _) => Meaning::Refused(match state {
            Revealed => Reason::AccountLocked,
            Hidden => Reason::InvalidCredentials,
        }),
        _ => Meaning::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `docs/reference/endpoints.md#fusionauth-responses`, row by row, in the order of
    /// the steps.
    #[test]
    fn every_status_of_every_step_has_one_meaning() {
        const STEPS: [Step; 4] = [
            Step::Password,
            Step::SecondFactor,
            Step::NewPassword,
            Step::OneTimePassword,
        ];
        let all = |meaning| [meaning; 4];
        let but_for_a_change = |meaning| [meaning, meaning, Meaning::Unexpected, meaning];
        let no = Meaning::Refused;
        let expired = no(Reason::ChallengeExpired);
        for status in 100..=599 {
            for (state, ended, locked) in [
                (
                    AccountState::Hidden,
                    Reason::InvalidCredentials,
                    Reason::InvalidCredentials,
                ),
                (
                    AccountState::Revealed,
                    Reason::AccountExpired,
                    Reason::AccountLocked,
                ),
            ] {
                let wanted = match status {
                    200 => all(Meaning::Done),
                    202 => but_for_a_change(no(Reason::NotRegistered)),
                    203 => but_for_a_change(Meaning::WantsNewPassword),
                    212 => but_for_a_change(no(Reason::EmailUnverified)),
                    213 => but_for_a_change(no(Reason::RegistrationUnverified)),
                    242 => but_for_a_change(Meaning::WantsSecondFactor),
                    400 => all(no(Reason::RejectedInput)),
                    401 => all(Meaning::KeyRefused),
                    404 => [no(Reason::InvalidCredentials), expired, expired, expired],
                    409 => but_for_a_change(no(Reason::LoginPrevented)),
                    410 => but_for_a_change(no(ended)),
                    421 => {
                        let no_code = Meaning::Unexpected;
                        [no_code, no(Reason::WrongCode), no_code, no_code]
                    }
                    423 => but_for_a_change(no(locked)),
                    _ => all(Meaning::Unexpected),
                };
                assert_eq!(
                    STEPS.map(|step| meaning(step, status, state)),
                    wanted,
                    "{status}"
                );
            }
        }
    }
}
