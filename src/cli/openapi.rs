//! The description of the JSON endpoints (OpenAPI 3.1), made from the types that are answered and
//! the list of reasons.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::decide::endpoint::{ApiCall, Endpoint, StepCall};
use crate::model::api_response::{CurrentUser, SignedInUser, TokenResponse};
use crate::model::reason::Reason;
use crate::model::site::OwnPaths;

/// What any call may meet.
const ALWAYS: &[Reason] = &[Reason::MethodNotAllowed, Reason::Internal];
/// What a call that is posted may meet before anybody looks at what it wants.
const POSTED: &[Reason] = &[
    Reason::CrossSiteRequest,
    Reason::RejectedInput,
    Reason::RequestTooLarge,
    Reason::UnsupportedMediaType,
];
/// What may be the matter with those that are asked.
const TROUBLE: &[Reason] = &[
    Reason::ProviderUnavailable,
    Reason::ProviderMisconfigured,
    Reason::StoreUnavailable,
];
/// What is the matter with clients that want tokens.
const TOKENS: &[Reason] = &[Reason::BearerNotEnabled, Reason::BrowserTokensRefused];

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    let steps = StepCall::ALL.into_iter().map(ApiCall::Step);
    let calls = [
        ApiCall::Login,
        ApiCall::User,
        ApiCall::Refresh,
        ApiCall::Logout,
    ]
    .into_iter()
    .chain(steps);
    for (path, method, operation) in calls.map(operation) {
        paths.insert(
            format!("{}{path}", OwnPaths::default().api),
            json!({ method: operation }),
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Vestibule",
            "summary": "What programs may call on every site, beneath the path of `[sites.paths].api`.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": { "Problem": problem() },
            "securitySchemes": {
                "cookies": { "type": "apiKey", "in": "cookie", "name": "__Host-vestibule-access" },
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

/// Path, method and description of one call.
fn operation(call: ApiCall) -> (String, &'static str, Value) {
    let (path, summary, good, body, reasons) = match call {
        ApiCall::Login => {
            // The first step asks for no code yet.
            let reasons = sign_in_answers(&[Reason::WrongCode, Reason::ChallengeExpired]);
            (
                "/login".into(),
                "Sign in",
                ("200", Some(schema::<SignedInUser>())),
                Some(login_body()),
                reasons,
            )
        }
        ApiCall::Step(call) => {
            let (summary, good, body, reasons) = step(call);
            (
                format!("/login{}", call.path()),
                summary,
                good,
                Some(body),
                reasons,
            )
        }
        ApiCall::User => {
            let reasons = vec![Reason::BrowserTokensRefused];
            (
                "/user".into(),
                "Who is signed in",
                ("200", Some(schema::<CurrentUser>())),
                None,
                reasons,
            )
        }
        ApiCall::Refresh => {
            let reasons = [&[Reason::SignedOut], TOKENS].concat();
            (
                "/refresh".into(),
                "Renew now",
                ("200", Some(schema::<TokenResponse>())),
                Some(token_body()),
                reasons,
            )
        }
        ApiCall::Logout => (
            "/logout".into(),
            "Sign out",
            ("204", None),
            Some(token_body()),
            Vec::new(),
        ),
    };
    let posted = body.is_some();
    let mut told: BTreeMap<String, Vec<Reason>> = BTreeMap::new();
    let trouble = if call == ApiCall::Logout {
        &[][..]
    } else {
        TROUBLE
    };
    for reason in reasons
        .into_iter()
        .chain([ALWAYS, if posted { POSTED } else { &[] }, trouble].concat())
    {
        let same = told.entry(reason.status().to_string()).or_default();
        if !same.contains(&reason) {
            same.push(reason);
        }
    }
    if call == ApiCall::User {
        // Asked when a program starts: that nobody is signed in is nobody's fault.
        told.insert("404".into(), vec![Reason::SignedOut]);
    }
    let mut responses: Map<String, Value> = told
        .into_iter()
        .map(|(status, reasons)| (status, refused(&reasons)))
        .collect();
    responses.insert(good.0.into(), answered(good.1));
    if call == ApiCall::Refresh {
        responses.insert(
            "204".into(),
            json!({ "description": "Renewed; the cookies are new." }),
        );
    }
    let mut operation = json!({ "summary": summary, "responses": responses });
    if let (Some(operation), Some(body)) = (operation.as_object_mut(), body) {
        let required = matches!(call, ApiCall::Login | ApiCall::Step(_));
        let body =
            json!({ "required": required, "content": { "application/json": { "schema": body } } });
        operation.insert("requestBody".into(), body);
    }
    if let (Some(operation), false) = (
        operation.as_object_mut(),
        matches!(call, ApiCall::Login | ApiCall::Step(_)),
    ) {
        operation.insert(
            "security".into(),
            json!([{ "cookies": [] }, { "bearer": [] }, {}]),
        );
    }
    (
        path,
        if Endpoint::Api(call).methods() == "POST" {
            "post"
        } else {
            "get"
        },
        operation,
    )
}

/// Summary, status and schema of a success, body and reasons of one step after a password.
fn step(
    call: StepCall,
) -> (
    &'static str,
    (&'static str, Option<Value>),
    Value,
    Vec<Reason>,
) {
    let signed_in = ("200", Some(schema::<SignedInUser>()));
    match call {
        StepCall::TwoFactor => (
            "Go on with a code",
            signed_in,
            code_body(),
            sign_in_answers(&[Reason::TwoFactorRequired]),
        ),
        StepCall::NewPassword => (
            "Go on with a new password",
            signed_in,
            new_password_body(),
            sign_in_answers(&[Reason::WrongCode]),
        ),
        StepCall::SendCode => {
            let reasons = [&[Reason::ChallengeExpired, Reason::Throttled], TOKENS].concat();
            ("Be sent a code", ("204", None), send_body(), reasons)
        }
    }
}

fn answered(schema: Option<Value>) -> Value {
    match schema {
        Some(schema) => {
            json!({ "description": "Good.", "content": { "application/json": { "schema": schema } } })
        }
        None => json!({ "description": "Good." }),
    }
}

fn refused(reasons: &[Reason]) -> Value {
    let words: Vec<String> = reasons
        .iter()
        .map(|reason| format!("`{}`", reason.as_str()))
        .collect();
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": words.join(", "), "content": { "application/problem+json": { "schema": schema } } })
}

fn login_body() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["loginId", "password"],
        "properties": {
            // Neither may be blank: what nobody has typed is asked of no identity server.
            "loginId": { "type": "string", "minLength": 1, "pattern": "\\S" },
            "password": { "type": "string", "format": "password", "minLength": 1 },
            "remember": { "type": "boolean", "default": true },
            "tokens": { "type": "string", "enum": ["cookie", "body"], "default": "cookie" },
        },
    })
}

/// What may come of a step of signing in, but for `not`.
fn sign_in_answers(not: &[Reason]) -> Vec<Reason> {
    let answers = Reason::ALL
        .iter()
        .copied()
        .filter(|reason| reason.answers_a_sign_in() && !not.contains(reason));
    answers
        .chain([Reason::Throttled, Reason::TokensTooLarge])
        .chain(TOKENS.iter().copied())
        .collect()
}

fn code_body() -> Value {
    step_body(
        "code",
        &json!({ "type": "string", "pattern": "\\S" }),
        Some(("trust", &json!({ "type": "boolean", "default": false }))),
    )
}

fn send_body() -> Value {
    step_body("choice", &json!({ "type": "string" }), None)
}

fn new_password_body() -> Value {
    step_body(
        "password",
        &json!({ "type": "string", "format": "password", "minLength": 1 }),
        None,
    )
}

/// A challenge, what it is answered with, and what may stand beside it.
fn step_body(name: &str, answer: &Value, also: Option<(&str, &Value)>) -> Value {
    let mut properties = Map::from_iter([
        ("challenge".to_owned(), json!({ "type": "string" })),
        (name.to_owned(), answer.clone()),
    ]);
    properties.extend(also.map(|(name, schema)| (name.to_owned(), schema.clone())));
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["challenge", name],
        "properties": properties,
    })
}

fn token_body() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": { "refreshToken": { "type": "string" } },
    })
}

/// A problem document (RFC 9457).
fn problem() -> Value {
    let codes: Vec<&str> = Reason::ALL
        .iter()
        .filter(|reason| reason.status() >= 400)
        .map(|r| r.as_str())
        .collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "requestId"],
        "properties": {
            "type": { "const": "about:blank" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "enum": codes },
            "requestId": { "type": "string" },
            "changeReason": { "type": "string" },
            // What a sign-in that waits for more is continued with.
            "challenge": { "type": "string" },
            "methods": { "type": "array", "items": {
                "type": "object",
                "required": ["method", "label", "choice"],
                "properties": {
                    "method": { "enum": ["authenticator", "email", "sms"] },
                    "label": { "type": ["string", "null"] },
                    "choice": { "type": "string" },
                },
            } },
            // The rules that a new password breaks.
            "violations": { "type": "array", "items": {
                "type": "object",
                "required": ["rule"],
                "properties": { "rule": { "type": "string" }, "limit": { "type": "integer" } },
            } },
        },
    })
}

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::api_call::CallBody;

    #[test]
    fn the_written_description_is_this_one() {
        let written: Value =
            serde_json::from_str(include_str!("../../docs/reference/openapi.json")).unwrap();
        assert!(
            written == document(),
            "write docs/reference/openapi.json anew: vestibule schema --openapi"
        );
    }

    /// The gateway answers both with `rejected_input`.
    #[test]
    fn a_sign_in_with_blanks_does_not_fit() {
        let members = &login_body()["properties"];
        assert_eq!(
            (
                &members["loginId"]["pattern"],
                &members["password"]["minLength"]
            ),
            (&json!("\\S"), &json!(1))
        );
    }

    /// The bodies are read by hand: the description knows the members that are read, and no other.
    #[test]
    fn every_member_of_a_body_is_read() {
        let sample = |schema: &Value| {
            let members = schema["properties"].as_object().unwrap().iter();
            let value = |schema: &Value| match (&schema["enum"], schema["type"].as_str()) {
                (Value::Array(words), _) => words[0].clone(),
                (_, Some("boolean")) => json!(true),
                _ => json!("x"),
            };
            json!(
                members
                    .map(|(name, schema)| (name.clone(), value(schema)))
                    .collect::<Map<_, _>>()
            )
            .to_string()
        };
        assert!(
            CallBody::read(sample(&login_body()).as_bytes())
                .unwrap()
                .login()
                .is_some()
        );
        assert!(
            CallBody::read(sample(&code_body()).as_bytes())
                .unwrap()
                .code()
                .is_some()
        );
        assert!(
            CallBody::read(sample(&send_body()).as_bytes())
                .unwrap()
                .send()
                .is_some()
        );
        assert!(
            CallBody::read(sample(&new_password_body()).as_bytes())
                .unwrap()
                .new_password()
                .is_some()
        );
        assert!(
            CallBody::read(sample(&token_body()).as_bytes())
                .unwrap()
                .token()
                .unwrap()
                .refresh_token
                .is_some()
        );
    }
}
