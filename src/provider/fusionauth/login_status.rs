//! What each status means for a step of a login
//! (`docs/reference/endpoints.md#fusionauth-responses`).
//!
//! Only `200` signs a user in. With other codes from 202 to 242 FusionAuth reports that the
//! password was right and something else is missing.

use crate::model::reason::Reason;

/// The step of the login that a request makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends a name and a password.
    Password,
    /// Sends a code.
    SecondFactor,
    /// Changes the password.
    NewPassword,
    /// Sends the one-time password that a change of password returned.
    OneTimePassword,
}

/// Whether users see that their account has expired or is locked. Where it is hidden they see the
/// same reason as for a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disclosure {
    Revealed,
    Hidden,
}

/// What a status means for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The step succeeded.
    Success,
    /// The credentials were right, and a new password is required.
    NewPasswordRequired,
    /// The credentials were right, and a code is required.
    SecondFactorRequired,
    /// The user is refused.
    Refused(Reason),
    /// The gateway itself is refused.
    ApiKeyRejected,
    /// FusionAuth does not document the status for this step.
    Unexpected,
}

/// The meaning of `status` as the response to `step`.
pub(super) fn meaning(step: Step, status: u16, disclosure: Disclosure) -> Meaning {
    use Disclosure::{Hidden, Revealed};
    use Step::{NewPassword, OneTimePassword, Password, SecondFactor};
    match (status, step) {
        (200, _) => Meaning::Success,
        (400, _) => Meaning::Refused(Reason::RejectedInput),
        (401, _) => Meaning::ApiKeyRejected,
        // A wrong password or an unknown name; for a later step an id that has expired.
        (404, Password) => Meaning::Refused(Reason::InvalidCredentials),
        (404, SecondFactor | NewPassword | OneTimePassword) => {
            Meaning::Refused(Reason::ChallengeExpired)
        }
        (421, SecondFactor) => Meaning::Refused(Reason::WrongCode),
        // These are about a login, which a change of password is not.
        (202..=242 | 409 | 410 | 423, NewPassword) => Meaning::Unexpected,
        (202, _) => Meaning::Refused(Reason::NotRegistered),
        (203, _) => Meaning::NewPasswordRequired,
        (212, _) => Meaning::Refused(Reason::EmailUnverified),
        (213, _) => Meaning::Refused(Reason::RegistrationUnverified),
        (242, _) => Meaning::SecondFactorRequired,
        (409, _) => Meaning::Refused(Reason::LoginPrevented),
        (410, _) => Meaning::Refused(match disclosure {
            Revealed => Reason::AccountExpired,
            Hidden => Reason::InvalidCredentials,
        }),
        (423, _) => Meaning::Refused(match disclosure {
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
        let but_not_for_a_change = |meaning| [meaning, meaning, Meaning::Unexpected, meaning];
        let refused = Meaning::Refused;
        let expired = refused(Reason::ChallengeExpired);
        for status in 100..=599 {
            for (disclosure, ended, locked) in [
                (
                    Disclosure::Hidden,
                    Reason::InvalidCredentials,
                    Reason::InvalidCredentials,
                ),
                (
                    Disclosure::Revealed,
                    Reason::AccountExpired,
                    Reason::AccountLocked,
                ),
            ] {
                let wanted = match status {
                    200 => all(Meaning::Success),
                    202 => but_not_for_a_change(refused(Reason::NotRegistered)),
                    203 => but_not_for_a_change(Meaning::NewPasswordRequired),
                    212 => but_not_for_a_change(refused(Reason::EmailUnverified)),
                    213 => but_not_for_a_change(refused(Reason::RegistrationUnverified)),
                    242 => but_not_for_a_change(Meaning::SecondFactorRequired),
                    400 => all(refused(Reason::RejectedInput)),
                    401 => all(Meaning::ApiKeyRejected),
                    404 => [
                        refused(Reason::InvalidCredentials),
                        expired,
                        expired,
                        expired,
                    ],
                    409 => but_not_for_a_change(refused(Reason::LoginPrevented)),
                    410 => but_not_for_a_change(refused(ended)),
                    421 => {
                        let mut meanings = all(Meaning::Unexpected);
                        meanings[1] = refused(Reason::WrongCode);
                        meanings
                    }
                    423 => but_not_for_a_change(refused(locked)),
                    _ => all(Meaning::Unexpected),
                };
                assert_eq!(
                    STEPS.map(|step| meaning(step, status, disclosure)),
                    wanted,
                    "{status}"
                );
            }
        }
    }
}
