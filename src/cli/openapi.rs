//! The description of the JSON endpoints (OpenAPI 3.1), made from the types that are answered and
//! the list of reasons.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::decide::endpoint::{ApiEndpoint, Endpoint, StepEndpoint};
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
/// The reason codes of every call that asks the provider or the store.
const UNAVAILABLE: &[Reason] = &[
    Reason::ProviderUnavailable,
    Reason::ProviderMisconfigured,
    Reason::StoreUnavailable,
];
/// The reason codes of calls that ask for tokens in the body.
const TOKENS: &[Reason] = &[Reason::BearerNotEnabled, Reason::BrowserTokensRefused];

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    let steps = StepEndpoint::ALL.into_iter().map(ApiEndpoint::Step);
    let calls = [
        ApiEndpoint::Login,
        ApiEndpoint::User,
        ApiEndpoint::Refresh,
        ApiEndpoint::Logout,
    ]
    .into_iter()
    .chain(steps);
    for (path, method, operation) in calls.map(operation) {
        paths.insert(
            format!("{}{path}", OwnPaths::default().api.unwrap_or_default()),
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

/// What is described of one call.
struct Call {
    /// Beneath the path of `[sites.paths] api`.
    path: String,
    summary: &'static str,
    success: Success,
    /// The schema of the request's body; `None` where there is none.
    body: Option<Value>,
    /// The reason codes of its refusals, besides those that every call has.
    reasons: Vec<Reason>,
}

/// The status of a success, and the schema of its body.
struct Success {
    status: &'static str,
    schema: Option<Value>,
}

impl Success {
    fn ok(schema: Value) -> Self {
        Self {
            status: "200",
            schema: Some(schema),
        }
    }

    const fn no_content() -> Self {
        Self {
            status: "204",
            schema: None,
        }
    }
}

/// Path, method and description of one call.
fn operation(call: ApiEndpoint) -> (String, &'static str, Value) {
    let described = describe(call);
    let responses = responses(call, &described);
    let mut operation = json!({ "summary": described.summary, "responses": responses });
    let begins_a_login = matches!(call, ApiEndpoint::Login | ApiEndpoint::Step(_));
    if let (Some(operation), Some(body)) = (operation.as_object_mut(), described.body) {
        let content = json!({ "application/json": { "schema": body } });
        let body = json!({ "required": begins_a_login, "content": content });
        operation.insert("requestBody".into(), body);
    }
    if let (Some(operation), false) = (operation.as_object_mut(), begins_a_login) {
        let security = json!([{ "cookies": [] }, { "bearer": [] }, {}]);
        operation.insert("security".into(), security);
    }
    let method = if Endpoint::Api(call).methods() == "POST" {
        "post"
    } else {
        "get"
    };
    (described.path, method, operation)
}

fn describe(call: ApiEndpoint) -> Call {
    match call {
        ApiEndpoint::Login => Call {
            path: "/login".into(),
            summary: "Sign in",
            success: Success::ok(schema::<SignedInUser>()),
            body: Some(login_body()),
            // The first step asks for no code yet.
            reasons: [
                &*sign_in_answers(&[Reason::WrongCode, Reason::ChallengeExpired]),
                &[Reason::SignInRedirects],
            ]
            .concat(),
        },
        ApiEndpoint::Step(call) => describe_step(call),
        ApiEndpoint::User => Call {
            path: "/user".into(),
            summary: "Who is signed in",
            success: Success::ok(schema::<CurrentUser>()),
            body: None,
            reasons: vec![Reason::BrowserTokensRefused],
        },
        ApiEndpoint::Refresh => Call {
            path: "/refresh".into(),
            summary: "Renew now",
            success: Success::ok(schema::<TokenResponse>()),
            body: Some(token_body()),
            reasons: [&[Reason::SignedOut], TOKENS].concat(),
        },
        ApiEndpoint::Logout => Call {
            path: "/logout".into(),
            summary: "Sign out",
            success: Success::no_content(),
            body: Some(token_body()),
            reasons: Vec::new(),
        },
    }
}

/// A step that follows the password.
fn describe_step(call: StepEndpoint) -> Call {
    let path = format!("/login{}", call.suffix());
    match call {
        StepEndpoint::TwoFactor => Call {
            path,
            summary: "Go on with a code",
            success: Success::ok(schema::<SignedInUser>()),
            body: Some(code_body()),
            reasons: sign_in_answers(&[Reason::TwoFactorRequired]),
        },
        StepEndpoint::NewPassword => Call {
            path,
            summary: "Go on with a new password",
            success: Success::ok(schema::<SignedInUser>()),
            body: Some(new_password_body()),
            reasons: sign_in_answers(&[Reason::WrongCode]),
        },
        StepEndpoint::SendCode => Call {
            path,
            summary: "Be sent a code",
            success: Success::no_content(),
            body: Some(send_body()),
            reasons: [&[Reason::ChallengeExpired, Reason::Throttled], TOKENS].concat(),
        },
    }
}

/// The answers of a call by their status.
fn responses(call: ApiEndpoint, described: &Call) -> Map<String, Value> {
    let posted = if described.body.is_some() {
        POSTED
    } else {
        &[]
    };
    let unavailable = if call == ApiEndpoint::Logout {
        &[]
    } else {
        UNAVAILABLE
    };
    let mut by_status: BTreeMap<String, Vec<Reason>> = BTreeMap::new();
    let reasons = described.reasons.iter();
    for reason in reasons.chain(ALWAYS).chain(posted).chain(unavailable) {
        let same = by_status.entry(reason.status().to_string()).or_default();
        if !same.contains(reason) {
            same.push(*reason);
        }
    }
    if call == ApiEndpoint::User {
        // Single-page applications ask this when they start: signed out is no error there.
        by_status.insert("404".into(), vec![Reason::SignedOut]);
    }
    let mut responses: Map<String, Value> = by_status
        .into_iter()
        .map(|(status, reasons)| (status, refused(&reasons)))
        .collect();
    let success = &described.success;
    responses.insert(success.status.into(), answered(success.schema.as_ref()));
    if call == ApiEndpoint::Refresh {
        let renewed = json!({ "description": "Renewed; the cookies are new." });
        responses.insert("204".into(), renewed);
    }
    responses
}

fn answered(schema: Option<&Value>) -> Value {
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
        // Browsers come back from the provider, and no script.
        .filter(|it| it.is_login_result() && *it != Reason::SignInFailed && !not.contains(it));
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
    use crate::model::api_request::ApiRequestBody;

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
            ApiRequestBody::parse(sample(&login_body()).as_bytes())
                .unwrap()
                .login()
                .is_some()
        );
        assert!(
            ApiRequestBody::parse(sample(&code_body()).as_bytes())
                .unwrap()
                .two_factor()
                .is_some()
        );
        assert!(
            ApiRequestBody::parse(sample(&send_body()).as_bytes())
                .unwrap()
                .send_code()
                .is_some()
        );
        assert!(
            ApiRequestBody::parse(sample(&new_password_body()).as_bytes())
                .unwrap()
                .new_password()
                .is_some()
        );
        assert!(
            ApiRequestBody::parse(sample(&token_body()).as_bytes())
                .unwrap()
                .token()
                .unwrap()
                .refresh_token
                .is_some()
        );
    }
}
