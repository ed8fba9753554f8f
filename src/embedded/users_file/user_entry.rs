//! The table `[[users]]`: one user.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::two_factor_entry::{Messages, TwoFactorEntry};
use super::users_file_error::ProblemList;
use super::{is_email, is_printable};
use crate::embedded::ids;
use crate::embedded::password_hasher::parse_cost;
use crate::embedded::users::{AccountState, ChangeReason, User};
use crate::model::secret::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEntry {
    id: Option<Spanned<String>>,
    pub(super) email: Spanned<String>,
    username: Option<Spanned<String>>,
    name: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
    email_verified: Option<bool>,
    password: Spanned<String>,
    #[serde(default)]
    roles: BTreeMap<String, Vec<Spanned<String>>>,
    applications: Option<Vec<String>>,
    #[serde(default)]
    unverified_applications: Vec<String>,
    #[serde(default)]
    state: AccountState,
    two_factor: Option<Spanned<TwoFactorEntry>>,
    must_change_password: Option<ChangeReason>,
}

impl UserEntry {
    /// The user, or `None` after adding to `problems`.
    pub(super) fn validate(self, messages: Messages, problems: &mut ProblemList) -> Option<User> {
        let known_problems = problems.len();
        let email = self.email.get_ref();
        if !is_email(email) {
            let what = "not an e-mail address: write it like \"ann@example.com\"";
            problems.add(&self.email.span(), what);
        }
        let roles = checked_roles(self.roles, problems);
        if let Some(username) = self
            .username
            .as_ref()
            .filter(|name| !is_printable(name.get_ref()))
        {
            let what = "a username must be printable and not empty, without surrounding blanks";
            problems.add(&username.span(), what);
        }
        let id = match &self.id {
            None => ids::uuid_of_email(email),
            Some(id) => ids::parse_uuid(id.get_ref()).unwrap_or_else(|| {
                problems.add(
                    &id.span(),
                    "not a UUID; without `id` it is derived from the e-mail address",
                );
                String::new()
            }),
        };
        if let Err(why) = parse_cost(self.password.get_ref()) {
            let hint = "use `vestibule hash-password`";
            problems.add(
                &self.password.span(),
                format!("not a password hash: {why}; {hint}"),
            );
        }
        let two_factor = self.two_factor.and_then(|entry| {
            let span = entry.span();
            let two_factor = entry.into_inner().validate(messages, problems);
            if two_factor.is_none() {
                problems.add(
                    &span,
                    "no method to get a code: add `totp`, `email` or `sms`",
                );
            }
            two_factor
        });
        (problems.len() == known_problems).then(|| User {
            id,
            email: self.email.into_inner(),
            username: self.username.map(Spanned::into_inner),
            name: self.name,
            given_name: self.given_name,
            family_name: self.family_name,
            email_verified: self.email_verified.unwrap_or(true),
            password: Secret::new(self.password.into_inner()),
            roles,
            applications: self.applications,
            unverified_applications: self.unverified_applications,
            state: self.state,
            two_factor,
            must_change_password: self.must_change_password,
        })
    }
}

/// The roles by application. Applications get them in a header.
fn checked_roles(
    written: BTreeMap<String, Vec<Spanned<String>>>,
    problems: &mut ProblemList,
) -> BTreeMap<String, Vec<String>> {
    for role in written.values().flatten() {
        if !is_printable(role.get_ref()) {
            let what = "a role must be printable and not empty, without surrounding blanks";
            problems.add(&role.span(), what);
        }
    }
    let plain = |roles: Vec<Spanned<String>>| roles.into_iter().map(Spanned::into_inner).collect();
    written
        .into_iter()
        .map(|(application, roles)| (application, plain(roles)))
        .collect()
}
