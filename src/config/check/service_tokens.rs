//! The service tokens of a site.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Map;
use toml::value::{Datetime, Offset};

use super::super::file::site::{ServiceToken as Written, Site as WrittenSite};
use super::super::spans::At;
use super::providers::is_name;
use super::{Review, headers};
use crate::model::identity::Identity;
use crate::model::identity_headers::IdentityHeaders;
use crate::model::rule::Rule;
use crate::model::service_token::{ServiceToken, ServiceTokenHash, ServiceTokens};
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey};

/// What the tokens of a site refer to.
#[derive(Clone, Copy)]
pub(super) struct SiteParts<'a> {
    pub(super) headers: &'a IdentityHeaders,
    pub(super) rules: &'a [Rule],
}

pub(super) fn tokens(
    site: &WrittenSite,
    parts: Option<SiteParts<'_>>,
    review: &mut Review<'_>,
) -> Option<ServiceTokens> {
    let header = match &site.token_header {
        Some(name) => Some(headers::parse_name(name, review)?),
        None => None,
    };
    let mut names = BTreeSet::new();
    let mut by_hash = HashMap::new();
    let mut fits = true;
    for written in &site.tokens {
        let name = name(written, &mut names, review);
        let hash = written.sha256.as_ref().and_then(|text| hash(text, review));
        let expires = written.expires.as_ref().and_then(|at| expires(at, review));
        let roles = roles(written, review);
        let patterns = parts.and_then(|parts| patterns(written, parts.rules, review));
        let (Some(name), Some(hash), Some(roles), Some(expires), Some(patterns), Some(parts)) =
            (name, hash, roles, expires, patterns, parts)
        else {
            fits = false;
            continue;
        };
        if let Some(at) = written.expires.as_ref().filter(|_| expires <= review.now) {
            let what = format!("the service token {name} has expired");
            let hint = "its clients get 401: make another, or take it away";
            review.warn(&at.span, what, hint);
        }
        let token = ServiceToken {
            principal: Arc::new(principal(&name, roles, parts.headers, expires)?),
            rules: patterns,
        };
        if by_hash.insert(hash, token).is_some() {
            let span = written
                .sha256
                .as_ref()
                .map_or(&written.span, |text| &text.span);
            let hint = "make one for each client: `vestibule tokens new`";
            review.refuse(span, "two service tokens have this `sha256`", hint);
            fits = false;
        }
    }
    fits.then_some(ServiceTokens { header, by_hash })
}

fn name(
    written: &At<Written>,
    taken: &mut BTreeSet<String>,
    review: &mut Review<'_>,
) -> Option<String> {
    let name = written.name.as_ref()?;
    if !is_name(name) {
        let hint = "use a-z, 0-9 and `-`";
        review.refuse_text(name, "a service token cannot have this name", hint);
        return None;
    }
    if !taken.insert((**name).clone()) {
        let hint = "give each a name of its own";
        review.refuse_text(name, "two service tokens have this name", hint);
        return None;
    }
    Some((**name).clone())
}

/// Reads the hash. The text is never quoted: it may be the token itself.
fn hash(text: &At<String>, review: &mut Review<'_>) -> Option<ServiceTokenHash> {
    let hash = ServiceTokenHash::parse(text);
    if hash.is_none() {
        let hint = "write the 64 hexadecimal digits that `vestibule tokens new` prints";
        review.refuse(&text.span, "`sha256` is no SHA-256", hint);
    }
    hash
}

fn roles(written: &Written, review: &mut Review<'_>) -> Option<Vec<String>> {
    for role in &written.roles {
        if role.trim().is_empty() || role.contains(char::is_control) {
            let hint = "write it as in `roles` of the rules";
            review.refuse_text(role, "a service token cannot have this role", hint);
            return None;
        }
    }
    Some(written.roles.iter().map(|role| (**role).clone()).collect())
}

fn expires(
    written: &At<super::super::units::Moment>,
    review: &mut Review<'_>,
) -> Option<Timestamp> {
    let moment = timestamp(&written.0);
    if moment.is_none() {
        let hint = "write it like 2027-01-31 or 2027-01-31T12:00:00Z";
        review.refuse(&written.span, "`expires` is no point in time", hint);
    }
    moment
}

/// The point in time of a date with an offset, or of a date alone: its midnight in UTC.
fn timestamp(moment: &Datetime) -> Option<Timestamp> {
    let date = moment.date?;
    let midnight = Timestamp::from_date(date.year, date.month, date.day)?;
    let minutes_east = match (moment.time, moment.offset) {
        (None, None) | (Some(_), Some(Offset::Z)) => 0,
        (Some(_), Some(Offset::Custom { minutes })) => i64::from(minutes),
        (Some(_), None) | (None, Some(_)) => return None,
    };
    let seconds = moment.time.map_or(0, |time| {
        (i64::from(time.hour) * 60 + i64::from(time.minute)) * 60
            + i64::from(time.second.unwrap_or(0))
    });
    let secs = i64::try_from(midnight.secs()).ok()? + seconds - minutes_east * 60;
    Some(Timestamp::from_secs(u64::try_from(secs).ok()?))
}

fn patterns(written: &Written, known: &[Rule], review: &mut Review<'_>) -> Option<Vec<String>> {
    let Some(patterns) = &written.rules else {
        return Some(Vec::new());
    };
    if patterns.is_empty() {
        let hint = "name the `path` of a rule, or leave it out for all rules";
        review.refuse(&patterns.span, "`rules` is empty", hint);
        return None;
    }
    for pattern in patterns.iter() {
        if !known.iter().any(|rule| **rule.pattern.text() == ***pattern) {
            let hint = "write it as in `path` of the rule";
            review.refuse_text(pattern, "no rule of the site has this path", hint);
            return None;
        }
    }
    Some(patterns.iter().map(|pattern| (**pattern).clone()).collect())
}

/// The identity of a token; `None` where a role has a control character, which
/// [`roles`] refuses before.
fn principal(
    name: &str,
    roles: Vec<String>,
    headers: &IdentityHeaders,
    expires: Timestamp,
) -> Option<Principal> {
    let sub = format!("token:{name}");
    let identity = Identity {
        sub: sub.clone(),
        email: None,
        email_verified: false,
        username: None,
        roles,
        claims: Map::new(),
    };
    Some(Principal {
        identity_headers: headers.render(&identity).ok()?,
        identity,
        issued_at: Timestamp::from_secs(0),
        expires_at: expires,
        revocation_key: RevocationKey(sub),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_has_an_offset_or_no_time() {
        let secs = |text: &str| timestamp(&text.parse().unwrap()).map(Timestamp::secs);
        assert_eq!(secs("1970-01-02"), Some(86_400));
        assert_eq!(secs("2027-01-31"), Some(1_801_353_600));
        assert_eq!(secs("2027-01-31T00:00:01Z"), Some(1_801_353_601));
        assert_eq!(secs("2027-01-31T02:00:00+02:00"), Some(1_801_353_600));
        assert_eq!(secs("2027-01-30T23:30:00-00:30"), Some(1_801_353_600));
        for bad in ["2027-01-31T00:00:00", "12:00:00", "1969-12-31"] {
            assert_eq!(secs(bad), None, "{bad}");
        }
    }
}
