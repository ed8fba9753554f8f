//! The users file: TOML, unknown keys are errors, every problem is told at once with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::ids;
use super::passwords::cost_of;
use super::signing::SigningKey;
use super::users::{AccountState, ChangeReason, TokenPolicy, User, Users};
use crate::model::algorithm::Algorithm;
use crate::model::secret::Secret;

mod rules;
mod second_factors;

use rules::PasswordEntry;
use second_factors::{Messages, TwoFactorEntry};

/// The problems of a users file.
#[derive(Debug)]
pub struct UsersFileError {
    /// The file.
    pub path: PathBuf,
    /// Never empty.
    pub problems: Vec<Problem>,
}

/// One problem; its text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 where the file could not be read.
    pub line: usize,
    /// In characters, from 1; 0 where the file could not be read.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for UsersFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(
                out,
                "{separator}{}:{}:{}: {}",
                self.path.display(),
                problem.line,
                problem.column,
                problem.what
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for UsersFileError {}

/// Reads the users file at `path`. A relative outbox is beside it.
///
/// # Errors
/// All its problems.
pub fn load(path: &Path) -> Result<Users, UsersFileError> {
    let failed = |problems| UsersFileError {
        path: path.to_owned(),
        problems,
    };
    let text = fs::read_to_string(path).map_err(|error| {
        failed(vec![Problem {
            line: 0,
            column: 0,
            what: format!("cannot be read: {error}"),
        }])
    })?;
    let mut users = parse(&text).map_err(failed)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    users.outbox = users.outbox.map(|outbox| beside.join(outbox));
    Ok(users)
}

/// Reads `text` as a users file.
///
/// # Errors
/// All its problems, in the order of the file.
pub fn parse(text: &str) -> Result<Users, Vec<Problem>> {
    let file: UsersFile = toml::from_str(text).map_err(|error| {
        vec![Problem::at(
            text,
            &error.span().unwrap_or_default(),
            &without_value(error.message()),
        )]
    })?;
    let mut faults = Diagnostics::default();
    let mut users = Users::new(file.policy(&mut faults));
    users.password_rules = file.password.unwrap_or_default().checked(&mut faults);
    if let Some(outbox) = file.outbox {
        if !printable(outbox.get_ref()) {
            faults.note(
                &outbox.span(),
                "no directory; relative ones are beside this file",
            );
        }
        users.outbox = Some(outbox.into_inner().into());
    }
    let messages = if users.outbox.is_some() {
        Messages::Delivered
    } else {
        Messages::Nowhere
    };
    for entry in file.users {
        let span = entry.email.span();
        let Some(user) = entry.checked(messages, &mut faults) else {
            continue;
        };
        if let Err(taken) = users.add(user) {
            faults.note(&span, format!("{taken} belongs to another user already"));
        }
    }
    if faults.0.is_empty() {
        Ok(users)
    } else {
        Err(faults.placed(text))
    }
}

impl Problem {
    fn at(text: &str, span: &Range<usize>, what: &str) -> Self {
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Self {
            line,
            column,
            what: what.to_owned(),
        }
    }
}

#[derive(Default)]
struct Diagnostics(Vec<(Range<usize>, String)>);

impl Diagnostics {
    fn note(&mut self, span: &Range<usize>, what: impl Into<String>) {
        self.0.push((span.clone(), what.into()));
    }

    fn placed(mut self, text: &str) -> Vec<Problem> {
        self.0.sort_by_key(|(span, _)| span.start);
        self.0
            .iter()
            .map(|(span, what)| Problem::at(text, span, what))
            .collect()
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

/// The algorithm of `algorithm = "…"`, one of [`SigningKey::ALGORITHMS`].
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    id: Option<Spanned<String>>,
    email: Spanned<String>,
    username: Option<Spanned<String>>,
    name: Option<String>,
    email_verified: Option<bool>,
    password: Spanned<String>,
    #[serde(default)]
    roles: BTreeMap<String, Vec<String>>,
    applications: Option<Vec<String>>,
    #[serde(default)]
    unverified_applications: Vec<String>,
    #[serde(default)]
    state: AccountState,
    two_factor: Option<Spanned<TwoFactorEntry>>,
    must_change_password: Option<ChangeReason>,
}

impl UsersFile {
    fn policy(&self, faults: &mut Diagnostics) -> TokenPolicy {
        let usual = TokenPolicy::default();
        let minute = Duration::from_secs(60);
        let mut span_of =
            |written: &Option<Spanned<String>>, least: Duration, otherwise: Duration| {
                let Some(written) = written else {
                    return otherwise;
                };
                match duration(written.get_ref()) {
                    Some(span) if span >= least => return span,
                    Some(_) => faults.note(
                        &written.span(),
                        format!("too short, at least {}s", least.as_secs()),
                    ),
                    None => faults.note(
                        &written.span(),
                        "no duration like \"30s\", \"5m\", \"12h\" or \"30d\"",
                    ),
                }
                otherwise
            };
        TokenPolicy {
            access_token_lifetime: span_of(
                &self.access_token_lifetime,
                Duration::from_secs(1),
                usual.access_token_lifetime,
            ),
            refresh_token_lifetime: span_of(
                &self.refresh_token_lifetime,
                minute,
                usual.refresh_token_lifetime,
            ),
            grace: span_of(&self.grace, Duration::ZERO, usual.grace),
            algorithm: self.algorithm.unwrap_or(usual.algorithm),
        }
    }
}

impl UserEntry {
    /// The user, or `None` after noting why there is none.
    fn checked(self, messages: Messages, faults: &mut Diagnostics) -> Option<User> {
        let before = faults.0.len();
        let email = self.email.get_ref();
        if !is_email(email) {
            faults.note(&self.email.span(), "no e-mail address");
        }
        if let Some(username) = self
            .username
            .as_ref()
            .filter(|name| !printable(name.get_ref()))
        {
            faults.note(
                &username.span(),
                "a username is printable and not empty, without blanks around it",
            );
        }
        let id = match &self.id {
            None => ids::uuid_of_email(email),
            Some(written) => ids::uuid(written.get_ref()).unwrap_or_else(|| {
                faults.note(
                    &written.span(),
                    "no UUID; leave it out and it is derived from the e-mail address",
                );
                String::new()
            }),
        };
        if let Err(why) = cost_of(self.password.get_ref()) {
            let hint = "take one from `vestibule hash-password`";
            faults.note(
                &self.password.span(),
                format!("no password hash: {why}; {hint}"),
            );
        }
        let two_factor = self.two_factor.and_then(|entry| {
            let span = entry.span();
            let checked = entry.into_inner().checked(messages, faults);
            if checked.is_none() {
                faults.note(&span, "no way to get a code: add `totp`, `email` or `sms`");
            }
            checked
        });
        (faults.0.len() == before).then(|| User {
            id,
            email: self.email.into_inner(),
            username: self.username.map(Spanned::into_inner),
            name: self.name,
            email_verified: self.email_verified.unwrap_or(true),
            password: Secret::new(self.password.into_inner()),
            roles: self.roles,
            applications: self.applications,
            unverified_applications: self.unverified_applications,
            state: self.state,
            two_factor,
            must_change_password: self.must_change_password,
        })
    }
}

/// A value of the wrong type may be a secret in the wrong place: what was expected is told, not
/// what stands there.
fn without_value(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => {
            format!("not of the right kind, expected {expected}")
        }
        Some(_) | None => message.to_owned(),
    }
}

fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && printable(text)
}

/// Claims end up in headers of upstreams: no control characters, no blanks that some would trim.
fn printable(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::password_rules::PasswordRules;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$Zm9vYmFyZm9vYmFyZm9vYg";

    #[test]
    fn the_reference_file_is_good() {
        let users = parse(include_str!("../../config/users.toml")).unwrap();
        let ada = users.by_login("ada").unwrap();
        assert_eq!(ada.email, "ada@example.com");
        assert_eq!(
            ada.roles_in("3c219e58-ed0e-4b18-ad48-f4f92793ae32"),
            ["staff", "admin"]
        );
        assert_eq!(
            ada.roles_in("85a03867-dccf-4882-adde-1a79aeec50df"),
            ["staff"]
        );
        let two_factor = ada.two_factor.as_ref().unwrap();
        let methods: Vec<_> = two_factor
            .methods()
            .map(|method| (method.id, method.address))
            .collect();
        assert_eq!(
            methods,
            [
                ("TOTP", ""),
                ("EMAIL", "ada@example.com"),
                ("SMS", "+1 555 555 5512")
            ]
        );
        assert_eq!(
            (users.password_rules, users.outbox.as_deref()),
            (PasswordRules::default(), Some(Path::new("outbox")))
        );
        assert_eq!(users.all().count(), 2);
        assert_eq!(users.policy, TokenPolicy::default());
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let text = format!(
            "grace = \"soon\"\n[[users]]\nid = \"7\"\nemail = \"ada\"\npassword = \"secret\"\n\
             [[users]]\nemail = \"b@example.com\"\npassword = \"{HASH}\"\n  two_factor = {{ totp = \"AAAA\" }}\n\
             [[users]]\nemail = \"c@example.com\"\npassword = \"{HASH}\"\n\
             [[users]]\nemail = \"C@example.com\"\nid = \"3c219e58-ed0e-4b18-ad48-f4f92793ae32\"\npassword = \"{HASH}\"\n"
        );
        let places: Vec<(usize, usize, String)> = parse(&text)
            .unwrap_err()
            .into_iter()
            .map(|problem| (problem.line, problem.column, problem.what))
            .collect();
        let at: Vec<(usize, usize)> = places
            .iter()
            .map(|(line, column, _)| (*line, *column))
            .collect();
        assert_eq!(
            at,
            [(1, 9), (3, 6), (4, 9), (5, 12), (9, 25), (14, 9)],
            "{places:?}"
        );
        assert!(
            places.iter().all(|(_, _, what)| !what.contains("secret\"")),
            "{places:?}"
        );
        assert!(
            places[5].2.starts_with("c@example.com belongs"),
            "{places:?}"
        );
    }

    #[test]
    fn a_second_factor_can_be_had() {
        let user = format!("[[users]]\nemail = \"a@example.com\"\npassword = \"{HASH}\"\n");
        for (two_factor, problem) in [
            ("{ }", "no way to get a code"),
            (
                "{ recovery_codes = [\"0123456789\"] }",
                "no way to get a code",
            ),
            (
                "{ email = \"a@example.com\" }",
                "codes cannot be sent: there is no outbox",
            ),
            (
                "{ sms = \"+1 555 5512\" }",
                "codes cannot be sent: there is no outbox",
            ),
            ("{ totp = \"AAAA\" }", "no base32 secret"),
        ] {
            let problems = parse(&format!("{user}two_factor = {two_factor}\n")).unwrap_err();
            assert_eq!(
                (problems.len(), problems[0].line),
                (1, 4),
                "{two_factor}: {problems:?}"
            );
            assert!(
                problems[0].what.starts_with(problem),
                "{two_factor}: {problems:?}"
            );
        }
        for two_factor in [
            "{ email = \"nobody\" }",
            "{ sms = \"110\" }",
            "{ sms = \"+1 555 \\n5512\" }",
        ] {
            let text = format!("outbox = \"out\"\n{user}two_factor = {two_factor}\n");
            assert_eq!(parse(&text).unwrap_err().len(), 1, "{two_factor}");
        }
        let users = parse(&format!(
            "outbox = \"out\"\n{user}two_factor = {{ sms = \"+1 555 5512\" }}\n"
        ))
        .unwrap();
        assert_eq!(
            users
                .by_login("a@example.com")
                .unwrap()
                .two_factor
                .as_ref()
                .unwrap()
                .methods()
                .count(),
            1
        );
    }

    #[test]
    fn the_rules_for_passwords_are_read() {
        let rules = parse("[password]\nmin_length = 12\nrequire_number = true\n")
            .unwrap()
            .password_rules;
        assert_eq!(
            rules,
            PasswordRules {
                min_length: 12,
                require_number: true,
                ..PasswordRules::default()
            }
        );
        for text in [
            "[password]\nmin_length = 3\n",
            "[password]\nmin_length = 300\n",
            "[password]\nmin_length = -1\n",
        ] {
            assert_eq!(parse(text).unwrap_err()[0].line, 2, "{text}");
        }
    }

    #[test]
    fn the_outbox_is_beside_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users.toml");
        fs::write(&file, "outbox = \"out\"\n").unwrap();
        assert_eq!(
            load(&file).unwrap().outbox,
            Some(directory.path().join("out"))
        );
    }

    #[test]
    fn unknown_keys_are_errors() {
        for text in [
            "colour = 1\n",
            "[[users]]\nemail = \"a@b\"\npassword = \"x\"\nadmin = true\n",
        ] {
            let problems = parse(text).unwrap_err();
            assert!(problems[0].what.contains("unknown field"), "{problems:?}");
        }
        assert_eq!(parse("\n  colour = 1\n").unwrap_err()[0].line, 2);
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_told() {
        let text = format!(
            "[[users]]\nemail = \"a@b\"\npassword = \"{HASH}\"\ntwo_factor = \"GEZDGNBV\"\n"
        );
        let problems = parse(&text).unwrap_err();
        assert_eq!(
            (problems[0].line, problems[0].column),
            (4, 14),
            "{problems:?}"
        );
        assert!(
            problems[0]
                .what
                .starts_with("not of the right kind, expected"),
            "{problems:?}"
        );
        assert!(!problems[0].what.contains("GEZDGNBV"), "{problems:?}");
    }

    #[test]
    fn a_missing_file_is_a_problem_of_that_file() {
        let error = load(Path::new("/nonexistent/users.toml")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nonexistent/users.toml:0:0: cannot be read"),
            "{error}"
        );
    }
}
