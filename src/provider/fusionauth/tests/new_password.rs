//! A new password that a login requires, with scripted responses.

use super::steps::{ID, asked, change_password, device, refusal, second_factor};
use super::*;
use crate::model::login_step::PendingStep;
use crate::model::password_violation::PasswordViolation;
use crate::provider::Trust;

#[tokio::test]
async fn a_required_password_comes_with_its_id_and_reason() {
    for (body, word) in [
        (
            r#"{"changePasswordId":"leaky","changePasswordReason":"Breached"}"#,
            Some("Breached"),
        ),
        (
            r#"{"changePasswordId":"leaky","changePasswordReason":"<script>"}"#,
            None,
        ),
        (
            r#"{"changePasswordId":"leaky","changePasswordReason":1}"#,
            None,
        ),
        (r#"{"changePasswordId":"leaky"}"#, None),
    ] {
        let (server, _) = scripted(Script::saying(203, body)).await;
        // A code that is right leads here as well.
        for answer in [
            log_in(&server).await.map(drop),
            second_factor(&server, Trust::No).await.map(drop),
        ] {
            let refused = refusal(answer);
            assert_eq!(refused.reason, Reason::PasswordChangeRequired);
            assert_eq!(refused.change_reason.as_deref(), word, "{body}");
            assert_eq!(
                refused.pending_step,
                Some(Box::new(PendingStep::NewPassword {
                    id: Secret::new("leaky")
                }))
            );
        }
    }
    for body in [
        "",
        "{}",
        r#"{"changePasswordReason":"Breached"}"#,
        r#"{"changePasswordId":""}"#,
    ] {
        let (server, _) = scripted(Script::saying(203, body)).await;
        assert!(is_unavailable(&log_in(&server).await), "{body}");
    }
}

#[tokio::test]
async fn a_new_password_signs_in_without_being_typed_again() {
    let body = r#"{"oneTimePassword":"once","token":"A","refreshToken":"R"}"#;
    let (server, script) = scripted(Script::saying(200, body)).await;
    let success = change_password(&server).await.unwrap();
    assert_eq!(
        success.tokens,
        TokenPair::new(Secret::new("A"), Some(Secret::new("R")))
    );
    let change = json!({ "changePasswordId": ID, "password": PASSWORD });
    let login = json!({
        "oneTimePassword": "once", "applicationId": "store", "ipAddress": "192.0.2.7", "twoFactorTrustId": "trusted",
        "metaData": device(),
    });
    let wanted = [
        ("/api/user/change-password".to_owned(), None, change),
        ("/api/login".to_owned(), Some(API_KEY.to_owned()), login),
    ];
    assert_eq!(asked(&script), wanted);
    for body in ["", "{}", r#"{"oneTimePassword":""}"#] {
        let (server, script) = scripted(Script::saying(200, body)).await;
        assert!(is_unavailable(&change_password(&server).await), "{body}");
        assert_eq!(asked(&script).len(), 1);
    }
}

#[tokio::test]
async fn the_rules_a_password_violates_are_reported() {
    let error = |code: &str, message: &str| json!({ "code": format!("[{code}]password"), "message": message });
    let errors = [
        error("tooShort", "must be at least 12 characters"),
        error("requireNumber", "leaky"),
    ];
    let body = json!({ "fieldErrors": { "password": errors } }).to_string();
    let (server, _) = scripted(Script::saying(400, body)).await;
    let refused = refusal(change_password(&server).await);
    assert_eq!(refused.reason, Reason::RejectedInput);
    assert_eq!(
        refused.violations,
        [
            PasswordViolation::TooShort(Some(12)),
            PasswordViolation::RequireNumber
        ]
    );
    assert_eq!(
        refusal(log_in(&server).await).violations,
        [],
        "what is wrong with a known password is nobody's business"
    );
}
