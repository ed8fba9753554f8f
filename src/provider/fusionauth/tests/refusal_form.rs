//! Refusals that FusionAuth has not sent.

use super::*;
use crate::provider::Trust;

/// A proxy, or another server at the same address, says these.
#[tokio::test]
async fn a_refusal_in_another_form_refuses_nobody() {
    let page = "<html><h1>Not here</h1></html>";
    for (status, body) in [
        (202, page),
        (212, page),
        (213, page),
        (400, page),
        (400, "[]"),
        (404, page),
        (404, "{\"message\":\"no route\"}"),
        (409, page),
        (410, page),
        (421, page),
        (423, page),
    ] {
        let (server, _) = scripted(Script::saying(status, body)).await;
        assert!(is_unavailable(&log_in(&server).await), "{status} {body}");
        let code = steps::second_factor(&server, Trust::No).await;
        assert!(is_unavailable(&code), "{status} {body}");
        assert!(
            is_unavailable(&steps::change_password(&server).await),
            "{status} {body}"
        );
        let (id, method) = (Secret::new("1"), Secret::new("2"));
        if !(200..300).contains(&status) {
            assert!(
                is_unavailable(&server.send_code(&id, &method).await),
                "{status} {body}"
            );
        }
    }
    for field in ["applicationId", "tenantId"] {
        let body = json!({ "fieldErrors": { field: [{ "code": format!("[invalid]{field}") }] } });
        let (server, _) = scripted(Script::saying(400, body.to_string())).await;
        assert!(is_misconfigured(&log_in(&server).await), "{field}");
    }
}

/// Servers that stand in for FusionAuth send an empty object where it sends no body.
#[tokio::test]
async fn an_empty_object_counts_as_no_body_of_a_refused_login() {
    for status in [202, 212, 213, 400, 404, 409, 410, 423] {
        for body in ["", "{}"] {
            let (server, _) = scripted(Script::saying(status, body)).await;
            let refused = log_in(&server).await;
            assert!(
                matches!(refused, Err(ProviderError::Refused(_))),
                "{status} {body}"
            );
        }
    }
}
