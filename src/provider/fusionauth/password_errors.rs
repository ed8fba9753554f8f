//! The rules that a new password violates, read from FusionAuth's Errors object.

use serde_json::Value;

use crate::model::password_violation::PasswordViolation;

/// The names of the field: FusionAuth may write its path.
const FIELDS: [&str; 2] = ["password", "user.password"];

/// The largest number that is taken for a length of passwords.
const MAX_LENGTH: u32 = 10_000;

/// The violated rules that `body` reports, in its order and without duplicates; empty where it
/// reports none.
pub(super) fn password_errors(body: &[u8]) -> Vec<PasswordViolation> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(fields) = body.get("fieldErrors") else {
        return Vec::new();
    };
    let errors = FIELDS
        .iter()
        .filter_map(|name| fields.get(name)?.as_array())
        .flatten();
    let mut violations = Vec::new();
    for violation in errors.filter_map(violation) {
        if !violations.contains(&violation) {
            violations.push(violation);
        }
    }
    violations
}

/// The rule that a code stands for. A code is a word in brackets before the name of its field:
/// `[tooShort]password`.
fn violation(error: &Value) -> Option<PasswordViolation> {
    let (word, _) = error
        .get("code")?
        .as_str()?
        .strip_prefix('[')?
        .split_once(']')?;
    let numbers = || {
        numbers(
            error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )
    };
    Some(match word {
        // "between 8 and 256": the first number is the least length, the last the greatest.
        "tooShort" => PasswordViolation::TooShort(numbers().first().copied()),
        "tooLong" => PasswordViolation::TooLong(numbers().last().copied()),
        "requireNumber" => PasswordViolation::RequireNumber,
        "singleCase" => PasswordViolation::RequireMixedCase,
        "onlyAlpha" => PasswordViolation::RequireNonAlpha,
        "previouslyUsed" => PasswordViolation::PreviouslyUsed,
        "tooYoung" => PasswordViolation::TooYoung,
        "matchesLoginId" => PasswordViolation::MatchesLoginId,
        word if word.starts_with("breached") => PasswordViolation::Breached,
        _ => PasswordViolation::Other,
    })
}

/// The numbers in a message. Its words are not used: the provider chooses their language.
fn numbers(message: &str) -> Vec<u32> {
    let runs = message.split(|letter: char| !letter.is_ascii_digit());
    runs.filter_map(|run| run.parse().ok())
        .filter(|number| (1..=MAX_LENGTH).contains(number))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(errors: &Value) -> Vec<PasswordViolation> {
        password_errors(
            json!({ "fieldErrors": { "password": errors } })
                .to_string()
                .as_bytes(),
        )
    }

    #[test]
    fn each_code_is_a_rule() {
        for (code, message, violation) in [
            (
                "tooShort",
                "at least [8] characters",
                PasswordViolation::TooShort(Some(8)),
            ),
            (
                "tooShort",
                "between 12 and 256 characters",
                PasswordViolation::TooShort(Some(12)),
            ),
            (
                "tooLong",
                "between 12 and 256 characters",
                PasswordViolation::TooLong(Some(256)),
            ),
            ("tooShort", "too short", PasswordViolation::TooShort(None)),
            (
                "tooLong",
                "99999999999999999999",
                PasswordViolation::TooLong(None),
            ),
            ("requireNumber", "", PasswordViolation::RequireNumber),
            ("singleCase", "", PasswordViolation::RequireMixedCase),
            ("onlyAlpha", "", PasswordViolation::RequireNonAlpha),
            ("previouslyUsed", "", PasswordViolation::PreviouslyUsed),
            ("tooYoung", "", PasswordViolation::TooYoung),
            ("breachedCommonPassword", "", PasswordViolation::Breached),
            ("breachedExactMatch", "", PasswordViolation::Breached),
            ("matchesLoginId", "", PasswordViolation::MatchesLoginId),
            ("ofALaterDay", "", PasswordViolation::Other),
        ] {
            let errors = json!([{ "code": format!("[{code}]password"), "message": message }]);
            assert_eq!(read(&errors), [violation], "{code}: {message}");
        }
    }

    #[test]
    fn all_are_reported_once_and_nonsense_is_none() {
        let errors = json!([
            { "code": "[requireNumber]password" }, { "code": "[singleCase]password" }, { "code": "[requireNumber]x" },
            { "code": 1 }, "text", { "message": "8" }, { "code": "tooShort" },
        ]);
        assert_eq!(
            read(&errors),
            [
                PasswordViolation::RequireNumber,
                PasswordViolation::RequireMixedCase
            ]
        );
        let path =
            json!({ "fieldErrors": { "user.password": [{ "code": "[onlyAlpha]user.password" }] } });
        assert_eq!(
            password_errors(path.to_string().as_bytes()),
            [PasswordViolation::RequireNonAlpha]
        );
        for body in [
            "",
            "[]",
            "{\"fieldErrors\":[]}",
            "{\"fieldErrors\":{\"password\":1}}",
            "{\"generalErrors\":[]}",
        ] {
            assert_eq!(password_errors(body.as_bytes()), [], "{body}");
        }
    }
}
