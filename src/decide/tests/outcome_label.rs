//! The outcome of a request, as logs, metrics and `explain` name it.

use crate::decide::Verdict;
use crate::model::local_response::{LocalResponse, LoginPage, Problem};
use crate::model::outcome_label::OutcomeLabel::{self, Answered, Failed, Refused};
use crate::model::reason::Reason;

fn label(response: LocalResponse, reason: Reason) -> OutcomeLabel {
    Verdict::reply(response, reason).label()
}

#[test]
fn who_mistyped_a_password_is_answered_and_who_may_not_is_refused() {
    for (reason, expected) in [
        (Reason::InvalidCredentials, Answered),
        (Reason::SignedOut, Refused),
        (Reason::CsrfFailed, Refused),
        (Reason::StoreUnavailable, Failed),
    ] {
        let problem = LocalResponse::Problem(Problem::new(reason));
        assert_eq!(label(problem, reason), expected, "{reason:?}");
    }
    for (reason, expected) in [
        (Reason::OwnEndpoint, Answered),
        (Reason::InvalidCredentials, Answered),
        (Reason::CsrfFailed, Refused),
        (Reason::Throttled, Refused),
        (Reason::SignedOut, Refused),
        (Reason::Revoked, Refused),
        (Reason::ProviderUnavailable, Failed),
    ] {
        let page = LocalResponse::LoginPage(LoginPage::new());
        assert_eq!(label(page, reason), expected, "{reason:?}");
    }
}
