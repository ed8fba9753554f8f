//! The users file: TOML in which unknown keys are errors. All problems are reported at once, each
//! with its line and column.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::signing::SigningKey;
use super::users::{TokenPolicy, Users};
use crate::model::algorithm::Algorithm;

mod edit;
mod password_policy_entry;
mod two_factor_entry;
mod user_entry;
mod users_file_error;

#[cfg(test)]
mod tests;

pub use edit::{Edit, EditError, NewUser, edit};
use password_policy_entry::PasswordEntry;
use two_factor_entry::Messages;
use user_entry::UserEntry;
pub use users_file_error::{Problem, UsersFileError};
use users_file_error::{ProblemList, without_value};

/// The largest users file, in bytes: some 300,000 users. A device such as `/dev/zero` has no end.
const MAX_FILE: u64 = 64 << 20;

/// Reads the users file at `path`. A relative `outbox` is relative to the directory of the file.
///
/// # Errors
/// All problems of the file.
pub fn load(path: &Path) -> Result<Users, UsersFileError> {
    let error = |problems| UsersFileError {
        path: path.to_owned(),
        problems,
    };
    let text = read(path).map_err(|cause| {
        error(vec![Problem {
            line: 1,
            column: 1,
            message: format!("cannot be read: {cause}"),
        }])
    })?;
    let mut users = parse(&text).map_err(error)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    users.outbox = users.outbox.map(|outbox| directory.join(outbox));
    Ok(users)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(text)
}

/// Parses the text of a users file.
///
/// # Errors
/// All problems, in the order of the file.
pub fn parse(text: &str) -> Result<Users, Vec<Problem>> {
    let file: UsersFile = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        vec![Problem::at(text, &span, &without_value(error.message()))]
    })?;
    let mut problems = ProblemList::default();
    let mut users = Users::new(file.token_policy(&mut problems));
    users.password_policy = file.password.unwrap_or_default().validate(&mut problems);
    if let Some(outbox) = file.outbox {
        if !is_printable(outbox.get_ref()) {
            problems.add(
                &outbox.span(),
                "not a directory; a relative path is relative to the directory of this file",
            );
        }
        users.outbox = Some(outbox.into_inner().into());
    }
    let messages = if users.outbox.is_some() {
        Messages::Available
    } else {
        Messages::Unavailable
    };
    for entry in file.users {
        let span = entry.email.span();
        let Some(user) = entry.validate(messages, &mut problems) else {
            continue;
        };
        if let Err(duplicate) = users.add(user) {
            problems.add(
                &span,
                format!("{duplicate} already belongs to another user"),
            );
        }
    }
    if problems.is_empty() {
        Ok(users)
    } else {
        Err(problems.located_in(text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    #[serde(default, deserialize_with = "signing_algorithm")]
    algorithm: Option<Algorithm>,
    access_token_lifetime: Option<Spanned<String>>,
    refresh_token_lifetime: Option<Spanned<String>>,
    grace: Option<Spanned<String>>,
    outbox: Option<Spanned<String>>,
    password: Option<PasswordEntry>,
    #[serde(default)]
    users: Vec<UserEntry>,
}

/// Deserializes `algorithm`, which must be one of [`SigningKey::ALGORITHMS`].
fn signing_algorithm<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Algorithm>, D::Error> {
    const NAMES: &[&str] = &[Algorithm::Es256.name(), Algorithm::Rs256.name()];
    let name = String::deserialize(input)?;
    SigningKey::ALGORITHMS
        .iter()
        .copied()
        .find(|algorithm| algorithm.name() == name)
        .map(Some)
        .ok_or_else(|| D::Error::unknown_variant(&name, NAMES))
}

impl UsersFile {
    /// The token policy, with defaults for keys that are left out or have a problem.
    fn token_policy(&self, problems: &mut ProblemList) -> TokenPolicy {
        let defaults = TokenPolicy::default();
        let mut duration_of =
            |value: &Option<Spanned<String>>, min: Duration, default: Duration| {
                let Some(value) = value else {
                    return default;
                };
                match parse_duration(value.get_ref()) {
                    Some(duration) if duration >= min => return duration,
                    Some(_) => problems.add(
                        &value.span(),
                        format!("too short, at least {}s", min.as_secs()),
                    ),
                    None => problems.add(
                        &value.span(),
                        "not a duration like \"30s\", \"5m\", \"12h\" or \"30d\"",
                    ),
                }
                default
            };
        TokenPolicy {
            access_token_lifetime: duration_of(
                &self.access_token_lifetime,
                Duration::from_secs(1),
                defaults.access_token_lifetime,
            ),
            refresh_token_lifetime: duration_of(
                &self.refresh_token_lifetime,
                Duration::from_secs(60),
                defaults.refresh_token_lifetime,
            ),
            grace: duration_of(&self.grace, Duration::ZERO, defaults.grace),
            algorithm: self.algorithm.unwrap_or(defaults.algorithm),
        }
    }
}

/// Parses a duration such as `500ms`, `30s`, `5m`, `12h` or `30d`.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Whether `text` may be an e-mail address. Blanks in it would need quotes, which nobody uses.
fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && is_printable(text)
        && !text.contains(char::is_whitespace)
}

/// Whether `text` is safe in the request headers of upstreams, where claims may end up: not empty,
/// without control characters and without surrounding blanks.
fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}
