//! Problem documents (RFC 9457), with the challenge of the step that would lead on.

use serde::Serialize;

use crate::model::challenge::{MethodChoice, NextStep};
use crate::model::local_response::Problem;
use crate::model::login_step::LoginStep;
use crate::model::password_violation::PasswordViolation;

/// The media type of [`problem_document`].
pub(super) const PROBLEM_TYPE: &str = "application/problem+json";

/// A problem as a document.
pub(super) fn problem_document(what: &Problem, request_id: &str) -> String {
    let reason = what.reason.for_client();
    let document = Document {
        kind: "about:blank",
        title: reason.title(),
        status: what.status,
        code: reason.as_str(),
        request_id,
        change_reason: what.change_reason.as_deref(),
        next: what.next_step.as_deref().map(NextStepMembers::from),
        location: what.sign_in_address.as_deref(),
        violations: what.violations.iter().map(Violation::from).collect(),
    };
    // Text and numbers only: serialization does not fail.
    serde_json::to_string(&document).unwrap_or_default()
}

/// The members of a problem document. Their names are part of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_reason: Option<&'a str>,
    #[serde(flatten)]
    next: Option<NextStepMembers<'a>>,
    /// Where a browser is sent to sign in, with `sign_in_redirects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
}

/// What a program needs for the next step.
#[derive(Serialize)]
struct NextStepMembers<'a> {
    challenge: &'a str,
    /// For a second factor. The list may be empty: a provider may ask for a code without naming a
    /// method.
    #[serde(skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<OfferedMethod<'a>>>,
}

/// A method of the second factor.
#[derive(Serialize)]
struct OfferedMethod<'a> {
    method: &'static str,
    label: Option<&'a str>,
    choice: &'a str,
}

/// A rule that a new password breaks, with the limit of that rule where it has one.
#[derive(Serialize)]
struct Violation {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

impl<'a> From<&'a NextStep> for NextStepMembers<'a> {
    fn from(next: &'a NextStep) -> Self {
        let methods = || next.methods.iter().map(OfferedMethod::from).collect();
        let methods = (next.step == LoginStep::TwoFactor).then(methods);
        Self {
            challenge: next.challenge.expose(),
            methods,
        }
    }
}

impl<'a> From<&'a MethodChoice> for OfferedMethod<'a> {
    fn from(method: &'a MethodChoice) -> Self {
        Self {
            method: method.kind.as_str(),
            label: method.label.as_deref(),
            choice: method.choice.expose(),
        }
    }
}

impl From<&PasswordViolation> for Violation {
    fn from(violation: &PasswordViolation) -> Self {
        Self {
            rule: violation.as_str(),
            limit: violation.limit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::login_step::FactorKind;
    use crate::model::reason::Reason;
    use crate::model::secret::Secret;
    use serde_json::{Value, json};

    fn document(problem: &Problem) -> Value {
        serde_json::from_str(&problem_document(problem, "r1")).unwrap()
    }

    #[test]
    fn a_problem_says_no_more_than_it_must() {
        let body = document(&Problem::new(Reason::Revoked));
        let title = Reason::SignedOut.title();
        let plain = json!({
            "type": "about:blank", "title": title, "status": 401, "code": "signed_out", "requestId": "r1",
        });
        assert_eq!(body, plain);
    }

    #[test]
    fn what_leads_on_stands_beside_the_code() {
        let method = |kind, label: Option<&str>| MethodChoice {
            kind,
            label: label.map(str::to_owned),
            choice: Secret::new("D"),
        };
        let mut problem = Problem::new(Reason::TwoFactorRequired);
        let methods = vec![
            method(FactorKind::Authenticator, None),
            method(FactorKind::Sms, Some("***12")),
        ];
        let next = NextStep {
            step: LoginStep::TwoFactor,
            challenge: Secret::new("C"),
            methods,
            change_reason: None,
        };
        problem.next_step = Some(Box::new(next.clone()));
        let body = document(&problem);
        assert_eq!(body["challenge"], "C");
        let methods = json!([
            { "method": "authenticator", "label": null, "choice": "D" },
            { "method": "sms", "label": "***12", "choice": "D" },
        ]);
        assert_eq!(body["methods"], methods);
        let mut problem = Problem::new(Reason::PasswordChangeRequired);
        problem.next_step = Some(Box::new(NextStep {
            step: LoginStep::NewPassword,
            methods: Vec::new(),
            ..next
        }));
        problem.change_reason = Some("Expired".into());
        let body = document(&problem);
        assert_eq!(
            (&body["challenge"], &body["changeReason"]),
            (&json!("C"), &json!("Expired"))
        );
        assert_eq!(body.get("methods"), None);
        let mut problem = Problem::new(Reason::RejectedInput);
        problem.violations = vec![
            PasswordViolation::TooShort(Some(8)),
            PasswordViolation::PreviouslyUsed,
        ];
        let violations = json!([{ "rule": "tooShort", "limit": 8 }, { "rule": "previouslyUsed" }]);
        assert_eq!(document(&problem)["violations"], violations);
    }
}
