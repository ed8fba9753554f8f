//! The steps after the password, with scripted responses.

use super::*;
use crate::model::login_step::{FactorKind, OfferedMethod, PendingStep};
use crate::provider::Trust;

pub(super) const ID: &str = "two/factor?id";
const CODE: &str = "123456";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

pub(super) async fn second_factor(
    server: &Fusionauth,
    trust_device: Trust,
) -> Result<LoginSuccess, ProviderError> {
    let (id, code) = (Secret::new(ID), Secret::new(CODE));
    let attempt = SecondFactorAttempt {
        id: &id,
        code: &code,
        application_id: "store",
        client_address: CLIENT.parse().unwrap(),
        device: Device {
            user_agent: Some(FIREFOX),
        },
        trust_device,
    };
    server.second_factor(attempt).await
}

pub(super) async fn change_password(server: &Fusionauth) -> Result<LoginSuccess, ProviderError> {
    let (id, password, trust) = (
        Secret::new(ID),
        Secret::new(PASSWORD),
        Secret::new("trusted"),
    );
    let attempt = NewPasswordAttempt {
        id: &id,
        password: &password,
        application_id: "store",
        client_address: CLIENT.parse().unwrap(),
        device: Device {
            user_agent: Some(FIREFOX),
        },
        trust: Some(&trust),
    };
    server.change_password(attempt).await
}

pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<T, ProviderError>) -> LoginRefused {
    match answer {
        Err(ProviderError::Refused(refused)) => refused,
        Ok(_) | Err(ProviderError::Unavailable(_) | ProviderError::Misconfigured(_)) => {
            panic!("{answer:?}")
        }
    }
}

pub(super) fn asked(script: &Script) -> Vec<(String, Option<String>, Value)> {
    let asked = std::mem::take(&mut *script.asked.lock().unwrap());
    let key = |head: &Parts| {
        head.headers
            .get("authorization")
            .map(|key| key.to_str().unwrap().to_owned())
    };
    asked
        .iter()
        .map(|(head, body)| {
            (
                head.uri.to_string(),
                key(head),
                serde_json::from_slice(body).unwrap(),
            )
        })
        .collect()
}

pub(super) fn device() -> Value {
    json!({ "device": { "name": "Firefox on Linux", "description": FIREFOX, "type": "BROWSER" } })
}

#[tokio::test]
async fn a_login_sends_the_device_and_its_trust() {
    let answer = r#"{"token":"A","twoFactorTrustId":"newly trusted"}"#;
    let (server, script) = scripted(Script::saying(200, answer)).await;
    let trust = Secret::new("trusted");
    let success = log_in_with(
        &server,
        Device {
            user_agent: Some(FIREFOX),
        },
        Some(&trust),
    )
    .await
    .unwrap();
    assert_eq!(success.trust, Some(Secret::new("newly trusted")));
    let wanted = json!({
        "loginId": "a@b.example", "password": PASSWORD, "applicationId": "store", "ipAddress": "192.0.2.7",
        "twoFactorTrustId": "trusted", "metaData": device(),
    });
    assert_eq!(
        asked(&script),
        [("/api/login".into(), Some(API_KEY.into()), wanted)]
    );
}

#[tokio::test]
async fn a_code_is_sent_as_documented() {
    for (trust, said) in [(Trust::Yes, true), (Trust::No, false)] {
        let (server, script) =
            scripted(Script::saying(200, r#"{"token":"A","refreshToken":"R"}"#)).await;
        let success = second_factor(&server, trust).await.unwrap();
        let tokens = TokenPair::new(Secret::new("A"), Some(Secret::new("R")));
        assert_eq!(
            success,
            LoginSuccess {
                tokens,
                trust: None
            }
        );
        let wanted = json!({
            "code": CODE, "twoFactorId": ID, "applicationId": "store", "ipAddress": "192.0.2.7",
            "metaData": device(), "trustComputer": said,
        });
        assert_eq!(
            asked(&script),
            [("/api/two-factor/login".into(), None, wanted)]
        );
    }
    let (server, _) = scripted(Script::saying(
        200,
        r#"{"token":"A","twoFactorTrustId":"trusted"}"#,
    ))
    .await;
    assert_eq!(
        second_factor(&server, Trust::Yes).await.unwrap().trust,
        Some(Secret::new("trusted"))
    );
}

#[tokio::test]
async fn a_code_is_requested_with_the_id_as_one_segment() {
    let (server, script) = scripted(Script::saying(200, "")).await;
    server
        .send_code(&Secret::new(ID), &Secret::new("R2D2"))
        .await
        .unwrap();
    let wanted = (
        "/api/two-factor/send/two%2Ffactor%3Fid".into(),
        None,
        json!({ "methodId": "R2D2" }),
    );
    assert_eq!(asked(&script), [wanted]);
    for id in ["", ".", ".."] {
        assert!(
            is_misconfigured(
                &server
                    .send_code(&Secret::new(id), &Secret::new("R2D2"))
                    .await
            ),
            "{id}"
        );
    }
    assert!(asked(&script).is_empty());
    for (status, reason) in [
        (400, Reason::RejectedInput),
        (404, Reason::ChallengeExpired),
    ] {
        let (server, _) = scripted(Script::saying(status, as_documented(status, ""))).await;
        assert_eq!(
            server
                .send_code(&Secret::new(ID), &Secret::new("R2D2"))
                .await,
            refused(reason),
            "{status}"
        );
    }
    for status in [201, 203, 242, 302, 403, 421, 429, 500, 503] {
        let (server, _) = scripted(Script::saying(status, "")).await;
        assert!(
            is_unavailable(
                &server
                    .send_code(&Secret::new(ID), &Secret::new("R2D2"))
                    .await
            ),
            "{status}"
        );
    }
    let (server, _) = scripted(Script::saying(401, "")).await;
    assert!(is_misconfigured(
        &server
            .send_code(&Secret::new(ID), &Secret::new("R2D2"))
            .await
    ));
}

#[tokio::test]
async fn each_step_has_its_own_refusals() {
    for (status, code, password) in [
        (
            404,
            Some(Reason::ChallengeExpired),
            Some(Reason::ChallengeExpired),
        ),
        (421, Some(Reason::WrongCode), None),
        (
            400,
            Some(Reason::RejectedInput),
            Some(Reason::RejectedInput),
        ),
        (409, Some(Reason::LoginPrevented), None),
        (410, Some(Reason::InvalidCredentials), None),
        (202, Some(Reason::NotRegistered), None),
        (212, Some(Reason::EmailUnverified), None),
        (213, Some(Reason::RegistrationUnverified), None),
        (429, None, None),
        (500, None, None),
        (503, None, None),
    ] {
        // With what a success has in it, so that a status that was taken for 200 shows.
        let (server, script) = scripted(Script::saying(
            status,
            as_documented(status, r#"{"token":"A","oneTimePassword":"once"}"#),
        ))
        .await;
        for (answer, reason) in [
            (second_factor(&server, Trust::No).await, code),
            (change_password(&server).await, password),
        ] {
            match reason {
                Some(reason) => assert_eq!(answer, refused(reason), "{status}"),
                None => assert!(is_unavailable(&answer), "{status}"),
            }
        }
        assert_eq!(
            asked(&script).len(),
            2,
            "{status}: nobody signs in after a refusal"
        );
    }
    let (server, _) = scripted(Script::saying(401, "")).await;
    assert!(is_misconfigured(&second_factor(&server, Trust::No).await));
    assert!(is_misconfigured(&change_password(&server).await));
}

#[tokio::test]
async fn a_required_code_comes_with_its_methods() {
    let body = json!({ "twoFactorId": "leaky", "token": "leaky", "methods": [
        { "id": "TOTP", "method": "authenticator", "authenticator": { "codeLength": 6 } },
        { "id": "R2D2", "method": "email", "email": "dinesh@fusionauth.io", "lastUsed": true },
        { "id": "C3PO", "method": "sms", "mobilePhone": "+1 555-555-5512" },
        { "id": "BB8", "method": "carrier_pigeon" }, { "method": "email" }, { "id": "a\r\nb", "method": "email" },
    ] });
    let (server, _) = scripted(Script::saying(242, body.to_string())).await;
    let refused = refusal(log_in(&server).await);
    assert!(
        !format!("{refused:?}").contains("leaky") && !format!("{refused:?}").contains("R2D2"),
        "{refused:?}"
    );
    let method = |id: &str, kind, label: Option<&str>| OfferedMethod {
        id: Secret::new(id),
        kind,
        label: label.map(ToOwned::to_owned),
    };
    let methods = vec![
        method("TOTP", FactorKind::Authenticator, None),
        method("R2D2", FactorKind::Email, Some("d***@fusionauth.io")),
        method("C3PO", FactorKind::Sms, Some("***12")),
    ];
    let pending = PendingStep::SecondFactor {
        id: Secret::new("leaky"),
        methods,
    };
    assert_eq!(
        (refused.reason, refused.pending_step),
        (Reason::TwoFactorRequired, Some(Box::new(pending)))
    );
}

#[tokio::test]
async fn a_required_code_without_known_methods_is_an_error() {
    for body in [
        r#"{"twoFactorId":"leaky"}"#,
        r#"{"twoFactorId":"leaky","methods":[]}"#,
    ] {
        let (server, _) = scripted(Script::saying(242, body)).await;
        let pending = PendingStep::SecondFactor {
            id: Secret::new("leaky"),
            methods: Vec::new(),
        };
        assert_eq!(
            refusal(log_in(&server).await).pending_step,
            Some(Box::new(pending)),
            "{body}"
        );
    }
    let body = r#"{"twoFactorId":"x","methods":[{"id":"1","method":"pigeon"}]}"#;
    let (server, _) = scripted(Script::saying(242, body)).await;
    assert!(is_misconfigured(&log_in(&server).await));
    for body in [
        "",
        "{}",
        r#"{"twoFactorId":""}"#,
        r#"{"twoFactorId":1}"#,
        r#"{"twoFactorId":"a b"}"#,
        "leaky",
    ] {
        let (server, _) = scripted(Script::saying(242, body)).await;
        assert!(is_unavailable(&log_in(&server).await), "{body}");
    }
}
